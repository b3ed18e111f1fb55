"""`pullstudy inspect` and `pullstudy cost` against registries: requests, findings, statuses."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import subprocess
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from pullstudy.cli import app
from tests.integration.conftest import OCI, OCI_MANIFEST, digest_of
from tests.integration.registry.conftest import respond

if TYPE_CHECKING:
    from tests.integration.conftest import LiveRegistry
    from tests.integration.registry.conftest import Exchange, MakeProxy

Inspect = Callable[..., Result]
GZIP = f"{OCI}.layer.v1.tar+gzip"
EMPTY = gzip.compress(bytes(1024), mtime=0)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Inspect:
    """Run a command of `pullstudy` without anybody's credentials or engine."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--plain-http"], catch_exceptions=True)

    return run


def push_layers(
    live: LiveRegistry,
    repository: str,
    tag: str,
    layers: Sequence[bytes],
    media_type: str = GZIP,
    **config: Any,
) -> str:
    """Push an image of these layers, with a history that names them by number."""
    content = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "created": "2024-11-21T10:00:00Z",
            "history": [{"created_by": f"RUN make {n}"} for n in range(len(layers))],
            "rootfs": {
                "type": "layers",
                "diff_ids": [digest_of(gzip.decompress(layer)) for layer in layers],
            },
        }
        | config
    ).encode()
    for blob in {*layers, content}:
        live.push_blob(repository, blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": f"{OCI}.config.v1+json",
            "digest": digest_of(content),
            "size": len(content),
        },
        "layers": [
            {"mediaType": media_type, "digest": digest_of(x), "size": len(x)} for x in layers
        ],
    }
    return live.push_manifest(repository, tag, manifest, OCI_MANIFEST)


def make_layer(text: str) -> bytes:
    return gzip.compress(random.Random(text).randbytes(500 + len(text)), mtime=0)


