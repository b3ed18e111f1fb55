"""What manifests and configs tell: layers, refusals, shares, bases, practices, conditions."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from datetime import UTC, datetime

import pytest

from pullstudy.cost.formula import Cluster, Speed
from pullstudy.errors import ConfigError
from pullstudy.inspection.conditions import parse_conditions
from pullstudy.inspection.documents import Healthcheck, RunSettings
from pullstudy.inspection.layers import InspectedLayer, clean_command, list_layers
from pullstudy.inspection.origin import find_age_days, find_base, parse_time
from pullstudy.inspection.practices import FIXES, find_broken
from pullstudy.inspection.reading import ReadImage
from pullstudy.inspection.report import Inspection, PullPlan
from pullstudy.inspection.runtimes import compression_of, find_refusals
from pullstudy.inspection.sharing import LocalImage, missing_bytes, share_digests, share_local
from tests.unit.inspection.conftest import AMD64, GZIP, digest, make_image


def layers_of(image: ReadImage) -> tuple[InspectedLayer, ...]:
    assert image.manifest and image.config
    return list_layers(image.manifest, image.config)


def empty_layer() -> bytes:
    """An empty tar file, written by another library and compressed as Go's gzip does."""
    buffer = io.BytesIO()
    tarfile.open(fileobj=buffer, mode="w").close()
    return buffer.getvalue()[:1024]


@pytest.mark.parametrize(
    ("created_by", "command"),
    [
        ("/bin/sh -c #(nop)  CMD [\"bash\"]", 'CMD ["bash"]'),
        ("/bin/sh -c apt-get update &&   make", "RUN apt-get update && make"),
        ("RUN /bin/sh -c make install # buildkit", "RUN make install"),
        ("RUN |2 A=1 B=two words /bin/sh -c make # buildkit", "RUN make"),
        ("|1 V=2 /bin/sh -c make", "RUN make"),
        ("COPY a b # buildkit", "COPY a b"),
        ("ADD file:ad in / ", "ADD file:ad in /"),
        ("", ""),
    ],
)  # fmt: skip
def test_commands_are_as_their_author_wrote_them(created_by: str, command: str) -> None:
    assert clean_command(created_by) == command


def test_layers_have_the_command_that_made_them() -> None:
    image = make_image(("ADD x /", 90), ("ENV A=1", -1), ("RUN make", 10))
    assert [(layer.command, layer.size_bytes) for layer in layers_of(image)] == [
        ("ADD x /", 90),
        ("RUN make", 10),
    ]


def test_commands_are_left_out_where_the_history_does_not_fit() -> None:
    image = make_image(("ADD x /", 90), ("RUN make", 10))
    assert image.config and image.config.history
    image.config.history.pop()
    assert [layer.command for layer in layers_of(image)] == [None, None]


def test_empty_and_repeated_layers() -> None:
    image = make_image(("ADD x /", 90), ("WORKDIR /a", 32), ("WORKDIR /a", 32), ("RUN make", 999))
    assert image.config and image.config.rootfs.diff_ids
    # By what is in it, whatever the compression made of it.
    image.config.rootfs.diff_ids[3] = f"sha256:{hashlib.sha256(empty_layer()).hexdigest()}"
    found = layers_of(image)
    assert [layer.is_empty for layer in found] == [False, True, True, True]
    assert [layer.is_repeated for layer in found] == [False, True, True, False]
    assert len(gzip.compress(empty_layer())) < 32


