"""Build stages: every FROM with its base image, as Docker would resolve it without build options.

Rules: Dockerfile reference, "Understand how ARG and FROM interact"; moby/buildkit,
frontend/dockerfile/dockerfile2llb/convert.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pullstudy.dockerfiles.expand import Expansion, expand
from pullstudy.dockerfiles.parse import DEFAULT_ESCAPE, Instruction
from pullstudy.errors import InvalidReference
from pullstudy.naming import Reference, parse_reference

SCRATCH = "scratch"


class Stage(NamedTuple):
    """One build stage; the fields are the columns of table `stages`."""

    stage_number: int
    line: int
    base: str
    base_resolved: str
    registry: str | None
    repository: str | None
    tag: str | None
    digest: str | None
    platform: str | None
    alias: str | None
    is_scratch: bool
    is_earlier_stage: bool
    has_variable: bool
    is_resolved: bool


def resolve_stages(
    instructions: Sequence[Instruction], escape: str = DEFAULT_ESCAPE
) -> list[Stage]:
    """Read the stages of one file in order; there are none without a FROM."""
    values = _read_global_arguments(instructions, escape)
    stages: list[Stage] = []
    names: set[str] = set()
    for instruction in instructions:
        if instruction.keyword == "FROM":
            stage = _read_stage(len(stages), instruction, values, names, escape)
            stages.append(stage)
            # Docker compares names without case. It takes a number only in COPY --from, but no
            # image is named by a bare number: who writes FROM 0 means the first stage.
            names.add(str(stage.stage_number))
            if stage.alias is not None:
                names.add(stage.alias.lower())
    return stages


def _read_global_arguments(
    instructions: Iterable[Instruction], escape: str
) -> dict[str, Expansion]:
    """Return the defaults of the ARGs before the first FROM; one may use those before it."""
    values: dict[str, Expansion] = {}
    for instruction in instructions:
        if instruction.keyword == "FROM":
            break
        if instruction.keyword == "ARG":
            for argument in instruction.arguments:
                name, equals, default = argument.partition("=")
                if equals:
                    values[name] = expand(default, values, escape)
    return values


def _read_stage(
    number: int,
    instruction: Instruction,
    values: dict[str, Expansion],
    earlier: set[str],
    escape: str,
) -> Stage:
    base, alias = _split_arguments(instruction.arguments)
    expansion = expand(base, values, escape)
    is_earlier_stage = expansion.text.lower() in earlier
    is_scratch = expansion.text == SCRATCH and not is_earlier_stage
    is_image = not (is_earlier_stage or is_scratch)
    reference = _read_reference(expansion.text) if is_image else None
    return Stage(
        stage_number=number,
        line=instruction.line,
        base=base,
        base_resolved=expansion.text,
        registry=reference.registry if reference else None,
        repository=reference.repository if reference else None,
        tag=reference.tag if reference else None,
        digest=reference.digest if reference else None,
        platform=_read_platform(instruction.flags),
        alias=alias,
        is_scratch=is_scratch,
        is_earlier_stage=is_earlier_stage,
        has_variable=expansion.has_variable,
        is_resolved=expansion.is_resolved,
    )


def _split_arguments(arguments: Sequence[str]) -> tuple[str, str | None]:
    """Return the base and the alias; `FROM` alone has an empty base."""
    base = arguments[0] if arguments else ""
    if len(arguments) > 2 and arguments[1].lower() == "as":
        return base, arguments[2]
    return base, None


def _read_reference(base: str) -> Reference | None:
    try:
        return parse_reference(base)
    except InvalidReference:
        return None


def _read_platform(flags: Iterable[str]) -> str | None:
    for flag in flags:
        name, equals, platform = flag.partition("=")
        if name == "--platform" and equals:
            return platform
    return None
