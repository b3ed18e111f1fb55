"""Clusters are made and deleted by the cloud's command: a stand-in writes down how it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from pullstudy.errors import ConfigError, PullError
from pullstudy.pulls.backend import ClusterPlan
from pullstudy.pulls.images import PulledImage
from pullstudy.pulls.kubernetes.options import Options
from pullstudy.pulls.kubernetes.provision import (
    check_commands,
    delete_cluster,
    name_cluster,
    plan_commands,
    provide_cluster,
)
from pullstudy.pulls.study import Run

GKE = Options(cluster={"kind": "gke", "project": "mine"})
# There is no cluster before it was created, and none after it was deleted.
GCLOUD = """#!/bin/sh
echo "$@" >>"$CALLS"
case "$3" in
get-credentials) [ -e "$THERE" ] || { echo "ERROR: not found" >&2; exit 1; }; touch "$KUBECONFIG" ;;
create) [ -z "$BROKEN" ] || { echo "quota exceeded" >&2; exit 1; }; touch "$THERE" ;;
delete) rm -f "$THERE" ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin/gcloud"
    program.parent.mkdir()
    program.write_text(GCLOUD)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("THERE", str(tmp_path / "there"))
    monkeypatch.setenv("BROKEN", "")
    return tmp_path / "calls"


def make_plan(strategy: str = "plain", size: int = 4) -> ClusterPlan:
    run = Run(name="run1", images=(PulledImage(reference="a.b/c:d"),))
    return ClusterPlan("my-study", "run1", run, strategy, size)


def verbs(calls: Path) -> list[str]:
    return [line.split()[2] for line in calls.read_text().splitlines()]


def test_a_cluster_is_created_and_deleted(calls: Path) -> None:
    with provide_cluster(make_plan(), GKE) as kubeconfig:
        assert kubeconfig
        assert Path(kubeconfig).exists()
        assert verbs(calls) == ["get-credentials", "create", "get-credentials"]
    assert verbs(calls)[-1] == "delete"
    assert not Path(kubeconfig).exists()


def test_a_cluster_of_a_killed_run_is_taken_up(calls: Path, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    with provide_cluster(make_plan(), GKE):
        pass
    assert verbs(calls) == ["get-credentials", "delete"]


def test_what_failed_to_be_created_is_deleted(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "yes")
    with (
        pytest.raises(PullError, match=r"create.*quota exceeded"),
        provide_cluster(make_plan(), GKE),
    ):
        pass
    assert verbs(calls) == ["get-credentials", "create", "delete"]


def test_cleaning_deletes_only_what_is_there(calls: Path, tmp_path: Path) -> None:
    assert not delete_cluster(make_plan(), GKE)
    (tmp_path / "there").touch()
    assert delete_cluster(make_plan(), GKE)
    assert not (tmp_path / "there").exists()


def test_a_strategy_is_part_of_the_cluster() -> None:
    commands = plan_commands(make_plan("streaming", 16), GKE, "k")
    assert commands is not None
    (create,) = commands.create
    assert create[:4] == ["gcloud", "container", "clusters", "create"]
    assert {"--num-nodes=16", "--project=mine", "--enable-image-streaming"} <= set(create)
    plain = plan_commands(make_plan("plain", 16), GKE, "k")
    assert plain is not None
    assert set(create) - set(plain.create[0]) >= {"--enable-image-streaming"}


def test_names_differ_and_fit() -> None:
    names = {name_cluster(make_plan(s, n)) for s in ("plain", "ssd") for n in (4, 8)}
    assert len(names) == 2  # the strategy stands in the run's name where there are several
    assert all(len(name) <= 40 for name in names)


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({"kind": "gke"}, "options.cluster.project' is missing"),
        ({"kind": "gke", "project": "p", "zune": "z"}, "options.cluster.zune': unknown"),
        ({"kind": "aks"}, "'aks' is not one of eks, gke"),
    ],
)
def test_a_wrong_recipe_names_the_key(cluster: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_commands(make_plan(), Options(cluster=cluster), "k")


def test_a_missing_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="gcloud is not installed"):
        check_commands(make_plan(), GKE)
