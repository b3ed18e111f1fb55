"""References against the published grammar, written a second time without regular expressions."""

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pullstudy.errors import InvalidReference
from pullstudy.naming import Reference, is_digest, is_tag, parse_reference

LOWER = string.ascii_lowercase + string.digits
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
SHA256 = "sha256:" + "a1" * 32

# --- the grammar as a generator ---------------------------------------------------------------

alpha_numeric = st.text(LOWER, min_size=1, max_size=6)
separator = st.sampled_from([".", "_", "__", "-", "--", "-----"])


@st.composite
def path_components(draw: st.DrawFn) -> str:
    parts = [draw(alpha_numeric)]
    for _ in range(draw(st.integers(0, 3))):
        parts += [draw(separator), draw(alpha_numeric)]
    return "".join(parts)


@st.composite
def domain_components(draw: st.DrawFn) -> str:
    first = draw(st.sampled_from(ALNUM))
    middle = draw(st.text(ALNUM + "-", max_size=6))
    return first + middle + draw(st.sampled_from(ALNUM)) if middle else first


paths = st.lists(path_components(), min_size=1, max_size=4).map("/".join)
domain_names = st.lists(domain_components(), min_size=1, max_size=4).map(".".join)
ipv6 = st.ip_addresses(v=6).map(lambda address: f"[{address}]")
ports = st.integers(0, 99999).map(lambda port: f":{port}")
hosts = st.one_of(domain_names, st.ip_addresses(v=4).map(str), ipv6, st.just("localhost"))
# A host that Docker takes for one: it has a dot, a colon or an upper-case letter, or is localhost.
domains = (
    st.tuples(hosts, st.one_of(st.just(""), ports))
    .map("".join)
    .filter(lambda d: "." in d or ":" in d or d.lower() != d or d == "localhost")
)
tags = st.tuples(st.sampled_from(ALNUM + "_"), st.text(ALNUM + "_.-", max_size=127)).map("".join)
digests = st.sampled_from([("sha256", 64), ("sha384", 96), ("sha512", 128)]).flatmap(
    lambda kind: st.text(HEX, min_size=kind[1], max_size=kind[1]).map(lambda h: f"{kind[0]}:{h}")
)
suffixes = st.tuples(st.none() | tags, st.none() | digests)


def written(name: str, tag: str | None, digest: str | None) -> str:
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


# --- the grammar as a recogniser --------------------------------------------------------------


def oracle(text: str) -> tuple[str, str, str | None, str | None] | None:
    """The parts of a reference, or None: EBNF and splitDockerDomain, by splitting and counting."""
    if len(text) == 64 and all(c in HEX for c in text):
        return None
    domain, remainder = oracle_domain(text)
    name, at, digest = remainder.partition("@")
    path, colon, tag = name.partition(":")
    good = (
        oracle_is_host(domain)
        and len(path) <= 255
        and all(oracle_is_component(part) for part in path.split("/"))
        and (
            not colon
            or (1 <= len(tag) <= 128 and set(tag) <= {*ALNUM, *"_.-"} and tag[0] not in ".-")
        )
        and (not at or oracle_is_digest(digest))
    )
    return (domain, path, tag if colon else None, digest if at else None) if good else None


def oracle_domain(text: str) -> tuple[str, str]:
    parts = text.split("/")
    if len(parts) == 1:
        return "docker.io", "library/" + text
    head = parts[0]
    if head == "index.docker.io":
        head = "docker.io"
    elif not (head == "localhost" or set(head) & set(".:") or head.lower() != head):
        return "docker.io", text
    rest = "/".join(parts[1:])
    return head, "library/" + rest if head == "docker.io" and len(parts) == 2 else rest


def oracle_is_host(domain: str) -> bool:
    host, port = domain, None
    if domain.startswith("["):
        inner, bracket, after = domain[1:].partition("]")
        if not bracket or not inner or not set(inner) <= set(string.hexdigits + ":"):
            return False
        return after == "" or (after[0] == ":" and oracle_is_number(after[1:]))
    if ":" in domain:
        host, port = domain.split(":", 1)
    labels_good = all(
        label and set(label) <= {*ALNUM, "-"} and label[0] != "-" and label[-1] != "-"
        for label in host.split(".")
    )
    return labels_good and (port is None or oracle_is_number(port))


def oracle_is_number(text: str) -> bool:
    return text != "" and set(text) <= set(string.digits)


def oracle_is_component(part: str) -> bool:
    runs = "".join("a" if c in LOWER else c for c in part)
    while "aa" in runs:
        runs = runs.replace("aa", "a")
    if not runs.startswith("a") or not runs.endswith("a"):
        return False
    return all(
        gap in (".", "_", "__") or set(gap) == {"-"} for gap in runs[1:-1].split("a") if gap
    ) and (len(runs) == 1 or "" not in runs.split("a")[1:-1])


def oracle_is_digest(digest: str) -> bool:
    algorithm, _, value = digest.partition(":")
    length = {"sha256": 64, "sha384": 96, "sha512": 128}.get(algorithm)
    return len(value) == length and set(value) <= set(HEX)


def parsed(text: str) -> tuple[str, str, str | None, str | None] | None:
    try:
        found = parse_reference(text)
    except InvalidReference:
        return None
    return found.registry, found.repository, found.tag, found.digest


# --- properties -------------------------------------------------------------------------------


@given(domains, paths, suffixes)
def test_every_reference_of_the_grammar_with_a_host_is_read(
    domain: str, path: str, suffix: tuple[str | None, str | None]
) -> None:
    found = parse_reference(written(f"{domain}/{path}", *suffix))
    hub = domain in ("docker.io", "index.docker.io")
    assert found == Reference(
        "docker.io" if hub else domain,
        f"library/{path}" if hub and "/" not in path else path,
        *suffix,
    )


