"""Which repositories a list of names means, and how each registry is reached."""

import pytest

from pullstudy.errors import ConfigError
from pullstudy.registry.limits import Limits
from pullstudy.registry.plan import HarvestSettings, Target, check_endpoint, plan_targets

DIGEST = "sha256:" + "a" * 64


def test_targets_are_sorted_and_each_is_there_once() -> None:
    targets, refused = plan_targets(
        ["ubuntu", "ghcr.io/a/b:1", "docker.io/library/ubuntu:22.04", "ghcr.io/a/b:2", "Bad", "a a"]
    )
    assert targets == [
        Target("docker.io/library/ubuntu", "docker.io", "library/ubuntu", None),
        Target("ghcr.io/a/b", "ghcr.io", "a/b", ("1", "2")),
    ]
    assert refused == ["Bad", "a a"]
    assert plan_targets(["ubuntu", "ubuntu"])[0] == plan_targets(["ubuntu"])[0]


@pytest.mark.parametrize(
    ("name", "written", "tags"),
    [
        ("ubuntu", "ubuntu", None),
        ("ubuntu:22.04", "ubuntu", ("22.04",)),
        ("localhost:5000/a", "localhost:5000/a", None),
        ("localhost:5000/a:5000", "localhost:5000/a", ("5000",)),
        (f"ubuntu@{DIGEST}", "ubuntu", (DIGEST,)),
        (f"ubuntu:22.04@{DIGEST}", "ubuntu", (DIGEST,)),
    ],
)
def test_the_tag_is_taken_off_the_name(
    name: str, written: str, tags: tuple[str, ...] | None
) -> None:
    ((target,), _) = plan_targets([name])
    assert (target.name, target.tags) == (written, tags)


def test_how_registries_are_reached() -> None:
    usual = HarvestSettings()
    assert usual.transport_of("docker.io").base_url == "https://registry-1.docker.io"
    assert usual.transport_of("ghcr.io").base_url == "https://ghcr.io"
    assert usual.limits_of("docker.io").counts_manifests_only
    assert not usual.limits_of("ghcr.io").counts_manifests_only
    plain = HarvestSettings(plain_http=True, endpoints={"docker.io": "http://127.0.0.1:1"})
    assert plain.transport_of("localhost:5000").base_url == "http://localhost:5000"
    assert plain.transport_of("docker.io").base_url == "http://127.0.0.1:1"
    mirrored = HarvestSettings(endpoints={"*": "http://m", "quay.io": "https://q"})
    assert mirrored.transport_of("ghcr.io").base_url == "http://m"
    assert mirrored.transport_of("quay.io").base_url == "https://q"


def test_limits_are_found_by_registry() -> None:
    limits = {"*": Limits(4, 2.0), "quay.io": Limits(1)}
    settings = HarvestSettings(limits=limits)
    assert settings.limits_of("quay.io") == Limits(1)
    assert settings.limits_of("ghcr.io") == Limits(4, 2.0)
    assert settings.limits_of("docker.io") == Limits(4, 2.0, counts_manifests_only=True)


@pytest.mark.parametrize("text", ["127.0.0.1:5000", "ftp://a", "http://", "http://a/b", ""])
def test_endpoints_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="no registry"):
        check_endpoint(text)


def test_endpoints_lose_their_slash() -> None:
    assert check_endpoint("http://127.0.0.1:5000/") == "http://127.0.0.1:5000"
