"""Find what `docker login` kept for a registry, as the Docker command line does.

Sources: Docker CLI manual, "Credential stores" and "Credential helpers" (order: the helper of the
registry, then the general store, then the file); protocol of the helper programs:
github.com/docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from pullstudy.errors import ConfigError
from pullstudy.naming import DOCKER_HUB
from pullstudy.registry.auth import Credentials

# The name under which `docker login` keeps the credentials of Docker Hub.
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_HOSTS = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HELPER_TIMEOUT_SECONDS = 30
# A helper answers with this user when the secret is a refresh token.
_TOKEN_USER = "<token>"
_is_helper_name = re.compile(r"[A-Za-z0-9._-]+").fullmatch


@dataclass(frozen=True)
class DockerConfig:
    """The parts of Docker's `config.json` that hold credentials."""

    path: Path
    auths: Mapping[str, Any] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""

    def find(self, registry: str) -> Credentials | None:
        """Return the credentials of a registry, or None when there are none.

        Raises ConfigError when the helper program fails, or the entry is damaged.
        """
        key = _HUB_KEY if registry in _HUB_HOSTS else registry
        helper = self.helpers.get(registry) or self.helpers.get(key) or self.store
        if helper:
            return _ask_helper(helper, key)
        for name, entry in self.auths.items():
            if _host_of(name) == _host_of(key) and isinstance(entry, dict):
                return _read_entry(self.path, name, entry)
        return None


def read_docker_config(path: Path | None = None) -> DockerConfig:
    """Read `config.json` from `path`, else from $DOCKER_CONFIG, else from ~/.docker.

    A missing file is an empty configuration. Raises ConfigError when it is no JSON object.
    """
    if path is None:
        path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        content = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return DockerConfig(path)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    except orjson.JSONDecodeError:
        # Not chained: the error quotes the file.
        raise ConfigError(f"{path}: no JSON; repair it or run `docker login` again") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: no JSON object; repair it or run `docker login` again")
    auths, helpers = content.get("auths"), content.get("credHelpers")
    return DockerConfig(
        path,
        auths if isinstance(auths, dict) else {},
        helpers if isinstance(helpers, dict) else {},
        str(content.get("credsStore") or ""),
    )


def _host_of(key: str) -> str:
    """The host of a key of `auths`: older versions wrote whole addresses."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER_HUB if host in _HUB_HOSTS else host


def _read_entry(path: Path, name: str, entry: Mapping[str, Any]) -> Credentials | None:
    username, password = entry.get("username") or "", entry.get("password") or ""
    if entry.get("auth"):
        try:
            pair = base64.b64decode(str(entry["auth"]), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            # Not chained: the error quotes the secret.
            raise ConfigError(
                f"{path}: the entry of {name} is damaged; run `docker login` again"
            ) from None
        username, _, password = pair.partition(":")
    credentials = Credentials(
        str(username),
        # Docker pads it on some platforms.
        str(password).rstrip("\0"),
        str(entry.get("identitytoken") or ""),
        str(entry.get("registrytoken") or ""),
    )
    return None if credentials == Credentials() else credentials


def _ask_helper(helper: str, key: str) -> Credentials | None:
    program = f"docker-credential-{helper}"
    if not _is_helper_name(helper):
        raise ConfigError(f"{helper!r}: no name of a credential helper")
    try:
        run = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=_HELPER_TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError as exc:
        raise ConfigError(
            f"{program}: not found; install it, or take it out of config.json"
        ) from exc
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"{program}: no answer for {key} in {_HELPER_TIMEOUT_SECONDS} s"
        ) from None
    if run.returncode != 0:
        # Its outputs stay unread but for this sentence, which the protocol fixes.
        if b"credentials not found in native keychain" in run.stdout + run.stderr:
            return None
        raise ConfigError(f"{program}: failed for {key} with exit code {run.returncode}")
    return _read_helper_answer(program, key, run.stdout)


def _read_helper_answer(program: str, key: str, output: bytes) -> Credentials | None:
    try:
        answer = orjson.loads(output)
        username, secret = str(answer.get("Username") or ""), str(answer.get("Secret") or "")
    except (orjson.JSONDecodeError, AttributeError):
        raise ConfigError(f"{program}: its answer for {key} is no JSON object") from None
    if not secret:
        return None
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username, secret)
