"""Hashing in a thread, compared with hashlib on the same bytes."""

from __future__ import annotations

import hashlib
import threading

import pytest

from pullstudy.hashing import ThreadedSha256


def digest_in_thread(blocks: list[bytes], blocks_in_flight: int = 2) -> tuple[str, int]:
    with ThreadedSha256(blocks_in_flight) as sha256:
        for block in blocks:
            sha256.update(block)
        return sha256.digest(), sha256.size_bytes


@pytest.mark.parametrize("blocks", [[], [b""], [b"a"], [b"ab", b"", bytes(1 << 20)] * 9])
def test_it_is_the_digest_of_all_blocks_in_order(blocks: list[bytes]) -> None:
    content = b"".join(blocks)
    expected = f"sha256:{hashlib.sha256(content).hexdigest()}"

    assert digest_in_thread(blocks) == (expected, len(content))


def test_streams_do_not_mix() -> None:
    with ThreadedSha256(2) as one, ThreadedSha256(2) as other:
        for number in range(100):
            one.update(bytes([number]) * 5000)
            other.update(bytes([number]) * 7000)
        found = one.digest(), other.digest()

    contents = (b"".join(bytes([n]) * size for n in range(100)) for size in (5000, 7000))
    assert found == tuple(f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents)


def test_a_caller_that_fails_leaves_no_thread_busy() -> None:
    digest_in_thread([b"warm"])
    before = threading.active_count()

    for _ in range(5):
        with pytest.raises(OSError, match="full"), ThreadedSha256(2) as sha256:
            sha256.update(bytes(1 << 20))
            raise OSError("full")

    assert threading.active_count() == before
    assert digest_in_thread([b"x"])[0] == f"sha256:{hashlib.sha256(b'x').hexdigest()}"
