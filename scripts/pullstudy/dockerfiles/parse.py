"""Dockerfiles to instructions, by the grammar of BuildKit.

The grammar is not ours: the package `dockerfile` wraps BuildKit's own parser. It has four
habits that a caller has to know, all seen with version 3.4:

- it reads a C string, so that a NUL byte ends the file;
- text that cannot be encoded as UTF-8 (a lone surrogate) aborts the whole process;
- it may cut a character in two, and then raises UnicodeDecodeError;
- it never frees the strings that it returns: a process grows by about twice the text it parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import dockerfile

ParseFailure = Literal["no_instruction", "unterminated_heredoc", "syntax"]

DEFAULT_ESCAPE = "\\"
REPLACEMENT = "\ufffd"

# The messages of BuildKit's parser; whatever else it refuses is a syntax error.
_FAILURES: dict[str, ParseFailure] = {
    "file with no instructions": "no_instruction",
    "unterminated heredoc": "unterminated_heredoc",
}

# Parser directives are the comments before anything else (BuildKit, parser/directives.go).
_match_directive = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*").fullmatch
# One --flag, with quotes and escapes as BuildKit reads them (parser/split_command.go).
_match_flag = re.compile(r"""--(?:\\.|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'\\])*\s*""").match


class Instruction(NamedTuple):
    """One instruction; the fields are the columns of table `instructions`."""

    keyword: str
    flags: tuple[str, ...]
    value: str
    arguments: tuple[str, ...]
    is_json: bool
    line: int
    last_line: int


@dataclass(frozen=True)
class ParsedDockerfile:
    """What the parser says of one file: instructions, or why there are none."""

    instructions: tuple[Instruction, ...] = ()
    escape: str = DEFAULT_ESCAPE
    failure: ParseFailure | None = None
    detail: str | None = None


def decode(content: bytes) -> tuple[str, bool]:
    """Return the text and whether the bytes are UTF-8; other bytes become U+FFFD."""
    try:
        return content.decode(), True
    except UnicodeDecodeError:
        return content.decode(errors="replace"), False


def parse_dockerfile(text: str) -> ParsedDockerfile:
    """Parse the text of a Dockerfile, as `decode` gives it; a refusal is a result, not an error."""
    try:
        commands = _parse_commands(text.replace("\0", REPLACEMENT))
    except dockerfile.GoParseError as exc:
        message = str(exc)
        return ParsedDockerfile(failure=_FAILURES.get(message, "syntax"), detail=message)
    return ParsedDockerfile(tuple(map(_read_command, commands)), _find_escape(text))


def _parse_commands(text: str) -> tuple[Any, ...]:
    try:
        return dockerfile.parse_string(text)
    except UnicodeDecodeError:
        # The type of a HEALTHCHECK is read byte by byte: 0x85 and 0xA0 end it within a character.
        safe = (REPLACEMENT if {0x85, 0xA0} & set(char.encode()) else char for char in text)
        return dockerfile.parse_string("".join(safe))


def _read_command(command: Any) -> Instruction:
    keyword, trigger, is_json, original, line, last_line, flags, arguments, heredocs = command
    # A lone continuation character is an instruction without a keyword and without text.
    keyword = keyword or ""
    value = (original or "")[len(keyword) :].strip()
    if flags:
        value = _skip_flags(value, len(flags))
    if trigger:
        arguments = (trigger.upper(), *arguments)
    if heredocs:
        arguments = (*arguments, *(heredoc.content for heredoc in heredocs))
    return Instruction(keyword.upper(), flags, value, arguments, is_json, line, last_line)


def _skip_flags(value: str, count: int) -> str:
    for _ in range(count):
        match = _match_flag(value)
        if match is None:
            break
        value = value[match.end() :]
    return value


def _find_escape(text: str) -> str:
    """Return the character that the directive `# escape=` names; a backslash without one."""
    rest = text.removeprefix("\ufeff")
    while True:
        line, _, rest = rest.partition("\n")
        match = _match_directive(line.strip())
        if match is None:
            return DEFAULT_ESCAPE
        if match[1].lower() == "escape":
            return match[2]