def test_what_runtimes_refuse() -> None:
    def reasons(image: ReadImage) -> str:
        return " | ".join(f"{r.who}: {r.reason}" for r in find_refusals(image, layers_of(image)))

    assert reasons(make_image(("ADD x /", 90))) == ""
    many = make_image(*[(f"RUN {n}", 100) for n in range(126)])
    assert "Docker Engine with overlay2: it has 126 layers" in reasons(many)
    assert reasons(make_image(*[(f"RUN {n}", 100) for n in range(125)])) == ""
    assert "is for linux/arm64" in reasons(make_image(("ADD x /", 90), architecture="arm64"))
    zstd = make_image(("ADD x /", 90), media_type=GZIP.replace("gzip", "zstd"))
    assert "Docker Engine before 23: layer 1 is compressed with zstd" in reasons(zstd)
    odd = make_image(("ADD x /", 90), media_type=GZIP.replace("gzip", "lzma"))
    assert "unknown type" in reasons(odd)
    docker = "application/vnd.docker.image.rootfs.diff.tar.zstd"
    assert "unknown type" in reasons(make_image(("ADD x /", 90), media_type=docker))
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    assert "layer 1 is foreign" in reasons(make_image(("ADD x /", 90), media_type=foreign))


def test_what_is_no_image_is_refused() -> None:
    absent = ReadImage("x:1", None, AMD64, "absent", digest("i"), 9, offered="linux/arm64")
    (refusal,) = find_refusals(absent, ())
    assert "no image for linux/amd64; there is for linux/arm64" in refusal.reason
    (refusal,) = find_refusals(ReadImage("x:1", None, AMD64, "schema1", digest("i"), 9), ())
    assert "schema 1" in refusal.reason


@pytest.mark.parametrize(
    ("media_type", "compression"),
    [
        ("application/vnd.oci.image.layer.v1.tar", "none"),
        (GZIP, "gzip"),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "zstd"),
        ("application/vnd.oci.image.layer.v1.tar+bzip2", None),
        ("text/plain", None),
    ],
)
def test_compressions(media_type: str, compression: str | None) -> None:
    assert compression_of(media_type) == compression


def test_shares_by_digest_and_by_chain() -> None:
    base = layers_of(make_image(("ADD x /", 90), ("RUN a", 50)))
    image = layers_of(make_image(("ADD x /", 90), ("RUN a", 50), ("RUN b", 70)))
    other = layers_of(make_image(("ADD y /", 1), ("RUN a", 50)))
    share = share_digests(image, "base", base)
    assert (share.layers, share.size_bytes, share.is_base) == (2, 140, True)
    share = share_digests(image, "other", other)
    assert (share.layers, share.size_bytes, share.is_base) == (1, 50, False)
    # Docker keeps chains: a layer above a different one is not there.
    chain = LocalImage("local", tuple(str(layer.diff_id) for layer in other))
    assert share_local(image, chain).layers == 0
    chain = LocalImage("local", tuple(str(layer.diff_id) for layer in base))
    assert share_local(image, chain).size_bytes == 140
    assert missing_bytes(image, {}, []) == 210
    assert missing_bytes(image, {"other": other}, []) == 160
    assert missing_bytes(image, {}, [chain]) == 70


def test_the_base_is_declared_seen_or_guessed() -> None:
    name = {"org.opencontainers.image.base.name": "docker.io/library/debian:12"}
    declared = make_image(("ADD x /", 90), annotations=name)
    assert declared.manifest and declared.config
    base = find_base(declared.manifest, declared.config, layers_of(declared), [])
    assert base and (base.name, base.known_by) == ("docker.io/library/debian:12", "annotation")
    labels = {
        "org.opencontainers.image.ref.name": "ubuntu",
        "org.opencontainers.image.version": "22.04",
    }
    image = make_image(("ADD file:1 in /", 90), ("RUN x", 3), run=RunSettings(labels=labels))
    assert image.manifest and image.config
    base = find_base(image.manifest, image.config, layers_of(image), [])
    assert base and (base.name, base.known_by) == ("ubuntu:22.04", "inherited label")
    below = share_digests(layers_of(image), "team/base:1", layers_of(image)[:1])
    base = find_base(image.manifest, image.config, layers_of(image), [below])
    assert base and base.name == "team/base:1"
    alpine = make_image(("ADD alpine-minirootfs-3.20.3-x86_64.tar.gz / # buildkit", 90))
    assert alpine.manifest and alpine.config
    base = find_base(alpine.manifest, alpine.config, layers_of(alpine), [])
    assert base and base.name == "alpine:3.20.3"


