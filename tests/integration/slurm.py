"""A real Slurm for tests: munge, one controller and two nodes on this machine.

Debian packages: slurm-wlm munge. Slurm's programs look for /etc/slurm/slurm.conf, and Snakemake's
job steps leave no other way (they drop SLURM_CONF). So each process gets a mount namespace of its
own with our folder in that place: the machine's own Slurm, if it has one, is not touched.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import skip_or_fail
from tests.integration.runtimes import require, run, run_daemon

NODES = ("n1", "n2")
STOP_SECONDS = 20.0
CONFIG_FOLDER = Path("/etc/slurm")
# Without cgroups: memory is sampled each second, and who takes more than was asked for is killed.
CONFIG = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.sock
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
MinJobAge=3600
KillWait=2
ReturnToService=2
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/spool-%n
{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=60 State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=8000"


@dataclass(frozen=True)
class Job:
    """A job as squeue tells it. rule: of Snakemake, with its wildcards."""

    number: int
    rule: str
    state: str
    memory_mb: int
    minutes: str
    cpus: int
    node: str


@dataclass(frozen=True)
class Slurm:
    """A cluster of our own; what is to find it is run with `inside`."""

    config: Path

    def inside(self, *command: object) -> list[str]:
        """Turn a command into one that sees our configuration."""
        mount = f"mount --bind {shlex.quote(str(self.config))} {CONFIG_FOLDER}"
        shell = f'{mount} && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", shell, "sh", *map(str, command)]

    def run(self, *command: object) -> str:
        return run(*self.inside(*command))

    def jobs(self) -> list[Job]:
        """All jobs so far, the finished ones too, in the order of their submission."""
        form = "%i|%k|%T|%m|%l|%C|%N"
        lines = self.run("squeue", "--states=all", "--noheader", f"--format={form}").splitlines()
        jobs = (_parse_job(line.strip()) for line in lines)
        return sorted(jobs, key=lambda job: job.number)

    def is_up(self) -> bool:
        command = self.inside("sinfo", "--noheader", "--format=%D %t")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() == f"{len(NODES)} idle"


@contextlib.contextmanager
def run_slurm(folder: Path) -> Iterator[Slurm]:
    """Run munge and Slurm until the block ends, and end all jobs with them."""
    require("unshare", "munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
    if not CONFIG_FOLDER.is_dir():
        skip_or_fail(f"{CONFIG_FOLDER} is not there: apt-get install slurm-wlm")
    slurm = Slurm(folder / "etc")
    _configure(slurm.config, folder)
    with contextlib.ExitStack() as daemons:
        daemons.enter_context(_run_munge(folder))
        for name in ("slurmctld", *NODES):
            logs = folder / f"{name}-logs"
            logs.mkdir()
            program = ["slurmctld", "-D"] if name == "slurmctld" else ["slurmd", "-D", "-N", name]
            is_last = name == NODES[-1]
            up = slurm.is_up if is_last else (folder / f"{name}.pid").exists
            daemons.enter_context(run_daemon(slurm.inside(*program), logs, up))
        try:
            yield slurm
        finally:
            _end_jobs(slurm)


def _run_munge(folder: Path) -> contextlib.AbstractContextManager[None]:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    # Forced: the folders of tests belong to root alone, and munge wants that others may pass.
    command = [
        "munged",
        "--foreground",
        "--force",
        f"--key-file={key}",
        f"--socket={folder}/munge.sock",
        f"--pid-file={folder}/munge.pid",
        f"--log-file={folder}/munge.log",
        f"--seed-file={folder}/munge.seed",
    ]
    return run_daemon(command, folder, (folder / "munge.sock").exists)


def _configure(config: Path, folder: Path) -> None:
    host = socket.gethostname().partition(".")[0]
    controller, *ports = _find_ports(1 + len(NODES))
    nodes = [
        NODE.format(name=name, host=host, port=port)
        for name, port in zip(NODES, ports, strict=True)
    ]
    for name in ("etc", "state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    text = CONFIG.format(
        host=host, port=controller, folder=folder, nodes="\n".join(nodes), names=",".join(NODES)
    )
    (config / "slurm.conf").write_text(text)


def _find_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as sockets:
        probes = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _end_jobs(slurm: Slurm) -> None:
    """Cancel what still runs: a node that stops leaves its jobs running."""
    slurm.run("scancel", "--user=root")
    end = time.monotonic() + STOP_SECONDS
    while slurm.run("squeue", "--noheader") and time.monotonic() < end:
        time.sleep(0.2)


def _parse_job(line: str) -> Job:
    number, rule, state, memory, minutes, cpus, node = line.split("|")
    return Job(int(number), rule, state, int(memory.rstrip("M")), minutes, int(cpus), node)
