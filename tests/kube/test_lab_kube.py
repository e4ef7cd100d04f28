"""The engine `kube`: a real cluster comes up, carries packets over the bottleneck, and leaves nothing, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detnet.lab.kube import host
from kube.cluster import PODS, gone, traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kube.cluster import Cluster

pytestmark = pytest.mark.kube

PAYLOAD_BYTES = 20_000_000
SINK = f"""
import socket
with socket.create_server(("", 9000)) as server:
    connection, peer = server.accept()
    count = 0
    while count < {PAYLOAD_BYTES}:
        count += len(connection.recv(1 << 16))
    connection.sendall(b"x")
    print(peer[0], count)
"""
SOURCE = f"""
import socket, time
for i in range(100):
    try:
        connection = socket.create_connection(("ADDRESS", 9000), timeout=30)
        break
    except OSError:
        time.sleep(0.1)
began = time.monotonic()
connection.sendall(bytes({PAYLOAD_BYTES}))
connection.recv(1)
print(time.monotonic() - began)
"""
UP = ("lab", "up", "--engine", "kube", "--nodes", "1", "--name")
REST = "import time; time.sleep(1e6)"


@pytest.fixture
def no_pods_left(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.delete_pods()


def test_all_nodes_are_ready_and_run_the_release_that_is_pinned(cluster: Cluster) -> None:
    nodes = cluster.get("/api/v1/nodes")["items"]
    assert {node["metadata"]["name"] for node in nodes} == {"node1", "node2", "node3"}
    for node in nodes:
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
        assert node["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.34.")
        assert node["metadata"]["annotations"]["flannel.alpha.coreos.com/backend-type"] == "vxlan"


def test_status_and_up_tell_a_kubeconfig_that_only_its_owner_can_read(cluster: Cluster) -> None:
    row = cluster.status
    assert (row["engine"], row["nodes"], row["link_bps"], row["queue_s"]) == ("kube", 3, 200_000_000, 0.05)
    assert row["kubeconfig"] in cluster.said
    assert stat.S_IMODE(Path(row["kubeconfig"]).stat().st_mode) == 0o600


def test_all_pods_together_weigh_more_than_one_other_process_of_the_machine(cluster: Cluster) -> None:
    files = [
        path for name in ("cpu.shares", "cpu.weight") for path in Path("/sys/fs/cgroup").glob(f"**/dk-{cluster.name}/{name}")
    ]
    assert files
    assert {path.name: path.read_text().strip() for path in files}.items() <= {
        "cpu.shares": "10240",
        "cpu.weight": "1000",
    }.items()


@pytest.mark.usefixtures("no_pods_left")
def test_pods_of_two_nodes_talk_over_vxlan_through_the_bottleneck(cluster: Cluster) -> None:
    cluster.run_pod("sink", "node2", SINK)
    address = cluster.wait_for_pod("sink", "Running")["podIP"]
    before = {interface: cluster.sent_bytes("node1", interface) for interface in ("uplink", "flannel.1")}
    cluster.run_pod("source", "node1", SOURCE.replace("ADDRESS", address))
    cluster.wait_for_pod("source", "Succeeded")
    status = cluster.wait_for_pod("sink", "Succeeded")
    source = cluster.get("/api/v1/namespaces/default/pods/source")["status"]["podIP"]
    assert cluster.log("sink").split() == [source, str(PAYLOAD_BYTES)]  # its own address: nothing on the way rewrites it
    assert status["podIP"].rpartition(".")[0] != source.rpartition(".")[0]
    for interface, sent in before.items():
        assert cluster.sent_bytes("node1", interface) - sent > PAYLOAD_BYTES
    # The link's rate holds: a slow machine can only be slower than it.
    assert PAYLOAD_BYTES * 8 / float(cluster.log("source")) < cluster.status["link_bps"] * 1.1


@pytest.mark.usefixtures("no_pods_left")
def test_a_pod_reaches_the_api_server_through_its_service(cluster: Cluster) -> None:
    program = """
