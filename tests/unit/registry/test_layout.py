"""The image layout behind the embedded registry."""

import json
from pathlib import Path

import pytest

from pullstudy.errors import ConfigError
from pullstudy.registry.content import digest_of
from pullstudy.registry.layout import ImageLayout

TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b'{"os": "linux"}'
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "config": {"digest": digest_of(CONFIG), "size": len(CONFIG)},
        "layers": [{"digest": "sha256:" + "1" * 64, "size": 5}],
    }
).encode()


def fill(root: Path) -> ImageLayout:
    layout = ImageLayout(root)
    layout.add_blob("a/b", digest_of(CONFIG), CONFIG)
    layout.add_manifest("a/b", digest_of(MANIFEST), TYPE, MANIFEST)
    for tag in ("2", "10", "latest"):
        layout.set_tag("a/b", tag, digest_of(MANIFEST))
    layout.save()
    return layout


def test_a_saved_layout_is_the_same_when_opened_again(tmp_path: Path) -> None:
    before = fill(tmp_path)
    after = ImageLayout(tmp_path)
    assert after.repositories == before.repositories
    assert after.repositories["a/b"].tag_order == ["10", "2", "latest"]
    assert after.repositories["a/b"].blobs == {digest_of(CONFIG)}, "layers may be absent"


def test_it_is_an_image_layout_for_others(tmp_path: Path) -> None:
    fill(tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["schemaVersion"] == 2
    for entry in index["manifests"]:
        content = (tmp_path / "blobs" / entry["digest"].replace(":", "/")).read_bytes()
        assert (entry["size"], entry["mediaType"]) == (len(content), TYPE)
    names = [e["annotations"]["org.opencontainers.image.ref.name"] for e in index["manifests"]]
    assert names == ["a/b:10", "a/b:2", "a/b:latest"]


def test_untagged_manifests_stay(tmp_path: Path) -> None:
    layout = fill(tmp_path)
    for tag in ("2", "10", "latest"):
        layout.delete_manifest("a/b", tag)
    layout.save()
    again = ImageLayout(tmp_path).repositories["a/b"]
    assert (again.tags, list(again.manifests)) == ({}, [digest_of(MANIFEST)])


def test_a_blob_goes_with_the_last_repository_that_holds_it(tmp_path: Path) -> None:
    layout = fill(tmp_path)
    layout.repository("c").blobs.add(digest_of(CONFIG))
    layout.delete_blob("a/b", digest_of(CONFIG))
    assert digest_of(CONFIG) in layout.store
    layout.delete_blob("c", digest_of(CONFIG))
    assert digest_of(CONFIG) not in layout.store


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "not the index"),
        ("[]", "not the index"),
        ('{"manifests": [{}]}', "not the index"),
        ('{"manifests": [{"digest": "sha256:1"}]}', "names no repository"),
        (
            json.dumps(
                {
                    "manifests": [
                        {
                            "digest": "sha256:" + "2" * 64,
                            "annotations": {"org.opencontainers.image.ref.name": "a:1"},
                        }
                    ]
                }
            ),
            "missing or damaged",
        ),
    ],
)
def test_a_wrong_index_is_an_error_in_one_line(tmp_path: Path, index: str, message: str) -> None:
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(ConfigError, match=message):
        ImageLayout(tmp_path)


def test_a_layout_that_is_only_read_keeps_its_files(tmp_path: Path) -> None:
    """Whoever goes by times must not think that it changed."""
    ImageLayout(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    ImageLayout(tmp_path).save()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    (tmp_path / "oci-layout").unlink()
    ImageLayout(tmp_path)
    assert (tmp_path / "oci-layout").exists()
