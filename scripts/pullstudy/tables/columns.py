"""What a table is made of: columns with types, and the types that all tables share."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

INT32 = pa.int32()
INT64 = pa.int64()
TEXT = pa.string()
FLOAT64 = pa.float64()
BOOL = pa.bool_()
# Without a zone in the type: DuckDB can do nothing with zones unless it downloads an extension.
UTC = pa.timestamp("us")
TEXTS = pa.list_(pa.string())
FLOATS = pa.list_(pa.float64())
VECTOR = pa.list_(pa.float32())
# Names and media types repeat over millions of rows.
LABEL = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Column:
    """One column: its name carries the unit, `meaning` is the data dictionary's sentence."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One table: `grain` says what a row is."""

    name: str
    grain: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema that every Parquet file of this table has."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])


def make_table(name: str, grain: str, *columns: Column) -> Table:
    """Make a table from its columns as they come."""
    return Table(name, grain, columns)


NAME = Column("name", LABEL, "repository as the source wrote it; it may be no valid reference")
