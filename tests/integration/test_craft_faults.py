"""Crafting that is killed, runs out of disk, or is refused: it goes on, or says so in one line."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pullstudy.craft import output
from pullstudy.craft.run import CraftSettings, craft_study
from pullstudy.errors import CraftError
from pullstudy.registry.push import RepositoryPusher
from tests.conftest import ROOT, skip_or_fail
from tests.integration.conftest import run_distribution
from tests.integration.wires import serve_wire

if TYPE_CHECKING:
    from tests.integration.conftest import LiveRegistry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
STUDY = "sizes: [{total: 24000000}]\nlayers: [{exact: 6}]\nreads: 5%\n"
TAG = "6-layers-size-24000000-bytes"


def start_command(*arguments: str, cache: Path) -> subprocess.Popen[str]:
    """Start `pullstudy craft` as a process of its own."""
    variables = {"PYTHONPATH": str(ROOT / "scripts"), "XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", "from pullstudy.cli import main; main()", "craft", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )


def run_command(*arguments: str, cache: Path) -> tuple[int, str, str]:
    command = start_command(*arguments, cache=cache)
    out, err = command.communicate(timeout=240)
    return command.returncode, out, err


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def test_a_push_that_is_killed_again_and_again_is_finished(
    study: Path, tmp_path: Path, registry: LiveRegistry, repository: str
) -> None:
    pusher = RepositoryPusher(registry.address, repository)
    sent = []
    with serve_wire(registry.address, bytes_per_second=12e6) as wire:
        arguments = [str(study), "--push", "--uri", f"{wire.address}/{repository}"]
        arguments += ["--chunk-mib", "1", "--layers-at-once", "2"]
        for kill_after_bytes in (5_000_000, 9_000_000, 7_000_000):
            before = wire.sent_bytes
            command = start_command(*arguments, cache=tmp_path)
            while wire.sent_bytes - before < kill_after_bytes and command.poll() is None:
                time.sleep(0.01)
            command.send_signal(signal.SIGKILL)
            command.communicate()
            sent.append(wire.sent_bytes - before)
            # Nothing under the tag: no half image can be pulled.
            assert pusher.get_manifest(TAG, [MANIFEST]) is None
        before = wire.sent_bytes
        status, out, err = run_command(*arguments, cache=tmp_path)
        sent.append(wire.sent_bytes - before)
    assert (status, err) == (0, "")
    (written,) = craft_study(study, CraftSettings(f"oci:{tmp_path / 'oci'}"))
    assert written.digest in out
    # Finished layers (4 MB each) are not sent again, nor are finished chunks where the registry
    # keeps what broke; Distribution throws away up to two layers at each kill.
    lost_per_kill = 1_500_000 if registry.kind == "embedded" else 8_500_000
    assert sum(sent) < 24_000_000 + 3 * lost_per_kill


def test_an_interrupted_run_ends_soon_and_leaves_nothing_behind(
    study: Path, tmp_path: Path
) -> None:
    study.write_text("sizes: [{total: 3000000000}]\nlayers: [{exact: 2}]")
    folder = tmp_path / "oci"
    command = start_command(str(study), "--output", f"oci:{folder}", cache=tmp_path)
    while not list(folder.rglob("*.partial")):
        time.sleep(0.05)
        assert command.poll() is None
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=30)
    assert command.returncode != 0
    assert "Traceback" not in err
    assert not list(folder.rglob("*.partial"))
    assert '"manifests": []' in (folder / "index.json").read_text()


def test_a_second_push_sends_nothing(
    study: Path, tmp_path: Path, registry: LiveRegistry, repository: str
) -> None:
    with serve_wire(registry.address) as wire:
        uri = f"{wire.address}/{repository}"
        assert run_command(str(study), "--push", "--uri", uri, cache=tmp_path)[0] == 0
        # Even when the journal is lost: the manifest tells by which recipe it was made.
        before = wire.sent_bytes
        status, out, _ = run_command(str(study), "--push", "--uri", uri, cache=tmp_path / "new")
        assert (status, "was there" in out) == (0, True)
        assert wire.sent_bytes - before < 5_000
        # Another repository of the same registry takes the layers over.
        before = wire.sent_bytes
        status, _, _ = run_command(str(study), "--push", "--uri", f"{uri}-b", cache=tmp_path)
        assert status == 0
        assert wire.sent_bytes - before < 50_000


@contextlib.contextmanager
def mount_small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of some megabytes."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        skip_or_fail("a disk of our own cannot be mounted: that needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.integration
def test_a_full_disk_is_an_error_and_leaves_no_half_image(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mount_small_disk(tmp_path / "disk", "10m") as disk:
        with pytest.raises(CraftError, match=r"the images need 24,000,000 bytes, the disk has"):
            craft_study(study, CraftSettings(f"oci:{disk / 'oci'}"))
        # Somebody else fills it meanwhile: there seemed to be room.
        usage = shutil.disk_usage("/")._replace(free=10**12)
        monkeypatch.setattr(output.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(CraftError, match="No space left on device; free some space") as caught:
            craft_study(study, CraftSettings(f"oci:{disk / 'oci'}"))
        assert "\n" not in str(caught.value)
        assert '"manifests": []' in (disk / "oci/index.json").read_text()
        assert not list(disk.rglob("*.partial"))


@pytest.mark.integration
def test_a_registry_without_room_is_an_error_and_has_no_half_image(
    study: Path, tmp_path: Path
) -> None:
    with mount_small_disk(tmp_path / "disk", "10m") as disk:
        for address in run_distribution(disk):
            uri = f"{address}/a/b"
            status, _, err = run_command(str(study), "--push", "--uri", uri, cache=tmp_path)
            assert status == 1
            assert re.fullmatch(r"pullstudy: 127\.0\.0\.1:\d+/v2/a/b/[^\n]*\n", err)
            assert "No space left on device; run again to go on" in err
            assert RepositoryPusher(address, "a/b").get_manifest(TAG, [MANIFEST]) is None


def test_errors_of_the_command_are_one_line(study: Path, tmp_path: Path) -> None:
    for arguments, words in (
        ([str(study), "--push"], "key 'uri' is missing"),
        ([str(study), "--push", "--uri", "127.0.0.1:1/a/b"], "Connection refused"),
        ([str(study), "--output", "zip:x"], "choose oci:DIR or docker"),
        ([str(study)], "choose one of --plan, --push and --output"),
        ([str(tmp_path / "no.yaml"), "--plan"], "no such file"),
        ([str(study), "--output", f"oci:{study}"], "study.yaml"),
    ):
        status, _, err = run_command(*arguments, cache=tmp_path)
        assert status == 1
        assert err.startswith("pullstudy: ")
        assert err.count("\n") == 1
        assert words in err
