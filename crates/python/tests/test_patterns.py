"""Sets of patterns over bytes in memory."""

from __future__ import annotations

import mmap
import random
import re
import threading
from array import array
from pathlib import Path
from typing import Any

import numpy
import pyarrow as pa
import pytest

import gristmill


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


@pytest.mark.parametrize("options", [{}, {"ignore_case": True}, {"fixed_strings": True}, {"unicode": False}])
def test_a_set_finds_what_scan_finds_in_a_file(tree: Path, options: dict[str, Any]) -> None:
    patterns = [r"\w+-\d", "needle", "a n", r"[^\x00-\x7f]+", "É"]
    data = "a Needle, a needle: key-1, é É KEY-2, \\w+-\\d\n".encode() * 50
    Path("file").write_bytes(data)
    table = pa.table(gristmill.scan("file", patterns, **options))
    columns = [table[name].to_pylist() for name in ["pattern_index", "absolute_offset", "length"]]
    rows = sorted(zip(*columns, strict=True), key=lambda row: (row[1], row[0]))
    assert rows
    assert found(gristmill.PatternSet(patterns, **options), data) == rows


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
    assert "1 strings" in patterns.explain()
    assert r"k\d+: " in patterns.explain()
    assert gristmill.PatternSet([b"p\xff"], fixed_strings=True).names == ["p\\xff"]


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
