"""Replay of made-up clusters whose truth is known, written in every way that clusters write."""

import hashlib
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pullstudy.pulls.replay import EventsError, replay, walk_files
from pullstudy.tables import TABLES

SECOND = 1_000_000
START = 1_731_219_265 * SECOND
Row = dict[str, Any]


def clock(at_us: int) -> str:
    """The kubelet's time stamp: whole seconds."""
    return datetime.fromtimestamp(at_us // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def event(reason: str, message: str, at_us: int, **more: Any) -> Row:
    kind = more.get("kind", "Pod")
    name, container = more.get("name", "pod-0-abcde"), more.get("container", "main")
    first = more.get("first_us", at_us)
    uid = hashlib.sha256(repr((reason, message, name, container, first)).encode()).hexdigest()
    about = {"kind": kind, "name": name, "uid": more.get("uid", f"uid-{name}")}
    if kind == "Pod" and reason not in ("Scheduled", "Evicted"):
        about["fieldPath"] = f"spec.containers{{{container}}}"
    return {
        "metadata": {"name": f"{name}.{first * 1000:x}", "uid": uid},
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet", **({"host": more["node"]} if "node" in more else {})},
        "firstTimestamp": clock(first),
        "lastTimestamp": clock(at_us),
        "count": more.get("count", 1),
        "involvedObject": about,
    }


def pulled(
    image: str, seconds: float, at_us: int, waiting: float | None = None, **more: Any
) -> Row:
    waited = seconds if waiting is None else waiting
    text = f'Successfully pulled image "{image}" in {seconds}s ({waited}s including waiting)'
    size = more.pop("size", 12345)
    tail = "" if size is None else f". Image size: {size} bytes."
    return event("Pulled", text + tail, at_us, **more)


def lines(events: Iterable[Row]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in events)


def run(files: Iterable[tuple[str, bytes]], out: Path) -> dict[str, list[Row]]:
    replay(files, out)
    return {name: pq.read_table(out / f"{name}.parquet").to_pylist() for name in TABLES_WRITTEN}


def run_events(events: Iterable[Row], out: Path) -> dict[str, list[Row]]:
    return run([("study/metadata/run/4/events.json", lines(events))], out)


TABLES_WRITTEN = ("pulls", "pull_layers", "nodes", "jobs", "pull_images", "dropped")


def dropped(tables: dict[str, list[Row]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in tables["dropped"]:
        counts[row["reason"]] = counts.get(row["reason"], 0) + row["count"]
    return counts


def test_co_located_pods_are_one_pull_with_both_durations(tmp_path: Path) -> None:
    image = "ghcr.io/a/b:9-layers-size-1176249324-bytes"
    end = START + 8 * SECOND
    events = [
        pulled(image, 7.2, end, name="pod-0-aaaaa", node="n1"),
        pulled(image, 0.6, end + 400_000, waiting=7.9, name="pod-1-bbbbb", node="n1"),
        pulled(image, 6.9, end + SECOND, name="pod-2-ccccc", node="n2"),
    ]
    rows = run_events(events, tmp_path)["pulls"]
    assert [(r["node"], r["reports"], r["attempt"]) for r in rows] == [("n1", 2, 1), ("n2", 1, 1)]
    first = rows[0]
    assert (first["seconds"], first["seconds_including_waiting"]) == (7.2, 7.9)
    assert first["reported_seconds"] == [7.2, 0.6]
    assert first["reported_seconds_including_waiting"] == [7.2, 7.9]
    assert (first["layers"], first["nominal_bytes"]) == (9, 1_181_249_324)
    assert (first["compressed_bytes"], first["registry"]) == (12345, "ghcr.io")
    assert (first["study"], first["run"], first["cluster_size"]) == ("study", "run", 4)


def test_times_of_a_pull_come_from_all_its_events(tmp_path: Path) -> None:
    events = [
        event("Scheduled", "Successfully assigned default/p to n1", START + 123_000, name="p"),
        event("Pulling", 'Pulling image "a/b:1"', START + 500_000, name="p", node="n1"),
        pulled("a/b:1", 2.25, START + 3_500_000, waiting=3, name="p", node="n1"),
        event("Started", "Started container main", START + 4_700_000, name="p", node="n1"),
    ]
    [row] = run_events(events, tmp_path)["pulls"]
    times = {
        name: round(row[f"{name}_at_utc"].replace(tzinfo=UTC).timestamp() * SECOND) - START
        for name in ("scheduled", "requested", "started", "pulled", "ready")
    }
    assert times == {
        "scheduled": 123_000,
        "requested": 500_000,
        "started": 1_250_000,
        "pulled": 3_500_000,
        "ready": 4_700_000,
    }


def test_failures_and_back_off_are_attempts_before_the_pull(tmp_path: Path) -> None:
    said = 'Failed to pull image "a/b:1": rpc error: code = Unknown desc = 429 Too Many Requests'
    events = []
    for number, at in enumerate((START, START + 30 * SECOND)):
        for pod in ("p1", "p2"):
            more = {"name": pod, "node": "n1", "container": f"c{number}"}
            events += [
                event("Pulling", 'Pulling image "a/b:1"', at, **more),
                event("Failed", said, at + 200_000, **more),
                event("Failed", "Error: ErrImagePull", at + 210_000, **more),
                event("BackOff", 'Back-off pulling image "a/b:1"', at + 220_000, **more),
            ]
    events.append(pulled("a/b:1", 5.0, START + 70 * SECOND, name="p1", node="n1"))
    tables = run_events(events, tmp_path)
    rows = tables["pulls"]
    assert [(r["attempt"], r["outcome"], r["reports"]) for r in rows] == [
        (1, "failed", 2),
        (2, "failed", 2),
        (3, "pulled", 1),
    ]
    assert rows[0]["error"] == "rpc error: code = Unknown desc = 429 Too Many Requests"
    assert rows[0]["seconds"] is None
    assert rows[0]["seconds_including_waiting"] == pytest.approx(0.2)
    assert dropped(tables) == {"repeated_failure": 4, "back_off": 4}


def test_states_of_one_event_are_not_counted_twice(tmp_path: Path) -> None:
    said = 'Failed to pull image "a/b:1": not found'
    states = [
        event("Failed", said, START + at * SECOND, first_us=START, count=count, node="n1")
        for count, at in ((1, 0), (2, 20), (2, 20), (5, 200))
    ]
    tables = run_events(states, tmp_path)
    assert [row["attempt"] for row in tables["pulls"]] == [1, 2, 3]
    assert dropped(tables) == {"duplicate": 1, "repetition_without_time": 2}


def test_an_image_that_was_present_is_told_once(tmp_path: Path) -> None:
    text = 'Container image "{}" already present on machine'
    events = [
        event("Pulled", text.format("a/old:1"), START, name="p1", node="n1"),
        event("Pulled", text.format("a/old:1"), START + 9 * SECOND, name="p2", node="n1"),
        pulled("a/new:1", 1.0, START + 5 * SECOND, name="p3", node="n1"),
        event("Pulled", text.format("a/new:1"), START + 9 * SECOND, name="p4", node="n1"),
    ]
    tables = run_events(events, tmp_path)
    assert [(r["image"], r["outcome"], r["reports"]) for r in tables["pulls"]] == [
        ("a/new:1", "pulled", 1),
        ("a/old:1", "present", 2),
    ]
    assert dropped(tables) == {"present_after_pull": 1}
    assert [node["pulls"] for node in tables["nodes"]] == [1]


def test_a_pull_without_result_is_unfinished(tmp_path: Path) -> None:
    events = [
        event("Pulling", 'Pulling image "a/b:1"', START, name="p1", node="n1"),
        event("Pulling", 'Pulling image "a/b:1"', START + 100_000, name="p2", node="n1"),
    ]
    [row] = run_events(events, tmp_path)["pulls"]
    assert (row["outcome"], row["reports"], row["seconds"]) == ("unfinished", 2, None)


def test_older_kubelets_are_measured_between_their_events(tmp_path: Path) -> None:
    events = [
        event("Pulling", 'pulling image "a/b:1"', START, name="p1", node="n1"),
        event(
            "Pulled", 'Successfully pulled image "a/b:1"', START + 2_500_000, name="p1", node="n1"
        ),
    ]
    [row] = run_events(events, tmp_path)["pulls"]
    assert (row["seconds"], row["seconds_including_waiting"]) == (None, 2.5)


def test_the_scheduler_names_the_node_where_the_kubelet_does_not(tmp_path: Path) -> None:
    events = [
        event(
            "Scheduled",
            "Successfully assigned default/p1 to ip-10-0-0-7.ec2.internal",
            START,
            name="p1",
        ),
        pulled("a/b:1", 1.0, START + SECOND, name="p1"),
        pulled("a/b:1", 1.0, START + SECOND, name="p2"),
    ]
    tables = run_events(events, tmp_path)
    assert [row["node"] for row in tables["pulls"]] == ["ip-10-0-0-7.ec2.internal"]
    assert dropped(tables) == {"no_node": 1}


def job_events(uid: str, at_us: int, image: str, pods: Iterable[str]) -> list[Row]:
    job = {"kind": "Job", "name": "container-pull", "uid": uid}
    events = [event("SuccessfulCreate", f"Created pod: {pod}", at_us, **job) for pod in pods]
    events += [pulled(image, 5.0, at_us + 6 * SECOND, name=pod, node=f"node-{pod}") for pod in pods]
    return [*events, event("Completed", "Job completed", at_us + 20 * SECOND, **job)]


def test_jobs_last_from_their_first_pod_until_completed(tmp_path: Path) -> None:
    events = job_events("j1", START, "a/b:1", ["container-pull-0-aaaaa"])
    events += job_events("j2", START + 30 * SECOND, "a/b:2", ["container-pull-0-bbbbb"])
    # An eleventh pod has no event of its job: the job's name and the time tell.
    events.append(
        pulled("a/b:2", 9.0, START + 45 * SECOND, name="container-pull-1-ccccc", node="n9")
    )
    tables = run_events(events, tmp_path)
    assert [(j["job"], j["image"], j["nodes"], j["seconds"]) for j in tables["jobs"]] == [
        ("j1", "a/b:1", 1, 20.0),
        ("j2", "a/b:2", 2, 20.0),
    ]
    assert [row["job"] for row in tables["pulls"] if row["node"] == "n9"] == ["j2"]


def node_list(names: Iterable[str], **labels: str) -> bytes:
    items = [
        {
            "kind": "Node",
            "metadata": {
                "name": name,
                "creationTimestamp": "2024-11-10T06:04:50Z",
                "labels": {"node.kubernetes.io/instance-type": "n1-standard-16", **labels},
            },
            "spec": {"providerID": f"gce://project/zone/{name}"},
            "status": {
                "capacity": {"cpu": "8", "memory": "61727200Ki", "ephemeral-storage": "98831908Ki"},
                "nodeInfo": {"kubeletVersion": "v1.30.5", "kernelVersion": "6.1.100+"},
            },
        }
        for name in names
    ]
    return json.dumps({"kind": "List", "items": items}, indent=4).encode()


def test_nodes_tell_platform_and_strategy(tmp_path: Path) -> None:
    label = {"cloud.google.com/gke-image-streaming": "true"}
    folder = "pulling/metadata/run4/8"
    files = [
        (f"{folder}/events.json", lines([pulled("a/b:1", 1.0, START, node="n1")])),
        (f"{folder}/nodes.json", node_list(["n1", "n2"], **label)),
        (f"{folder}/nodes-again.json", node_list(["n2"], **label)),
    ]
    tables = run(files, tmp_path)
    [row] = tables["pulls"]
    assert (row["platform"], row["strategy"]) == ("gce/n1-standard-16", "streaming")
    node = tables["nodes"][0]
    assert (node["cpus"], node["memory_bytes"]) == (8, 61727200 * 1024)
    assert [(n["node"], n["pulls"]) for n in tables["nodes"]] == [("n1", 1), ("n2", 0)]
    assert dropped(tables) == {"duplicate": 1}


def test_without_a_node_list_the_labels_in_events_tell(tmp_path: Path) -> None:
    ready = event("Starting", "", START, kind="Node", name="n1")
    ready["involvedObject"]["labels"] = {
        "node.kubernetes.io/instance-type": "hpc7g.16xlarge",
        "eks.amazonaws.com/nodegroup": "workers",
    }
    rows = run_events([ready, pulled("a/b:1", 1.0, START, node="n1")], tmp_path)["pulls"]
    assert [(row["platform"], row["strategy"]) for row in rows] == [("aws/hpc7g.16xlarge", None)]


def manifests(**tags: Any) -> bytes:
    return json.dumps({"tags": list(tags), "manifests": tags, "configs": {}}, indent=4).encode()


def image(*layers: tuple[str, int], config: int = 7) -> Row:
    return {
        "layers": [{"digest": digest, "size": size} for digest, size in layers],
        "config": {"size": config},
    }


def test_archived_manifests_give_the_size_that_an_event_does_not(tmp_path: Path) -> None:
    content = manifests(**{"1": image(("a", 100), ("b", 23)), "2": {"errors": []}})
    folder = "pulling/analysis/data/run1/containers/ghcr.io/a/b"
    events = [pulled(f"ghcr.io/a/b:{tag}", 1.0, START, node="n1", size=None) for tag in ("1", "2")]
    files = [
        (f"{folder}/manifests-config-layers.json", content),
        ("pulling/metadata/run1/4/events.json", lines(events)),
    ]
    assert [row["compressed_bytes"] for row in run(files, tmp_path)["pulls"]] == [130, None]


def test_archived_manifests_tell_what_was_crafted(tmp_path: Path) -> None:
    tags = {
        "2-layers-size-95000000-bytes": image(("base", 40), ("a", 9), ("b", 11)),
        "1-layers-size-95000000-bytes": image(("base", 40), ("c", 20)),
    }
    folders = ("ghcr.io/a/b", "pulling/ghcr.io/a/b")
    files = [
        (f"study/analysis/data/r/containers/{folder}/manifests.json", manifests(**tags))
        for folder in folders
    ]
    tables = run(files, tmp_path)
    assert tables["pull_images"] == [
        {
            "study": "study",
            "image": f"ghcr.io/a/b:{layers}-layers-size-95000000-bytes",
            "layers": layers,
            "manifest_layers": layers + 1,
            "nominal_bytes": 100_000_000,
            "compressed_bytes": 67,
            "largest_layer_bytes": 40,
            "shared_layers": 1,
        }
        for layers in (1, 2)
    ]
    assert dropped(tables) == {"repeats_a_file": 1}


def test_manifests_of_another_part_of_the_archive_are_left_out(tmp_path: Path) -> None:
    content = manifests(**{"1": image(("a", 100))})
    tables = run([("dockerfile/data/registry/alpine/manifests.json", content)], tmp_path)
    assert tables["pull_images"] == []
    assert dropped(tables) == {"no_events": 1}


def test_a_digest_adds_only_what_no_event_log_told(tmp_path: Path) -> None:
    def pod(name: str, node: str, at_us: int) -> dict[str, Any]:
        text = 'Successfully pulled image "a/b:1" in 2s (2s including waiting)'
        times = {"pulled": {"timestamp": clock(at_us), "instance": node, "message": text}}
        return {f"{name}-fast": {"experiment": "fast", "size": 4, "events": times}}

    raw = pod("p1", "n1", START) | pod("p2", "n2", START)
    raw["job-fast"] = {"experiment": "fast", "size": 4, "events": {"completed": {}}}
    files = [
        ("pulling/analysis/data/fast/raw-times.json", json.dumps(raw, indent=4).encode()),
        (
            "pulling/metadata/fast/4/events.json",
            lines([pulled("a/b:1", 2, START + 345_000, name="p1", node="n1")]),
        ),
    ]
    tables = run(files, tmp_path)
    assert [(r["run"], r["node"], r["cluster_size"]) for r in tables["pulls"]] == [
        ("fast", "n1", 4),
        ("fast", "n2", 4),
    ]
    assert dropped(tables) == {"repeats_an_event_log": 1, "no_pull": 1}


@pytest.mark.parametrize("seed", range(4))
def test_a_shuffled_log_gives_the_truth(seed: int, tmp_path: Path) -> None:
    """Any order, each event up to three times, noise between: the same pulls, all counted."""
    draw = random.Random(seed)
    truth, events = {}, []
    for node in range(9):
        for image in range(7):
            seconds, pods = round(draw.uniform(0.2, 130), 3), draw.choice([1, 1, 2, 3])
            end = START + image * 200 * SECOND + round(seconds * SECOND) + draw.randrange(SECOND)
            waits = [round(draw.uniform(0.1, seconds), 3) for _ in range(pods - 1)]
            for pod, alone in enumerate([seconds, *waits]):
                more = {"name": f"p{node}-{image}-{pod}", "node": f"n{node}"}
                waiting = round(seconds + draw.uniform(0, 0.4), 3) if pod else seconds
                late = round((waiting - seconds) * SECOND)
                events.append(pulled(f"a/b:{image}", alone, end + late, waiting=waiting, **more))
            truth[f"n{node}", f"a/b:{image}"] = (seconds, pods)
    copies = [item for item in events for _ in range(draw.choice([1, 2, 3]))]
    draw.shuffle(copies)
    noise = [b'{"level":"warn","message":"Event discarded"}\n', b"GOAWAY\n", b'{"metadata":{"na\n']
    content = b"".join(
        json.dumps(item).encode() + b"\n" + draw.choice([b"", *noise]) for item in copies
    )
    tables = run([("s/metadata/r/9/e.json", content)], tmp_path)
    found = {(r["node"], r["image"]): (r["seconds"], r["reports"]) for r in tables["pulls"]}
    assert found == truth
    counts = dropped(tables)
    assert counts["duplicate"] == len(copies) - len(events)
    kept = sum(row["reports"] for row in tables["pulls"])
    assert kept + sum(counts.values()) == content.count(b"\n")


def test_the_same_events_as_lines_and_as_a_list_give_the_same_rows(tmp_path: Path) -> None:
    events = job_events("j1", START, "a/b:1", [f"container-pull-{n}-aaaaa" for n in range(4)])
    as_list = json.dumps({"kind": "List", "items": events}, indent=4).encode()
    path = "study/metadata/run/4/events.json"
    assert run([(path, lines(events))], tmp_path / "a") == run([(path, as_list)], tmp_path / "b")


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    events = job_events("j1", START, "a/b:1", [f"container-pull-{n}-aaaaa" for n in range(40)])
    for name in ("a", "b"):
        run_events(events, tmp_path / name)
    for table in TABLES_WRITTEN:
        files = [(tmp_path / name / f"{table}.parquet").read_bytes() for name in ("a", "b")]
        assert files[0] == files[1]


def test_files_without_events_are_counted(tmp_path: Path) -> None:
    files = [
        ("s/metadata/r/4/a.json", b""),
        ("s/metadata/r/4/b.json", b'["a:1", "b:2"]'),
        ("s/metadata/r/4/c.json", b'{"tags": ["1"]}'),
        ("s/metadata/r/4/d.json", b"Error from server (BadRequest): waiting to start\n"),
    ]
    tables = run(files, tmp_path)
    assert tables["pulls"] == []
    assert dropped(tables) == {
        "empty": 1,
        "no_events": 2,
        "error_from_server": 1,
    }


def test_tables_keep_the_contract(tmp_path: Path) -> None:
    run_events([pulled("a/b:1", 1.0, START, node="n1")], tmp_path)
    for name in TABLES_WRITTEN:
        assert pq.read_schema(tmp_path / f"{name}.parquet") == TABLES[name].schema


def test_folders_are_walked_file_by_file_folder_by_folder(tmp_path: Path) -> None:
    for name in ("b/2.json", "a/1.json", "a/c/x.jsonl", "a/2.json", "a/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    found = [content.decode() for _, content in walk_files([tmp_path])]
    assert found == ["a/1.json", "a/2.json", "a/c/x.jsonl", "b/2.json"]
    assert [c for _, c in walk_files([tmp_path / "a/note.txt"])] == [b"a/note.txt"]


def test_folders_may_lie_between_the_files_of_a_folder(tmp_path: Path) -> None:
    """Git stores `4/a.json`, `4/logs/…`, `4/z.json`: one cluster all the same."""
    name = "s/metadata/r/4"
    first, second = (pulled("a/b:1", 7.0, START, name=pod, node="n1") for pod in ("p1", "p2"))
    files = [
        (f"{name}/a.json", lines([first])),
        (f"{name}/logs/b.json", lines([pulled("a/b:1", 1.0, START, node="n1")])),
        (f"{name}/z.json", lines([second])),
        ("s/metadata/r/40/a.json", lines([first])),
    ]
    tables = run(files, tmp_path)
    found = [(row["run"], row["cluster_size"], row["reports"]) for row in tables["pulls"]]
    assert sorted(found) == [("logs", 4, 1), ("r", 4, 2), ("r", 40, 1)]


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.json"):
        with pytest.raises(EventsError, match="give event logs to replay"):
            list(walk_files([path]))
