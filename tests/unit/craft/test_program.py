import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from pullstudy.craft.program import ReadStep, build_program, program_bytes
from pullstudy.errors import CraftError

EMULATORS = {"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}
ARCHITECTURES = sorted(EMULATORS)


def run(architecture: str, steps: list[ReadStep], folder: Path) -> subprocess.CompletedProcess[str]:
    command: list[str] = []
    if NATIVE.get(platform.machine()) != architecture or platform.system() != "Linux":
        emulator = shutil.which(EMULATORS[architecture])
        if emulator is None:
            pytest.skip(f"{EMULATORS[architecture]} is not installed")
        command = [emulator]
    path = folder / "start"
    path.write_bytes(build_program(architecture, steps, 4096))
    path.chmod(0o755)
    return subprocess.run([*command, path], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_reads_its_files_and_says_that_it_is_ready(architecture: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(300_000))
    (tmp_path / "small").write_bytes(b"0123456789")
    steps = [ReadStep(f"{tmp_path}/large", 300_000), ReadStep(f"{tmp_path}/small", 7)]
    for part in ([], steps):
        result = run(architecture, part, tmp_path)
        assert (result.returncode, result.stdout) == (0, "pullstudy: ready\n")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("name", "size"), [("small", 11), ("absent", 0)])
def test_it_fails_where_it_cannot_read(
    architecture: str, name: str, size: int, tmp_path: Path
) -> None:
    """A file that is too short or missing: so it did read, and did count."""
    (tmp_path / "small").write_bytes(b"0123456789")
    result = run(architecture, [ReadStep(f"{tmp_path}/{name}", size)], tmp_path)
    assert (result.returncode, result.stderr) == (1, "pullstudy: cannot read files\n")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_it_reads_exactly_what_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(200_000))
    path = tmp_path / "start"
    path.write_bytes(
        build_program(NATIVE[platform.machine()], [ReadStep(f"{tmp_path}/file", 150_001)], 0)
    )
    path.chmod(0o755)
    trace = subprocess.run(
        ["strace", "-e", "trace=read", path], capture_output=True, text=True, check=True
    ).stderr
    read = [int(line.rpartition("= ")[2]) for line in trace.splitlines() if "read(" in line]
    assert sum(read) == 150_001


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 62), ("arm64", 183)])
def test_it_is_a_static_elf_of_its_machine(architecture: str, machine: int) -> None:
    steps = [ReadStep("/a", 1)]
    program = build_program(architecture, steps, 0)
    assert program[:7] == b"\x7fELF\x02\x01\x01"
    kind, found_machine, _, entry, header_offset = struct.unpack_from("<HHIQQ", program, 16)
    assert (kind, found_machine, header_offset) == (2, machine, 64)
    segment, flags, offset, address, _, in_file, in_memory = struct.unpack_from(
        "<IIQQQQQ", program, 64
    )
    # One segment that is loaded, readable and executable; no interpreter.
    assert (segment, flags, offset) == (1, 5, 0)
    assert in_file == in_memory == len(program) <= program_bytes(steps)
    assert entry == address + 64 + 56


def test_the_size_that_is_asked_for_is_met() -> None:
    assert len(build_program("amd64", [], 4096)) == 4096
    many = [ReadStep(f"/crafted/{number}", 1) for number in range(1000)]
    assert program_bytes(many) > program_bytes(many[:-1])


def test_another_architecture_is_refused() -> None:
    with pytest.raises(CraftError, match="no program for 's390x'; choose amd64 or arm64"):
        build_program("s390x", [], 0)
