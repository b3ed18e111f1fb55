"""Repositories as registries hold them: tags over the years, shared layers, several platforms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pullstudy.sample.draw import Draw, Ecosystem, draw_base

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
# What `WORKDIR` leaves: an empty tar file, compressed. The digest is that of the published study.
EMPTY_LAYER = ("sha256:4f4fb700ef54461cfa02571ae0db9a0dc1e0cdb5577484a6d75e68dc38e8acc1", 32)
PLATFORMS = (("linux", "amd64"), ("linux", "arm64"))


@dataclass(frozen=True)
class Step:
    """One build step: its command, and the layer it made (digest, bytes) unless only metadata."""

    command: str
    layer: tuple[str, int] | None = None


@dataclass
class SampleRepository:
    """A repository: tags point to manifests or indexes, manifests to configs, all by digest."""

    name: str
    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    configs: dict[str, bytes] = field(default_factory=dict)

    def add_image(self, steps: list[Step], created: str | None, platform: tuple[str, str]) -> str:
        """Store config and manifest of an image; returns the manifest's digest."""
        config = _encode(_make_config(steps, created, platform))
        digest = _digest(config)
        self.configs[digest] = config
        return self._store(_make_manifest(steps, digest, len(config)))

    def add_index(self, images: Mapping[tuple[str, str], str]) -> str:
        """Store an index over one image per platform; returns its digest."""
        entries = [
            {
                "mediaType": DOCKER_MANIFEST,
                "digest": digest,
                "size": len(self.manifests[digest]),
                "platform": {"os": system, "architecture": architecture},
            }
            for (system, architecture), digest in images.items()
        ]
        return self._store({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries})

    def add_schema1(self, tag: str, steps: list[Step]) -> str:
        """Store a manifest of the old schema 1, which has no sizes; returns its digest."""
        layers = [{"blobSum": step.layer[0]} for step in steps if step.layer]
        return self._store(
            {"schemaVersion": 1, "name": self.name, "tag": tag, "fsLayers": layers, "history": []}
        )

    def media_type(self, digest: str) -> str:
        """The media type under which a registry serves a manifest."""
        return str(json.loads(self.manifests[digest]).get("mediaType", DOCKER_SCHEMA1))

    def _store(self, document: Mapping[str, Any]) -> str:
        content = _encode(document)
        digest = _digest(content)
        self.manifests[digest] = content
        return digest


def draw_repositories(ecosystem: Ecosystem, count: int, seed: int) -> Iterator[SampleRepository]:
    """Draw `count` repositories: first the base images, then images that are built on them."""
    draw = Draw(seed, "registry")
    base_steps = {base["image"]: _draw_base_steps(draw, base) for base in ecosystem["bases"]}
    names = [*base_steps, *_draw_names(ecosystem)]
    for name in names[:count]:
        steps = base_steps.get(name) or base_steps[draw_base(draw, ecosystem)["image"]]
        yield _draw_repository(draw, ecosystem, name, steps)


def _draw_names(ecosystem: Ecosystem) -> Iterator[str]:
    for project in ecosystem["projects"]:
        for owner in ecosystem["registry"]["owners"]:
            yield f"{owner}/{project}"


def _draw_base_steps(draw: Draw, base: Mapping[str, Any]) -> list[Step]:
    size_bytes = int(draw.skewed(base["megabytes"] * 1e6, 0.2))
    return [
        Step(f"/bin/sh -c #(nop) ADD file:{base['image']} in / ", (draw.digest(), size_bytes)),
        Step('/bin/sh -c #(nop)  CMD ["/bin/sh"]'),
    ]


def _draw_repository(
    draw: Draw, ecosystem: Ecosystem, name: str, base_steps: list[Step]
) -> SampleRepository:
    habits = ecosystem["registry"]
    repository = SampleRepository(name)
    count = int(draw.skewed(habits["tags_median"], 0.9, habits["tags_max"])) + 1
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in habits["years"])
    created = first + (last - first) * draw.whole(0, 70) / 100
    pace = (last - created) / count
    many_platforms = draw.chance(habits["multi_platform"])
    steps = _draw_steps(draw, ecosystem, base_steps)
    for number in range(count):
        created = min(created + pace * draw.whole(50, 150) / 100, last)
        # A new version keeps its first steps and makes the others again.
        steps = _rebuild(draw, steps, keep=draw.whole(len(base_steps), len(steps)))
        tag = "latest" if number == count - 1 else f"{1 + number // 10}.{number % 10}"
        _add_tag(draw, habits, repository, tag, steps, created, many_platforms)
    return repository