def read(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    (image,) = json.loads(result.stdout)["images"]
    return dict(image)


def test_an_image_as_skopeo_sees_it(
    registry: LiveRegistry, repository: str, run: Inspect, skopeo: str
) -> None:
    layers = [make_layer("base"), EMPTY, make_layer("app"), make_layer("base")]
    push_layers(registry, repository, "1", layers)
    name = f"{registry.address}/{repository}:1"
    image = read(run("inspect", name, "--json", "--no-local"))
    found = subprocess.run(
        [skopeo, "inspect", "--tls-verify=false", f"docker://{name}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(found.stdout)
    assert image["digest"] == seen["Digest"]
    assert [layer["digest"] for layer in image["layers"]] == seen["Layers"]
    assert [layer["size_bytes"] for layer in image["layers"]] == [len(layer) for layer in layers]
    # A digest that comes twice is pulled once.
    assert image["size_bytes"] == sum(map(len, set(layers)))
    assert [layer["is_empty"] for layer in image["layers"]] == [False, True, False, False]
    assert [layer["is_repeated"] for layer in image["layers"]] == [True, False, False, True]
    assert image["layers"][2]["command"] == "RUN make 2"


def test_sharing_warm_pulls_and_price(
    registry: LiveRegistry, repository: str, run: Inspect
) -> None:
    base, own = make_layer("base" * 999), make_layer("own")
    push_layers(registry, repository, "base", [base])
    push_layers(registry, repository, "app", [base, own])
    name = f"{registry.address}/{repository}"
    arguments = ("--bandwidth", "0.001", "--nodes", "36", "--price", "100", "--no-local")
    image = read(
        run("inspect", f"{name}:app", "--compare-with", f"{name}:base", "--json", *arguments)
    )
    (share,) = image["shared_with"]
    assert (share["layers"], share["size_bytes"], share["is_base"]) == (1, len(base), True)
    assert image["base"] == {"name": f"{name}:base", "known_by": "its layers"}
    (pull,) = image["pulls"]
    assert pull["cold_seconds"] == pytest.approx((len(base) + len(own)) / 1000)
    assert pull["warm_seconds"] == pytest.approx(len(own) / 1000)
    assert pull["warm_dollars"] == pytest.approx(len(own) / 1000)
    cost = run(
        "cost", f"{name}:app", f"{name}:base", "--json", "--bandwidth", "0.001", "--nodes", "1"
    )
    (row,) = json.loads(cost.stdout)["costs"]
    assert (row["shared_bytes"], row["separate_bytes"]) == (
        len(base) + len(own),
        2 * len(base) + len(own),
    )


def test_other_platforms(registry: LiveRegistry, repository: str, run: Inspect) -> None:
    arm = push_layers(registry, repository, "arm", [make_layer("a")], architecture="arm64")
    registry.push_index(repository, "multi", {"linux/arm64": arm})
    name = f"{registry.address}/{repository}:multi"
    image = read(run("inspect", name, "--json"))
    assert image["kind"] == "absent"
    assert "there is for linux/arm64" in image["refused_by"][0]["reason"]
    image = read(run("inspect", name, "--json", "--platform", "linux/arm64"))
    assert image["refused_by"] == []
    refused = run("inspect", name, "--fail-on", "refused")
    assert refused.exit_code == 3
    assert "fails on refused" in refused.stdout


def test_statuses(registry: LiveRegistry, repository: str, run: Inspect) -> None:
    push_layers(registry, repository, "latest", [make_layer("a"), make_layer("b")])
    name = f"{registry.address}/{repository}"
    assert run("inspect", name).exit_code == 0
    failed = run("inspect", name, "--fail-on", "layers>1,latest,size>2GB")
    assert failed.exit_code == 3
    assert f"{name}: fails on layers>1, latest" in failed.stdout
    # An image that is not there says so, and the others are shown.
    missing = run("inspect", name, f"{name}:none", "--fail-on", "latest")
    assert missing.exit_code == 1
    assert f"{name}: fails on latest" in missing.stdout
    assert "404" in missing.stderr
    assert run("inspect", name, "--layers", "x").exit_code == 2


def test_five_requests_behind_a_token_server(
    distribution: LiveRegistry, repository: str, run: Inspect, make_proxy: MakeProxy
) -> None:
    child = push_layers(distribution, repository, "amd", [make_layer("a")])
    distribution.push_index(repository, "1", {"linux/amd64": child})
    proxy = make_proxy(distribution)
    tokens: list[str] = []

    async def act(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        if request.path == "/token":
            tokens.append("t")
            return web.json_response({"token": "t"})
        if request.headers.get("Authorization") == "Bearer t":
            return web.Response(
                status=exchange.status, body=exchange.body, headers=exchange.headers
            )
        challenge = f'Bearer realm="http://{proxy.address}/token",service="x"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    proxy.spoil(act, "", times=1000)
    image = read(run("inspect", f"{proxy.address}/{repository}:1", "--json"))
    assert image["kind"] == "image"
    assert tokens == ["t"]
    assert len(proxy.seen) == 5
    assert not proxy.requests("GET", "blobs/" + digest_of(make_layer("a")))


def test_a_hundred_images_are_asked_for_together(
    distribution: LiveRegistry, repository: str, run: Inspect, make_proxy: MakeProxy
) -> None:
    for number in range(100):
        push_layers(distribution, repository, f"v{number}", [make_layer(f"layer {number}")])
    proxy = make_proxy(distribution)
    waiting: list[int] = [0]

    async def act(_: web.Request, exchange: Exchange) -> web.StreamResponse:
        waiting.append(waiting[-1] + 1)
        await asyncio.sleep(1)
        waiting.append(waiting[-1] - 1)
        return respond(exchange)

    proxy.spoil(act, "", times=1000)
    names = [f"{proxy.address}/{repository}:v{number}" for number in range(100)]
    result = run("inspect", *names, "--json", "--no-local")
    assert result.exit_code == 0, result.output
    images = json.loads(result.stdout)["images"]
    assert [image["image"] for image in images] == names
    assert len(proxy.seen) == 200
    assert max(waiting) > 50
    table = run("inspect", *names)
    assert "All 100 images" in table.stdout
