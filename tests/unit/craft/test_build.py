"""Images in an OCI layout, read by a reader that knows only the specification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pullstudy.craft import output
from pullstudy.craft.base import BaseImage, find_base
from pullstudy.craft.build import CraftedImage, Reporter, craft_images
from pullstudy.craft.layers import Layer
from pullstudy.craft.output import LayoutOutput
from pullstudy.craft.plan import Plan, plan_study
from pullstudy.craft.stream import Blob, LayerStream, Watch
from pullstudy.craft.study import Size, Study
from pullstudy.errors import CraftError
from tests.unit.craft.conftest import decompress, sha256

STUDY = Study((Size(400_000),), (4,), reads_share=0.064, files_per_layer=3)


def craft(plan: Plan, folder: Path, base: BaseImage | None = None) -> list[CraftedImage]:
    return craft_images(plan, LayoutOutput(folder), base or BaseImage(), Reporter())


def read_blob(folder: Path, descriptor: dict[str, Any]) -> bytes:
    content = (folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
    assert sha256(content) == descriptor["digest"]
    assert len(content) == descriptor["size"]
    return content


def read_image(folder: Path, tag: str) -> tuple[dict[str, Any], dict[str, Any], list[bytes]]:
    """Return manifest, config and tars of an image, every digest checked."""
    assert json.loads((folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    entries = json.loads((folder / "index.json").read_bytes())["manifests"]
    (entry,) = [
        entry
        for entry in entries
        if entry["annotations"]["org.opencontainers.image.ref.name"] == tag
    ]
    manifest = json.loads(read_blob(folder, entry))
    config = json.loads(read_blob(folder, manifest["config"]))
    tars = [decompress(read_blob(folder, layer)) for layer in manifest["layers"]]
    assert [sha256(tar) for tar in tars] == config["rootfs"]["diff_ids"]
    return manifest, config, tars


@pytest.mark.parametrize("compression", ["gzip", "zstd", "estargz", "none"])
def test_an_image_is_whole(compression: str, tmp_path: Path) -> None:
    study = Study((Size(400_000),), (4,), compression=compression, platform="linux/arm64")
    (crafted,) = craft(plan_study(study), tmp_path)
    manifest, config, tars = read_image(tmp_path, crafted.planned.cell.tag)
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    suffix = {"none": "", "zstd": "+zstd"}.get(compression, "+gzip")
    assert {layer["mediaType"] for layer in manifest["layers"]} == {
        f"application/vnd.oci.image.layer.v1.tar{suffix}"
    }
    assert sum(layer["size"] for layer in manifest["layers"]) == crafted.compressed_bytes
    assert abs(crafted.compressed_bytes - 400_000) < 512
    assert sum(map(len, tars)) == crafted.uncompressed_bytes
    assert crafted.layer_count == len(tars) == len(config["history"]) == 4
    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    assert config["config"]["Entrypoint"] == ["/pullstudy/start"]
    assert not crafted.was_there


def test_the_same_plan_gives_the_same_digest_anywhere(tmp_path: Path) -> None:
    plan = plan_study(STUDY)
    (first,), (second,) = craft(plan, tmp_path / "a"), craft(plan, tmp_path / "b")
    assert first.digest == second.digest
    assert first.digest == (
        "sha256:34cd5e0ce33b16b48b9cfa2949c0dde0b99356c111bbfecf232ecdb4daf7fa18"
    )


def test_what_is_there_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_study(STUDY)
    (first,) = craft(plan, tmp_path)
    monkeypatch.setattr(LayoutOutput, "put_layer", None)
    (second,) = craft(plan, tmp_path)
    assert second.was_there
    assert (second.digest, second.compressed_bytes, second.uncompressed_bytes) == (
        first.digest, first.compressed_bytes, first.uncompressed_bytes,
    )  # fmt: skip


def test_another_recipe_under_the_same_tag_replaces_the_image(tmp_path: Path) -> None:
    (first,) = craft(plan_study(STUDY), tmp_path)
    other = Study((Size(400_000),), (4,), seed=9)
    (second,) = craft(plan_study(other), tmp_path)
    assert first.planned.cell.tag == second.planned.cell.tag
    assert second.digest != first.digest
    assert not second.was_there
    manifest, _, _ = read_image(tmp_path, second.planned.cell.tag)
    assert len(manifest["layers"]) == 4


def test_an_image_that_lost_a_blob_is_made_again(tmp_path: Path) -> None:
    plan = plan_study(STUDY)
    (first,) = craft(plan, tmp_path)
    manifest, _, _ = read_image(tmp_path, first.planned.cell.tag)
    lost = tmp_path / "blobs" / manifest["layers"][1]["digest"].replace(":", "/")
    lost.unlink()
    (second,) = craft(plan, tmp_path)
    assert (second.digest, second.was_there) == (first.digest, False)
    read_image(tmp_path, first.planned.cell.tag)


def test_shared_layers_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    class CountedStream(LayerStream):
        def __init__(self, layer: Layer, watch: Watch) -> None:
            made.append(layer.recipe)
            super().__init__(layer, watch)

    monkeypatch.setattr(output, "LayerStream", CountedStream)
    study = Study((Size(400_000),), (6,), shared_layers=4, copies=3)
    crafted = craft(plan_study(study), tmp_path)
    assert len(made) == len(set(made)) == 4 + 3 * 2
    layers = [read_image(tmp_path, image.planned.cell.tag)[0]["layers"] for image in crafted]
    assert all(each[:4] == layers[0][:4] for each in layers)
    digests = {layer["digest"] for each in layers for layer in each}
    assert len(digests) == 4 + 3 * 2


def test_nothing_stays_under_a_tag_when_a_layer_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_study(Study((Size(80_000_000),), (8,)))
    original = LayoutOutput.put_layer
    count = 0

    def fail_third(self: LayoutOutput, layer: Layer, watch: Watch) -> Blob:
        nonlocal count
        count += 1
        if count == 3:
            raise CraftError("no more")
        return original(self, layer, watch)

    monkeypatch.setattr(LayoutOutput, "put_layer", fail_third)
    with pytest.raises(CraftError, match="no more"):
        craft(plan, tmp_path)
    assert json.loads((tmp_path / "index.json").read_bytes())["manifests"] == []
    assert not list(tmp_path.rglob("*.partial"))
    # The others stopped; they did not make all eight.
    assert count < 8


def test_a_disk_without_room_is_seen_before_anything_is_made(tmp_path: Path) -> None:
    plan = plan_study(Study((Size(10**15),), (127,)), beyond_limits=True)
    with pytest.raises(CraftError, match=r"the images need 1,000,000,000,000,000 bytes, the disk"):
        craft(plan, tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(CraftError, match="no OCI layout; name an empty or a new folder"):
        LayoutOutput(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(CraftError, match="Not a directory"):
        LayoutOutput(tmp_path / "thesis.tex" / "x")


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    LayoutOutput(tmp_path)
    partial = tmp_path / "blobs/sha256/.0123.partial"
    partial.write_bytes(b"x")
    LayoutOutput(tmp_path)
    assert not partial.exists()


@pytest.mark.parametrize("by_tag", [True, False])
def test_an_image_can_stand_on_another_one(by_tag: bool, tmp_path: Path) -> None:
    (below,) = craft(plan_study(STUDY), tmp_path / "base")
    name = f"oci:{tmp_path / 'base'}" + (f":{below.planned.cell.tag}" if by_tag else "")
    base = find_base(name, "amd64")
    study = Study((Size(1_000_000),), (7,), base=name)
    (crafted,) = craft(plan_study(study, base.blobs), tmp_path / "out", base)
    manifest, config, _ = read_image(tmp_path / "out", crafted.planned.cell.tag)
    lower, lower_config, _ = read_image(tmp_path / "base", below.planned.cell.tag)
    assert manifest["layers"][:4] == lower["layers"]
    assert len(manifest["layers"]) == 7
    assert crafted.compressed_bytes == 1_000_000
    assert config["history"][:4] == lower_config["history"]
    assert crafted.uncompressed_bytes is None


def test_a_base_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    craft(plan_study(STUDY), tmp_path)
    with pytest.raises(CraftError, match="is for amd64, the study for arm64"):
        find_base(f"oci:{tmp_path}", "arm64")
    with pytest.raises(CraftError, match="there is no such image"):
        find_base(f"oci:{tmp_path}:other", "amd64")
    with pytest.raises(CraftError, match="there is no OCI layout"):
        find_base(f"oci:{tmp_path / 'absent'}", "amd64")


def test_a_damaged_layer_of_the_base_is_not_taken_over(tmp_path: Path) -> None:
    (below,) = craft(plan_study(STUDY), tmp_path / "base")
    manifest, _, _ = read_image(tmp_path / "base", below.planned.cell.tag)
    path = tmp_path / "base/blobs" / manifest["layers"][0]["digest"].replace(":", "/")
    path.write_bytes(bytes(path.stat().st_size))
    base = find_base(f"oci:{tmp_path / 'base'}", "amd64")
    plan = plan_study(Study((Size(1_000_000),), (7,)), base.blobs)
    with pytest.raises(CraftError, match="its bytes have another digest"):
        craft(plan, tmp_path / "out", base)
