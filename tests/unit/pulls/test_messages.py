import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullstudy.pulls.messages import parse_duration, parse_message

IMAGE = "ghcr.io/converged-computing/container-chonks-run1:9-layers-size-1176249324-bytes"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("9.9s", 9.9),
        ("9s", 9.0),
        ("999ms", 0.999),
        ("345.6ms", 0.3456),
        ("1m9.9s", 69.9),
        ("1m9s", 69.0),
        ("1h2m3s", 3723.0),
        ("1h0m0.5s", 3600.5),
        ("37.263488379s", 37.263488379),
        ("12µs", 12e-6),
        ("12μs", 12e-6),
        ("12us", 12e-6),
        ("15ns", 15e-9),
        ("0s", 0.0),
        ("0", 0.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("-1m1s", -61.0),
    ],
)
def test_durations_as_go_writes_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize("text", ["", "s", "9", "9.9", "1m 9s", "9,9s", "9sec", "1d", "..s", "1s9"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)


def go_string(nanoseconds: int) -> str:
    """Write a duration as Go's `Duration.String` documents it: the largest fitting units."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        for size, unit in ((1, "ns"), (10**3, "µs"), (10**6, "ms")):
            if nanoseconds < size * 1000:
                return f"{decimal(Fraction(nanoseconds, size))}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{decimal(Fraction(rest, 10**9))}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def decimal(value: Fraction) -> str:
    whole, part = divmod(value * 10**9, 10**9)
    return re.sub(r"\.?0+$", "", f"{int(whole)}.{int(part):09d}")


@given(st.integers(min_value=0, max_value=400 * 3600 * 10**9))
def test_every_duration_comes_back(nanoseconds: int) -> None:
    assert parse_duration(go_string(nanoseconds)) == pytest.approx(nanoseconds / 1e9, abs=1e-9)


@pytest.mark.parametrize(
    ("tail", "seconds", "waiting", "size"),
    [
        # Kubernetes 1.30: image size.
        (
            " in 998ms (1.673s including waiting). Image size: 12923526 bytes.",
            0.998,
            1.673,
            12923526,
        ),
        # 1.26 to 1.29.
        (" in 1m8.823s (1m9s including waiting)", 68.823, 69.0, None),
        # 1.19 to 1.25: one duration, counted from the request.
        (" in 46.9444707s", 46.9444707, 46.9444707, None),
        # Before.
        ("", None, None, None),
    ],
)
def test_pulled_in_the_words_of_each_version(
    tail: str, seconds: float | None, waiting: float | None, size: int | None
) -> None:
    found = parse_message("Pulled", f'Successfully pulled image "{IMAGE}"{tail}')
    assert found is not None
    assert (found.kind, found.image) == ("pulled", IMAGE)
    assert (found.seconds, found.seconds_including_waiting) == (seconds, waiting)
    assert found.size_bytes == size


def test_merged_events_are_read_behind_their_prefix() -> None:
    text = f'(combined from similar events): Successfully pulled image "{IMAGE}" in 2s'
    found = parse_message("Pulled", text)
    assert found is not None
    assert found.seconds == 2.0


@pytest.mark.parametrize(
    ("reason", "message", "kind"),
    [
        ("Pulling", f'Pulling image "{IMAGE}"', "pulling"),
        ("Pulling", f'pulling image "{IMAGE}"', "pulling"),
        ("Pulled", f'Container image "{IMAGE}" already present on machine', "present"),
        (
            "Pulled",
            f'Container image "{IMAGE}" already present on machine and can be accessed by the pod',
            "present",
        ),
        ("Failed", f'Failed to pull image "{IMAGE}": rpc error: code = Unknown', "failed"),
        ("InspectFailed", f'Failed to inspect image "{IMAGE}": no such host', "failed"),
        ("InspectFailed", f'Failed to apply default image tag "{IMAGE}": invalid', "failed"),
        (
            "ErrImageNeverPull",
            f'Container image "{IMAGE}" is not present with pull policy of Never',
            "failed",
        ),
        ("BackOff", f'Back-off pulling image "{IMAGE}"', "back_off"),
        ("BackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: not found', "back_off"),
    ],
)
def test_every_message_names_its_image(reason: str, message: str, kind: str) -> None:
    found = parse_message(reason, message)
    assert found is not None
    assert (found.kind, found.image) == (kind, IMAGE)


def test_a_failure_keeps_what_the_runtime_said() -> None:
    said = 'failed to pull and unpack image "x": failed to resolve reference "x": 403 Forbidden'
    found = parse_message("Failed", f'Failed to pull image "{IMAGE}": {said}')
    assert found is not None
    assert found.error == said


@pytest.mark.parametrize("error", ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"])
def test_the_pod_worker_repeats_a_failure(error: str) -> None:
    found = parse_message("Failed", f"Error: {error}")
    assert found is not None
    assert found.kind == "repeated_failure"


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Failed", "Error: host IP unknown; known addresses: []"),
        ("Failed", "Error: failed to create containerd task: exec: bash: not found"),
        ("BackOff", "Back-off restarting failed container kubedns in pod kube-dns"),
        ("Scheduled", "Successfully assigned default/a to b"),
        ("Pulled", "something else"),
        ("Pulling", ""),
    ],
)
def test_other_events_say_nothing_of_an_image(reason: str, message: str) -> None:
    assert parse_message(reason, message) is None
