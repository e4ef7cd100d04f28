"""An image of one static program, as a docker-archive that containerd imports. No registry takes part.

Invariants: the same program gives the same bytes.
Source: github.com/moby/moby, image/spec/v1.2.md.
"""

from __future__ import annotations

import hashlib
import io
import platform
import tarfile
from typing import TYPE_CHECKING

from detnet.control import codec

if TYPE_CHECKING:
    from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_image(target: Path, reference: str, program: Path) -> None:
    """Write the image that runs one program, which needs nothing else."""
    layer = _tar({program.name: program.read_bytes()})
    config = codec.encode(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    )
    manifest = codec.encode([{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}])
    target.write_bytes(_tar({"manifest.json": manifest, "config.json": config, "layer.tar": layer}))


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
