"""Stages of hand-written Dockerfiles."""

from __future__ import annotations

import pytest

from pullstudy.dockerfiles.parse import parse_dockerfile
from pullstudy.dockerfiles.stages import Stage, resolve_stages


def stages_of(text: str) -> list[Stage]:
    parsed = parse_dockerfile(text)
    assert parsed.failure is None
    return resolve_stages(parsed.instructions, parsed.escape)


def base_of(text: str) -> Stage:
    (stage,) = stages_of(text)
    return stage


def test_a_plain_base() -> None:
    assert base_of("# x\nFROM --platform=linux/arm64 ubuntu:22.04 AS Build\n") == Stage(
        stage_number=0,
        line=2,
        base="ubuntu:22.04",
        base_resolved="ubuntu:22.04",
        registry="docker.io",
        repository="library/ubuntu",
        tag="22.04",
        digest=None,
        platform="linux/arm64",
        alias="Build",
        is_scratch=False,
        is_earlier_stage=False,
        has_variable=False,
        is_resolved=True,
    )


def test_digest_and_registry() -> None:
    digest = "sha256:" + "0a" * 32
    stage = base_of(f"FROM ghcr.io:443/a/b:1@{digest}\n")
    assert (stage.registry, stage.repository, stage.tag, stage.digest) == (
        "ghcr.io:443",
        "a/b",
        "1",
        digest,
    )


def test_only_global_defaults_fill_a_base() -> None:
    text = """
ARG TAG=20.04
ARG BASE="ubuntu:$TAG"
ARG TAG
FROM $BASE
ARG LATE=debian
FROM $LATE
"""
    first, second = stages_of(text)
    assert (first.base, first.base_resolved) == ("$BASE", "ubuntu:20.04")
    assert (first.repository, first.tag) == ("library/ubuntu", "20.04")
    assert first.has_variable
    assert first.is_resolved
    assert (second.base_resolved, second.is_resolved) == ("$LATE", False)
    assert (second.registry, second.repository, second.tag) == (None, None, None)


def test_several_arguments_in_one_instruction() -> None:
    assert base_of("ARG A=x B='y z' C=${A}1\nFROM $C\n").base_resolved == "x1"


def test_a_quoted_base_is_unquoted() -> None:
    assert base_of('FROM "quay.io/a/b:1"\n').repository == "a/b"


def test_earlier_stages_by_name_number_and_variable() -> None:
    text = """
ARG FLAVOUR=two
FROM alpine AS One
FROM one AS two
FROM $FLAVOUR
FROM 0
FROM later
FROM scratch AS later
"""
    stages = stages_of(text)
    assert [s.is_earlier_stage for s in stages] == [False, True, True, True, False, False]
    assert [s.is_scratch for s in stages] == [False] * 5 + [True]
    assert [s.repository for s in stages] == [
        "library/alpine",
        None,
        None,
        None,
        "library/later",
        None,
    ]


def test_a_stage_is_not_its_own_base() -> None:
    assert not base_of("FROM debian AS debian\n").is_earlier_stage


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("FROM <?php echo $x ?>", "<?php"),
        ("FROM Ubuntu", "Ubuntu"),
        ("FROM --platform linux/amd64 busybox", "linux/amd64"),
        ("FROM {{ build.image }} as builder", "{{"),
        ("FROM ubuntu:", "ubuntu:"),
        ("FROM", ""),
    ],
)
def test_nonsense_is_kept_without_a_registry(text: str, base: str) -> None:
    stage = base_of(text + "\n")
    assert stage.base == base
    if base != "linux/amd64":  # a valid name: what the flag lacks is taken for the image
        assert (stage.registry, stage.repository) == (None, None)


def test_trailing_words_do_not_hide_the_base() -> None:
    stage = base_of("FROM ubuntu:16.04 # CPU ONLY\n")
    assert (stage.base, stage.alias) == ("ubuntu:16.04", None)


def test_without_a_from_there_is_no_stage() -> None:
    assert stages_of("RUN a\n") == []
