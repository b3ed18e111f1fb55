"""Dockerfiles as people write them, habits good and bad included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pullstudy.dockerfiles.notes import write_notes
from pullstudy.dockerfiles.tabulate import SourceFile, tabulate_dockerfiles
from pullstudy.sample.coverage import MADE_UP
from pullstudy.sample.draw import Draw, Ecosystem, draw_base, read_ecosystem


def write_corpus(ecosystem: Path, count: int, seed: int, folder: Path) -> None:
    """Write the tables of the stage `corpus` over `count` made-up Dockerfiles."""
    tabulate_dockerfiles(draw_dockerfiles(read_ecosystem(ecosystem), count, seed), folder)
    write_notes(folder, [], count, 0, MADE_UP)


def draw_dockerfiles(ecosystem: Ecosystem, count: int, seed: int) -> Iterator[SourceFile]:
    """Draw `count` Dockerfiles of the ecosystem's collections."""
    draw = Draw(seed, "dockerfiles")
    collections = ecosystem["collections"]
    for number in range(count):
        collection = draw.one(list(collections), list(collections.values()))
        owner = draw.one(ecosystem["owners"][collection])
        project = draw.one(ecosystem["projects"])
        text = _draw_text(draw, ecosystem)
        path = f"containers/{number:04d}/Dockerfile"
        yield SourceFile(collection, f"{owner}/{project}", path, text.encode())


def _draw_text(draw: Draw, ecosystem: Ecosystem) -> str:
    habits = ecosystem["habits"]
    if draw.chance(habits["unparsable"]):
        return "# to be written\n"
    lines = [*_build_stage(draw)] if draw.chance(habits["multi_stage"]) else []
    lines += _from_lines(draw, ecosystem)
    if draw.chance(habits["maintainer"]):
        lines.append("MAINTAINER the sample <sample@example.org>")
    lines += _install_lines(draw, ecosystem)
    lines += _copy_lines(draw, habits)
    lines += _start_lines(draw, habits)
    return "\n".join(lines) + "\n"


def _build_stage(draw: Draw) -> list[str]:
    tag = draw.one(["1.16", "1.22"])
    return [
        f"FROM golang:{tag} AS build",
        "WORKDIR /src",
        "COPY . .",
        "RUN go build -o /out/app",
        "",
    ]


def _from_lines(draw: Draw, ecosystem: Ecosystem) -> list[str]:
    habits = ecosystem["habits"]
    base = draw_base(draw, ecosystem)
    tag = draw.one(base["tags"])
    if draw.chance(habits["base_argument"]):
        return [f"ARG VERSION={tag}", f"FROM {base['image']}:${{VERSION}}"]
    if draw.chance(habits["no_tag"]):
        return [f"FROM {base['image']}"]
    if draw.chance(habits["latest_tag"]):
        return [f"FROM {base['image']}:latest"]
    if draw.chance(habits["digest_pinned"]):
        return [f"FROM {base['image']}@{draw.digest()}"]
    return [f"FROM {base['image']}:{tag}"]


def _install_lines(draw: Draw, ecosystem: Ecosystem) -> list[str]:
    kind = draw.one(["apt", "pip", "conda", "none"], [6, 3, 2, 1])
    if kind == "apt":
        return _apt_lines(draw, ecosystem)
    if kind == "pip":
        return [f"RUN pip install {' '.join(draw.some(ecosystem['packages']['pip'], 5))}"]
    if kind == "conda":
        return [f"RUN conda install -y {' '.join(draw.some(ecosystem['packages']['conda'], 4))}"]
    return []


def _apt_lines(draw: Draw, ecosystem: Ecosystem) -> list[str]:
    habits = ecosystem["habits"]
    options = " --no-install-recommends" if draw.chance(habits["no_recommends"]) else ""
    packages = " ".join(draw.some(ecosystem["packages"]["apt"], 6))
    sudo = "sudo " if draw.chance(habits["sudo"]) else ""
    install = f"{sudo}apt-get install -y{options} {packages}"
    if draw.chance(habits["clean_up"]):
        install += " \\\n    && rm -rf /var/lib/apt/lists/*"
    if draw.chance(habits["update_apart"]):
        return [f"RUN {sudo}apt-get update", f"RUN {install}"]
    return [f"RUN {sudo}apt-get update && {install}"]


def _copy_lines(draw: Draw, habits: Ecosystem) -> list[str]:
    keyword = "ADD" if draw.chance(habits["add_for_copy"]) else "COPY"
    lines = ["WORKDIR /opt/app", f"{keyword} . /opt/app"]
    if draw.chance(habits["cd_in_run"]):
        lines.append("RUN cd /opt/app && make install")
    if draw.chance(habits["curl_pipe"]):
        lines.append("RUN curl -sSL https://example.org/install.sh | bash")
    return lines


def _start_lines(draw: Draw, habits: Ecosystem) -> list[str]:
    lines = []
    if draw.chance(habits["healthcheck"]):
        lines.append("HEALTHCHECK CMD curl -f http://localhost/ || exit 1")
    if draw.chance(habits["user"]):
        lines.append("USER app")
    command = "python run.py" if draw.chance(habits["shell_form"]) else '["python", "run.py"]'
    return [*lines, f"CMD {command}"]
