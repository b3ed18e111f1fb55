"""The images that the cluster itself needs, pushed by the package's own pusher."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pullstudy.naming import parse_reference
from pullstudy.registry.cache import digest_of
from pullstudy.registry.push import RepositoryPusher

_APPLETS = (
    "sh",
    "sleep",
    "cat",
    "chroot",
    "awk",
    "grep",
    "sort",
    "true",
    "ls",
    "env",
    "tr",
    "nsenter",
    "cmp",
    "cp",
    "dirname",
    "mkdir",
    "mv",
    "rm",
    "seq",
)
# That of the official busybox image.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OCI = "application/vnd.oci.image"


def push_busybox(reference: str, seconds: int = 2**31 - 1) -> str:
    """Push an image with Debian's static busybox; it sleeps so long, or until it is killed.

    Returns its digest.
    """
    return push_files(reference, {}, ["/bin/sleep", str(seconds)])


def push_files(reference: str, files: Mapping[str, Path], entrypoint: Sequence[str]) -> str:
    """Push an image with Debian's static busybox and further programs. Returns its digest."""
    program = shutil.which("busybox")
    assert program, "busybox-static is not installed"
    plain = _make_layer({"bin/busybox": Path(program), **files})
    layer = gzip.compress(plain, compresslevel=1, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "Env": [f"PATH={_PATH}"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(plain)]},
        }
    ).encode()
    name = parse_reference(reference)
    pusher = RepositoryPusher(name.registry, name.repository, plain_http=True)
    pusher.push_bytes(layer)
    pusher.push_bytes(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _describe(f"{_OCI}.config.v1+json", config),
        "layers": [_describe(f"{_OCI}.layer.v1.tar+gzip", layer)],
    }
    return pusher.put_manifest(
        str(name.tag), json.dumps(manifest).encode(), f"{_OCI}.manifest.v1+json"
    )


def _describe(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _make_layer(programs: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for name, program in programs.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = program.stat().st_size, 0o755
            with program.open("rb") as file:
                layer.addfile(entry, file)
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(link)
    return buffer.getvalue()
