"""Study files: what to craft.

The format of the original container-crafter (`uri`, `sizes`, `layers`) is read unchanged; all
further keys, with their meaning, are in `workflow/schemas/study.schema.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pullstudy.errors import ConfigError, InvalidReference
from pullstudy.naming import parse_reference
from pullstudy.schemas import check_document, read_yaml

SCHEMA_PATH = Path(__file__).resolve().parents[3] / "workflow" / "schemas" / "study.schema.json"
# Table I of the paper: 25th to 95th percentile by 5.
_DEFAULT_PERCENTILES = tuple(float(p) for p in range(25, 100, 5))
_MAXIMUM_PERCENTILE = 100.0
_DEFAULT_STEPS = 4
# A petabyte: what is larger is a slip of the pen.
_LARGEST_TOTAL_BYTES = 10**15
_LEVEL_LIMITS = {"gzip": 9, "zstd": 22}

# Finds the file of a table by what stands after `from`.
FindTable = Callable[[str], Path]


class StudyError(ConfigError):
    """A study file is wrong; the message names the file and the key."""


class EmptyTable(StudyError):
    """A table that a study file names has no row to go by."""


@dataclass(frozen=True)
class Size:
    """A total size; `percentile` says which one of real images it is, where that is known."""

    total_bytes: int
    percentile: float | None = None


@dataclass(frozen=True)
class Study:
    """A study as read, with all defaults filled in.

    name: of the file, without its ending. ratio: None for random content and zeros. level: None for
    our own framing. layer_sizes_bytes: what layer sizes are sampled from; empty for equal layers.
    reads_share: 0 to 1.
    """

    sizes: tuple[Size, ...]
    layer_counts: tuple[int, ...]
    name: str = "study"
    uri: str | None = None
    is_compressed: bool = True
    content: str = "random"
    ratio: float | None = None
    compression: str = "gzip"
    level: int | None = None
    layer_sizes_bytes: tuple[int, ...] = ()
    files_per_layer: int = 1
    copies: int = 1
    shared_layers: int = 0
    base: str | None = None
    has_entrypoint: bool = True
    reads_share: float = 0.0
    platform: str = "linux/amd64"
    seed: int = 0

    @property
    def architecture(self) -> str:
        """`amd64` or `arm64`."""
        return self.platform.partition("/")[2]

    @property
    def content_name(self) -> str:
        """`random`, `zeros` or `ratio 2.6`."""
        return self.content if self.ratio is None else f"{self.content} {self.ratio:g}"

    @property
    def compression_name(self) -> str:
        """`gzip`, or `gzip level 6`."""
        return self.compression if self.level is None else f"{self.compression} level {self.level}"


@dataclass(frozen=True)
class Surroundings:
    """What a study file is read with.

    uri: replaces the one in the file. tables: files by name; `from` looks here first, then beside
    the study file. scale: factor on every size, on top of the file's own. seed: of a study that
    names none.
    """

    uri: str | None = None
    tables: Mapping[str, Path] = field(default_factory=dict)
    scale: float = 1.0
    seed: int = 0

    def find_table(self, folder: Path, name: str) -> Path:
        """Return the file that `name` stands for in a study file of this folder."""
        return self.tables.get(name, folder / name)


ALONE = Surroundings()


def load_study(path: Path, around: Surroundings = ALONE) -> Study:
    """Read a study file. Raises StudyError with the file and the key."""
    try:
        document = read_yaml(path)
        check_document(document, SCHEMA_PATH, "study")
        document.setdefault("seed", around.seed)
        document["scale"] = document.get("scale", 1) * around.scale
        study = _build_study(document, path.parent, partial(around.find_table, path.parent))
        uri = _clean_uri(around.uri) if around.uri else study.uri
        return replace(study, name=path.stem, uri=uri)
    except ConfigError as exc:
        text = str(exc).removeprefix(f"{path}: ").removeprefix("study: ")
        kind = EmptyTable if isinstance(exc, EmptyTable) else StudyError
        raise kind(f"{path}: {text}") from exc
    except OSError as exc:
        raise StudyError(f"{path}: {exc.strerror}; give a study file") from exc
    except UnicodeDecodeError as exc:
        raise StudyError(f"{path}: not text in UTF-8; give a study file") from exc


def _build_study(document: dict[str, Any], folder: Path, find: FindTable) -> Study:
    content, ratio = _read_content(document.get("content", "random"))
    compression = document.get("compression", "gzip")
    study = Study(
        sizes=_read_sizes(document["sizes"], document["scale"], find),
        layer_counts=_read_layer_counts(document["layers"]),
        uri=_clean_uri(document["uri"]) if "uri" in document else None,
        is_compressed=document.get("size_of", "compressed") == "compressed",
        content=content,
        ratio=ratio,
        compression=compression,
        level=_check_level(compression, document.get("level")),
        layer_sizes_bytes=_read_distribution(document.get("distribution", "equal"), find),
        files_per_layer=document.get("files_per_layer", 1),
        copies=document.get("copies", 1),
        shared_layers=document.get("shared_layers", 0),
        base=_read_base(document.get("base"), folder),
        has_entrypoint=document.get("entrypoint", True),
        reads_share=_read_share(document.get("reads", 0)),
        platform=document.get("platform", "linux/amd64"),
        seed=document["seed"],
    )
    if study.reads_share and not study.has_entrypoint:
        raise StudyError("key 'reads': needs the program; leave out `entrypoint: false`")
    return study


def _clean_uri(uri: str) -> str:
    """Drop tag and digest: tags name the matrix."""
    try:
        reference = parse_reference(uri)
    except InvalidReference as exc:
        raise StudyError(f"key 'uri': {exc}") from exc
    return f"{reference.registry}/{reference.repository}"


def _read_sizes(value: Any, scale: float, find: FindTable) -> tuple[Size, ...]:
    if isinstance(value, list):
        totals = [(item["total"], item.get("percentile")) for item in value]
    else:
        totals = _read_percentiles(value, find)
    sizes: dict[int, Size] = {}
    for index, (total, percentile) in enumerate(totals):
        if not 1 <= total * scale <= _LARGEST_TOTAL_BYTES:
            raise StudyError(
                f"key 'sizes.{index}.total': {total * scale:g} bytes is no size of an image"
            )
        size = Size(int(total * scale), percentile)
        # Equal totals would be the same image under the same tag.
        sizes.setdefault(size.total_bytes, size)
    return tuple(sizes.values())


def _read_percentiles(value: dict[str, Any], find: FindTable) -> list[tuple[float, float | None]]:
    """Take percentiles from a table, then equal steps to the maximum."""
    table = _read_columns(find(value["from"]), "sizes.from", ("percentile", "size_bytes"))
    known = dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
    wanted = [float(p) for p in value.get("percentiles", _DEFAULT_PERCENTILES)]
    steps = value.get("steps_to_maximum", 0 if "percentiles" in value else _DEFAULT_STEPS)
    for percentile in [*wanted, *([_MAXIMUM_PERCENTILE] if steps else [])]:
        if percentile not in known:
            raise StudyError(
                f"key 'sizes.from': {value['from']}: no row for percentile {percentile:g}"
            )
    totals: list[tuple[float, float | None]] = [(known[p], p) for p in wanted]
    last = wanted[-1]
    for step in range(1, steps + 1):
        part = step / steps
        percentile = last + (_MAXIMUM_PERCENTILE - last) * part
        totals.append((known[last] + (known[_MAXIMUM_PERCENTILE] - known[last]) * part, percentile))
    return totals


def _read_layer_counts(items: Sequence[dict[str, int]]) -> tuple[int, ...]:
    counts: list[int] = []
    for index, item in enumerate(items):
        if "exact" in item:
            counts.append(item["exact"])
        elif item["min"] > item["max"]:
            raise StudyError(f"key 'layers.{index}': min {item['min']} is above max {item['max']}")
        else:
            counts.extend(range(item["min"], item["max"] + 1))
    return tuple(dict.fromkeys(counts))


def _read_content(value: Any) -> tuple[str, float | None]:
    if isinstance(value, dict):
        return "ratio", float(value["ratio"])
    return str(value), None


def _check_level(compression: str, level: int | None) -> int | None:
    if level is not None and compression not in _LEVEL_LIMITS:
        raise StudyError(f"key 'level': {compression} has none")
    if level is not None and level > _LEVEL_LIMITS[compression]:
        raise StudyError(f"key 'level': {compression} goes up to {_LEVEL_LIMITS[compression]}")
    return level


def _read_distribution(value: Any, find: FindTable) -> tuple[int, ...]:
    if not isinstance(value, dict):
        return ()
    table = _read_columns(find(value["from"]), "distribution.from", ("size_bytes",))
    sizes = pc.drop_null(table["size_bytes"])
    if not len(sizes):
        raise EmptyTable(f"key 'distribution.from': {value['from']}: no layer sizes")
    return tuple(sizes.to_pylist())


def _read_base(value: str | None, folder: Path) -> str | None:
    """Resolve the folder of an OCI layout; leave a reference alone."""
    if value is None or not value.startswith("oci:"):
        return value
    return f"oci:{folder / value.removeprefix('oci:')}"


def _read_share(value: float | str) -> float:
    if not isinstance(value, str):
        return float(value)
    share = float(value.rstrip(" %")) / 100
    if share > 1:
        raise StudyError(f"key 'reads': {value} is more than everything")
    return share


def _read_columns(path: Path, key: str, names: Iterable[str]) -> pa.Table:
    """Read columns of a Parquet or CSV file; `key` is named in errors."""
    names = list(names)
    try:
        table = pa_csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
        table = table.select(names)
    except FileNotFoundError as exc:
        raise StudyError(f"key {key!r}: {path}: no such file") from exc
    except OSError as exc:
        reason = exc.strerror or "cannot be read"
        raise StudyError(f"key {key!r}: {path}: {reason}") from exc
    except (pa.ArrowInvalid, KeyError) as exc:
        raise StudyError(f"key {key!r}: {path}: no table with {', '.join(names)}") from exc
    if not table.num_rows:
        raise EmptyTable(f"key {key!r}: {path}: the table has no rows")
    return table
