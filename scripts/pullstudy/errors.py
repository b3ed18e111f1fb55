"""Errors a user can act on: one class per cause.

    PullstudyError
    ├── ConfigError         a setting is missing, unknown or contradictory
    ├── ArchiveError        the published archive cannot be used
    │   ├── ArchiveMissing      no such file, or the download failed
    │   ├── ChecksumMismatch    the bytes are not the expected ones
    │   ├── ArchiveTruncated    the file ends too early or is not a tarball
    │   └── UnsafeMember        a member points outside of the archive
    ├── CorpusError         a source of Dockerfiles cannot be read
    ├── InvalidReference    a name is not an image reference
    ├── TableError          a table does not keep the contract of `pullstudy.tables`
    ├── QueryError          a SQL file cannot be run, or gives no usable answer
    ├── ClaimError          an entry of the claims file is wrong
    ├── EmptyCorpus         there is nothing to compute from
    ├── RegistryError       a registry answered with an error
    ├── ImageError          the files of an image cannot be read, or not within the limits
    ├── CraftError          an image cannot be crafted as asked
    ├── PullError           the machinery of a pull run failed, not a pull
    └── ReportError         Snakemake makes no page of the results

A message is one line: what, where, and what to do next. Each subject defines
finer classes beside its code when a caller has to tell them apart.
"""

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path


class PullstudyError(Exception):
    """Base of every error that is the user's to act on; its text is one line."""


class ConfigError(PullstudyError):
    """A setting is missing, unknown or contradictory."""


class ArchiveError(PullstudyError):
    """The published archive cannot be used."""


class ArchiveMissing(ArchiveError):
    """There is no such file or folder, or it could not be downloaded."""


class ChecksumMismatch(ArchiveError):
    """The file is complete but its bytes are not the expected ones."""


class ArchiveTruncated(ArchiveError):
    """The file ends too early, or is not a gzip-compressed tarball at all."""


class UnsafeMember(ArchiveError):
    """A member of the tarball points outside of it."""


class CorpusError(PullstudyError):
    """A source of Dockerfiles cannot be read."""


class InvalidReference(PullstudyError):
    """A name is not an image reference by the published grammar."""


class TableError(PullstudyError):
    """A table does not keep the contract of `pullstudy.tables`."""


class QueryError(PullstudyError):
    """A SQL file cannot be run, or gives no usable answer."""


class ClaimError(PullstudyError):
    """An entry of the claims file is wrong."""


class EmptyCorpus(PullstudyError):
    """There is nothing to compute from."""


class RegistryError(PullstudyError):
    """A registry answered with an error."""


class ImageError(PullstudyError):
    """The files of an image cannot be read, or not within the limits."""


class CraftError(PullstudyError):
    """An image cannot be crafted as asked."""


class PullError(PullstudyError):
    """The machinery of a pull run failed, not a pull."""


class ReportError(PullstudyError):
    """Snakemake makes no page of the results."""


@contextlib.contextmanager
def report_to(log: str) -> Iterator[None]:
    """Run a job: its outcome goes to the file `log`, an error the user can act on to the screen.

    Such an error ends the process with status 1 after its one line; any other keeps its traceback,
    in the log.
    """
    with Path(log).open("w") as file:
        try:
            yield
        except PullstudyError as exc:
            print(f"pullstudy: {exc}", file=file)
            print(f"pullstudy: {exc}", file=sys.stderr)
            raise SystemExit(1) from None
        except BaseException:
            traceback.print_exc(file=file)
            raise


def print_errors(logs: Path, since: float) -> None:
    """Print the one-line errors that jobs left in their logs; since: Unix seconds."""
    for log in sorted(logs.rglob("*.log")):
        if log.stat().st_mtime >= since and log.read_text().startswith("pullstudy: "):
            print(log.read_text(), end="", file=sys.stderr)
