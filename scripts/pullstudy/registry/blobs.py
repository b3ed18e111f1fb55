"""Read blobs of a registry as streams, or a part of one, without keeping anything.

Source: OCI distribution specification 1.1 (pulling blobs; ranges are "SHOULD").
"""

from __future__ import annotations

from pullstudy.registry.auth import repository_scope
from pullstudy.registry.bodies import RangeBody, RangesIgnored, Receive, WrongBody
from pullstudy.registry.messages import Request
from pullstudy.registry.transport import RequestFailed, Transport


class BlobReader:
    """Reads blobs of one repository; the caller compares the digest."""

    def __init__(self, transport: Transport, repository: str) -> None:
        self._transport = transport
        self._repository = repository

    async def read(self, digest: str, size_bytes: int, receive: Receive) -> None:
        """Hand the whole blob to `receive`, piece by piece; a broken connection is resumed.

        Raises RequestFailed, with the reason `wrong_body` when it has another size.
        """
        await self._read(digest, RangeBody(0, size_bytes, size_bytes, receive))

    async def read_range(self, digest: str, first: int, end: int, size_bytes: int) -> bytes | None:
        """Return the bytes from `first` to before `end`; None when the registry knows no ranges.

        Raises RequestFailed.
        """
        part = bytearray()

        async def keep(piece: bytes) -> None:
            part.extend(piece)

        try:
            await self._read(digest, RangeBody(first, end, size_bytes, keep))
        except RangesIgnored:
            return None
        return bytes(part)

    async def _read(self, digest: str, body: RangeBody) -> None:
        path = f"/v2/{self._repository}/blobs/{digest}"
        request = Request("GET", path, repository_scope(self._repository), sink=body)
        while True:
            before = body.position
            try:
                await self._transport.send(request, lambda answer: answer)
            except RequestFailed as exc:
                # As long as each round of attempts brings more, it is worth going on.
                if not exc.temporary or body.position == before:
                    raise
            except RangesIgnored:
                raise
            except WrongBody as exc:
                raise self._transport.failure(request, "wrong_body", str(exc)) from exc
            else:
                return
