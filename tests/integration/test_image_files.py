"""Images in a real registry and in the embedded one: the same files, by parts or whole."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from pullstudy.bases.compare import compare_all, describe_image
from pullstudy.bases.paths import ImageFiles, ReadSettings
from pullstudy.bases.run import RunSettings, read_images
from pullstudy.registry.plan import HarvestSettings
from tests.conftest import skip_or_fail
from tests.integration.conftest import LiveRegistry
from tests.unit.bases.conftest import (
    OCI,
    MadeImage,
    layer_of,
    make_estargz,
    make_image,
    symlink,
    write_layout,
)

NOISE = random.Random(7)
FILES = [(f"opt/app/file {number}", NOISE.randbytes(20_000)) for number in range(100)]
LIBRARY = layer_of(("usr/lib/x", b"1"), ("usr/lib/y", b"2"), symlink("lib", "usr/lib"))
SETTINGS = RunSettings(HarvestSettings(plain_http=True), reading=ReadSettings(with_digests=True))


def push(registry: LiveRegistry, repository: str, tag: str, image: MadeImage) -> str:
    registry.push_blob(repository, image.config)
    for layer in image.layers:
        registry.push_blob(repository, layer.blob)
    registry.push_manifest(repository, tag, image.manifest, f"{OCI}.manifest.v1+json")
    return f"{registry.address}/{repository}:{tag}"


def read(names: list[str]) -> list[ImageFiles]:
    found = []
    for result in read_images(names, SETTINGS, lambda files: files).values():
        assert isinstance(result, ImageFiles), result
        found.append(result)
    return found


def test_the_same_files_whichever_way_they_come(registry: LiveRegistry, tmp_path: Path) -> None:
    hide = layer_of(("lib/.wh.y", b""))
    stargz = make_image(LIBRARY, make_estargz(FILES), hide)
    plain = make_image(LIBRARY, layer_of(*FILES, how="zstd"), hide)
    write_layout(tmp_path, {"t": plain})
    names = [
        push(registry, "t/files", "stargz", stargz),
        push(registry, "t/files", "plain", plain),
        f"oci:{tmp_path}:t",
    ]
    by_table, by_stream, _ = found = read(names)
    assert (by_table.progress.tocs, by_stream.progress.tocs) == (1, 0)
    assert by_table.progress.fetched_bytes < sum(len(layer.blob) for layer in stargz.layers)
    assert len(by_table.files) == len(FILES) + 2, "/usr/lib/x, /lib, and not /usr/lib/y"
    for comparison in compare_all([describe_image(files, None) for files in found]):
        levels = {level.level: level.is_identical for level in comparison.levels}
        assert levels["files"]
        assert levels["contents"]
        assert levels["paths"]


@pytest.mark.integration
def test_what_skopeo_copies_is_the_same_image(distribution: LiveRegistry, tmp_path: Path) -> None:
    """skopeo may compress anew and write other manifests: unpacked layers and files stay."""
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        skip_or_fail("skopeo is not installed: apt-get install skopeo")
    name = push(distribution, "t/copied", "t", make_image(LIBRARY, layer_of(*FILES, how="none")))
    command = [str(skopeo), "--insecure-policy", "copy", "--src-tls-verify=false"]
    command += ["--dest-oci-accept-uncompressed-layers=false", f"docker://{name}"]
    subprocess.run([*command, f"oci:{tmp_path / 'copy'}:t"], check=True, capture_output=True)
    found = read([name, f"oci:{tmp_path / 'copy'}:t"])
    (comparison,) = compare_all([describe_image(files, None) for files in found])
    levels = {level.level: level.is_identical for level in comparison.levels}
    assert levels["unpacked_layers"]
    assert levels["files"]
    assert not levels["layers"], "it compressed the layer that was not"
