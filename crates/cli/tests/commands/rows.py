"""Reads tables for rows.rs: FORMAT and FILE in pairs; prints for each a line of JSON with its schema and rows.

Everything is read by pyarrow and by DuckDB, which must agree. Bytes are shown as {"hex": ...}.
"""

import csv
import json
import re
import sys

import duckdb
import pyarrow
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet


def plain(value):
    if isinstance(value, (bytes, bytearray)):
        return {"hex": bytes(value).hex()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def unescaped(text):
    """The bytes of a path, by another reading of the escapes' definition."""
    parts = re.split(r"(\\\\|\\x[0-9a-f]{2})", text)
    return b"".join(
        b"\\" if part == "\\\\" else bytes([int(part[2:], 16)]) if part.startswith("\\x") else part.encode()
        for part in parts
    )


def same(one, other):
    assert len(one) == len(other), (len(one), len(other))
    for left, right in zip(one, other):
        assert left == right, (left, right)


def columns(rows):
    return [dict(zip(rows.columns, row)) for row in rows.fetchall()]


def read(kind, path):
    if kind == "csv":
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        varchar = duckdb.read_csv(path, all_varchar=True, header=True)
        same([{name: value or "" for name, value in row.items()} for row in columns(varchar)], rows)
        options = pyarrow.csv.ParseOptions(newlines_in_values=True)
        text = {name: pyarrow.string() for name in (rows[0] if rows else {})}
        convert = pyarrow.csv.ConvertOptions(column_types=text, strings_can_be_null=False)
        same(pyarrow.csv.read_csv(path, parse_options=options, convert_options=convert).to_pylist(), rows)
        return {"rows": rows}
    if kind == "arrow":
        with pyarrow.memory_map(path) as file:
            table = pyarrow.ipc.open_file(file).read_all()
        other = duckdb.from_arrow(table)
    else:
        table = pyarrow.parquet.read_table(path)
        other = duckdb.read_parquet(path)
    table.validate(full=True)
    rows = table.to_pylist()
    same(columns(other), rows)
    if rows and "path_bytes" in rows[0]:
        for row in rows:
            assert unescaped(row["path"]) == row["path_bytes"], row
    decode = lambda metadata: {key.decode(): value.decode() for key, value in (metadata or {}).items()}
    fields = [
        {
            "name": field.name,
            "type": str(field.type),
            "null": field.nullable,
            **{key: value for key, value in decode(field.metadata).items() if not key.startswith("PARQUET")},
        }
        for field in table.schema
    ]
    metadata = {key: value for key, value in decode(table.schema.metadata).items() if key.startswith("gristmill")}
    if kind == "parquet":
        file = pyarrow.parquet.ParquetFile(path).metadata
        assert file.metadata[b"gristmill.schema"].decode() == metadata["gristmill.schema"]
        for column in range(file.num_columns if file.num_row_groups else 0):
            assert file.row_group(0).column(column).compression == "ZSTD"
    rows = [{name: plain(value) for name, value in row.items()} for row in rows]
    return {"metadata": metadata, "fields": fields, "rows": rows}


arguments = sys.argv[1:]
for kind, path in zip(arguments[::2], arguments[1::2]):
    print(json.dumps(read(kind, path)))
