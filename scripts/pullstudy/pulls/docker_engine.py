"""Backend `docker`: real pulls by Docker Engine, through its own API (docker-py).

The nodes are the engines of `endpoints` (`unix:///run/docker.sock`, `tcp://host:2375`), or the one
that the environment names. The engine tells of each layer what it is doing, without times: they are
stamped here as they come. It downloads three layers at once and extracts one after the other, so
that decompression and writing are one phase: `unpack_seconds`.

Images of the study are removed from the engine before and after each pull. One that the engine has
when a study begins is somebody's: it is refused, unless a killed run of the study has left it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import msgspec
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from pullstudy.errors import PullError
from pullstudy.naming import parse_reference
from pullstudy.pulls.backend import (
    FAILED,
    NOT_STARTED,
    PULLED,
    ClusterPlan,
    Trial,
    TrialResult,
    job_of,
    now_us,
)
from pullstudy.pulls.endpoints import check_endpoints, name_for_engine
from pullstudy.pulls.record import Node, Pull, PullLayer
from pullstudy.pulls.study import PLAIN, PullStudy, PullStudyError

_ENVIRONMENT = ""
_PRESENT = "Already exists"


class Docker:
    """The backend."""

    name = "docker"
    strategies = (PLAIN,)

    def check(self, study: PullStudy) -> None:
        """Raise PullStudyError for keys that an engine decides by itself."""
        for run in study.runs:
            check_endpoints(run, 1)
            if run.options:
                raise PullStudyError(f"key 'options.{min(run.options)}': backend docker has none")
            if run.registry.latency_seconds or run.limits.bandwidth_mbit_per_second:
                raise PullStudyError("key 'limits': an engine that is running cannot be limited")

    @contextlib.contextmanager
    def open(self, plan: ClusterPlan) -> Iterator[_Cluster]:
        """Connect to the engines of a cluster."""
        hosts = (plan.settings.endpoints or (_ENVIRONMENT,))[: plan.size]
        with contextlib.ExitStack() as stack:
            engines = []
            for number, host in enumerate(hosts, 1):
                engine = _Engine(f"engine-{number}", host, plan.settings.limits.timeout_seconds)
                stack.callback(engine.close)
                engine.clear(plan)
                engines.append(engine)
            yield _Cluster(plan, engines)


class _Cluster:
    """Engines that pull together."""

    def __init__(self, plan: ClusterPlan, engines: list[_Engine]) -> None:
        self._plan = plan
        self._engines = engines

    def describe(self) -> list[Node]:
        """Return a row for each engine, by what it says of itself."""
        return [engine.describe(self._plan) for engine in self._engines]

    def pull(self, trial: Trial) -> TrialResult:
        """Let all engines pull the image, and wait for the last."""
        image = name_for_engine(trial)
        for engine in self._engines:
            engine.remove(image)
        begun_us = now_us()
        with ThreadPoolExecutor(len(self._engines)) as threads:
            found = list(threads.map(lambda e: e.pull(trial, image, begun_us), self._engines))
        ended_us = now_us()
        for engine in self._engines:
            engine.remove(image)
        pulls = [pull for pull, _, _ in found]
        layers = [layer for _, rows, _ in found for layer in rows]
        present = sum(count for _, _, count in found)
        result = TrialResult(pulls, job_of(trial, pulls, begun_us, ended_us), layers)
        if present:
            result.dropped = [("layer", "present_before", trial.image.reference, present)]
        return result


class LayerClock(msgspec.Struct):
    """When one layer did what, in microseconds; None: the engine did not say so."""

    layer: int
    compressed_bytes: int | None = None
    queued_us: int | None = None
    download_us: int | None = None
    downloaded_us: int | None = None
    extract_us: int | None = None
    done_us: int | None = None
    was_present: bool = False


class ProgressReader:
    """Reads the events of a pull, as `client.api.pull(stream=True, decode=True)` gives them."""

    def __init__(self) -> None:
        self.layers: dict[str, LayerClock] = {}
        self.error: str | None = None

    def read(self, event: Mapping[str, Any], at_us: int) -> None:
        """Take an event that came at a time."""
        if "error" in event:
            self.error = " ".join(str(event["error"]).split())
        status, name = event.get("status", ""), event.get("id", "")
        if status in ("Pulling fs layer", _PRESENT):
            clock = self.layers.setdefault(name, LayerClock(len(self.layers) + 1))
            clock.queued_us, clock.was_present = at_us, status == _PRESENT
        elif name in self.layers:
            self._stamp(self.layers[name], status, event.get("progressDetail") or {}, at_us)

    def _stamp(self, clock: LayerClock, status: str, detail: Mapping[str, Any], at_us: int) -> None:
        if status == "Downloading":
            clock.download_us = clock.download_us or at_us
            clock.compressed_bytes = detail.get("total") or clock.compressed_bytes
        elif status in ("Verifying Checksum", "Download complete"):
            clock.downloaded_us = clock.downloaded_us or at_us
        elif status == "Extracting":
            clock.extract_us = clock.extract_us or at_us
            clock.downloaded_us = clock.downloaded_us or at_us
        elif status == "Pull complete":
            clock.done_us = at_us

    @property
    def pulled(self) -> list[LayerClock]:
        """The layers that were really pulled, from the bottom."""
        return [clock for clock in self.layers.values() if not clock.was_present]

    @property
    def download_seconds(self) -> float | None:
        """From the first byte to the last."""
        starts = [c.download_us or c.queued_us for c in self.pulled]
        ends = [c.downloaded_us for c in self.pulled]
        if not starts or None in starts or None in ends:
            return None
        return (max(filter(None, ends)) - min(filter(None, starts))) / 1e6

    def unpack_seconds(self) -> dict[int, float]:
        """Return by layer how long it was extracted: from when its turn came until it was done."""
        found: dict[int, float] = {}
        free_us = 0
        for clock in self.pulled:
            if clock.done_us is None or clock.downloaded_us is None:
                continue
            begun = max(free_us, clock.extract_us or clock.downloaded_us)
            found[clock.layer] = max(0, clock.done_us - begun) / 1e6
            free_us = clock.done_us
        return found


class _Engine:
    """One Docker Engine."""

    def __init__(self, name: str, host: str, timeout_seconds: float) -> None:
        self.name = name
        self._host = host or "the Docker Engine"
        try:
            if host:
                self._client = docker.DockerClient(base_url=host, timeout=timeout_seconds)
            else:
                self._client = docker.from_env(timeout=timeout_seconds)
            self._info = self._client.info()
        except (DockerException, requests.RequestException) as exc:
            raise self._lost() from exc

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def describe(self, plan: ClusterPlan) -> Node:
        """Return a row of `nodes`."""
        info = self._info
        return Node(
            **plan.common(),
            node=self.name,
            cpus=info["NCPU"],
            memory_bytes=info["MemTotal"],
            kernel=info["KernelVersion"],
            os_image=info["OperatingSystem"],
            container_runtime=f"docker {info['ServerVersion']}",
        )

    def clear(self, plan: ClusterPlan) -> None:
        """Remove what a killed run has left. Raises PullError for an image that is not the study's.

        Such an image would have to be removed to be pulled, and it is somebody's.
        """
        for name in self._list_images() & plan.left:
            self.remove(name)
        wanted = {name_for_engine(Trial(plan, image, 1)) for image in plan.settings.images}
        for name in sorted(wanted & self._list_images()):
            raise PullError(
                f"{self._host}: {name} is there already, and pulling it would take it away; "
                "remove it yourself or name another engine in 'endpoints', and run again"
            )

    def _list_images(self) -> set[str]:
        try:
            images = self._client.images.list()
        except (DockerException, requests.RequestException) as exc:
            raise self._lost() from exc
        names = (image.tags + image.attrs.get("RepoDigests", []) for image in images)
        return {str(parse_reference(name)) for found in names for name in found}

    def remove(self, image: str) -> None:
        """Remove an image, with the layers that no other image has."""
        try:
            self._client.images.remove(image, force=True)
        except ImageNotFound:
            return
        except APIError as exc:
            raise PullError(f"{self._host}: cannot remove {image}: {exc.explanation}") from exc
        except requests.RequestException as exc:
            raise self._lost() from exc

    def pull(self, trial: Trial, image: str, begun_us: int) -> tuple[Pull, list[PullLayer], int]:
        """Pull an image; returns its row, those of its layers, and how many were there before."""
        reader, requested_us = ProgressReader(), now_us()
        deadline = time.monotonic() + trial.cluster.settings.limits.timeout_seconds
        repository, tag = _split(image)
        try:
            platform = trial.cluster.settings.platform
            for event in self._client.api.pull(
                repository, tag, stream=True, decode=True, platform=platform
            ):
                reader.read(event, now_us())
                if time.monotonic() > deadline:
                    reader.error = "no end within the time limit"
                    break
        except APIError as exc:
            reader.error = " ".join(str(exc.explanation).split())
        except requests.RequestException as exc:
            raise self._lost() from exc
        times = {
            "scheduled_at_utc": begun_us,
            "requested_at_utc": requested_us,
            "started_at_utc": requested_us,
            "pulled_at_utc": now_us(),
        }
        present = len(reader.layers) - len(reader.pulled)
        if reader.error is not None:
            return trial.pull_row(self.name, FAILED, error=reader.error, **times), [], present
        error = self._start(image) if trial.cluster.settings.start else None
        if trial.cluster.settings.start and error is None:
            times["ready_at_utc"] = now_us()
        row = self._pull_row(trial, reader, times, error)
        return row, _layer_rows(trial, self.name, reader), present

    def _pull_row(
        self, trial: Trial, reader: ProgressReader, times: dict[str, int], error: str | None
    ) -> Pull:
        seconds = (times["pulled_at_utc"] - times["requested_at_utc"]) / 1e6
        return trial.pull_row(
            self.name,
            PULLED if error is None else NOT_STARTED,
            **times,
            error=error,
            seconds=seconds,
            seconds_including_waiting=seconds,
            download_seconds=reader.download_seconds,
            unpack_seconds=sum(reader.unpack_seconds().values()),
            reported_seconds=(seconds,),
            reported_seconds_including_waiting=(seconds,),
        )

    def _start(self, image: str) -> str | None:
        """Run a container until it ends; returns what went wrong."""
        try:
            self._client.containers.run(image, remove=True, network_mode="none")
        except DockerException as exc:
            return " ".join(f"its container failed: {exc}".split())
        return None

    def _lost(self) -> PullError:
        return PullError(f"{self._host}: cannot be reached; start it and run again")


def _layer_rows(trial: Trial, node: str, reader: ProgressReader) -> list[PullLayer]:
    unpacked = reader.unpack_seconds()
    return [
        trial.layer_row(
            node,
            layer=clock.layer,
            digest=f"sha256:{name}",
            compressed_bytes=clock.compressed_bytes,
            started_at_utc=clock.download_us or clock.queued_us,
            download_seconds=_between(clock.download_us or clock.queued_us, clock.downloaded_us),
            unpack_seconds=unpacked.get(clock.layer),
        )
        for name, clock in reader.layers.items()
        if not clock.was_present
    ]


def _split(image: str) -> tuple[str, str]:
    """Split off what the API takes apart: a tag or a digest."""
    name, at, digest = image.partition("@")
    return (name, digest) if at else (image.rpartition(":")[0], image.rpartition(":")[2])


def _between(start_us: int | None, end_us: int | None) -> float | None:
    return None if start_us is None or end_us is None else (end_us - start_us) / 1e6
