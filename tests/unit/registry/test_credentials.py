"""What `docker login` leaves behind, in all its forms."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from pullstudy.errors import ConfigError
from pullstudy.registry.auth import Credentials
from pullstudy.registry.credentials import read_docker_config

AUTH = base64.b64encode(b"user:pass:word").decode()
FOUND = Credentials("user", "pass:word")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def write(path: Path, **content: Any) -> None:
    path.write_text(json.dumps(content))


def add_helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "docker-credential-test"
    program.write_text(f"#!/bin/sh\nread server\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
    ],
)
def test_a_registry_is_found_under_its_keys(config: Path, key: str, registry: str) -> None:
    write(config, auths={"other.example": {"auth": "bad"}, key: {"auth": AUTH}})
    assert read_docker_config(config).find(registry) == FOUND


@pytest.mark.parametrize("registry", ["ghcr.io.evil.example", "evil-ghcr.io", "ghcr.io:5000"])
def test_credentials_are_for_their_registry_only(config: Path, registry: str) -> None:
    write(config, auths={"ghcr.io": {"auth": AUTH}})
    assert read_docker_config(config).find(registry) is None


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({}, None),
        ({"auth": ""}, None),
        ({"username": "user", "password": "pass:word"}, FOUND),
        ({"auth": base64.b64encode(b"user:pass:word\0\0").decode()}, FOUND),
        ({"identitytoken": "t"}, Credentials(identity_token="t")),
        ({"registrytoken": "t"}, Credentials(registry_token="t")),
    ],
)
def test_forms_of_an_entry(config: Path, entry: dict[str, str], found: Credentials | None) -> None:
    write(config, auths={"ghcr.io": entry})
    assert read_docker_config(config).find("ghcr.io") == found


def test_the_helper_of_a_registry_comes_before_the_store_and_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_helper(
        config.parent,
        monkeypatch,
        """echo "{\\"Username\\": \\"u\\", \\"Secret\\": \\"$server\\"}" """,
    )
    write(config, auths={"ghcr.io": {"auth": AUTH}}, credHelpers={"ghcr.io": "test"})
    known = read_docker_config(config)
    assert known.find("ghcr.io") == Credentials("u", "ghcr.io")
    assert known.find("docker.io") is None
    write(config, credsStore="test")
    assert read_docker_config(config).find("docker.io") == Credentials(
        "u", "https://index.docker.io/v1/"
    )


def test_a_helper_without_an_entry_means_none(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "echo credentials not found in native keychain; exit 1"
    add_helper(config.parent, monkeypatch, script)
    write(config, credsStore="test")
    assert read_docker_config(config).find("ghcr.io") is None


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo Geheim >&2; exit 3", "exit code 3"),
        ("echo Geheim", "no JSON"),
        ("echo '[\"Geheim\"]'", "no JSON object"),
    ],
)
def test_a_helper_that_fails_is_an_error_without_its_output(
    config: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    add_helper(config.parent, monkeypatch, script)
    write(config, credsStore="test")
    with pytest.raises(ConfigError, match=message) as error:
        read_docker_config(config).find("ghcr.io")
    assert "Geheim" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("helper", ["../../bin/sh", "not-installed-anywhere"])
def test_helpers_that_cannot_run(config: Path, helper: str) -> None:
    write(config, credsStore=helper)
    with pytest.raises(ConfigError):
        read_docker_config(config).find("ghcr.io")


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": {"ghcr.io": {"auth": "Geheim!"}}}'])
def test_damaged_files_are_errors_without_their_content(config: Path, content: str) -> None:
    config.write_text(content)
    with pytest.raises(ConfigError, match="docker login") as error:
        read_docker_config(config).find("ghcr.io")
    assert "Geheim" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_the_file_is_looked_for_where_docker_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert read_docker_config().find("ghcr.io") is None, "a missing file is no error"
    write(tmp_path / "config.json", auths={"ghcr.io": {"auth": AUTH}})
    assert read_docker_config().find("ghcr.io") == FOUND
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert read_docker_config().path == tmp_path / "home/.docker/config.json"


def test_nothing_is_shown(config: Path) -> None:
    write(config, auths={"ghcr.io": {"auth": AUTH}})
    known = read_docker_config(config)
    assert AUTH not in repr(known)
    assert "pass" not in repr(known.find("ghcr.io"))