def _add_tag(
    draw: Draw,
    habits: Ecosystem,
    repository: SampleRepository,
    tag: str,
    steps: list[Step],
    created: datetime,
    many_platforms: bool,
) -> None:
    stamp = None if draw.chance(habits["no_creation_time"]) else created
    text = (stamp or datetime(1970, 1, 1, tzinfo=UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    if draw.chance(habits["schema1"]):
        repository.tags[tag] = repository.add_schema1(tag, steps)
    elif many_platforms:
        images = {p: repository.add_image(steps, text, p) for p in PLATFORMS}
        repository.tags[tag] = repository.add_index(images)
    else:
        repository.tags[tag] = repository.add_image(steps, text, PLATFORMS[0])


def _draw_steps(draw: Draw, ecosystem: Ecosystem, base_steps: list[Step]) -> list[Step]:
    habits = ecosystem["registry"]
    count = int(draw.skewed(habits["layers_median"], 0.8, habits["layers_max"]))
    steps = list(base_steps)
    for _ in range(count):
        if draw.chance(habits["empty_layer"]):
            steps.append(Step("/bin/sh -c #(nop) WORKDIR /opt/app", EMPTY_LAYER))
        steps.append(_draw_step(draw, ecosystem))
        steps.append(Step("/bin/sh -c #(nop)  ENV PATH=/opt/app/bin"))
    return steps


def _draw_step(draw: Draw, ecosystem: Ecosystem) -> Step:
    habits, packages = ecosystem["habits"], ecosystem["packages"]
    kind = draw.one(["apt", "pip", "copy", "make"], [4, 2, 3, 1])
    if kind == "apt":
        names = " ".join(draw.some(packages["apt"], 6))
        clean = " && rm -rf /var/lib/apt/lists/*" if draw.chance(habits["clean_up"]) else ""
        command = f"/bin/sh -c apt-get update && apt-get install -y {names}{clean}"
        return Step(command, (draw.digest(), int(draw.skewed(2e7, 1.2))))
    if kind == "pip":
        command = f"/bin/sh -c pip install {' '.join(draw.some(packages['pip'], 5))}"
        return Step(command, (draw.digest(), int(draw.skewed(1e7, 1.4))))
    if kind == "make":
        return Step("/bin/sh -c make install", (draw.digest(), int(draw.skewed(8e6, 1.5))))
    return Step(
        "/bin/sh -c #(nop) COPY dir:app in /opt/app", (draw.digest(), int(draw.skewed(2e4, 2)))
    )


def _rebuild(draw: Draw, steps: list[Step], keep: int) -> list[Step]:
    """Give every layer after the first `keep` steps a new digest; empty layers stay as they are."""
    return steps[:keep] + [
        Step(step.command, (draw.digest(), step.layer[1]))
        if step.layer and step.layer != EMPTY_LAYER
        else step
        for step in steps[keep:]
    ]


def _make_config(
    steps: list[Step], created: str | None, platform: tuple[str, str]
) -> dict[str, Any]:
    history = [
        {"created": created, "created_by": step.command}
        | ({} if step.layer else {"empty_layer": True})
        for step in steps
    ]
    return {
        "os": platform[0],
        "architecture": platform[1],
        "created": created,
        "config": {},
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": [s.layer[0] for s in steps if s.layer]},
    }


def _make_manifest(steps: list[Step], config: str, config_size: int) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_CONFIG, "size": config_size, "digest": config},
        "layers": [
            {"mediaType": DOCKER_LAYER, "digest": step.layer[0], "size": step.layer[1]}
            for step in steps
            if step.layer
        ],
    }


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
