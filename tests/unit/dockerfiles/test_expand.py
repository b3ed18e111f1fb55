"""Expansion of words, by hand and against the shell of the system."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.dockerfiles.expand import Expansion, expand

VALUES = {"A": "one", "EMPTY": "", "B2": "two words"}
EXPANSIONS = {name: Expansion(text) for name, text in VALUES.items()}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ubuntu:22.04", Expansion("ubuntu:22.04")),
        ("$A", Expansion("one", True)),
        ("x${A}y", Expansion("xoney", True)),
        ("$A$A-$EMPTY.", Expansion("oneone-.", True)),
        ('"x:$A"', Expansion("x:one", True)),
        ("'x:$A'", Expansion("x:$A")),
        (r"\$A", Expansion("$A")),
        (r'"a\"b\n"', Expansion(r'a"b\n')),
        ("${NO:-base:1}", Expansion("base:1", True)),
        ("${NO:-}", Expansion("", True)),
        ("${EMPTY:-x}${EMPTY-x}", Expansion("x", True)),
        ("a${A:+-$A}", Expansion("a-one", True)),
        ("a${NO:+-$NO}", Expansion("a", True)),
        ("${A:-$NO}", Expansion("one", True)),
        ("${NO:-${NO2:-'deep}'}}", Expansion("deep}", True)),
        ("$NO:1", Expansion("$NO:1", True, False)),
        ("${NO}-$A", Expansion("${NO}-one", True, False)),
        ("${NO:-$NO2}", Expansion("$NO2", True, False)),
        ("${NO:?must be given}", Expansion("${NO:?must be given}", True, False)),
        ("${A%e}", Expansion("${A%e}", True, False)),
        ("${A", Expansion("${A", True, False)),
        ("'open", Expansion("'open", False, False)),
        ("${}", Expansion("${}", True, False)),
        ("a$", Expansion("a$")),
    ],
)
def test_words(word: str, expected: Expansion) -> None:
    assert expand(word, EXPANSIONS) == expected


def test_what_lacks_a_value_stays_unresolved_where_it_is_used() -> None:
    values = {"BASE": expand("${REGISTRY}/x", {})}
    assert expand("$BASE:1", values) == Expansion("${REGISTRY}/x:1", True, False)


def test_escape_character_is_the_directive_s() -> None:
    assert expand("a`$A\\b", EXPANSIONS, escape="`") == Expansion("a$A\\b")


plain = st.text("ab:/.-_", min_size=1, max_size=4)
modified = st.builds(
    "${{{}{}{}}}".format,
    st.sampled_from([*VALUES, "NO"]),
    st.sampled_from([":-", "-", ":+", "+"]),
    plain | st.sampled_from(["$A", "${B2}", "${NO:-x}"]),
)
# A bare name ends at a character that no name has.
variable = st.sampled_from(["$A/", "${A}", "$EMPTY.", "${EMPTY}", "${B2}"])
quoted = st.builds('"{}"'.format, plain | variable | modified) | st.builds("'{}'".format, plain)
words = st.lists(plain | variable | modified | quoted, max_size=5).map("".join)


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell to compare with")
@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=20))
def test_words_as_the_shell_expands_them(many: list[str]) -> None:
    """The shell agrees on all forms that need no missing value."""
    script = "set -f; IFS=\n" + "\n".join(f"printf '%s\\n' {word or chr(39) * 2}" for word in many)
    shell = subprocess.run(["sh", "-c", script], env=VALUES, capture_output=True, check=True)
    assert [expand(word, EXPANSIONS).text for word in many] == shell.stdout.decode().split("\n")[
        :-1
    ]