import os, ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
tls = ssl.create_default_context(cafile=folder + "ca.crt")
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}/version"
request = urllib.request.Request(url, headers={"Authorization": "Bearer " + open(folder + "token").read()})
print(urllib.request.urlopen(request, context=tls, timeout=30).status)
"""
    cluster.run_pod("client", "node3", program)
    cluster.wait_for_pod("client", "Succeeded")
    assert cluster.log("client").strip() == "200"


def test_exec_enters_a_node_with_its_own_processes_and_paths(cluster: Cluster) -> None:
    seen = cluster.marked.run(
        "lab", "exec", "--name", cluster.name, "node2", "--", "sh", "-c", "ls /var/lib/kubelet; cat /proc/[0-9]*/comm"
    )
    assert seen.returncode == 0, seen.stderr
    assert "config.json" in seen.stdout
    assert seen.stdout.splitlines().count("containerd") == 1  # three nodes, but only its own is seen
    wrong = cluster.marked.run("lab", "exec", "--name", cluster.name, "node9", "--", "true")
    assert wrong.returncode == 2
    assert "node3" in wrong.stderr


@pytest.mark.usefixtures("no_pods_left")
def test_a_node_that_loses_its_power_comes_back_and_takes_pods(cluster: Cluster) -> None:
    def seen(command: str) -> str:
        return cluster.marked.run("lab", "exec", "--name", cluster.name, "node3", "--", "sh", "-c", command).stdout

    began = seen("cut -d' ' -f22 /proc/1/stat")
    cluster.run_pod("lost", "node3", REST)
    cluster.wait_for_pod("lost", "Running")
    seen("kill -9 2")
    cluster.run_pod("new", "node3", "print('here')")
    cluster.wait_for_pod("new", "Succeeded")
    cluster.wait_for_pod("lost", "Failed")  # its process went with the node; it is not to be started again
    assert cluster.log("new").strip() == "here"
    assert seen("cut -d' ' -f22 /proc/1/stat") not in ("", began)


def test_a_name_stands_for_one_lab_of_either_engine(cluster: Cluster) -> None:
    for engine in ("kube", "netns"):
        again = cluster.marked.run("lab", "up", "--engine", engine, "--name", cluster.name)
        assert again.returncode == 2
        assert cluster.name in again.stderr


def test_down_leaves_nothing_though_pods_run(own: Cluster) -> None:
    up = own.marked.run(*UP, own.name, timeout=300)
    assert up.returncode == 0, up.stderr
    own.run_pod("rest", "node1", REST)
    own.wait_for_pod("rest", "Running")
    kinds = {trace.split()[0] for trace in traces(own)}
    assert kinds >= {"process", "pod's", "group", "link", "file"}  # the search finds what there is to be found
    down = own.marked.run("lab", "down", "--name", own.name)
    assert down.returncode == 0, down.stderr
    assert traces(own) == []  # at once: down waits for the kernel
    assert own.marked.run("lab", "down", "--name", own.name).returncode == 2


@pytest.mark.parametrize("killed", ["everything", "only the command"])
@pytest.mark.parametrize("moment", ["network", "control plane", "API server"])
def test_a_kill_on_the_way_up_leaves_nothing_after_down(own: Cluster, moment: str, killed: str) -> None:
    _kill_on_the_way_up(own, moment, everything=killed == "everything")
    down = own.marked.run("lab", "down", "--name", own.name)
    assert down.returncode in (0, 2), down.stderr  # 2: it had cleared up by itself already
    assert gone(own) == []


def test_an_interrupt_on_the_way_up_clears_up(own: Cluster) -> None:
    up = own.marked.start(*UP, own.name)
    assert up.stderr is not None
    next(line for line in up.stderr if line.startswith("kube: control plane"))
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=60)
    assert up.returncode == 130
    assert traces(own) == []


def test_an_image_is_built_over_the_local_base_and_runs_on_a_node(own: Cluster, tmp_path: Path) -> None:
    missing = [program for program in ("buildah", "debootstrap") if shutil.which(program, path=host.PATH) is None]
    if missing:
        pytest.skip(f"images need {', '.join(missing)}: apt-get install -y {' '.join(missing)}")
    (tmp_path / "Dockerfile").write_text('ARG BASE=nowhere.invalid/a\nFROM ${BASE}\nCOPY a.py /a.py\nCMD ["python3", "/a.py"]\n')
    (tmp_path / "a.py").write_text("print('built here')")
    early = own.marked.run("lab", "image", str(tmp_path / "Dockerfile"), "--name", own.name)
    assert early.returncode == 2  # before anything is built: there is no such cluster
    up = own.marked.run(*UP, own.name, timeout=300)
    assert up.returncode == 0, up.stderr
    tag = "localhost/detnet-test:1"
    built = own.marked.run("lab", "image", str(tmp_path / "Dockerfile"), "--name", own.name, "--tag", tag, timeout=900)
    assert built.returncode == 0, built.stderr
    container = {"name": "main", "image": tag, "imagePullPolicy": "Never"}
    spec = {"restartPolicy": "Never", "containers": [container]}
    own.call(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "built"}, "spec": spec})
    own.wait_for_pod("built", "Succeeded")
    assert own.log("built").strip() == "built here"


def test_remains_are_listed_and_refuse_a_twin(own: Cluster) -> None:
    _kill_on_the_way_up(own, "API server", everything=True)
    assert (own.status["purpose"], own.status["pid"]) == ("remains", None)
    assert own.marked.run(*UP, own.name).returncode == 2
    assert own.marked.run("lab", "exec", "--name", own.name, "node1", "--", "true").returncode == 2
    assert own.marked.run("lab", "down", "--name", own.name).returncode == 0
    assert traces(own) == []


def _kill_on_the_way_up(own: Cluster, moment: str, *, everything: bool) -> None:
    """Start a cluster, and kill the command, or all that came of it, when it tells of that moment."""
    up = own.marked.start(*UP, own.name)
    assert up.stdout is not None
    assert up.stderr is not None
    next(line for line in up.stderr if line.startswith(f"kube: {moment}"))
    for pid in own.marked.alive() if everything else [up.pid]:
        with suppress(ProcessLookupError):  # it went with its parent
            os.kill(pid, signal.SIGKILL)
    up.wait(timeout=60)
    up.stdout.close()
    up.stderr.close()
