"""Writes a manifest again, as other programs do, for rewritten.rs: m.parquet, in many ways.

Prints for each file a line of JSON: its name, and the words with which it must be refused, or none.
"""

import json

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq

table = pq.read_table("m.parquet").replace_schema_metadata(None)
TEXTS = ["path", "blake3", "error"]
NUMBERS = ["size", "device", "inode"]


def told(name, refused=None):
    print(json.dumps({"file": name, "refused": refused}))


def cast(columns, kind, of=table):
    for name in columns:
        place = of.column_names.index(name)
        of = of.set_column(place, name, of.column(name).cast(kind))
    return of


def replaced(name, values):
    return table.set_column(table.column_names.index(name), name, values)


def categories(columns):
    of = table
    for name in columns:
        of = of.set_column(of.column_names.index(name), name, of.column(name).dictionary_encode())
    return of


# What programs write on their own.
pq.write_table(table, "default.parquet")
told("default.parquet")
duckdb.sql("COPY (FROM 'm.parquet') TO 'duckdb.parquet'")
told("duckdb.parquet")
pandas.read_parquet("m.parquet").to_parquet("pandas.parquet")
told("pandas.parquet")
feather.write_feather(table, "default.feather")
told("default.feather")
polars.read_parquet("m.parquet").write_parquet("polars.parquet")
told("polars.parquet")
polars.read_parquet("m.parquet").write_ipc("polars.arrow")
told("polars.arrow")

# Every compression, and both versions of pages.
for codec in ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]:
    refused = "not read here (BROTLI)" if codec == "brotli" else None
    for version in ["1.0", "2.0"]:
        for dictionary in [True, False]:
            name = f"{codec}-{version}-{dictionary}.parquet"
            pq.write_table(
                table, name, compression=codec, data_page_version=version, use_dictionary=dictionary, data_page_size=64
            )
            told(name, refused)
for codec in ["uncompressed", "snappy", "gzip", "zstd", "lz4", "lz4_raw", "brotli"]:
    name = f"duckdb-{codec}.parquet"
    duckdb.sql(f"COPY (FROM 'm.parquet') TO '{name}' (COMPRESSION {codec}, PARQUET_VERSION V2)")
    told(name, "not read here (BROTLI)" if codec == "brotli" else None)
for codec in ["uncompressed", "lz4", "zstd"]:
    feather.write_feather(table, f"{codec}.feather", compression=codec)
    told(f"{codec}.feather")

# Types that say the same.
lists = cast(["chunk_offsets", "chunk_lengths"], pa.large_list(pa.uint64()))
same = {
    "large": cast(TEXTS, pa.large_string(), cast(["path_bytes"], pa.large_binary(), lists)),
    "categories": categories(["path", "path_bytes", "blake3", "error", "size", "device"]),
    "signed": cast(NUMBERS, pa.int64()),
    "decimals": cast(NUMBERS, pa.decimal128(20, 0)),
    "narrow": cast(["size"], pa.uint32(), cast(["device"], pa.int32())),
    "instants": cast(["mtime_ns"], pa.timestamp("ns", "Europe/Berlin")),
    "no_type": replaced("error", pa.nulls(table.num_rows)),
    "no_bytes": table.drop_columns(["path_bytes"]),
    "views": cast(["path_bytes"], pa.binary_view(), cast(["path", "blake3"], pa.string_view())),
}
# Types that do not, or that may mean one thing or another.
instants = table.column("mtime_ns").cast(pa.timestamp("ns"))
of_micros = pc.divide(table.column("mtime_ns"), 1000)
moved = pc.replace_substring(table.column("path"), "tree", "branch")
digests = pa.array([bytes.fromhex(text) for text in table.column("blake3").to_pylist()], pa.binary(32))
other = {
    "local": (replaced("mtime_ns", instants), "its column mtime_ns is Timestamp(ns), and not a whole number"),
    "micros": (
        replaced("mtime_ns", of_micros.cast(pa.timestamp("us", "UTC"))),
        'its column mtime_ns is Timestamp(µs, "UTC"), and not a whole number',
    ),
    "floats": (cast(["size"], pa.float64()), "its column size is Float64, and not a number from 0 on"),
    "fractions": (cast(["size"], pa.decimal128(22, 2)), "its column size is Decimal128(22, 2), and not a number"),
    "texts": (cast(["size"], pa.string()), "its column size is Utf8, and not a number from 0 on"),
    "raw": (replaced("blake3", digests), "its column blake3 is FixedSizeBinary(32), and not text"),
    "text_of_bytes": (
        replaced("path_bytes", table.column("path")),
        "its column path_bytes is Utf8, and not bytes",
    ),
    "moved": (
        replaced("path", moved),
        "row 1: the column path is not the text of path_bytes; leave one of the two columns out",
    ),
    "negative": (
        replaced("size", pa.array([-1] * table.num_rows)),
        "row 1: the column size is not a number from 0 on",
    ),
    "null": (
        replaced("changed", pa.nulls(table.num_rows, pa.bool_())),
        "row 1: the column changed is not true or false",
    ),
}
# pyarrow makes this of lists that are all empty. It is read: what is refused are files without a chunk.
no_items = table
for name in ["chunk_offsets", "chunk_lengths", "chunk_hashes"]:
    place = table.column_names.index(name)
    no_items = no_items.set_column(place, name, pa.array([[]] * table.num_rows))
other["no_items"] = (no_items, "row 1: chunks that are not those of the whole file")
# Types of Arrow alone.
lengths = table.column("chunk_lengths").to_pylist()
arrow_only = {
    "list_views": (
        replaced("chunk_lengths", pa.array(lengths, pa.list_view(pa.uint64()))),
        "its column chunk_lengths is ListView(",
    ),
    "lists_of_categories": (
        replaced("chunk_lengths", pa.array(lengths, pa.list_(pa.dictionary(pa.int8(), pa.uint64())))),
        "its column chunk_lengths is List(Dictionary(Int8, UInt64)",
    ),
}
for name, (of, refused) in arrow_only.items():
    feather.write_feather(of, f"{name}.feather")
    told(f"{name}.feather", refused)
for name, of in same.items():
    feather.write_feather(of, f"{name}.feather")
    told(f"{name}.feather")
    if name != "views":
        pq.write_table(of, f"{name}.parquet")
        told(f"{name}.parquet")
for name, (of, refused) in other.items():
    feather.write_feather(of, f"{name}.feather")
    told(f"{name}.feather", refused)
    pq.write_table(of, f"{name}.parquet")
    told(f"{name}.parquet", refused)
