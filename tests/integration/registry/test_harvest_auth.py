"""Authorisation at a registry behind a gate: who gets which secret, and who never does."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pyarrow.parquet as pq
import pytest
from aiohttp import web

from pullstudy.registry.harvest import harvest
from pullstudy.registry.limits import Limits
from pullstudy.registry.plan import HarvestSettings
from pullstudy.registry.server import serve_application

if TYPE_CHECKING:
    from tests.integration.conftest import LiveRegistry
    from tests.integration.registry.conftest import Exchange, FaultProxy, MakeProxy

PASSWORD = "pass-Geheim-1"
REFRESH = "refresh-Geheim-2"
BASIC = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
Rows = list[dict[str, Any]]


@dataclass
class TokenServer:
    """Hands out tokens that are good for a number of requests, and writes down who asked how."""

    uses: int = 1_000_000
    expires_in: int = 300
    wants: str = ""
    address: str = ""
    asked: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get("/token", self._give), web.post("/token", self._give)])
        return app

    async def _give(self, request: web.Request) -> web.Response:
        fields = parse_qs(request.query_string or (await request.read()).decode())
        header = request.headers.get("Authorization", "")
        self.asked.append((request.method, header, fields))
        if self.wants and self.wants not in (header, fields.get("refresh_token", [""])[0]):
            return web.json_response({"details": f"refused {header}"}, status=401)
        token = f"token-Geheim-{len(self.asked)}"
        self.left[token] = self.uses
        return web.json_response({"token": token, "expires_in": self.expires_in})


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    with serve_application(server.application(), "127.0.0.1") as address:
        server.address = address
        yield server


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write Docker's config.json of this test; empty at first."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()

    def write(**content: Any) -> None:
        (tmp_path / "docker/config.json").write_text(json.dumps(content))

    return write


def guard_by_token(proxy: FaultProxy, tokens: TokenServer) -> None:
    """Let requests through only with a token that is still good."""

    async def act(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if tokens.left.get(token, 0) > 0:
            tokens.left[token] -= 1
            return web.Response(
                status=exchange.status, body=exchange.body, headers=exchange.headers
            )
        repository = request.path.split("/manifests")[0].split("/tags")[0].split("/blobs")[0][4:]
        challenge = (
            f'Bearer realm="http://{tokens.address}/token",service="the, registry",'
            f'scope="repository:{repository}:pull"'
        )
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    proxy.spoil(act, "", 1e9)
    proxy.spoil(act, "", 1e9, method="HEAD")


def guard_by_password(proxy: FaultProxy) -> None:
    async def act(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        if request.headers.get("Authorization") == f"Basic {BASIC}":
            return web.Response(
                status=exchange.status, body=exchange.body, headers=exchange.headers
            )
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="here"'})

    proxy.spoil(act, "", 1e9)


def run(folder: Path, *names: str, **settings: Any) -> dict[str, Rows]:
    usual = {"plain_http": True, "first_backoff_seconds": 0.01, "attempts": 3}
    settings = usual | settings
    harvest(names, folder / "out", folder / "cache", HarvestSettings(**settings))
    return {p.stem: pq.read_table(p).to_pylist() for p in (folder / "out").glob("*.parquet")}


def assert_no_secret_is_kept(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and "docker" not in path.parts:
            content = path.read_bytes()
            for secret in (b"Geheim", BASIC.encode()):
                assert secret not in content, path


@pytest.fixture
def proxy(embedded: LiveRegistry, repository: str, make_proxy: MakeProxy) -> FaultProxy:
    for number in range(4):
        embedded.push_image(repository, f"v{number}", f"app {number}")
    return make_proxy(embedded)


def test_an_anonymous_token_is_fetched_once_and_used_again(
    proxy: FaultProxy, repository: str, tokens: TokenServer, tmp_path: Path
) -> None:
    guard_by_token(proxy, tokens)
    tables = run(tmp_path, f"{proxy.address}/{repository}")
    assert len(tables["images"]) == 4
    assert [(method, header) for method, header, _ in tokens.asked] == [("GET", "")]
    fields = tokens.asked[0][2]
    assert fields == {"service": ["the, registry"], "scope": [f"repository:{repository}:pull"]}
    assert_no_secret_is_kept(tmp_path)


@pytest.mark.parametrize(("uses", "expires_in"), [(3, 300), (1_000_000, 1)])
def test_a_token_that_ends_is_renewed(
    proxy: FaultProxy,
    repository: str,
    tokens: TokenServer,
    tmp_path: Path,
    uses: int,
    expires_in: int,
) -> None:
    tokens.uses, tokens.expires_in = uses, expires_in
    guard_by_token(proxy, tokens)
    slowly = {"*": Limits(requests_per_second=6)}
    tables = run(tmp_path, f"{proxy.address}/{repository}", limits=slowly)
    assert len(tables["images"]) == 4
    assert tables["failures"] == []
    assert 2 <= len(tokens.asked) <= 9


@pytest.mark.parametrize("way", ["auth", "username", "store", "helper"])
def test_credentials_of_docker_login_buy_a_token(
    way: str,
    proxy: FaultProxy,
    repository: str,
    tokens: TokenServer,
    tmp_path: Path,
    docker_config: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens.wants = f"Basic {BASIC}"
    guard_by_token(proxy, tokens)
    if way == "auth":
        docker_config(auths={proxy.address: {"auth": BASIC}})
    elif way == "username":
        entry = {"username": "user", "password": PASSWORD}
        docker_config(auths={f"https://{proxy.address}/v1/": entry})
    else:
        add_helper(tmp_path, monkeypatch, {"Username": "user", "Secret": PASSWORD})
        chosen = {"credsStore": "test"} if way == "store" else {}
        docker_config(
            auths={proxy.address: {}},
            credHelpers={proxy.address: "test"} if way == "helper" else {},
            **chosen,
        )
    tables = run(tmp_path, f"{proxy.address}/{repository}")
    assert len(tables["images"]) == 4
    assert {header for _, header, _ in tokens.asked} == {f"Basic {BASIC}"}
    assert not [h for _, _, h in proxy.seen if "Basic" in h.get("Authorization", "")]
    assert_no_secret_is_kept(tmp_path / "out")
    assert_no_secret_is_kept(tmp_path / "cache")


def test_a_refresh_token_is_posted(
    proxy: FaultProxy,
    repository: str,
    tokens: TokenServer,
    tmp_path: Path,
    docker_config: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens.wants = REFRESH
    guard_by_token(proxy, tokens)
    add_helper(tmp_path, monkeypatch, {"Username": "<token>", "Secret": REFRESH})
    docker_config(credsStore="test")
    tables = run(tmp_path, f"{proxy.address}/{repository}")
    assert len(tables["images"]) == 4
    ((method, header, fields),) = tokens.asked
    assert (method, header) == ("POST", "")
    assert fields["grant_type"] == ["refresh_token"]
    assert fields["refresh_token"] == [REFRESH]


def test_basic_authorisation_of_many_requests_at_once(
    proxy: FaultProxy, repository: str, tmp_path: Path, docker_config: Callable[..., None]
) -> None:
    guard_by_password(proxy)
    docker_config(auths={proxy.address: {"auth": BASIC}})
    names = [f"{proxy.address}/{repository}:v{number}" for number in range(4)]
    tables = run(tmp_path, *names)
    assert len(tables["images"]) == 4
    assert tables["failures"] == []


def test_wrong_credentials_end_in_a_failure_without_secrets(
    proxy: FaultProxy,
    repository: str,
    tokens: TokenServer,
    tmp_path: Path,
    docker_config: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    tokens.wants = "something else"
    guard_by_token(proxy, tokens)
    docker_config(auths={proxy.address: {"auth": BASIC}})
    tables = run(tmp_path, f"{proxy.address}/{repository}")
    (failure,) = tables["failures"]
    assert (failure["reason"], failure["status"]) == ("unauthorized", 401)
    tokens.wants = ""
    assert len(run(tmp_path, f"{proxy.address}/{repository}")["images"]) == 4, "logged in since"
    assert "docker login" in failure["detail"]
    assert_no_secret_is_kept(tmp_path / "out")
    shown = "".join(capfd.readouterr())
    assert "Geheim" not in shown
    assert BASIC not in shown


def test_secrets_that_a_registry_repeats_are_taken_out(
    proxy: FaultProxy, repository: str, tmp_path: Path, docker_config: Callable[..., None]
) -> None:
    docker_config(auths={proxy.address: {"auth": BASIC}})

    async def blab(request: web.Request, _: Exchange) -> web.StreamResponse:
        header = request.headers.get("Authorization")
        if header is None:
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic realm=x"})
        error = {"code": "DENIED", "message": f"{header} may not, nor {PASSWORD}"}
        return web.json_response({"errors": [error]}, status=403)

    proxy.spoil(blab, "", 1e9)
    tables = run(tmp_path, f"{proxy.address}/{repository}")
    assert [f["reason"] for f in tables["failures"]] == ["denied"]
    assert "DENIED" in tables["failures"][0]["detail"]
    assert_no_secret_is_kept(tmp_path / "out")


def test_no_credentials_follow_a_redirect_to_another_host(
    proxy: FaultProxy,
    embedded: LiveRegistry,
    make_proxy: MakeProxy,
    repository: str,
    tmp_path: Path,
    docker_config: Callable[..., None],
) -> None:
    storage = make_proxy(embedded)
    guard_by_password(proxy)
    (guard,) = proxy.faults

    async def redirect(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        if "/blobs/" not in request.path:
            return await guard.act(request, exchange)
        location = f"http://{storage.address}{request.path}?signature=Geheim"
        return web.Response(status=307, headers={"Location": location})

    proxy.faults.clear()
    proxy.spoil(redirect, "", 1e9)
    docker_config(auths={proxy.address: {"auth": BASIC}, storage.address: {"auth": BASIC}})
    tables = run(tmp_path, f"{proxy.address}/{repository}")
    assert len(tables["images"]) == 4
    assert all(image["has_config"] for image in tables["images"])
    assert len(storage.seen) == 4
    assert not [headers for _, _, headers in storage.seen if "Authorization" in headers]
    assert_no_secret_is_kept(tmp_path / "out")


def test_a_challenge_of_another_host_is_not_answered(
    proxy: FaultProxy,
    embedded: LiveRegistry,
    make_proxy: MakeProxy,
    repository: str,
    tokens: TokenServer,
    tmp_path: Path,
    docker_config: Callable[..., None],
) -> None:
    trap = make_proxy(embedded)
    guard_by_token(trap, tokens)

    async def redirect(request: web.Request, _: Exchange) -> web.StreamResponse:
        return web.Response(
            status=307, headers={"Location": f"http://{trap.address}{request.path}?sig=Geheim"}
        )

    proxy.spoil(redirect, "/blobs/", 1e9)
    docker_config(auths={proxy.address: {"auth": BASIC}})
    tables = run(tmp_path, f"{proxy.address}/{repository}")
    assert tokens.asked == []
    assert {f["reason"] for f in tables["failures"]} == {"storage_refused"}
    assert not [headers for _, _, headers in trap.seen if "Authorization" in headers]
    assert_no_secret_is_kept(tmp_path / "out")


def test_redirects_in_a_circle_end(proxy: FaultProxy, repository: str, tmp_path: Path) -> None:
    async def redirect(request: web.Request, _: Exchange) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": request.path})

    proxy.spoil(redirect, "/manifests/v1$", 1e9)
    tables = run(tmp_path, f"{proxy.address}/{repository}")
    assert [(f["reference"], f["reason"]) for f in tables["failures"]] == [("v1", "redirect")]
    assert len(tables["images"]) == 3


def test_a_mirror_is_not_given_the_credentials_of_the_registry(
    proxy: FaultProxy,
    repository: str,
    tokens: TokenServer,
    tmp_path: Path,
    docker_config: Callable[..., None],
) -> None:
    guard_by_token(proxy, tokens)
    hub = "https://index.docker.io/v1/"
    docker_config(auths={hub: {"auth": BASIC}, "registry.example": {"auth": BASIC}})
    endpoints = {"*": f"http://{proxy.address}"}
    tables = run(tmp_path, f"registry.example/{repository}", repository, endpoints=endpoints)
    assert len(tables["images"]) == 8
    assert {header for _, header, _ in tokens.asked} == {""}


def test_a_helper_that_fails_costs_its_registry_only(
    proxy: FaultProxy,
    repository: str,
    tmp_path: Path,
    docker_config: Callable[..., None],
) -> None:
    names = [f"{proxy.address}/{repository}", "registry.example/a", "registry.example/b:1"]
    docker_config(credHelpers={"registry.example": "not-there"})
    tables = run(tmp_path, *names)
    assert len(tables["images"]) == 4
    assert [(f["name"], f["reference"], f["reason"]) for f in tables["failures"]] == [
        ("registry.example/a", None, "credentials"),
        ("registry.example/b", "1", "credentials"),
    ]
    # What was harvested before a helper broke stays.
    docker_config(credHelpers={proxy.address: "not-there"})
    again = run(tmp_path, *names, endpoints={"registry.example": "http://127.0.0.1:1"}, attempts=1)
    assert again["images"] == tables["images"]


def add_helper(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, str]) -> None:
    """Put a credential helper on the path that answers for every registry."""
    bin_folder = folder / "docker-bin"
    bin_folder.mkdir()
    program = bin_folder / "docker-credential-test"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{json.dumps(answer)}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(bin_folder), prepend=":")