@given(paths.filter(lambda path: "." not in path and not path.startswith("localhost/")), suffixes)
def test_names_without_a_host_belong_to_docker_hub(
    path: str, suffix: tuple[str | None, str | None]
) -> None:
    found = parse_reference(written(path, *suffix))
    assert found == Reference("docker.io", path if "/" in path else f"library/{path}", *suffix)


@given(st.one_of(domains.map(lambda d: d + "/"), st.just("")), paths, suffixes)
def test_the_canonical_form_is_read_back_unchanged(
    prefix: str, path: str, suffix: tuple[str | None, str | None]
) -> None:
    text = written(prefix + path, *suffix)
    if oracle(text) is None:  # a first path component with a dot is taken for a host
        return
    found = parse_reference(text)
    assert parse_reference(str(found)) == found


ODD = st.sampled_from(list("ABZaz09_-./:@[]$%<>\\ \t\n\u0130\u00df\u0665\ufeff"))


@settings(max_examples=1500)
@given(
    st.one_of(domains.map(lambda d: d + "/"), st.just(""), st.just("index.docker.io/")),
    paths,
    suffixes,
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from("idrc"), ODD), max_size=3),
)
@example("foo_bar.com/", "x", (None, None), [])
@example("", "a" * 64, (None, None), [])
@example("", "0" * 64, ("1", None), [])
@example("", "a" * 255, (None, None), [])
@example("docker.io/", "a" * 248, (None, None), [])
@example("h.org:1/", "a" * 255, (None, None), [])
@example("h.org:1/", "a" * 256, (None, None), [])
@example("", "a", ("t" * 128, None), [])
@example("", "a", ("t" * 129, None), [])
@example("", "a", (None, "md5:" + "a" * 32), [])
@example("", "a", (None, "sha256:" + "A" * 64), [])
@example("", "a", (None, "SHA256:" + "a" * 64), [])
@example("", "a", ("t", "sha256+b64:" + "a" * 64), [])
def test_mutated_references_are_judged_as_by_the_grammar(
    prefix: str,
    path: str,
    suffix: tuple[str | None, str | None],
    edits: list[tuple[float, str, str]],
) -> None:
    text = written(prefix + path, *suffix)
    for where, edit, character in edits:
        at = round(where * len(text))
        match edit:
            case "i":
                text = text[:at] + character + text[at:]
            case "d":
                text = text[:at] + text[at + 1 :]
            case "r":
                text = text[:at] + character + text[at + 1 :]
            case "c":
                text = text[:at]
    assert parsed(text) == oracle(text)


@given(st.text(max_size=40))
def test_any_text_is_judged_as_by_the_grammar(text: str) -> None:
    assert parsed(text) == oracle(text)


# --- what Docker documents, and what stands in the corpus ---------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("ubuntu", "docker.io/library/ubuntu"),
        ("ubuntu:22.04", "docker.io/library/ubuntu:22.04"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu"),
        ("index.docker.io/ubuntu", "docker.io/library/ubuntu"),
        ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu"),
        ("nvidia/cuda:12.0-base", "docker.io/nvidia/cuda:12.0-base"),
        ("localhost/a", "localhost/a"),
        ("localhost:5000/a:1", "localhost:5000/a:1"),
        ("[::1]:5000/a", "[::1]:5000/a"),
        ("[fd00::1]/a/b", "[fd00::1]/a/b"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a"),
        ("GHCR/a", "GHCR/a"),
        ("ghcr.io/a/b--c/d__e.f", "ghcr.io/a/b--c/d__e.f"),
        (f"ubuntu@{SHA256}", f"docker.io/library/ubuntu@{SHA256}"),
        (f"ubuntu:22.04@{SHA256}", f"docker.io/library/ubuntu:22.04@{SHA256}"),
        ("docker.elastic.co/a", "docker.elastic.co/a"),
        ("ghcr.io", "docker.io/library/ghcr.io"),
    ],
)
def test_names_become_canonical(text: str, canonical: str) -> None:
    assert str(parse_reference(text)) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no repository"),
        ("ghcr.io/", "no repository"),
        ("Ubuntu", "lower case"),
        ("ghcr.io/Org/image", "lower case"),
        ("a" * 64, "image ID"),
        ("--platform=linux/amd64", "separators"),
        ("<?php", "separators"),
        ("ARG", "lower case"),
        ('_LOCATION=/u01/oracle.xml"', "separators"),
        ("\t", "separators"),
        ("\ufeffubuntu", "separators"),
        ("ubuntu\n", "separators"),
        ("ubuntu:1\n", "tag"),
        ("ubuntu:", "tag"),
        ("ubuntu:" + "a" * 129, "tag"),
        ("ubuntu@sha256:abc", "digest"),
        ("ubuntu@md5:" + "a" * 32, "digest"),
        ("foo_bar.com/x", "registry host"),
        ("host:port/x", "registry host"),
        ("h.org/" + "a/" * 127 + "aa", "longer than 255"),
    ],
)
def test_other_names_are_refused_with_the_reason_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(InvalidReference, match=reason) as refusal:
        parse_reference(text)
    message = str(refusal.value)
    assert "\n" not in message
    assert len(message) < 400


def test_tags_and_digests_alone() -> None:
    assert is_digest(SHA256)
    assert not is_digest("sha256:" + "a1" * 31)
    assert not is_digest(SHA256 + "\n")
    assert is_tag("latest")
    assert not is_tag(".hidden")
    assert not is_tag("a\n")
