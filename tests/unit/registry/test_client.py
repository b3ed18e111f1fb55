"""The parts of the client that need no registry."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from pullstudy.registry.client import signed_payload


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def sign(payload: bytes) -> bytes:
    """Wrap a JSON object in signatures as libtrust does: they go in before the closing brace."""
    head, tail = payload[:-2], payload[-2:]
    protected = {"formatLength": len(head), "formatTail": encode(tail)}
    signature = {"protected": encode(json.dumps(protected).encode()), "signature": "x"}
    return head + b',\n   "signatures": ' + json.dumps([signature]).encode() + b"\n}"


@given(st.dictionaries(st.text(), st.text(), min_size=1))
def test_the_payload_of_a_signed_manifest_is_what_was_signed(document: dict[str, str]) -> None:
    payload = json.dumps(document, indent=3).encode()
    signed = sign(payload)
    assert json.loads(signed)["signatures"]
    assert signed_payload(signed) == payload


@given(st.binary())
def test_other_content_is_its_own_payload(content: bytes) -> None:
    assert signed_payload(content) == content
    assert signed_payload(content + b'"signatures"') == content + b'"signatures"'
