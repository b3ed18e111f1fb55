"""Faults between a harvest and a real registry: nothing lost, nothing counted twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from aiohttp import web

from pullstudy.registry.harvest import harvest
from pullstudy.registry.limits import Limits
from pullstudy.registry.plan import HarvestSettings

if TYPE_CHECKING:
    from tests.integration.conftest import LiveRegistry
    from tests.integration.registry.conftest import Exchange, FaultProxy, MakeProxy

pytestmark = pytest.mark.integration

IMAGES = 12
Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def filled(distribution: LiveRegistry) -> LiveRegistry:
    """The real registry with images under t/faults."""
    for number in range(IMAGES):
        distribution.push_image("t/faults", f"v{number:02d}", f"app {number}")
    return distribution


@pytest.fixture
def proxy(filled: LiveRegistry, make_proxy: MakeProxy) -> FaultProxy:
    return make_proxy(filled)


def run(proxy: FaultProxy, folder: Path, **settings: Any) -> Tables:
    """Harvest through the proxy, with short waits."""
    usual = {"plain_http": True, "first_backoff_seconds": 0.01, "timeout_seconds": 1.5}
    harvest(
        [f"{proxy.address}/t/faults"],
        folder / "out",
        folder / "cache",
        HarvestSettings(**(usual | settings)),
    )
    return {p.stem: pq.read_table(p).to_pylist() for p in (folder / "out").glob("*.parquet")}


def without(tables: Tables, tag: str) -> Tables:
    """The same tables as if a tag had failed: it is known, and nothing else of it."""
    (gone,) = [image["image_id"] for image in tables["images"] if image["tag"] == tag]
    shifted: Tables = {}
    for name in ("images", "layers", "history"):
        rows = [dict(row) for row in tables[name] if row["image_id"] != gone]
        for row in rows:
            row["image_id"] -= row["image_id"] > gone
        shifted[name] = rows
    unknown = {"kind": "unknown", "media_type": None, "digest": None}
    shifted["tags"] = [t | unknown if t["tag"] == tag else t for t in tables["tags"]]
    return shifted


def flip_a_bit(body: bytes) -> bytes:
    at = len(body) // 3
    return body[:at] + bytes([body[at] ^ 4]) + body[at + 1 :]


MANIFEST = r"/manifests/v0[3-6]$"
BLOB = "/blobs/"


def refuse(status: int, path: str, times: float, **headers: str) -> Callable[[FaultProxy], None]:
    return lambda proxy: proxy.refuse(
        status, path, times, headers={n.replace("_", "-"): v for n, v in headers.items()}
    )


PASSING_FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "429 and when to come back": refuse(429, MANIFEST, 3, Retry_After="1"),
    "429 and nothing more": refuse(429, BLOB, 1),
    "503 and when to come back": refuse(503, "tags/list", 1, Retry_After="1"),
    "bursts of 500": refuse(500, MANIFEST, 8),
    "bursts of 502": refuse(502, BLOB, 8),
    "bursts of 503": refuse(503, "", 5),
    "504 for the tags": refuse(504, "tags/list", 3),
    "reset in the body of manifests": lambda proxy: proxy.cut_body(MANIFEST, 6, reset=True),
    "reset in the body of configs": lambda proxy: proxy.cut_body(BLOB, 6, reset=True),
    "reset in the body of tags": lambda proxy: proxy.cut_body("tags/list", 2, reset=True),
    "truncated manifests": lambda proxy: proxy.cut_body(MANIFEST, 6),
    "truncated configs": lambda proxy: proxy.cut_body(BLOB, 6),
    "manifests cut at the right length": lambda proxy: proxy.replace_body(
        lambda body: body[: len(body) // 2], MANIFEST, 6
    ),
    "bit flips in manifests": lambda proxy: proxy.replace_body(flip_a_bit, MANIFEST, 6),
    "bit flips in configs": lambda proxy: proxy.replace_body(flip_a_bit, BLOB, 6),
    "stalls": lambda proxy: proxy.stall(2.5, MANIFEST, 2),
    "malformed list of tags": lambda proxy: proxy.replace_body(
        lambda body: body[:-5], "tags/list", 2
    ),
    "another type in place of tags": lambda proxy: proxy.replace_body(
        lambda _: b'{"tags": 5}', "tags/list", 2
    ),
    "a text in place of tags": lambda proxy: proxy.replace_body(
        lambda _: b'{"tags": "v00"}', "tags/list", 2
    ),
    "an error in place of tags": lambda proxy: proxy.replace_body(
        lambda _: b'{"errors": []}', "tags/list", 2
    ),
}


@pytest.mark.parametrize("spoil", PASSING_FAULTS.values(), ids=PASSING_FAULTS)
def test_faults_that_pass_leave_no_trace(
    spoil: Callable[[FaultProxy], None], proxy: FaultProxy, tmp_path: Path
) -> None:
    expected = run(proxy, tmp_path / "clean")
    assert len(expected["images"]) == IMAGES
    spoil(proxy)
    assert run(proxy, tmp_path / "spoilt") == expected
    assert all(fault.times == 0 for fault in proxy.faults), "the fault was not met"


LASTING_FAULTS: dict[str, tuple[Callable[[FaultProxy], None], str, int | None]] = {
    "404": (refuse(404, "/v05$", 99), "not_found", 404),
    "403": (refuse(403, "/v05$", 99), "denied", 403),
    "500 for ever": (refuse(500, "/v05$", 99), "server_error", 500),
    "bit flips for ever": (
        lambda proxy: proxy.replace_body(flip_a_bit, "/v05$", 99),
        "digest_mismatch",
        None,
    ),
    "truncated for ever": (lambda proxy: proxy.cut_body("/v05$", 99), "connection_lost", None),
    "silent for ever": (lambda proxy: proxy.stall(5.0, "/v05$", 99), "timeout", None),
    "429 for ever": (refuse(429, "/v05$", 99), "too_many_requests", 429),
    "without end": (
        lambda proxy: proxy.replace_body(lambda body: body * 20_000, "/v05$", 99),
        "too_large",
        None,
    ),
}


@pytest.mark.parametrize("fault", LASTING_FAULTS.values(), ids=LASTING_FAULTS)
def test_a_fault_that_lasts_is_one_failure_and_takes_nothing_along(
    fault: tuple[Callable[[FaultProxy], None], str, int | None],
    proxy: FaultProxy,
    tmp_path: Path,
) -> None:
    spoil, reason, status = fault
    expected = run(proxy, tmp_path / "clean")
    spoil(proxy)
    found = run(proxy, tmp_path / "spoilt", attempts=3, patience_seconds=0.5)
    assert [
        (f["stage"], f["name"], f["reference"], f["status"], f["reason"]) for f in found["failures"]
    ] == [("registry", f"{proxy.address}/t/faults", "v05", status, reason)]
    for name, rows in without(expected, "v05").items():
        assert found[name] == rows
    # When the registry is well again, the next run asks for what another try may mend.
    proxy.faults.clear()
    proxy.seen.clear()
    again = run(proxy, tmp_path / "spoilt")
    if reason in ("not_found", "too_large"):
        assert again == found
        assert proxy.seen == []
    else:
        assert again == expected
        assert len(proxy.requests("GET", "/manifests/")) == 1


def test_a_lost_config_costs_the_config_only(proxy: FaultProxy, tmp_path: Path) -> None:
    expected = run(proxy, tmp_path / "clean")
    lost = expected["images"][4]
    proxy.refuse(404, f"/blobs/{lost['config_digest']}", 99)
    found = run(proxy, tmp_path / "spoilt")
    (failure,) = found["failures"]
    assert (failure["reference"], failure["status"]) == (lost["tag"], 404)
    assert lost["config_digest"] in failure["detail"]
    assert found["layers"] == expected["layers"]
    assert [i["has_config"] for i in found["images"]].index(False) == 4
    assert len(found["history"]) == len(expected["history"]) - 2


def test_waits_for_as_long_as_the_registry_asks(proxy: FaultProxy, tmp_path: Path) -> None:
    moments = []

    async def refuse_once(_: web.Request, __: Exchange) -> web.StreamResponse:
        moments.append(time.monotonic())
        return web.Response(status=429, headers={"Retry-After": "2"})

    proxy.spoil(refuse_once, "/v00$", 1)
    start = time.monotonic()
    run(proxy, tmp_path)
    assert time.monotonic() - start >= 2.0
    assert len(proxy.requests("GET", "/v00$")) == 2


def test_pauses_when_the_quota_is_used_up(proxy: FaultProxy, tmp_path: Path) -> None:
    async def act(_: web.Request, exchange: Exchange) -> web.StreamResponse:
        headers = exchange.headers | {"RateLimit-Remaining": "0", "RateLimit-Reset": "2"}
        return web.Response(status=exchange.status, body=exchange.body, headers=headers)

    proxy.spoil(act, "tags/list", 1)
    start = time.monotonic()
    assert len(run(proxy, tmp_path)["images"]) == IMAGES
    assert time.monotonic() - start >= 2.0


def test_no_more_requests_at_once_than_allowed(proxy: FaultProxy, tmp_path: Path) -> None:
    under_way: Counter[str] = Counter()

    async def count(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        under_way["now"] += 1
        under_way["most"] = max(under_way["most"], under_way["now"])
        await asyncio.sleep(0.02)
        under_way["now"] -= 1
        return web.Response(status=exchange.status, body=exchange.body, headers=exchange.headers)

    proxy.spoil(count, "", 1000)
    run(proxy, tmp_path / "3", limits={"*": Limits(concurrency=3)})
    assert under_way["most"] == 3


def test_no_more_requests_per_second_than_allowed(proxy: FaultProxy, tmp_path: Path) -> None:
    start = time.monotonic()
    run(proxy, tmp_path, limits={"*": Limits(requests_per_second=20)})
    assert len(proxy.seen) == 2 * IMAGES + 1
    assert time.monotonic() - start >= 2 * IMAGES / 20


@pytest.mark.parametrize("end", ["the same page", "new pages without new tags"])
def test_pages_that_never_end_are_left(end: str, proxy: FaultProxy, tmp_path: Path) -> None:
    pages = 0

    async def page(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        nonlocal pages
        pages += 1
        query = "last=v03" if end == "the same page" else f"last={pages}"
        headers = {"Link": f'</v2/t/faults/tags/list?{query}>; rel="next"'}
        return web.Response(body=exchange.body, headers=headers)

    expected = run(proxy, tmp_path / "clean")
    proxy.spoil(page, "tags/list", 1000)
    found = run(proxy, tmp_path / "spoilt")
    assert pages < 10
    assert [f["reason"] for f in found["failures"]] == ["endless_pages"]
    for name in ("tags", "images", "layers", "history"):
        assert found[name] == expected[name], "the tags that were listed are harvested"


def test_a_registry_that_pages_without_links_is_read_to_its_end(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullstudy.registry.client._PAGE_SIZE", 4)  # divides the number of tags
    expected = run(proxy, tmp_path / "clean")

    async def page(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        tags = sorted(json.loads(exchange.body)["tags"])
        left = [tag for tag in tags if tag > request.query.get("last", "")]
        return web.json_response({"tags": left[: int(request.query["n"])] or None})

    proxy.spoil(page, "tags/list", 1e9)
    proxy.seen.clear()
    assert run(proxy, tmp_path / "paged") == expected
    assert len(proxy.requests("GET", "tags/list")) == IMAGES // 4 + 1


def test_a_registry_with_shorter_pages_chooses_their_length(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    expected = run(proxy, tmp_path / "clean")

    async def page(request: web.Request, _: Exchange) -> web.StreamResponse:
        if int(request.query.get("n", "5")) > 5:
            return web.Response(status=400)
        left = [f"v{n:02d}" for n in range(IMAGES) if f"v{n:02d}" > request.query.get("last", "")]
        # A relative reference, between other links and with a comma in a parameter.
        links = f'<first>; rel="first", <?last={left[:5][-1]}&n=5>; title="a, b"; REL=next'
        headers = {"Link": links} if len(left) > 5 else {}
        return web.json_response({"tags": left[:5]}, headers=headers)

    proxy.spoil(page, "tags/list", 1e9)
    assert run(proxy, tmp_path / "paged") == expected


@pytest.mark.parametrize("body", [b'{"name": "t/faults", "tags": null}', b'{"name": "t/faults"}'])
def test_a_repository_without_tags_is_named(body: bytes, proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.replace_body(lambda _: body, "tags/list", 9)
    found = run(proxy, tmp_path)
    assert [(f["reference"], f["reason"]) for f in found["failures"]] == [(None, "no_tags")]
    assert found["tags"] == []


@pytest.mark.parametrize("how", ["HEAD is refused", "HEAD names no digest"])
def test_a_registry_without_head_is_asked_with_get(
    how: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    expected = run(proxy, tmp_path / "clean")
    proxy.refuse(405 if "refused" in how else 200, "/manifests/", 1e9, method="HEAD")
    limits = {"*": Limits(counts_manifests_only=True)}
    assert run(proxy, tmp_path / "spoilt", limits=limits) == expected


def test_a_registry_that_dies_is_not_asked_for_ever(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullstudy.registry.transport._FAILURES_IN_A_ROW_MAX", 3)
    expected = run(proxy, tmp_path / "clean")
    proxy.seen.clear()
    proxy.refuse(500, "/manifests/", 1e9)
    one = {"*": Limits(concurrency=1)}
    found = run(proxy, tmp_path / "spoilt", attempts=2, limits=one)
    assert len(proxy.requests("GET", "/manifests/")) == 3 * 2
    assert Counter(f["reason"] for f in found["failures"]) == {
        "server_error": 3,
        "not_asked": IMAGES - 3,
    }
    proxy.faults.clear()
    assert run(proxy, tmp_path / "spoilt") == expected


def test_what_fails_again_and_again_does_not_hide_the_rest(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullstudy.registry.transport._FAILURES_IN_A_ROW_MAX", 3)
    in_order = json.dumps({"tags": [f"v{number:02d}" for number in range(IMAGES)]}).encode()
    proxy.replace_body(lambda _: in_order, "tags/list", 1e9)
    proxy.refuse(500, "/v0[0-5]$", 1e9)
    one = {"*": Limits(concurrency=1)}
    for images in (0, 0, IMAGES - 6):
        found = run(proxy, tmp_path, attempts=1, limits=one)
        assert len(found["images"]) == images
    assert len(found["failures"]) == 6


def test_tags_known_before_a_listing_failed_stay(proxy: FaultProxy, tmp_path: Path) -> None:
    expected = run(proxy, tmp_path / "clean")

    async def page(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        if "last" in request.query:
            return web.Response(status=500)
        headers = {"Link": '</v2/t/faults/tags/list?last=v11>; rel="next"'}
        return web.Response(body=exchange.body, headers=headers)

    proxy.spoil(page, "tags/list", 1e9)
    first = run(proxy, tmp_path / "spoilt", attempts=1)
    assert [f["reason"] for f in first["failures"]] == ["server_error"]
    assert first["images"] == expected["images"]
    proxy.faults.clear()
    proxy.refuse(500, "", 1e9)
    assert run(proxy, tmp_path / "spoilt", attempts=1) == first
    proxy.faults.clear()
    assert run(proxy, tmp_path / "spoilt") == expected


def test_tags_that_are_none_are_failures(proxy: FaultProxy, tmp_path: Path) -> None:
    hostile = ["../../etc/passwd", "a b", "-x", "v00\n", "x" * 129, "v00?x=1"]
    proxy.replace_body(lambda _: json.dumps({"tags": [*hostile, "v00"]}).encode(), "tags/list", 9)
    found = run(proxy, tmp_path)
    assert sorted(f["reference"] for f in found["failures"]) == sorted(hostile)
    assert {f["reason"] for f in found["failures"]} == {"invalid_tag"}
    assert [image["tag"] for image in found["images"]] == ["v00"]
    assert len(proxy.requests("GET", "/manifests/")) == 1


def test_digests_that_are_none_lead_nowhere(proxy: FaultProxy, tmp_path: Path) -> None:
    wrong = "sha256:../../../../etc/passwd"

    async def act(request: web.Request, exchange: Exchange) -> web.StreamResponse:
        manifest = json.loads(exchange.body)
        manifest["config"]["digest"] = wrong
        return web.Response(
            body=json.dumps(manifest), headers={"Content-Type": exchange.headers["Content-Type"]}
        )

    proxy.spoil(act, "/v05$", 9)
    found = run(proxy, tmp_path)
    (failure,) = found["failures"]
    assert (failure["reference"], failure["reason"]) == ("v05", "invalid_digest")
    assert not [path for _, path, _ in proxy.seen if "passwd" in path]
    assert len(found["layers"]) == IMAGES


def test_a_harvest_that_is_killed_again_and_again_ends_the_same(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    expected = run(proxy, tmp_path / "clean")
    proxy.seen.clear()
    proxy.stall(0.1, "", 1e9)  # slow enough to be caught at work
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from pullstudy.cli import main; main()", "harvest"]
    command += [f"{proxy.address}/t/faults", "--plain-http", "--concurrency", "2"]
    command += ["--out", str(out), "--cache", str(tmp_path / "cache")]
    draw = random.Random(20241121)
    kills = 0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            # It gets more time by and by: to load, and to write the tables at the end.
            process.wait(draw.uniform(0.5, 1.0 + kills))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors.decode()
        for table in out.glob("*.parquet"):
            pq.read_table(table)  # a table that appears is whole
        assert kills < 30
    found = {p.stem: pq.read_table(p).to_pylist() for p in out.glob("*.parquet")}
    assert found == expected
    assert kills >= 2, "it was never caught at work"
    # What was under way when it was killed is fetched again, and nothing else.
    fetched = Counter(path for _, path, _ in proxy.seen if "/blobs/" in path)
    assert sum(fetched.values()) <= IMAGES + 2 * kills
