"""Sets of patterns over bytes in memory."""

from __future__ import annotations

import mmap
import os
import random
import re
import subprocess
import threading
from array import array
from pathlib import Path
from typing import Any

import numpy
import pyarrow as pa
import pyarrow.ipc
import pytest

import gristmill


BOTH = {"fixed_strings": True, "ignore_case": True}


def found(patterns: gristmill.PatternSet, data: Any) -> list[tuple[int, int, int]]:
    batch = pa.record_batch(patterns.scan(data))
    columns = [batch[name].to_pylist() for name in ["pattern", "start", "length"]]
    return list(zip(*columns, strict=True))


def occurrences(strings: list[bytes], data: bytes) -> list[tuple[int, int, int]]:
    rows = []
    for number, string in enumerate(strings):
        start = data.find(string)
        while start >= 0:
            rows.append((number, start, len(string)))
            start = data.find(string, start + 1)
    return sorted(rows, key=lambda row: (row[1], row[0]))


def test_every_kind_of_memory_is_searched(tree: Path) -> None:
    data = b"a needle and a pin, and a needle"
    patterns = gristmill.PatternSet(["needle", "pin"])
    expected = occurrences([b"needle", b"pin"], data)
    assert len(expected) == 3
    assert found(patterns, data) == expected
    assert found(patterns, bytearray(data)) == expected
    assert found(patterns, memoryview(data)) == expected
    assert found(patterns, memoryview(bytearray(data))) == expected
    assert found(patterns, array("B", data)) == expected
    assert found(patterns, numpy.frombuffer(data, dtype=numpy.uint8)) == expected
    assert found(patterns, numpy.array(list(data), dtype=numpy.uint8).reshape(4, 8)) == expected
    assert found(patterns, memoryview(data)[4:20]) == occurrences([b"needle", b"pin"], data[4:20])
    assert found(patterns, memoryview(data).cast("I")) == expected
    Path("mapped").write_bytes(data)
    with open("mapped", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert found(patterns, mapped) == expected
        assert found(patterns, memoryview(mapped)[2:]) == occurrences([b"needle", b"pin"], data[2:])
    for empty in [b"", bytearray(), numpy.zeros((0, 3), dtype=numpy.uint8), memoryview(data)[3:3]]:
        assert found(patterns, empty) == []


def test_what_is_no_memory_is_refused() -> None:
    patterns = gristmill.PatternSet(["x"])
    with pytest.raises(TypeError, match="encode"):
        patterns.scan("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="buffer protocol"):
        patterns.scan(3)  # type: ignore[arg-type]
    for apart in [memoryview(b"xyxy")[::2], numpy.zeros((4, 4), dtype=numpy.uint8)[:, ::2]]:
        with pytest.raises(ValueError, match="one behind the other"):
            patterns.scan(apart)


def test_strings_are_found_as_a_plain_search_finds_them() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for size in [100, 5000, (256 << 10) - 1, (256 << 10) + 3, 600_000]:
        data = bytes(source.choices(b"abcd", k=size))
        strings = list({data[at : at + source.randrange(3, 12)] for at in source.choices(range(size - 12), k=20)})
        # One lies across the places at which changing memory is cut.
        strings = [*strings, data[(256 << 10) - 5 : (256 << 10) + 5] or b"none"]
        strings = list(dict.fromkeys(strings))
        patterns = gristmill.PatternSet(strings, fixed_strings=True)
        expected = occurrences(strings, data)
        assert found(patterns, data) == expected
        assert found(patterns, bytearray(data)) == expected


def test_regexes_are_found_as_python_finds_them() -> None:
    data = b"key-1 KEY-22 key-333\n" * 1000 + b"plain"
    regexes = [r"key-\d+", r"(?i)key-[0-9]{2}\b", "plain", r"(?m)^k"]
    patterns = gristmill.PatternSet(regexes)
    rows = [
        (number, match.start(), match.end() - match.start())
        for number, regex in enumerate(regexes)
        for match in re.finditer(regex.encode(), data)
    ]
    assert found(patterns, data) == sorted(rows, key=lambda row: (row[1], row[0]))
    assert found(patterns, bytearray(data)) == sorted(rows, key=lambda row: (row[1], row[0]))
    folded = gristmill.PatternSet(["KEY-1", r"KEY-\d\d\d"], ignore_case=True)
    assert {row[0] for row in found(folded, data)} == {0, 1}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ignore_case": True},
        {"fixed_strings": True},
        {"unicode": False},
        BOTH,
        {"word_regexp": True},
        BOTH | {"word_regexp": True},
        {"line_regexp": True, "crlf": True},
    ],
)
def test_a_set_finds_what_scan_finds_in_a_file(tree: Path, options: dict[str, Any]) -> None:
    patterns = [r"\w+-\d", "needle", "a n", r"[^\x00-\x7f]+", "É"]
    data = "a Needle, a needle: key-1, é É KEY-2, \\w+-\\d\nneedle\r\nneedles\n".encode() * 50
    Path("file").write_bytes(data)
    table = pa.table(gristmill.scan("file", patterns, **options))
    columns = [table[name].to_pylist() for name in ["pattern_index", "absolute_offset", "length"]]
    rows = sorted(zip(*columns, strict=True), key=lambda row: (row[1], row[0]))
    assert rows
    compiled = gristmill.PatternSet(patterns, **options)
    for each in [compiled, gristmill.PatternSet.from_bytes(compiled.to_bytes())]:
        assert found(each, data) == rows
        assert found(each, bytearray(data)) == rows


