"""The program that a crafted image starts: it reads its share of the files and says `ready`.

A static ELF executable of some hundred bytes, written here byte by byte, so that crafting needs no
compiler and the bytes are the same everywhere. Behind the code stands the list of what to read:

    8 bytes   how many bytes to read from the start of the file
    8 bytes   length of this record
    path, NUL, filled with NULs to a multiple of 8

and a record with an empty path at the end. Numbers are little-endian. The program opens each file,
reads in steps of 64 KiB, and ends with 0 after writing `pullstudy: ready`; with 1 when a file
cannot be opened or is too short.

Formats: System V ABI (ELF-64), Linux system calls of both architectures.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pullstudy.errors import CraftError

READY = b"pullstudy: ready\n"
_FAILED = b"pullstudy: cannot read files\n"

_AMD64 = """
    48 8d 1d c9 00 00 00    |       lea   rbx, [records]
    48 81 ec 00 00 01 00    |       sub   rsp, 0x10000      buffer of 64 KiB
    4c 8b 23                | next: mov   r12, [rbx]        bytes to read
    48 8d 7b 10             |       lea   rdi, [rbx+16]     path
    80 3f 00                |       cmp   byte [rdi], 0
    74 45                   |       je    done              empty path: the end
    31 f6                   |       xor   esi, esi          O_RDONLY
    b8 02 00 00 00          |       mov   eax, 2            open
    0f 05                   |       syscall
    85 c0                   |       test  eax, eax
    78 48                   |       js    fail
    41 89 c5                |       mov   r13d, eax         file descriptor
    4d 85 e4                | more: test  r12, r12
    74 20                   |       je    shut
    ba 00 00 01 00          |       mov   edx, 0x10000
    49 39 d4                |       cmp   r12, rdx
    49 0f 42 d4             |       cmovb rdx, r12          the smaller of both
    48 89 e6                |       mov   rsi, rsp
    44 89 ef                |       mov   edi, r13d
    31 c0                   |       xor   eax, eax          read
    0f 05                   |       syscall
    48 85 c0                |       test  rax, rax
    7e 25                   |       jle   fail              an error, or the file is too short
    49 29 c4                |       sub   r12, rax
    eb db                   |       jmp   more
    44 89 ef                | shut: mov   edi, r13d
    b8 03 00 00 00          |       mov   eax, 3            close
    0f 05                   |       syscall
    48 03 5b 08             |       add   rbx, [rbx+8]      next record
    eb af                   |       jmp   next
    48 8d 35 2d 00 00 00    | done: lea   rsi, [ready]
    ba 11 00 00 00          |       mov   edx, 17           its length
    31 db                   |       xor   ebx, ebx          exit status 0
    eb 11                   |       jmp   say
    48 8d 35 2e 00 00 00    | fail: lea   rsi, [failed]
    ba 1d 00 00 00          |       mov   edx, 29
    bb 01 00 00 00          |       mov   ebx, 1            exit status 1
    8d 7b 01                | say:  lea   edi, [rbx+1]      1, or 2 for an error
    b8 01 00 00 00          |       mov   eax, 1            write
    0f 05                   |       syscall
    89 df                   |       mov   edi, ebx
    b8 e7 00 00 00          |       mov   eax, 231          exit_group
    0f 05                   |       syscall
