import pytest

from pullstudy.pulls.origins import find_origin
from pullstudy.pulls.record import Cluster


@pytest.mark.parametrize(
    ("path", "cluster"),
    [
        ("pulling/metadata/run1/4/events-size-4-1731219229.json", Cluster("pulling", "run1", 4)),
        ("/a/pulling/metadata/run1/128/nodes-128-1731.json", Cluster("pulling", "run1", 128)),
        (
            "/x/pulling-test/metadata/test/n1-standard-16/events-size-4-1727742149.json",
            Cluster("pulling-test", "n1-standard-16", 4),
        ),
        (
            "/x/pulling-test/metadata/test/n1-standard-16/nodes-4-n1-standard-16.json",
            Cluster("pulling-test", "n1-standard-16", 4),
        ),
        ("pulling/analysis/data/streaming/raw-times.json", Cluster("pulling", "streaming")),
        ("aws/run7/size32/events.json", Cluster("aws", "run7", 32)),
        ("aws/run7/32-nodes/events.json", Cluster("aws", "run7", 32)),
        ("eks/events.json", Cluster("eks", "eks")),
        ("events.json", Cluster("events", "events")),
        ("a/b/nodes-1731224337.json", Cluster("a", "b")),
    ],
)
def test_the_path_tells_study_run_and_size(path: str, cluster: Cluster) -> None:
    assert find_origin(path).cluster == cluster


def test_a_given_study_is_taken() -> None:
    assert find_origin("pulling/metadata/run1/4/e.json", "paper").cluster.study == "paper"


@pytest.mark.parametrize("root", ["", "/tmp/somewhere/", "/data/metadata-of-mine/"])
def test_the_shown_path_does_not_depend_on_where_the_files_lie(root: str) -> None:
    origin = find_origin(f"{root}pulling/metadata/run1/4/events-size-4-1.json")
    assert origin.shown == "pulling/metadata/run1/4/events-size-4-1.json"
