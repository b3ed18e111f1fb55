"""`pullstudy inspect` beside a running Docker Engine: what it has is not pulled again."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pullstudy.cli import app
from tests.integration.conftest import LiveRegistry
from tests.integration.registry.test_inspect import push_layers
from tests.integration.runtimes import run, run_engine

pytestmark = pytest.mark.integration


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_engine(tmp_path_factory.mktemp("engine")) as host:
        yield host


def make_layer(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return gzip.compress(buffer.getvalue(), mtime=0)


def test_layers_of_the_engine_are_not_pulled_again(
    engine: str,
    distribution: LiveRegistry,
    repository: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    base, own, other = make_layer("base"), make_layer("own"), make_layer("other")
    push_layers(distribution, repository, "base", [base])
    push_layers(distribution, repository, "app", [base, own])
    # The same layer upon another one is another layer to the engine.
    push_layers(distribution, repository, "odd", [other, base])
    name = f"{distribution.address}/{repository}"
    run("docker", "--host", engine, "pull", f"{name}:base")
    monkeypatch.setenv("DOCKER_HOST", engine)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    arguments = ["inspect", f"{name}:app", f"{name}:odd", "--plain-http", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    app_image, odd = json.loads(result.stdout)["images"]
    local = {share["with_name"]: share for share in app_image["shared_with"]}
    assert local[f"{name}:base"]["layers"] == 1
    assert local[f"{name}:base"]["is_base"]
    assert app_image["missing_bytes"] == len(own)
    assert odd["missing_bytes"] == len(other) + len(base)
