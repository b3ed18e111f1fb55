"""Backend `model`: pulls of clusters that nobody has run, from those that were measured.

It writes the tables of every backend, and beside them `extrapolations` (one row per image and
cluster, with the error the model makes where it was not calibrated), `model_parameters` and
`model_errors`. Every draw is seeded by what is simulated.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pullstudy.errors import EmptyCorpus
from pullstudy.pulls.calibration import (
    Estimate,
    Fit,
    Measurements,
    choose_parameters,
    fit_parameters,
    read_measurements,
)
from pullstudy.pulls.holdout import hold_out
from pullstudy.pulls.hosts import HostPool, Ramp, draw_hosts, fit_hosts, fit_ramp
from pullstudy.pulls.model import Hosts, Image, Network, Pulled, simulate, split_evenly
from pullstudy.pulls.record import Job, Node, Pull, PullWriter, registry_of
from pullstudy.query import connect
from pullstudy.tables import TABLES, write_table

_KIND = "crafted"
_OTHER_KIND = "application"
# Simulated experiments begin here; only differences of times mean anything.
_EPOCH_US = 0
_SECOND_US = 1_000_000
# `gce/n1-standard-16`: the provider stands before the machine type.
_PROVIDER = "coalesce(split_part(platform, '/', 1), '')"


class Plan(NamedTuple):
    """What to simulate: clusters of these sizes, for each of these runs (none: all calibrated)."""

    cluster_sizes: Sequence[int]
    runs: Sequence[str] = ()
    network: Network = Network()
    seed: int = 1


class ModelImage(NamedTuple):
    """An image to pull; layers are taken to be of one size."""

    name: str
    layers: int
    nominal_bytes: int
    compressed_bytes: int


class Simulated(NamedTuple):
    """One image on one cluster."""

    run: str
    cluster_size: int
    image: ModelImage
    pulled: Pulled


class _Model(NamedTuple):
    study: str
    platforms: dict[str, str | None]
    measured: Measurements
    fit: Fit
    hosts: dict[str, HostPool]
    ramp: Ramp
    errors: list[dict[str, Any]]


def extrapolate(pulls: Path, images: Sequence[Path], out: Path, plan: Plan) -> int:
    """Calibrate on `measured_pulls`, simulate the plan for all crafted `pull_images`, write `out`.

    Each provider of machines is a model of its own: a cloud and this machine have nothing in
    common. One with too few pulls to calibrate on is left out. Returns the number of simulated
    pulls. Raises EmptyCorpus when there is nothing to calibrate on or no image.
    """
    rows: list[dict[str, Any]] = []
    parameters: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    count = 0
    with PullWriter(out) as writer, tempfile.TemporaryDirectory() as folder:
        for model, chosen in _calibrate_each(pulls, images, Path(folder)):
            for simulated in _simulate_all(model, chosen, plan):
                rows.append(_extrapolation_row(model, simulated))
                pulled = list(_pull_rows(model, simulated, plan))
                writer.write_pulls(pulled)
                writer.write_jobs([_job_row(model, simulated)])
                count += len(pulled)
            for run in _choose_runs(model, plan):
                for size in plan.cluster_sizes:
                    writer.write_nodes(list(_node_rows(model, run, size, len(chosen))))
            parameters += _parameter_rows(model)
            errors += model.errors
    _write(out, "extrapolations", rows)
    _write(out, "model_parameters", parameters)
    _write(out, "model_errors", errors)
    return count


def read_images(images: Sequence[Path], studies: Sequence[str]) -> list[ModelImage]:
    """Read the crafted `pull_images` (Parquet) of studies: one for each size and layer count.

    Raises EmptyCorpus when there is none.
    """
    with connect({"images": images}) as connection:
        found = connection.execute(
            "SELECT min(image), layers, nominal_bytes, arg_min(compressed_bytes, image)"
            " FROM images"
            " WHERE nominal_bytes IS NOT NULL AND layers > 0 AND list_contains(?, study)"
            " GROUP BY layers, nominal_bytes ORDER BY layers, nominal_bytes",
            [list(studies)],
        ).fetchall()
    if not found:
        raise EmptyCorpus(f"{images[0]}: holds no crafted image of {studies[0]} to simulate")
    return [ModelImage(*row) for row in found]


def _calibrate_each(
    pulls: Path, images: Sequence[Path], folder: Path
) -> Iterator[tuple[_Model, list[ModelImage]]]:
    """Yield a model of each provider and its images. Raises EmptyCorpus when there is none."""
    reason: EmptyCorpus | None = EmptyCorpus(f"{pulls}: holds no pull to calibrate on")
    for number, (provider, studies) in enumerate(_list_providers(pulls)):
        part = folder / f"{number}.parquet"
        with connect({"pulls": [pulls]}) as connection:
            connection.execute(
                f"COPY (SELECT * FROM pulls WHERE {_PROVIDER} = ?) TO ? (FORMAT parquet)",
                [provider, str(part)],
            )
        try:
            model, chosen = _calibrate(part), read_images(images, studies)
        except EmptyCorpus as exc:
            reason = reason and exc
            continue
        reason = None
        yield model, chosen
    if reason is not None:
        raise reason


def _list_providers(pulls: Path) -> list[tuple[str, list[str]]]:
    """Return the providers of machines, each with its studies."""
    with connect({"pulls": [pulls]}) as connection:
        return connection.execute(
            f"SELECT {_PROVIDER} AS provider, list_sort(list(DISTINCT study)) FROM pulls"
            " GROUP BY provider ORDER BY provider"
        ).fetchall()


def _choose_runs(model: _Model, plan: Plan) -> list[str]:
    """The runs of a study to simulate: those of the plan, or all."""
    runs = sorted(model.fit.unpack)
    return [run for run in plan.runs if run in runs] if plan.runs else runs


def _calibrate(pulls: Path) -> _Model:
    measured = read_measurements(pulls, _KIND)
    fit = fit_parameters(measured)
    with connect({"pulls": [pulls]}) as connection:
        described = connection.execute(
            "SELECT run, any_value(study), any_value(platform) FROM pulls GROUP BY run ORDER BY run"
        ).fetchall()
    study = described[0][1]
    errors = [{"study": study, "kind": _KIND} | row for row in hold_out(measured)]
    errors += [{"study": study, "kind": _OTHER_KIND} | row for row in _hold_out_others(pulls)]
    platforms = {run: platform for run, _, platform in described}
    hosts = dict(fit_hosts(measured, fit))
    return _Model(study, platforms, measured, fit, hosts, fit_ramp(measured), errors)


def _hold_out_others(pulls: Path) -> Iterator[dict[str, Any]]:
    """Yield what the model misses by on applications, where there are any."""
    try:
        measured = read_measurements(pulls, _OTHER_KIND)
    except EmptyCorpus:
        return
    yield from hold_out(measured)


def _simulate_all(model: _Model, images: Sequence[ModelImage], plan: Plan) -> Iterator[Simulated]:
    for run in _choose_runs(model, plan):
        strategy = model.fit.strategies[run]
        parameters = choose_parameters(model.fit, run, strategy)
        for size in plan.cluster_sizes:
            hosts = draw_hosts(model.hosts[strategy], size, _random(plan, run, size))
            for image in images:
                random = _random(plan, run, size, image.name)
                noise = np.exp(random.normal(0.0, model.hosts[strategy].noise, size))
                started = random.uniform(0.0, max(_ramp_seconds(model.ramp, size), 1e-9), size)
                pulled = simulate(
                    _as_layers(image),
                    parameters,
                    plan.network,
                    Hosts(hosts.unpack * noise, hosts.flush * noise),
                    started - started.min(),
                )
                yield Simulated(run, size, image, pulled)


def _random(plan: Plan, *what: object) -> np.random.Generator:
    return np.random.default_rng([plan.seed, zlib.crc32(repr(what).encode())])


def _ramp_seconds(ramp: Ramp, nodes: int) -> float:
    return (ramp.base.value or 0.0) + (ramp.per_node.value or 0.0) * nodes


def _as_layers(image: ModelImage) -> Image:
    return split_evenly(image.name, image.layers, image.compressed_bytes, image.nominal_bytes)


def _extrapolation_row(model: _Model, simulated: Simulated) -> dict[str, Any]:
    started, ended = simulated.pulled.started, simulated.pulled.ended
    seconds = ended - started
    image = simulated.image
    own = model.measured.run == simulated.run
    error = next(
        (
            error
            for error in model.errors
            if (error["kind"], error["run"], error["held_out"]) == (_KIND, simulated.run, "run")
        ),
        None,
    )
    return _heading(model, simulated.run, simulated.cluster_size) | {
        "image": image.name,
        "layers": image.layers,
        "nominal_bytes": image.nominal_bytes,
        "compressed_bytes": image.compressed_bytes,
        "fastest_seconds": float(seconds.min()),
        "median_seconds": float(np.median(seconds)),
        "p95_seconds": float(np.quantile(seconds, 0.95)),
        "slowest_seconds": float(seconds.max()),
        "start_spread_seconds": float(np.ptp(started)),
        "finish_seconds": float(ended.max() - started.min()),
        "wait_seconds": float((ended.max() - ended).mean()),
        "held_out_error": error and error["median_error"],
        "held_out_p90_error": error and error["p90_error"],
        "times_measured_nodes": simulated.cluster_size / model.measured.cluster_size[own].max(),
        "times_measured_bytes": image.nominal_bytes / 1e9 / model.measured.content[own].max(),
    }


def _heading(model: _Model, run: str, cluster_size: int) -> dict[str, Any]:
    return {
        "study": model.study,
        "run": run,
        "strategy": model.fit.strategies[run],
        "platform": model.platforms[run],
        "cluster_size": cluster_size,
    }


def _pull_rows(model: _Model, simulated: Simulated, plan: Plan) -> Iterator[Pull]:
    heading = _heading(model, simulated.run, simulated.cluster_size)
    image = simulated.image
    times = [(values * _SECOND_US).round().astype(np.int64).tolist() for values in simulated.pulled]
    seconds = (simulated.pulled.ended - simulated.pulled.started).tolist()
    for number, (started, _, ended) in enumerate(zip(*times, strict=True)):
        yield Pull(
            **heading,
            node=_node_name(number),
            image=image.name,
            registry=registry_of(image.name),
            layers=image.layers,
            nominal_bytes=image.nominal_bytes,
            compressed_bytes=image.compressed_bytes,
            requested_at_utc=_EPOCH_US + started,
            started_at_utc=_EPOCH_US + started,
            pulled_at_utc=_EPOCH_US + ended,
            seconds=seconds[number],
            seconds_including_waiting=seconds[number],
            outcome="pulled",
            job=_job_name(simulated),
            reported_seconds=[seconds[number]],
            reported_seconds_including_waiting=[seconds[number]],
        )


def _job_row(model: _Model, simulated: Simulated) -> Job:
    pulled = simulated.pulled
    seconds = float(pulled.ended.max() - pulled.started.min())
    return Job(
        **_heading(model, simulated.run, simulated.cluster_size),
        job=_job_name(simulated),
        name="model",
        image=simulated.image.name,
        nodes=simulated.cluster_size,
        created_at_utc=_EPOCH_US,
        completed_at_utc=_EPOCH_US + round(seconds * _SECOND_US),
        seconds=seconds,
        outcome="completed",
    )


def _node_rows(model: _Model, run: str, size: int, images: int) -> Iterator[Node]:
    for number in range(size):
        yield Node(**_heading(model, run, size), node=_node_name(number), pulls=images)


def _node_name(number: int) -> str:
    return f"model-{number:05d}"


def _job_name(simulated: Simulated) -> str:
    return f"model/{simulated.run}/{simulated.cluster_size}/{simulated.image.name}"


def _parameter_rows(model: _Model) -> Iterator[dict[str, Any]]:
    shared = model.fit.shared
    not_told = "the data hold no phases: the whole pull is all that is measured"
    told: list[tuple[str | None, str, Estimate]] = [
        (None, "base_seconds", shared["base"]),
        (None, "layer_seconds", shared["layer"]),
        (None, "download_seconds_per_gigabyte", shared["download"]),
        (None, "knee_gigabytes", shared["knee"]),
        (None, "ramp_base_seconds", model.ramp.base),
        (None, "ramp_seconds_per_node", model.ramp.per_node),
        *((run, "unpack_seconds_per_gigabyte", e) for run, e in model.fit.unpack.items()),
        *((run, "flush_seconds_per_gigabyte", e) for run, e in model.fit.flush.items()),
    ]
    told += [
        (None, name, Estimate(None, None, reason))
        for name, reason in (
            ("node_bytes_per_second", shared["download"].reason),
            ("egress_bytes_per_second", shared["download"].reason),
            ("request_seconds", "comes with each layer, as layer_seconds does"),
            ("decompress_seconds_per_gigabyte", not_told),
        )
        if name.startswith(("request", "decompress")) or shared["download"].value is None
    ]
    for run, parameter, estimate in told:
        yield {
            "study": model.study,
            "kind": _KIND,
            "run": run,
            "parameter": parameter,
            "value": estimate.value,
            "standard_error": estimate.standard_error,
            "is_identified": estimate.value is not None,
            "reason": estimate.reason,
        }


def _write(out: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    columns = [column.name for column in TABLES[name].columns]
    write_table(name, out / f"{name}.parquet", {c: [row[c] for row in rows] for c in columns})
