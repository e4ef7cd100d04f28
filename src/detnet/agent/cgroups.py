"""Whose pod a process is, from the control groups that the kernel shows for it.

    /kubepods/burstable/pod<uid>/<container>                                            cgroupfs driver
    /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid_>.slice/…       systemd driver: - is written _
    /system.slice/containerd.service/kubepods-burstable-pod<uid_>.slice:cri-containerd:…
    /../../pod<uid>/<container>                                                         seen from a container's own cgroup namespace

What a container's runtime calls its own part (cri-containerd-, crio-, docker-) does not matter, so no runtime is asked.

Invariants: pure; the outermost name counts, so that a cluster inside a pod (kind) belongs to that pod, and no container can pass for
another's pod by the names of groups that it makes. What fits nothing is None.
Source: cgroups(7); kubelet, pod_container_manager_linux.go and cgroup_manager_linux.go.
"""

from __future__ import annotations

import re

_UID = "[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}"
_PART = re.compile(rf"(?:[^:]*-)?pod(?P<uid>{_UID})(?:\.slice)?(?::.*)?", re.DOTALL)


def pod_uid(text: str) -> str | None:
    """The UID of the pod that a process belongs to. `text` is its `/proc/PID/cgroup`: a line a hierarchy, one alone under v2."""
    for line in text.splitlines():
        path = line.split(":", 2)[-1]
        for part in path.split("/"):
            found = _PART.fullmatch(part)
            if found:
                return found["uid"].replace("_", "-")
    return None