def test_age() -> None:
    now = datetime(2024, 12, 1, tzinfo=UTC)
    image = make_image(("ADD x /", 9), created="2024-11-21T00:00:00.123456789Z")
    assert image.config
    assert find_age_days(image.config, now) == pytest.approx(10, abs=0.001)
    image.config.created = "1970-01-01T00:00:00Z"
    assert find_age_days(image.config, now) is None
    assert parse_time("yesterday") is None
    assert parse_time(None) is None


def test_practices_that_an_image_breaks() -> None:
    bad = make_image(
        ("ADD x /", 9),
        ("/bin/sh -c #(nop)  MAINTAINER me", -1),
        ("/bin/sh -c apt-get update && apt-get install -y vim", 9),
        ("RUN /bin/sh -c pip install numpy # buildkit", 9),
        ("RUN /bin/sh -c curl https://x.example/i.sh | bash # buildkit", 9),
        name="team/app",
        run=RunSettings(cmd=["/bin/sh", "-c", "serve"]),
    )
    good = make_image(
        ("ADD x /", 9),
        (
            "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends vim "
            "&& rm -rf /var/lib/apt/lists/* # buildkit",
            9,
        ),
        name=f"team/app:1@{digest('x')}",
        run=RunSettings(user="me", cmd=["serve"], healthcheck=Healthcheck(["CMD", "true"])),
    )
    of_bad, of_good = find_broken([bad, good])
    assert {broken.practice for broken in of_bad} == {
        "no_tag", "digest_pinned", "healthcheck", "no_user", "maintainer", "shell_form",
        "apt_clean", "apt_no_install_recommends", "pip_no_cache_dir", "download_piped_to_shell",
        "pipe_without_pipefail",
    }  # fmt: skip
    assert [(broken.practice, broken.cases) for broken in of_good] == []
    assert all(broken.fix == FIXES[broken.practice] for broken in of_bad)


def inspection(*steps: tuple[str, int], name: str = "team/app:1.0") -> Inspection:
    image = make_image(*steps, name=name)
    layers = layers_of(image)
    size = sum(layer.size_bytes for layer in layers)
    return Inspection(
        image, layers, size, size, 400.0, None, find_refusals(image, layers), [],
        find_broken([image])[0], [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("size>2GB", True),
        ("size>2.5GB", False),
        ("size>2GiB", False),
        ("layers>1", True),
        ("layers>2", False),
        ("largest > 1999MB", True),
        ("age>1y", True),
        ("age>400d", False),
        ("latest", False),
        ("empty", True),
        ("repeated", False),
        ("refused", False),
        ("digest_pinned", True),
    ],
)
def test_conditions(text: str, is_met: bool) -> None:
    found = inspection(("ADD x /", 2_000_000_001), ("WORKDIR /", 32))
    (condition,) = parse_conditions(text)
    assert condition.is_met(found) is is_met


def test_latest_is_met_by_no_tag() -> None:
    (condition,) = parse_conditions("latest")
    assert condition.is_met(inspection(("ADD x /", 9), name="team/app"))
    assert condition.is_met(inspection(("ADD x /", 9), name="team/app:latest"))


@pytest.mark.parametrize(
    "text", ["size", "size>", "size>2parsec", "layers>2GB", "newest", "size>1.1.1"]
)
def test_a_wrong_condition_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--fail-on"):
        parse_conditions(text)


def test_a_slow_registry_holds_up_all_nodes() -> None:
    speed = Speed("typical", "stated", 25.0)
    assert PullPlan(Cluster(32, 1.0), (speed,)).seconds(100_000_000, speed) == 4.0
    assert PullPlan(Cluster(32, 1.0), (speed,), 100.0).seconds(100_000_000, speed) == 32.0
