"""Words with variables and quotes, expanded as BuildKit expands them in FROM and ARG.

Source of the rules: moby/buildkit, frontend/dockerfile/shell/lex.go. One thing differs on purpose:
a variable without a value stays as it is written instead of becoming empty, so that a reader sees
that something is missing. The pattern forms (`${x#…}`, `${x%…}`, `${x/…}`) stay as written too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_match_name = re.compile(r"[^\W\d]\w*|\d+|[@*#?$!-]").match
_search_special = re.compile(r"[$'\"]").search
_match_operator = re.compile(r":?[-+?]").match


@dataclass(frozen=True)
class Expansion:
    """An expanded word: whether a variable was in it, and whether one is left."""

    text: str
    has_variable: bool = False
    is_resolved: bool = True


class _MalformedWordError(Exception):
    """A quote or a brace is not closed."""


def expand(word: str, values: Mapping[str, Expansion], escape: str = "\\") -> Expansion:
    """Expand one word with the given values; a malformed word stays as written, unresolved."""
    if not _search_special(word) and escape not in word:
        return Expansion(word)
    expander = _Expander(word, values, escape)
    try:
        text = expander.read_until("")
    except _MalformedWordError:
        return Expansion(word, has_variable="$" in word, is_resolved=False)
    return Expansion(text, expander.has_variable, expander.is_resolved)


class _Expander:
    """A reader over one word; `position` is the next character."""

    def __init__(self, word: str, values: Mapping[str, Expansion], escape: str) -> None:
        self.word = word
        self.values = values
        self.escape = escape
        self.position = 0
        self.has_variable = False
        self.is_resolved = True

    def read_until(self, stop: str) -> str:
        """Expand up to the character `stop` and pass it, or to the end when it is empty."""
        parts = []
        while (char := self._take()) != stop:
            if not char:
                raise _MalformedWordError
            if char == "'":
                parts.append(self._read_single_quoted())
            elif char == '"':
                parts.append(self._read_double_quoted())
            elif char == "$":
                parts.append(self._read_variable())
            elif char == self.escape:
                parts.append(self._take())
            else:
                parts.append(char)
        return "".join(parts)

    def _take(self) -> str:
        char = self.word[self.position : self.position + 1]
        self.position += len(char)
        return char

    def _read_single_quoted(self) -> str:
        end = self.word.find("'", self.position)
        if end < 0:
            raise _MalformedWordError
        text = self.word[self.position : end]
        self.position = end + 1
        return text

    def _read_double_quoted(self) -> str:
        parts = []
        while (char := self._take()) != '"':
            if not char:
                raise _MalformedWordError
            if char == "$":
                parts.append(self._read_variable())
            elif char == self.escape and self._peek() in ('"', "$", self.escape):
                parts.append(self._take())
            else:
                parts.append(char)
        return "".join(parts)

    def _peek(self) -> str:
        return self.word[self.position : self.position + 1]

    def _read_variable(self) -> str:
        """Expand what follows a dollar sign that was just taken."""
        start = self.position - 1
        if self._peek() != "{":
            name = self._read_name()
            return self._look_up(name, start) if name else "$"
        self.position += 1
        name = self._read_name()
        if not name:
            raise _MalformedWordError
        if self._peek() == "}":
            self.position += 1
            return self._look_up(name, start)
        operator = _match_operator(self.word, self.position)
        if operator is None:
            return self._keep_pattern_form(start)
        self.position = operator.end()
        return self._apply(operator[0], name, start)

    def _read_name(self) -> str:
        match = _match_name(self.word, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match[0]

    def _look_up(self, name: str, start: int) -> str:
        self.has_variable = True
        value = self.values.get(name)
        if value is None:
            return self._keep(start)
        self.is_resolved &= value.is_resolved
        return value.text

    def _apply(self, operator: str, name: str, start: int) -> str:
        """Expand `${name<operator>alternative}`; the position is behind the operator."""
        self.has_variable = True
        was_resolved = self.is_resolved
        alternative = self.read_until("}")
        value = self.values.get(name)
        is_set = value is not None and not (operator.startswith(":") and value.text == "")
        kind = operator[-1]
        if (kind == "+" and is_set) or (kind == "-" and not is_set):
            return alternative
        # The alternative is not used: what it lacks does not count.
        self.is_resolved = was_resolved
        if kind == "+":
            return ""
        return self._look_up(name, start) if is_set else self._keep(start)

    def _keep_pattern_form(self, start: int) -> str:
        end = self.word.find("}", self.position)
        if end < 0:
            raise _MalformedWordError
        self.has_variable = True
        self.position = end + 1
        return self._keep(start)

    def _keep(self, start: int) -> str:
        self.is_resolved = False
        return self.word[start : self.position]
