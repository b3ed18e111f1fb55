"""Finding images: references, credentials, mirrors, and what a run of several makes of errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pullstudy.bases.layout import split_layout_name
from pullstudy.bases.paths import ImageFiles, ReadSettings
from pullstudy.bases.run import RunSettings, Watch, read_images
from pullstudy.errors import ConfigError, ImageError, InvalidReference, PullstudyError
from pullstudy.registry.layout import ImageLayout
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.server import Registry, serve_application, serve_layout
from pullstudy.registry.transport import RequestFailed
from tests.unit.bases.conftest import add_to_registry, layer_of, make_image, write_layout

IMAGE = make_image(layer_of(("a", b"1")))
PLAIN = HarvestSettings(plain_http=True, attempts=1)


def paths_of(files: ImageFiles) -> set[str]:
    return set(files.paths)


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Write Docker's config.json; without it there is none."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))

    def write(content: Any) -> None:
        (tmp_path / "docker").mkdir()
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "docker/config.json").write_text(text)

    return write


def guard(root: Path, seen: list[str | None]) -> web.Application:
    """An embedded registry that wants a user and a password."""

    @web.middleware
    async def check(request: web.Request, handler: Any) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        if seen[-1] != f"Basic {base64.b64encode(b'me:secret').decode()}":
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        response: web.StreamResponse = await handler(request)
        return response

    application = Registry(ImageLayout(root)).application()
    application.middlewares.append(check)
    return application


def test_credentials_of_docker_login_are_used(
    tmp_path: Path, docker_config: Callable[[Any], None]
) -> None:
    add_to_registry(tmp_path / "registry", "private/app", {"1.0": IMAGE})
    seen: list[str | None] = []
    with serve_application(guard(tmp_path / "registry", seen), "127.0.0.1") as address:
        name = f"{address}/private/app:1.0"
        docker_config({"auths": {address: {"auth": base64.b64encode(b"me:secret").decode()}}})
        found = read_images([name], RunSettings(PLAIN), paths_of)
    assert found == {name: {"/a"}}
    assert seen[0] is None
    assert seen[-1] is not None


def test_without_credentials_the_error_says_what_to_do(tmp_path: Path) -> None:
    add_to_registry(tmp_path / "registry", "private/app", {"1.0": IMAGE})
    with serve_application(guard(tmp_path / "registry", []), "127.0.0.1") as address:
        found = read_images([f"{address}/private/app:1.0"], RunSettings(PLAIN), paths_of)
    (error,) = found.values()
    assert isinstance(error, RequestFailed)
    assert f"run `docker login {address}`" in str(error)
    assert "secret" not in str(error)


def test_broken_credentials_end_the_run(docker_config: Callable[[Any], None]) -> None:
    docker_config("{")
    with pytest.raises(ConfigError, match="no JSON"):
        read_images(["127.0.0.1:1/app"], RunSettings(PLAIN), paths_of)


def test_mirrors_digests_and_official_names(tmp_path: Path) -> None:
    add_to_registry(tmp_path, "library/ubuntu", {"latest": IMAGE})
    with serve_layout(tmp_path) as address:
        mirrored = replace(PLAIN, endpoints={"docker.io": f"http://{address}"})
        names = ["ubuntu", f"docker.io/library/ubuntu@{IMAGE.digest}", "ubuntu:latest"]
        found = read_images(names, RunSettings(mirrored), paths_of)
    assert found == {name: {"/a"} for name in names}


def test_an_image_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    write_layout(tmp_path, {"good": IMAGE, "bad": make_image(layer_of(("../x", b"")))})
    names = [f"oci:{tmp_path}:bad", "No Image", "oci:nowhere", f"oci:{tmp_path}:good"]
    found = read_images([*names, names[0]], RunSettings(PLAIN), paths_of)
    assert list(found) == names
    kinds = [type(result) for result in found.values()]
    assert kinds == [ImageError, InvalidReference, ImageError, set]


def test_the_display_sees_what_is_under_way(tmp_path: Path) -> None:
    write_layout(tmp_path, {"t": IMAGE})
    name = f"oci:{tmp_path}:t"
    watched: list[Watch] = []

    async def display(watch: Watch) -> None:
        watched.append(watch)

    def use(files: ImageFiles) -> int:
        assert watched[0][name].layers_done == files.progress.layers_done
        return files.progress.layers_done

    settings = RunSettings(PLAIN, reading=ReadSettings(with_digests=True))
    assert read_images([name], settings, use, display) == {name: 1}
    assert watched == [{}]


def test_errors_of_the_caller_are_not_hidden(tmp_path: Path) -> None:
    write_layout(tmp_path, {"t": IMAGE})

    def use(files: ImageFiles) -> None:
        raise KeyError(files.image.name)

    with pytest.raises(KeyError):
        read_images([f"oci:{tmp_path}:t"], RunSettings(PLAIN), use)


def test_colons_in_the_names_of_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    write_layout(folder, {"t": IMAGE})
    assert split_layout_name(str(folder)) == (folder, "")
    assert split_layout_name(f"{folder}:t") == (folder, "t")
    assert split_layout_name(f"{folder}:repository:t") == (folder, "repository:t")
    with pytest.raises(PullstudyError, match="write oci:DIR"):
        split_layout_name(str(tmp_path / "a"))
