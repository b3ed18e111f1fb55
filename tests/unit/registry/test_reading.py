"""Which tags are taken under a cap."""

from hypothesis import given
from hypothesis import strategies as st

from pullstudy.registry.reading import choose_tags

ATTACHED = ["sha256-" + "0" * 64 + end for end in ("", ".sig", ".att")]


def test_without_a_cap_all_are_taken_in_order() -> None:
    assert choose_tags(["b", "a", "latest"], None) == ["b", "a", "latest"]
    assert choose_tags(["b", "a", "latest"], 3) == ["b", "a", "latest"]


def test_latest_comes_first_and_attachments_last() -> None:
    tags = [*ATTACHED, "b", "a", "sha256-short", "latest"]
    assert choose_tags(tags, 4) == ["latest", "b", "a", "sha256-short"]
    assert choose_tags(tags, 5) == ["latest", "b", "a", "sha256-short", ATTACHED[0]]


@given(st.lists(st.sampled_from([*"abcdef", "latest", *ATTACHED]), unique=True), st.integers(1, 12))
def test_a_cap_takes_as_many_as_it_says(tags: list[str], tags_max: int) -> None:
    chosen = choose_tags(tags, tags_max)
    assert len(chosen) == min(len(tags), tags_max)
    assert set(chosen) <= set(tags)
    assert "latest" in chosen or "latest" not in tags