"""

# As in the manuals, an instruction is written as one number; in memory its bytes are reversed.
_ARM64 = """
    10000713    |       adr   x19, records
    d14043ff    |       sub   sp, sp, #16, lsl #12
    f9400274    | next: ldr   x20, [x19]
    91004261    |       add   x1, x19, #16
    39400022    |       ldrb  w2, [x1]
    34000322    |       cbz   w2, done
    92800c60    |       mov   x0, #-100             AT_FDCWD
    d2800002    |       mov   x2, #0                O_RDONLY
    d2800708    |       mov   x8, #56               openat
    d4000001    |       svc   #0
    b7f80300    |       tbnz  x0, #63, fail
    aa0003f5    |       mov   x21, x0
    b4000194    | more: cbz   x20, shut
    d2a00022    |       mov   x2, #0x10000
    eb02029f    |       cmp   x20, x2
    9a823282    |       csel  x2, x20, x2, lo
    910003e1    |       mov   x1, sp
    aa1503e0    |       mov   x0, x21
    d28007e8    |       mov   x8, #63               read
    d4000001    |       svc   #0
    f100001f    |       cmp   x0, #0
    540001ad    |       b.le  fail
    cb000294    |       sub   x20, x20, x0
    17fffff5    |       b     more
    aa1503e0    | shut: mov   x0, x21
    d2800728    |       mov   x8, #57               close
    d4000001    |       svc   #0
    f9400669    |       ldr   x9, [x19, #8]
    8b090273    |       add   x19, x19, x9
    17ffffe5    |       b     next
    100001a1    | done: adr   x1, ready
    d2800222    |       mov   x2, #17
    d2800013    |       mov   x19, #0
    14000004    |       b     say
    300001a1    | fail: adr   x1, failed
    d28003a2    |       mov   x2, #29
    d2800033    |       mov   x19, #1
    91000660    | say:  add   x0, x19, #1
    d2800808    |       mov   x8, #64               write
    d4000001    |       svc   #0
    aa1303e0    |       mov   x0, x19
    d2800bc8    |       mov   x8, #94               exit_group
    d4000001    |       svc   #0
"""


@dataclass(frozen=True)
class ReadStep:
    """Read the first `size_bytes` bytes of the file at the absolute path."""

    path: str
    size_bytes: int


@dataclass(frozen=True)
class _Machine:
    elf_number: int
    code: bytes


_ELF_HEADER_BYTES, _PROGRAM_HEADER_BYTES = 64, 56
_CODE_OFFSET = _ELF_HEADER_BYTES + _PROGRAM_HEADER_BYTES
_BASE_ADDRESS = 0x400000
# The largest page size of arm64.
_PAGE_BYTES = 0x10000
_RECORD_ALIGNMENT = 8


def program_bytes(steps: Sequence[ReadStep]) -> int:
    """Count the bytes of the larger of the two machines' programs with this list."""
    code = max(len(machine.code) for machine in _MACHINES.values())
    return _CODE_OFFSET + code + len(_list_records(steps))


def build_program(architecture: str, steps: Sequence[ReadStep], size_bytes: int) -> bytes:
    """Build the executable for `amd64` or `arm64`, filled with zeros to `size_bytes`.

    Raises CraftError for another architecture.
    """
    if architecture not in _MACHINES:
        known = " or ".join(_MACHINES)
        raise CraftError(f"platform: no program for {architecture!r}; choose {known}")
    machine = _MACHINES[architecture]
    body = machine.code + _list_records(steps)
    total = _CODE_OFFSET + len(body)
    return (_elf_header(machine.elf_number) + _program_header(total) + body).ljust(
        size_bytes, b"\0"
    )


def _list_records(steps: Sequence[ReadStep]) -> bytes:
    return b"".join(_record(step.path, step.size_bytes) for step in (*steps, ReadStep("", 0)))


def _record(path: str, size_bytes: int) -> bytes:
    name = path.encode() + b"\0"
    name += bytes(-len(name) % _RECORD_ALIGNMENT)
    return struct.pack("<QQ", size_bytes, 16 + len(name)) + name


def _elf_header(machine: int) -> bytes:
    """ELF-64, little-endian, executable, one program header, no sections."""
    identification = b"\x7fELF\x02\x01\x01" + bytes(9)
    entry = _BASE_ADDRESS + _CODE_OFFSET
    return identification + struct.pack(
        "<HHIQQQIHHHHHH",
        *(2, machine, 1, entry, _ELF_HEADER_BYTES, 0, 0),
        *(_ELF_HEADER_BYTES, _PROGRAM_HEADER_BYTES, 1, 0, 0, 0),
    )


def _program_header(size_bytes: int) -> bytes:
    """One loadable segment, the whole file, readable and executable."""
    return struct.pack(
        "<IIQQQQQQ", 1, 5, 0, _BASE_ADDRESS, _BASE_ADDRESS, size_bytes, size_bytes, _PAGE_BYTES
    )


def _assemble(listing: str, *, reversed_words: bool) -> bytes:
    """Join the bytes of a listing and the two messages, to the alignment that it was made for."""
    code = b""
    for line in listing.strip().splitlines():
        instruction = bytes.fromhex(line.split("|")[0])
        code += instruction[::-1] if reversed_words else instruction
    code += READY + _FAILED
    return code + bytes(-len(code) % 16)


_MACHINES = {
    "amd64": _Machine(62, _assemble(_AMD64, reversed_words=False)),
    "arm64": _Machine(183, _assemble(_ARM64, reversed_words=True)),
}
