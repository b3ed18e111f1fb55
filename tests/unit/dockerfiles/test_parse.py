"""The parser's habits that the tables depend on, written out by hand."""

from __future__ import annotations

import dockerfile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.dockerfiles.parse import Instruction, decode, parse_dockerfile


def parse_one(text: str) -> Instruction:
    (instruction,) = parse_dockerfile(text).instructions
    return instruction


def test_continuation_lines_and_comments_are_joined() -> None:
    text = "# top\nrun apt-get update \\\n  # why\n\n  && make\nCMD x\n"
    run, cmd = parse_dockerfile(text).instructions
    assert run == Instruction(
        "RUN", (), "apt-get update   && make", ("apt-get update   && make",), False, 2, 5
    )
    assert (cmd.keyword, cmd.line) == ("CMD", 6)


@pytest.mark.parametrize(
    ("text", "flags", "value"),
    [
        ("RUN --mount=type=cache,target=/x ls -l  ", ("--mount=type=cache,target=/x",), "ls -l"),
        ('COPY --from=0 --chown="a b" c d', ("--from=0", "--chown=a b"), "c d"),
        ("FROM --platform=$P base AS x", ("--platform=$P",), "base AS x"),
        (r"COPY --chown=a\ b c d", ("--chown=a b",), "c d"),
        ("HEALTHCHECK --interval=5s CMD curl x", ("--interval=5s",), "CMD curl x"),
    ],
)
def test_flags_are_apart_from_the_value(text: str, flags: tuple[str, ...], value: str) -> None:
    instruction = parse_one(text)
    assert (instruction.flags, instruction.value) == (flags, value)


def test_exec_form_is_split_and_kept_as_written() -> None:
    cmd = parse_one('CMD [ "a", "b c" ]')
    assert (cmd.is_json, cmd.arguments, cmd.value) == (True, ("a", "b c"), '[ "a", "b c" ]')
    assert not parse_one("CMD [a, b]").is_json


def test_here_documents_come_last() -> None:
    copy = parse_one("COPY <<a <<b /x/\none\na\ntwo\nb\n")
    assert copy.arguments == ("<<a", "<<b", "/x/", "one\n", "two\n")
    assert copy.value == "<<a <<b /x/\none\na\ntwo\nb"
    assert (copy.line, copy.last_line) == (1, 5)


def test_onbuild_keeps_its_trigger() -> None:
    onbuild = parse_one("ONBUILD copy --chown=me . /app")
    assert onbuild.keyword == "ONBUILD"
    assert onbuild.value == "copy --chown=me . /app"
    assert onbuild.arguments == ("COPY", ".", "/app")


def test_escape_directive_changes_the_continuation() -> None:
    parsed = parse_dockerfile("\ufeff# syntax=docker/dockerfile:1\n# Escape = `\nRUN a `\n  b\n")
    assert parsed.escape == "`"
    assert [(i.value, i.line) for i in parsed.instructions] == [("a   b", 3)]


def test_escape_after_a_comment_is_no_directive() -> None:
    assert parse_dockerfile("# a comment\n# escape=`\nRUN a\n").escape == "\\"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("", "no_instruction"),
        ("\n  \n", "no_instruction"),
        ("# only\n# comments\n", "no_instruction"),
        ("RUN <<EOF\nnever ends\n", "unterminated_heredoc"),
        ("ENV lonely\n", "syntax"),
        ("LABEL a=1 b\n", "syntax"),
        ("# escape=x\nFROM a\n", "syntax"),
        ("FROM a\nRUN " + "x" * 70_000, "syntax"),
    ],
)
def test_refusals_are_typed_and_keep_the_message(text: str, failure: str) -> None:
    parsed = parse_dockerfile(text)
    assert (parsed.failure, parsed.instructions) == (failure, ())
    assert parsed.detail


def test_windows_text_gives_the_same_instructions() -> None:
    text = "FROM a\nRUN b \\\n  c\nENV d=e\n"
    windows = "\ufeff" + text.replace("\n", "\r\n")
    assert parse_dockerfile(windows) == parse_dockerfile(text)


def test_nul_bytes_do_not_end_the_file() -> None:
    text, is_utf8 = decode(b"FROM a\nRUN b\0c\nCMD d\n")
    assert is_utf8
    assert [i.value for i in parse_dockerfile(text).instructions] == ["a", "b\ufffdc", "d"]
    # The library alone stops there; should that change, the replacement may go.
    assert len(dockerfile.parse_string(text)) == 2


def test_other_encodings_are_replaced_and_reported() -> None:
    text, is_utf8 = decode("FROM a\nMAINTAINER José\n".encode("latin-1"))
    assert not is_utf8
    assert [i.value for i in parse_dockerfile(text).instructions] == ["a", "Jos\ufffd"]
    utf16, _ = decode("FROM a\n".encode("utf-16"))
    assert "FROM" not in {i.keyword for i in parse_dockerfile(utf16).instructions}


def test_characters_that_the_parser_cuts_are_replaced() -> None:
    text = "FROM a\nLABEL b=é\nHEALTHCHECK à c\n"
    with pytest.raises(UnicodeDecodeError):
        dockerfile.parse_string(text)
    values = [i.value for i in parse_dockerfile(text).instructions]
    assert values == ["a", "b=é", "\ufffd c"]


def test_unknown_and_empty_instructions_are_kept() -> None:
    unknown, empty = parse_dockerfile("<?php echo 1 ?>\n\\\n\n").instructions
    assert (unknown.keyword, unknown.value) == ("<?PHP", "echo 1 ?>")
    assert (empty.keyword, empty.value) == ("", "")


LINES = st.lists(
    st.sampled_from(
        ["FROM", "RUN", "ENV", "ARG", "COPY", "ONBUILD", "HEALTHCHECK", "#", "X"]
    ).flatmap(
        lambda word: st.text("ab=\"'[]<>-$\\{} \t\r\0\u00e0\u00e9", max_size=12).map(
            lambda rest: f"{word} {rest}"
        )
    )
)


@given(LINES.map("\n".join).map(str.encode) | st.binary(max_size=60))
def test_no_content_falls_through_untyped(content: bytes) -> None:
    parsed = parse_dockerfile(decode(content)[0])
    assert bool(parsed.instructions) == (parsed.failure is None)
    lines = [i.line for i in parsed.instructions]
    assert lines == sorted(lines)