def test_words_are_whole_where_changing_memory_is_cut() -> None:
    piece = 256 << 10
    patterns = gristmill.PatternSet(["needle"], fixed_strings=True, word_regexp=True)
    # What is beside an occurrence lies in the piece before it, or behind it.
    for at in range(piece - 8, piece + 3):
        for before, after in [("é", " "), (" ", "é"), ("x", " "), (" ", "x"), (" ", " "), ("\u2009", "\u2009")]:
            word = f"{before}needle{after}".encode()
            data = b"-" * (at - len(before.encode())) + word + b"-" * 100
            expected = [(0, at, 6)] if before in " \u2009" and after in " \u2009" else []
            assert found(patterns, data) == expected, (at, before, after)
            assert found(patterns, bytearray(data)) == expected, (at, before, after)


def test_rules_find_what_scan_finds_in_a_file(tree: Path, repository: Path) -> None:
    rules = [repository / "examples/rules.toml", repository / "examples/rules.txt"]
    Path("more.toml").write_text(
        '[[rules]]\nid = "word"\nregex = "[a-z]{4}=([0-9]+)"\nkeywords = ["magic"]\n'
        '[[rules.allowlists]]\nregexes = ["999"]\n'
    )
    data = Path("secret.toml").read_bytes() + b"\nabcd=1234\nabcd=9999\nabcd=12 gitleaks:allow\n"
    for text in [data, data + b"MAGIC"]:
        Path("file").write_bytes(text)
        table = pa.table(gristmill.scan("file", "plain", rules=[*rules, "more.toml"]))
        patterns = gristmill.PatternSet("plain", rules=[*rules, "more.toml"])
        mine = [(patterns.names[number], start, length) for number, start, length in found(patterns, text)]
        theirs = zip(*(table[name].to_pylist() for name in ["rule", "absolute_offset", "length"]), strict=True)
        assert sorted(mine) == sorted(theirs)
        assert ("word" in {row[0] for row in mine}) == (b"MAGIC" in text)


def test_a_set_says_what_it_is() -> None:
    patterns = gristmill.PatternSet(["needle", r"k\d+"])
    assert patterns.names == ["needle", r"k\d+"]
    assert len(patterns) == 2
    assert "2 patterns" in patterns.explain()
    assert "1 strings: " in patterns.explain()
    assert r"k\d+: " in patterns.explain()
    assert gristmill.PatternSet([b"p\xff"], fixed_strings=True).names == ["p\\xff"]


