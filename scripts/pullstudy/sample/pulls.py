"""Event logs of made-up clusters, as kubernetes-event-exporter writes them for real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pullstudy.sample.coverage import MADE_UP
from pullstudy.sample.draw import Draw
from pullstudy.schemas import read_yaml
from pullstudy.tables import write_table

STUDY = "sample-pulls"
_SECOND_US = 1_000_000
_START_US = 1_731_219_265 * _SECOND_US
_GIGABYTE = 1e9
# What the tag of a crafted image leaves out: the base image.
_BASE_ALLOWANCE_BYTES = 5_000_000
_DIGEST_LETTERS = 5

Plan = Mapping[str, Any]


@dataclass(frozen=True)
class SampleImage:
    """An image to pull; `content_bytes` is what has to be unpacked."""

    reference: str
    layers: int
    content_bytes: int
    compressed_bytes: int
    job_seconds: float


def write_events(plan: Path, seed: int, folder: Path, coverage: Path) -> None:
    """Write manifests, node lists and event logs of all runs below `folder`, and `coverage`.

    The layout is the archive's: `<study>/metadata/<run>/<nodes>/`. One seed gives the same bytes.
    """
    pulls: Plan = read_yaml(plan)
    top = folder / STUDY
    clusters = [(run, nodes) for run in pulls["runs"] for nodes in run["clusters"]]
    for registry in pulls["registries"]:
        _write_manifests(pulls, registry, seed, top)
    for run, nodes in clusters:
        place = top / "metadata" / run["run"] / str(nodes)
        place.mkdir(parents=True, exist_ok=True)
        draw = Draw(seed, f"pulls/{run['run']}/{nodes}")
        cluster = _Cluster(pulls, run, nodes, draw)
        (place / f"nodes-{nodes}.json").write_text(json.dumps(cluster.list_nodes()))
        lines = _add_noise(pulls, draw, cluster.tell_events())
        (place / f"events-size-{nodes}.json").write_text("".join(f"{line}\n" for line in lines))
    row = {"part": ["pulls"], "expected": [len(clusters)], "present": [0], "detail": [MADE_UP]}
    write_table("coverage", coverage, row)


def _write_manifests(pulls: Plan, registry: str, seed: int, top: Path) -> None:
    """Write what a registry holds of the crafted images that any run pulls from it."""
    repository = pulls["registries"][registry]
    place = top / "analysis" / "containers" / repository
    place.mkdir(parents=True, exist_ok=True)
    base = Draw(seed, "pulls/base").digest()
    manifests = {}
    runs = [run for run in pulls["runs"] if run["registry"] == registry]
    images = {image.reference: image for run in runs for image in _crafted_images(pulls, run)}
    for image in images.values():
        draw = Draw(seed, f"pulls/{image.reference}")
        size = (image.compressed_bytes - pulls["crafted"]["base_bytes"]) // image.layers
        layers = [{"digest": draw.digest(), "size": size} for _ in range(image.layers)]
        layers.insert(0, {"digest": base, "size": pulls["crafted"]["base_bytes"]})
        tag = image.reference.rpartition(":")[2]
        manifests[tag] = {"config": {"digest": draw.digest(), "size": 2000}, "layers": layers}
    document = {"tags": list(manifests), "manifests": manifests}
    (place / "manifests-config-layers.json").write_text(json.dumps(document))


def _crafted_images(pulls: Plan, run: Plan) -> list[SampleImage]:
    crafted, repository = pulls["crafted"], pulls["registries"][run["registry"]]
    return [
        SampleImage(
            f"{repository}:{layers}-layers-size-{nominal - _BASE_ALLOWANCE_BYTES}-bytes",
            layers,
            nominal,
            crafted["base_bytes"] + int(nominal / crafted["shrinkage"]),
            pulls["seconds"]["job"],
        )
        for layers in run.get("layers", crafted["layers"])
        for nominal in crafted["nominal_bytes"]
    ]


def _images(pulls: Plan, run: Plan) -> list[SampleImage]:
    applications = pulls["applications"] if run.get("applications") else []
    return _crafted_images(pulls, run) + [
        SampleImage(a["image"], 30, 3 * a["compressed_bytes"], a["compressed_bytes"], a["seconds"])
        for a in applications
    ]


class _Cluster:
    """One cluster: its nodes, and what its components tell while jobs come and go."""

    def __init__(self, pulls: Plan, run: Plan, nodes: int, draw: Draw) -> None:
        self._pulls, self._run, self._draw = pulls, run, draw
        self._speeds = {
            f"gke-{run['run']}-{nodes}-{number:04d}": draw.skewed(1.0, pulls["host_spread"])
            for number in range(nodes)
        }
        self._at_us = _START_US + nodes * 3600 * _SECOND_US

    def list_nodes(self) -> dict[str, Any]:
        """Return what `kubectl get nodes -o json` prints."""
        run = self._run
        labels = {
            "node.kubernetes.io/instance-type": run["machine"],
            "topology.kubernetes.io/zone": "us-central1-a",
            "topology.kubernetes.io/region": "us-central1",
            "cloud.google.com/gke-nodepool": "default-pool",
            "cloud.google.com/gke-boot-disk": "pd-balanced",
        }
        if run["strategy"] == "streaming":
            labels["cloud.google.com/gke-image-streaming"] = "true"
        if run["strategy"] == "local_ssd":
            labels["cloud.google.com/gke-ephemeral-storage-local-ssd"] = "true"
        items = [
            {
                "kind": "Node",
                "metadata": {"name": name, "labels": labels},
                "spec": {"providerID": f"gce://sample/us-central1-a/{name}"},
                "status": {
                    "capacity": {"cpu": run["machine"].rpartition("-")[2], "memory": "61727200Ki"},
                    "nodeInfo": {"kubeletVersion": "v1.30.5", "osImage": "a made-up system"},
                },
            }
            for name in self._speeds
        ]
        return {"apiVersion": "v1", "kind": "List", "items": items}

    def tell_events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of one job after another, each job with an image of its own."""
        for number, image in enumerate(_images(self._pulls, self._run)):
            yield from self._tell_job(f"job-{number:02d}", image)

    def _tell_job(self, job: str, image: SampleImage) -> Iterator[dict[str, Any]]:
        uid, begin_us = self._draw.digest()[7:43], self._at_us
        ends_us = []
        for number, (node, speed) in enumerate(self._speeds.items()):
            asked_us = begin_us + int(self._draw.skewed(0.3, 0.5) * _SECOND_US)
            seconds = self._draw_seconds(image, speed)
            pods = 2 if self._draw.chance(self._pulls["co_located"]) else 1
            for place in range(pods):
                random = self._draw.digest()[7 : 7 + _DIGEST_LETTERS]
                pod = f"{job}-{number * 2 + place}-{random}"
                yield _event(
                    "SuccessfulCreate", f"Created pod: {pod}", begin_us, kind="Job", name=job,
                    uid=uid,
                )  # fmt: skip
                end_us = asked_us + int(seconds * _SECOND_US)
                yield from self._tell_pod(pod, node, image, asked_us + place * 20_000, end_us)
                ends_us.append(end_us)
        later = self._seconds_after(image)
        self._at_us = max(ends_us) + int((image.job_seconds + later) * _SECOND_US)
        yield _event("Completed", "Job completed", self._at_us, kind="Job", name=job, uid=uid)

    def _tell_pod(
        self, pod: str, node: str, image: SampleImage, asked_us: int, end_us: int
    ) -> Iterator[dict[str, Any]]:
        waited = (end_us - asked_us) / _SECOND_US
        size = f"Image size: {image.compressed_bytes} bytes."
        said = f'Successfully pulled image "{image.reference}" in {waited:.3f}s'
        told = (
            ("Scheduled", f"Successfully assigned default/{pod} to {node}", asked_us - 50_000),
            ("Pulling", f'Pulling image "{image.reference}"', asked_us),
            ("Pulled", f"{said} ({waited:.3f}s including waiting). {size}", end_us),
            ("Started", "Started container main", end_us + 300_000),
        )
        for reason, message, at_us in told:
            host = "" if reason == "Scheduled" else node
            yield _event(reason, message, at_us, name=pod, uid=f"uid-{pod}", host=host)

    def _draw_seconds(self, image: SampleImage, speed: float) -> float:
        times, strategy = self._pulls["seconds"], self._run["strategy"]
        noise = self._draw.skewed(1.0, self._pulls["pull_spread"])
        if strategy == "streaming":
            return float(times["streamed"] * noise)
        seconds = self._whole_seconds(image)
        beyond = max(0.0, image.content_bytes / _GIGABYTE - times["knee_gigabytes"])
        return float((seconds + beyond * times["per_gigabyte_beyond"][strategy]) * speed * noise)

    def _whole_seconds(self, image: SampleImage) -> float:
        times = self._pulls["seconds"]
        unpack = times["per_gigabyte"] * image.content_bytes / _GIGABYTE
        return float(times["base"] + times["per_layer"] * image.layers + unpack)

    def _seconds_after(self, image: SampleImage) -> float:
        """Return what a job spends on reading an image that was not pulled before."""
        if self._run["strategy"] != "streaming":
            return 0.0
        return float(self._pulls["seconds"]["streamed_later"] * self._whole_seconds(image))


def _event(
    reason: str, message: str, at_us: int, *, name: str, uid: str, kind: str = "Pod", host: str = ""
) -> dict[str, Any]:
    """Return an event as the API server stores it: its name tells the time to the nanosecond."""
    about = {"kind": kind, "name": name, "uid": uid}
    if host:
        about["fieldPath"] = "spec.containers{main}"
    second = datetime.fromtimestamp(at_us // _SECOND_US, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metadata": {"name": f"{name}.{at_us * 1000:x}", "uid": f"{name}/{reason}/{message}"},
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet", "host": host} if host else {"component": "controller"},
        "firstTimestamp": second,
        "lastTimestamp": second,
        "count": 1,
        "involvedObject": about,
    }


def _add_noise(pulls: Plan, draw: Draw, events: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Yield lines as a log holds them: the exporter's own among them, and some events twice."""
    yield json.dumps({"level": "info", "message": "Reading config file /data/config.yaml"})
    for event in events:
        line = json.dumps(event, separators=(",", ":"))
        yield line
        if draw.chance(pulls["noise"]):
            yield draw.one([line, "I1110 06:10:30 throttled by the client", line[: len(line) // 2]])
