"""The rows are those of the command line's tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill
from conftest import Table


def same(stream: gristmill.Stream, table: pa.Table) -> None:
    mine = pa.table(stream)
    assert mine.schema.equals(table.schema, check_metadata=True)
    assert mine.combine_chunks().equals(table.combine_chunks())
    assert stream.report is not None
    assert stream.report.rows == table.num_rows


@pytest.mark.parametrize(
    ("flags", "patterns", "options"),
    [
        (["-F", "-e", "needle", "-e", "key-1"], ["needle", "key-1"], {"fixed_strings": True}),
        (["-e", "needle"], "needle", {}),
        (["-i", "-e", "needle"], b"needle", {"ignore_case": True}),
        (["-F", "-w", "-e", "needle", "-e", "key"], ["needle", "key"], {"fixed_strings": True, "word_regexp": True}),
        (["-w", "-e", r"key-\d"], [r"key-\d"], {"word_regexp": True}),
        (["-x", "--crlf", "-e", ".{0,40}needle.{0,40}"], [".{0,40}needle.{0,40}"], {"line_regexp": True, "crlf": True}),
        (["-e", r"key-\d+", "-e", "pin"], [r"key-\d+", "pin"], {}),
        (["--no-unicode", "-e", r"\w{3}-\d"], [r"\w{3}-\d"], {"unicode": False}),
        (["--context-bytes", "5", "-e", "needle"], ["needle"], {"context_bytes": 5}),
        (["--max-match", "100", "-e", "n.{1,9}e"], ["n.{1,9}e"], {"max_match": 100}),
        (["-e", "occurs nowhere"], ["occurs nowhere"], {}),
    ],
)
def test_scan(tree: Path, table: Table, flags: list[str], patterns: Any, options: dict[str, Any]) -> None:
    expected = table("scan", "--all", "--sort", "path", *flags, ".")
    same(gristmill.scan(".", patterns, sort="path", **options), expected)


def test_rules(tree: Path, table: Table, repository: Path) -> None:
    rules = [repository / "examples/rules.toml", repository / "examples/rules.txt"]
    flags = ["--rules", rules[0], "--rules", rules[1], "--sort", "path"]
    expected = table("scan", *flags, "secret.toml")
    assert expected.num_rows > 1
    same(gristmill.scan("secret.toml", rules=rules, sort="path"), expected)
    expected = table("scan", *flags, "--show-secrets", "-F", "-i", "-e", "a NEEDLE", ".")
    assert b"a Needle" in expected["secret"].to_pylist()
    options: dict[str, Any] = {"fixed_strings": True, "ignore_case": True, "sort": "path"}
    same(gristmill.scan(".", "a NEEDLE", rules=rules, show_secrets=True, **options), expected)


def test_digest(tree: Path, table: Table) -> None:
    same(gristmill.digest(".", sort="path"), table("digest", "--sort", "path", "."))
    expected = table("digest", "--sort", "path", "--algorithm", "sha256,crc32c", ".")
    same(gristmill.digest(".", ["sha256", "crc32c"], sort="path"), expected)


def test_stats(tree: Path, table: Table) -> None:
    same(gristmill.stats(".", sort="path"), table("stats", "--sort", "path", "."))


def test_run(tree: Path, table: Table, repository: Path) -> None:
    program = repository / "programs/entropy.vasm"
    expected = table("run", program, "--sort", "path", ".")
    same(gristmill.run(program, ".", sort="path"), expected)
    text = ".acc count sum\n.arg limit = 127\n arg r4, limit\n each r1, 1\n ld8 r2, r1\n ltu r3, r4, r2\n acc count, r3\n end\n"
    Path("above.vasm").write_text(text)
    expected = table("run", "above.vasm", "--arg", "limit=100", "a.txt")
    same(gristmill.run(gristmill.Program(text), "a.txt", {"limit": 100}), expected)


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (["--ignore"], {"ignore": True, "hidden": False}),
        (["-g", "*.txt"], {"glob": "*.txt"}),
        (["-g", "*.txt", "-g", "!a.*"], {"glob": ["*.txt", "!a.*"]}),
        (["--iglob", "*.TXT"], {"iglob": ["*.TXT"]}),
        (["-g", "*.TXT", "--glob-case-insensitive"], {"glob": "*.TXT", "glob_ignore_case": True}),
        (["-t", "rust"], {"type": "rust"}),
        (["-T", "rust"], {"type_not": ["rust"]}),
        (["--type-add", "logs:*.log", "-t", "logs"], {"type_add": "logs:*.log", "type": "logs"}),
        (["--max-depth", "1"], {"max_depth": 1}),
        (["--max-filesize", "100"], {"max_filesize": 100}),
        (["--one-file-system"], {"one_file_system": True}),
        (["--sortr", "path"], {"sort": "path", "reverse": True}),
        (["-L"], {"follow": True}),
    ],
)
def test_files(tree: Path, table: Table, flags: list[str], options: dict[str, Any]) -> None:
    os.symlink("../a.txt", "deep/link.txt")
    if "--sortr" not in flags:
        flags = [*flags, "--sort", "path"]
        options = {"sort": "path", **options}
    expected = table("stats", *flags, ".")
    assert expected.num_rows > 0
    same(gristmill.stats(".", **options), expected)


def test_settings(tree: Path, table: Table) -> None:
    import gzip

    with gzip.open("packed.gz", "wb") as file:
        file.write(b"a needle that is packed")
    Path("wide.txt").write_bytes("a needle".encode("utf-16"))
    Path("rules").write_text("*.rs\n")
    flags = ["-z", "-E", "auto", "-j", "2", "--chunk-size", "64K", "--depth", "2", "--memory", "64M", "--sort", "path"]
    flags += ["--ignore-file", "rules", "--no-require-git", "--hidden", "--no-ignore-parent"]
    expected = table("scan", "--all", *flags, "-e", "needle", ".")
    assert {"./packed.gz", "./wide.txt", "./.hidden"} <= set(expected["path"].to_pylist())
    assert "./b.rs" not in expected["path"].to_pylist()
    settings: dict[str, Any] = {"workers": 2, "chunk_size": 64 << 10, "depth": 2, "memory": 64 << 20, "sort": "path"}
    choice: dict[str, Any] = {"ignore_file": "rules", "require_git": False, "hidden": True}
    stream = gristmill.scan(".", "needle", decompress=True, encoding="auto", **settings, **choice)
    same(stream, expected)
    assert stream.report is not None
    assert stream.report.workers == 2


def test_paths_are_text_bytes_or_what_has_fspath(tree: Path) -> None:
    for paths in ["a.txt", b"a.txt", Path("a.txt"), ["a.txt"], (path for path in [Path("a.txt")])]:
        assert pa.table(gristmill.scan(paths, "key")).num_rows == 2
    assert pa.table(gristmill.scan([b"a.txt", "b.rs"], "needle")).num_rows == 501


def test_names_that_are_not_utf_8(tree: Path) -> None:
    name = b"odd\xff\\name"
    with open(name, "wb") as file:
        file.write(b"a needle")
    for path in [name, os.fsdecode(name), [Path(os.fsdecode(name))]]:
        rows = pa.table(gristmill.scan(path, "needle")).to_pylist()
        assert [row["path_bytes"] for row in rows] == [name]
        assert [row["path"] for row in rows] == ["odd\\xff\\\\name"]
    gone = b"gone\xff"
    stream = gristmill.scan(gone, "needle", errors="collect")
    assert list(stream) == []
    assert [failure.path for failure in stream.failures] == [os.fsdecode(gone)]
