"""Typeset the paper with Typst: the fonts that it brings, no network, no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typst

from pullstudy.errors import PullstudyError
from pullstudy.files import replace_atomically


class PaperError(PullstudyError):
    """The template cannot be typeset."""


def typeset(template: Path, content: Mapping[str, Any], output: Path) -> None:
    """Write the template with its content as PDF, atomically; the same content, the same bytes.

    Paths in the content are absolute below the current folder. Raises PaperError.
    """
    try:
        compiler = typst.Compiler(
            # Its bytes, because it may lie outside of the root.
            template.read_bytes(),
            root=Path(),
            ignore_system_fonts=True,
            sys_inputs={"content": json.dumps(content, sort_keys=True)},
        )
        with replace_atomically(output) as partial:
            compiler.compile(output=partial, timestamp=datetime.fromtimestamp(0, UTC))
    except typst.TypstError as exc:
        raise PaperError(f"{template}: {exc.message}; {' '.join(exc.hints)}".rstrip("; ")) from exc