def test_sets_are_saved_and_loaded(tree: Path, tool: Path, repository: Path) -> None:
    patterns = gristmill.PatternSet(["needle", r"key-\d+", "pin"])
    data = Path("a.txt").read_bytes() * 3
    patterns.save("set.gms")
    for path in ["set.gms", Path("set.gms"), b"set.gms"]:
        loaded = gristmill.PatternSet.load(path)
        assert loaded.names == patterns.names
        assert found(loaded, data) == found(patterns, data)
        assert loaded.explain() == patterns.explain()
    assert os.stat("set.gms").st_mode & 0o777 == 0o666 & ~umask()
    # The tool reads what is saved here, and the other way round; the rows are the same.
    command = [tool, "scan", "--set", "set.gms", "--sort", "path", ".", "--output", "rows.arrow"]
    subprocess.run(command, check=True)
    with pyarrow.ipc.open_file("rows.arrow") as file:
        expected = file.read_all()
    for one in [patterns, loaded]:
        table = pa.table(gristmill.scan(".", one, sort="path", glob=["!set.gms", "!rows.arrow"]))
        assert table.num_rows > 500
        assert table.combine_chunks().equals(expected.filter(not_outputs(expected)).combine_chunks())
    subprocess.run([tool, "compile", "-e", "needle", "-e", r"key-\d+", "-e", "pin", "-o", "other.gms"], check=True)
    assert Path("other.gms").read_bytes() == Path("set.gms").read_bytes()

    rules = repository / "examples/rules.toml"
    gristmill.PatternSet(rules=rules).save("rules.gms")
    loaded = gristmill.PatternSet.load("rules.gms")
    mine = pa.table(gristmill.scan("secret.toml", loaded, show_secrets=True))
    theirs = pa.table(gristmill.scan("secret.toml", rules=rules, show_secrets=True))
    assert mine.num_rows > 0
    assert mine.equals(theirs)
    assert found(loaded, b"a") == []


def not_outputs(table: pa.Table) -> list[bool]:
    return [path not in ("./set.gms", "./rows.arrow") for path in table["path"].to_pylist()]


def umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before


def test_files_that_hold_no_set_are_refused(tree: Path) -> None:
    gristmill.PatternSet(["needle"]).save("set.gms")
    whole = Path("set.gms").read_bytes()
    for data in [b"", b"no set", whole[:-8], whole[:100] + b"x" + whole[101:]]:
        Path("bad.gms").write_bytes(data)
        with pytest.raises(gristmill.SetError, match="bad.gms") as raised:
            gristmill.PatternSet.load("bad.gms")
        assert raised.value.path == "bad.gms"
        assert raised.value.reason in str(raised.value)
    with pytest.raises(gristmill.SetError, match="No such file"):
        gristmill.PatternSet.load("gone.gms")
    with pytest.raises(gristmill.SetError, match="set_memory"):
        gristmill.PatternSet.load("set.gms", set_memory=10)
    patterns = gristmill.PatternSet(["needle"])
    with pytest.raises(FileNotFoundError):
        patterns.save("no/such/directory")
    with pytest.raises(ValueError, match="PatternSet"):
        gristmill.scan(".", patterns, rules="rules.toml")
    with pytest.raises(ValueError, match="set_memory"):
        gristmill.scan(".", patterns, set_memory=1 << 30)
    with pytest.raises(ValueError, match="ignore_case"):
        gristmill.scan(".", patterns, ignore_case=True)


def test_the_lock_is_free_while_memory_is_searched() -> None:
    patterns = gristmill.PatternSet(["needle", r"k\d+x"])
    data = b"nothing here " * (8 << 20)
    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    before = counted[0]
    patterns.scan(data)
    after = counted[0]
    stop.set()
    counter.join()
    assert after > before + 1


def test_memory_that_changes_while_it_is_searched() -> None:
    patterns = [gristmill.PatternSet(["needle"]), gristmill.PatternSet([r"ne+dle"])]
    data = bytearray(b"a needle " * 200_000)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            data[0:9] = b"a nexdle "
            data[0:9] = b"a needle "

    changer = threading.Thread(target=change)
    changer.start()
    for _ in range(5):
        for one in patterns:
            assert len(one.scan(data)) in (199_999, 200_000)
    stop.set()
    changer.join()


def test_a_set_is_used_by_several_threads() -> None:
    patterns = gristmill.PatternSet(["needle", r"k\d+"])
    data = b"a needle, k17\n" * 50_000
    counts: list[int] = []
    workers = [threading.Thread(target=lambda: counts.append(len(patterns.scan(data)))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert counts == [100_000] * 4
