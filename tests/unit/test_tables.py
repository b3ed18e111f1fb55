import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullstudy.errors import TableError
from pullstudy.tables import (
    BOOL,
    INT32,
    INT64,
    TABLES,
    TEXT,
    UTC,
    bases,
    craft,
    open_writers,
    pulls,
    similarity,
    to_arrow,
    write_table,
)
from pullstudy.tables.dictionary import choose_tables, write_markdown

SCRIPTS = str(Path(__file__).parents[2] / "scripts")

LAYERS: dict[str, list[Any]] = {
    "image_id": [0, 0],
    "layer_number": [0, 1],
    "digest": ["sha256:a", "sha256:b"],
    "size_bytes": [3, 4],
    "media_type": ["x", "x"],
}


def test_a_table_keeps_its_contract(tmp_path: Path) -> None:
    write_table("layers", tmp_path / "layers.parquet", LAYERS)
    table = pq.read_table(tmp_path / "layers.parquet")
    assert table.schema.equals(TABLES["layers"].schema)
    assert table.to_pydict() == LAYERS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size_bytes": [None, 1]}, "'size_bytes' holds a null"),
        ({"size_bytes": ["x", "y"]}, "column 'size_bytes'"),
        ({"extra": [1, 2]}, "unknown column 'extra'"),
    ],
)
def test_rows_against_the_contract_leave_nothing(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        write_table("layers", tmp_path / "layers.parquet", LAYERS | change)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    columns = {name: values for name, values in LAYERS.items() if name != "digest"}
    with pytest.raises(TableError, match="column 'digest' is missing"):
        write_table("layers", tmp_path / "layers.parquet", columns)


def test_tables_opened_together_appear_together(tmp_path: Path) -> None:
    def fail_halfway() -> None:
        with open_writers(tmp_path, ["layers", "history"]) as writers:
            writers["layers"].write(LAYERS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []


PLAIN_VALUES = {
    "string": (TEXT, st.text(), str),
    "int32": (INT32, st.integers(-(2**31), 2**31 - 1), np.int32),
    "int64": (INT64, st.integers(-(2**63), 2**63 - 1), np.int64),
    "bool": (BOOL, st.booleans(), np.bool_),
    "double": (pa.float64(), st.floats(allow_nan=False), np.float64),
    "timestamp": (UTC, st.integers(-(2**62), 2**62), None),
}


@pytest.mark.parametrize("name", PLAIN_VALUES)
@settings(deadline=None)
@given(data=st.data())
def test_arrays_of_plain_values_are_those_of_arrow(name: str, data: st.DataObject) -> None:
    kind, value, dtype = PLAIN_VALUES[name]
    values = data.draw(st.lists(st.none() | value))
    for given_values in (values, tuple(values)):
        found = to_arrow(given_values, kind)
        found.validate(full=True)
        assert found.equals(pa.array(values, type=kind))
    full = [v for v in values if v is not None]
    if name not in ("string", "timestamp"):
        array = np.array(full, dtype)
        assert to_arrow(array, kind).equals(pa.array(array, type=kind))
        assert to_arrow(array[::2], kind).equals(pa.array(array[::2], type=kind))
        mask = np.arange(len(full)) % 3 == 0
        assert to_arrow(array, kind, mask).equals(pa.array(array, type=kind, mask=mask))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (INT64, ["5"]),
        (INT64, [2**63]),
        (INT32, [2**31]),
        (INT32, np.array([2**31])),
        (TEXT, [5]),
        (TEXT, [b"\xff"]),
        (BOOL, [1]),
    ],
)
def test_arrow_judges_values_of_other_types(kind: pa.DataType, values: Any) -> None:
    with pytest.raises((pa.ArrowException, OverflowError, TypeError, ValueError)):
        to_arrow(values, kind)


def test_writing_a_table_does_not_load_pandas(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pullstudy.tables import write_table;"
        f"write_table('layers', Path({str(tmp_path / 'layers.parquet')!r}), {LAYERS!r});"
        "sys.exit('pandas' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": SCRIPTS}
    )


def test_every_column_says_what_it_means() -> None:
    for table in TABLES.values():
        assert table.grain
        assert all(column.meaning for column in table.columns)
        assert len({column.name for column in table.columns}) == len(table.columns)


def test_no_two_tables_share_a_name() -> None:
    modules = (
        bases.BASE_TABLES,
        craft.CRAFT_TABLES,
        pulls.PULL_TABLES,
        similarity.SIMILARITY_TABLES,
    )
    names = [table.name for module in modules for table in module]
    assert len(set(names)) == len(names)
    assert set(names) < set(TABLES)


def test_the_data_dictionary_is_in_step() -> None:
    written = (Path(__file__).parents[2] / "workflow/schemas/tables.md").read_text()
    assert written == write_markdown(), (
        "run `.venv/bin/pullstudy tables --markdown > workflow/schemas/tables.md`"
    )
    for table in TABLES.values():
        for column in table.columns:
            assert f"| `{column.name}` |" in written


def test_a_table_that_is_not_there_is_named() -> None:
    with pytest.raises(TableError, match="did you mean 'layers'"):
        choose_tables(["layer"])
