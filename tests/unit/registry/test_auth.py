"""Challenges, tokens and secrets, without any network."""

import string
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.errors import RegistryError
from pullstudy.registry.auth import (
    PULL_AND_PUSH,
    AuthenticationFailed,
    Authenticator,
    Challenge,
    Credentials,
    parse_challenges,
    repository_scope,
)

SECRET = "Geheim"
SCOPE = "repository:a/b:pull"
BEARER = [Challenge("bearer", {"realm": "https://auth.example/token", "service": "s"})]
BASE = "https://registry.example"

token_text = st.text(string.ascii_letters + string.digits + "!#$&'*+.^_`|~-", min_size=1)
quoted_text = st.text(st.characters(min_codepoint=32, max_codepoint=126))


class Clock:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    st.lists(
        st.tuples(
            token_text,
            st.dictionaries(token_text.map(str.lower), quoted_text, min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
def test_every_challenge_of_the_grammar_is_read(
    written: list[tuple[str, dict[str, str]]], in_one_header: bool
) -> None:
    texts = [
        f"{scheme} " + ", ".join(f"{name}={quote(value)}" for name, value in parameters.items())
        for scheme, parameters in written
    ]
    found = parse_challenges([", ".join(texts)] if in_one_header else texts)
    assert found == [Challenge(scheme.lower(), parameters) for scheme, parameters in written]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
            'scope="repository:library/ubuntu:pull,push"',
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:library/ubuntu:pull,push",
            },
        ),
        ("BEARER Realm=https://x/t , Service = s", {"realm": "https://x/t", "service": "s"}),
        ("Bearer", {}),
    ],
)
def test_challenges_as_registries_send_them(header: str, expected: dict[str, str]) -> None:
    (challenge,) = parse_challenges([header])
    assert (challenge.scheme, challenge.parameters) == ("bearer", expected)


@given(st.text())
def test_any_header_is_survived(header: str) -> None:
    parse_challenges([header])


def test_a_token_is_asked_for_kept_and_renewed_in_time() -> None:
    clock = Clock()
    auth = Authenticator("registry.example", clock=clock)
    assert auth.header(SCOPE) is None
    assert auth.renewal(SCOPE) is None, "before the first challenge nobody knows where to ask"
    request = auth.challenged(BEARER, SCOPE, BASE, None)
    assert request is not None
    assert parse_qs(urlsplit(request.url).query) == {"service": ["s"], "scope": [SCOPE]}
    assert (request.headers, request.form) == ({}, None)
    auth.accept(SCOPE, b'{"token": "one", "expires_in": 100}')
    assert auth.header(SCOPE) == "Bearer one"
    assert auth.renewal(SCOPE) is None
    clock.now += 81
    assert auth.header(SCOPE) is None
    assert auth.renewal(SCOPE) == request
    other = auth.renewal("repository:c:pull")
    assert other is not None
    assert parse_qs(urlsplit(other.url).query)["scope"] == ["repository:c:pull"]


def test_a_token_without_lifetime_is_good_for_a_minute() -> None:
    clock = Clock()
    auth = Authenticator("registry.example", clock=clock)
    auth.accept(SCOPE, b'{"access_token": "one"}')
    clock.now += 45
    assert auth.header(SCOPE) == "Bearer one"
    clock.now += 15
    assert auth.header(SCOPE) is None


def test_the_scope_of_the_challenge_counts() -> None:
    auth = Authenticator("registry.example")
    challenge = Challenge(
        "bearer", {"realm": "https://a/t?x=1", "scope": "repository:remote/a:pull"}
    )
    request = auth.challenged([challenge], SCOPE, BASE, None)
    assert request is not None
    assert parse_qs(urlsplit(request.url).query) == {
        "x": ["1"],
        "scope": ["repository:remote/a:pull"],
    }


def test_a_refused_token_is_forgotten_unless_a_newer_one_came() -> None:
    auth = Authenticator("registry.example")
    auth.accept(SCOPE, b'{"token": "one"}')
    auth.accept(SCOPE, b'{"token": "two"}')
    assert auth.challenged(BEARER, SCOPE, BASE, "Bearer one") is None, "there is a newer one"
    assert auth.header(SCOPE) == "Bearer two"
    assert auth.challenged(BEARER, SCOPE, BASE, "Bearer two") is not None
    assert auth.header(SCOPE) is None


def test_basic_is_tried_once_also_by_requests_under_way_together() -> None:
    basic = Credentials("user", SECRET).basic
    auth = Authenticator("registry.example", Credentials("user", SECRET))
    for _ in range(2):
        assert auth.challenged([Challenge("basic", {})], SCOPE, BASE, None) is None
        assert auth.header(SCOPE) == basic
    with pytest.raises(AuthenticationFailed, match="refused"):
        auth.challenged([Challenge("basic", {})], SCOPE, BASE, basic)


def test_credentials_go_into_the_token_request_and_nowhere_else() -> None:
    credentials = Credentials("user", SECRET)
    auth = Authenticator("registry.example", credentials)
    request = auth.challenged(BEARER, SCOPE, BASE, None)
    assert request is not None
    assert request.headers == {"Authorization": credentials.basic}
    refresh = Authenticator("registry.example", Credentials(identity_token=SECRET))
    posted = refresh.challenged(BEARER, repository_scope("a/b", PULL_AND_PUSH), BASE, None)
    assert posted is not None
    assert posted.form is not None
    assert posted.form["refresh_token"] == SECRET
    assert posted.form["scope"] == "repository:a/b:pull,push"
    auth.accept(SCOPE, f'{{"token": "{SECRET}"}}'.encode())
    for shown in (auth, credentials, request, posted, refresh, vars(auth)["_tokens"]):
        assert SECRET not in repr(shown)
        assert credentials.basic.split()[1] not in repr(shown)


def test_a_registry_token_is_sent_as_it_is() -> None:
    auth = Authenticator("registry.example", Credentials(registry_token=SECRET))
    assert auth.header(SCOPE) == f"Bearer {SECRET}"
    with pytest.raises(AuthenticationFailed):
        auth.challenged(BEARER, SCOPE, BASE, f"Bearer {SECRET}")


@pytest.mark.parametrize(
    ("challenges", "base"),
    [
        ([], BASE),
        ([Challenge("negotiate", {})], BASE),
        ([Challenge("bearer", {})], BASE),
        ([Challenge("bearer", {"realm": "ftp://x"})], BASE),
        ([Challenge("bearer", {"realm": "http://auth.example/token"})], BASE),
    ],
)
def test_challenges_that_cannot_be_answered(challenges: list[Challenge], base: str) -> None:
    auth = Authenticator("registry.example", Credentials("user", SECRET))
    with pytest.raises(AuthenticationFailed) as failure:
        auth.challenged(challenges, SCOPE, base, None)
    assert SECRET not in str(failure.value)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\nb"}', b'{"token": "\xc3\xa9"}']
)
def test_answers_that_hold_no_token(body: bytes) -> None:
    with pytest.raises(RegistryError, match="token server"):
        Authenticator("registry.example").accept(SCOPE, body)


def test_secrets_are_taken_out_of_texts() -> None:
    auth = Authenticator("registry.example", Credentials("user", SECRET))
    auth.accept(SCOPE, b'{"token": "abc"}')
    basic = Credentials("user", SECRET).basic
    text = auth.redact(f"{basic}, {SECRET}, Bearer abc and user")
    assert text == "Basic …, …, Bearer … and user"
