"""A request to a registry and its answer."""

from __future__ import annotations

from dataclasses import dataclass

from multidict import CIMultiDictProxy

from pullstudy.registry.bodies import BodySink


@dataclass(frozen=True)
class Request:
    """One request.

    counted: a GET that a quota of manifests counts. size_bytes_max: the longest body to take.
    is_list: some registries take minutes to list the tags of a large repository.
    sink: takes the body where there is one; the answer's body is empty then.
    """

    method: str
    path: str
    scope: str
    accept: str = "*/*"
    counted: bool = False
    size_bytes_max: int = 4 << 20
    is_list: bool = False
    sink: BodySink | None = None

    @property
    def kind(self) -> str:
        """Which time limit it has."""
        return "body" if self.sink else "list" if self.is_list else "answer"


@dataclass(frozen=True)
class Answer:
    """What came back, with the whole body. is_own: from the registry, not from a redirect."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    is_own: bool
