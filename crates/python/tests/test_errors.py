"""Errors say what, where and what to do."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gristmill


def test_a_file_that_fails_ends_nothing_and_is_warned_of(tree: Path) -> None:
    stream = gristmill.scan(["gone", "a.txt"], "needle")
    with pytest.warns(gristmill.FileWarning, match="gone: No such file"):
        table = pa.table(stream)
    assert table.num_rows == 1
    [failure] = stream.failures
    assert isinstance(failure, gristmill.FileError)
    assert (failure.path, failure.offset) == ("gone", None)
    assert "No such file" in failure.reason
    assert str(failure) == f"gone: {failure.reason}"
    assert stream.failure_count == 1
    assert stream.report is not None
    assert stream.report.failures == 1


def test_failures_are_collected_or_raised_if_asked(tree: Path) -> None:
    stream = gristmill.scan(["gone", "a.txt", "lost"], "needle", errors="collect")
    assert pa.table(stream).num_rows == 1
    assert sorted(str(failure.path) for failure in stream.failures) == ["gone", "lost"]

    stream = gristmill.scan(["gone", "a.txt", "lost"], "needle", errors="raise")
    rows = 0
    with pytest.raises(gristmill.FilesError, match="2 failures") as raised:
        for batch in stream:
            rows += len(batch)
    # Behind the last row.
    assert rows == 1
    assert raised.value.count == 2
    assert len(raised.value.failures) == 2
    assert isinstance(raised.value, gristmill.GristmillError)
    with pytest.raises(OSError, match="No such file"):
        pa.table(gristmill.scan("gone", "needle", errors="raise"))


def test_failures_are_bounded(tree: Path) -> None:
    stream = gristmill.scan([f"gone{number}" for number in range(10_100)], "x", errors="collect")
    assert list(stream) == []
    assert stream.failure_count == 10_100
    assert len(stream.failures) == 10_000


def test_a_regex_that_needs_more_than_it_may_is_a_failure_with_its_place(tree: Path) -> None:
    Path("long").write_bytes(b"-- x" + b"y" * 5_000_000 + b"z")
    stream = gristmill.scan("long", "xy+z", max_match=4096, errors="collect")
    assert pa.table(stream).num_rows == 0
    [failure] = stream.failures
    assert (failure.path, failure.offset) == ("long", 3)
    assert "xy+z" in failure.reason
    assert not failure.reason.startswith("long")


def test_notices_are_no_failures(tree: Path) -> None:
    Path(".ignore").write_text("a{b\n")
    stream = gristmill.scan(".", "needle", errors="raise")
    pa.table(stream)
    assert stream.failures == []
    assert any(".ignore" in notice for notice in stream.notices)


def test_patterns(tree: Path) -> None:
    calls: list[Any] = [gristmill.PatternSet, lambda patterns, **more: gristmill.scan(".", patterns, **more)]
    for call in calls:
        with pytest.raises(gristmill.PatternError, match="unclosed group") as raised:
            call(["good", "a\n(b"])
        assert (raised.value.pattern, raised.value.line, raised.value.column) == (1, 2, 1)
        assert "unclosed group" in raised.value.reason
        assert isinstance(raised.value, ValueError)
        with pytest.raises(gristmill.PatternError, match="UTF-8") as raised:
            call([b"\xff"])
        assert raised.value.pattern == 0
        with pytest.raises(TypeError, match="str or bytes"):
            call([1])
        with pytest.raises(TypeError, match="needs patterns"):
            call(None)
        with pytest.raises(ValueError, match="none are given"):
            call(None, ignore_case=True)
        with pytest.raises(ValueError, match="none are given"):
            call(None, word_regexp=True)
        with pytest.raises(ValueError, match="both word_regexp and line_regexp"):
            call("a", word_regexp=True, line_regexp=True)
        with pytest.raises(ValueError, match="not for rules"):
            call("a", rules=[], crlf=True)
        with pytest.raises(ValueError, match="bytes of memory"):
            call([f"pattern{number}" for number in range(1000)], fixed_strings=True, set_memory=1000)
    with pytest.raises(gristmill.PatternError, match="empty"):
        gristmill.PatternSet(["a", ""])


def test_no_patterns_find_nothing(tree: Path) -> None:
    stream = gristmill.scan(".", [])
    assert pa.table(stream).num_rows == 0
    assert stream.report is not None
    assert len(gristmill.PatternSet([]).scan(b"text")) == 0


def test_rule_files(tree: Path) -> None:
    Path("bad.toml").write_text('[[rules]]\nid = "a"\nregex = "(b"\n')
    for call in [
        lambda: gristmill.scan(".", rules="bad.toml"),
        lambda: gristmill.PatternSet(rules=Path("bad.toml")),
    ]:
        with pytest.raises(gristmill.RuleError) as raised:
            call()
        assert (raised.value.path, raised.value.line) == ("bad.toml", 3)
        assert raised.value.column is not None
        assert raised.value.reason in str(raised.value)
    with pytest.raises(gristmill.RuleError, match="No such file"):
        gristmill.scan(".", rules=["gone.toml"])
    Path("good.txt").write_text("name\tneedle\n")
    with pytest.raises(gristmill.PatternError, match="missing|unclosed") as pattern:
        gristmill.scan(".", ["fine", "(b"], rules="good.txt")
    assert pattern.value.pattern == 1
    with pytest.raises(ValueError, match="context_bytes"):
        gristmill.scan(".", rules="good.txt", context_bytes=3)
    with pytest.raises(ValueError, match="show_secrets"):
        gristmill.scan(".", "x", show_secrets=True)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"hiden": True}, TypeError, r"scan\(\).*'hiden'.*hidden"),
        ({"workers": "two"}, TypeError, "workers"),
        ({"workers": -1}, ValueError, "workers"),
        ({"workers": 1000}, ValueError, "256 workers"),
        ({"chunk_size": 17}, ValueError, "chunk size"),
        ({"max_depth": 1.5}, TypeError, "max_depth"),
        ({"sort": "size"}, ValueError, "'path', 'modified'"),
        ({"reverse": True}, ValueError, "sort"),
        ({"glob": "a{b"}, ValueError, "glob"),
        ({"type": "no-such-type"}, ValueError, "type"),
        ({"encoding": "no-such"}, ValueError, "encoding"),
        ({"errors": "ignore"}, ValueError, "'warn', 'collect'"),
        ({"context_bytes": 5000}, ValueError, "4,096"),
        ({"context_bytes": -1}, OverflowError, "context_bytes|negative"),
    ],
)
def test_arguments(tree: Path, options: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        gristmill.scan(".", "x", **options)


def test_paths(tree: Path) -> None:
    with pytest.raises(ValueError, match="empty path"):
        gristmill.stats("")
    with pytest.raises(ValueError, match="NUL"):
        gristmill.stats("a\0b")
    with pytest.raises(TypeError):
        gristmill.stats(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="md6.*blake3"):
        gristmill.digest(".", "md6")
    with pytest.raises(ValueError, match="empty"):
        gristmill.digest(".", [])


def test_programs(tree: Path) -> None:
    with pytest.raises(gristmill.ProgramError) as raised:
        gristmill.Program(".acc count sum\n  foo r1\n", name="mine.vasm")
    assert (raised.value.name, raised.value.line, raised.value.column) == ("mine.vasm", 2, 3)
    assert "foo" in raised.value.reason
    with pytest.raises(gristmill.ProgramError, match="refused") as raised:
        gristmill.Program(" each r1, 1\n  each r2, 1\n  end\n end\n")
    assert (raised.value.line, raised.value.column) == (2, 3)
    with pytest.raises(gristmill.ProgramError, match="No such file") as raised:
        gristmill.run("gone.vasm", ".")
    assert raised.value.name == "gone.vasm"
    with pytest.raises(gristmill.ProgramError):
        gristmill.Program.from_bytes(b"no program")
    program = gristmill.Program(".acc count sum\n.arg limit\n  arg r1, limit\n  acc count, r1\n")
    assert program.arguments == {"limit": None}
    with pytest.raises(ValueError, match="needs its argument limit"):
        gristmill.run(program, ".")
    with pytest.raises(ValueError, match="no argument most"):
        gristmill.run(program, ".", {"most": 1})
    for wrong in [1 << 32, -(1 << 31) - 1]:
        with pytest.raises(ValueError, match="limit"):
            gristmill.run(program, ".", {"limit": wrong})
    for odd in [True, "1", 1.0]:
        with pytest.raises(TypeError, match="limit"):
            gristmill.run(program, ".", {"limit": odd})  # type: ignore[dict-item]
    for number in [-1, (1 << 32) - 1]:
        rows = pa.table(gristmill.run(program, "a.txt", {"limit": number})).to_pylist()
        assert rows[-1]["count"] == (1 << 32) - 1


def test_exceptions_are_pickled(tree: Path) -> None:
    errors = [
        gristmill.FileError("path", 3, "reason"),
        gristmill.FilesError("some", [], 2),
        gristmill.PatternError("message", "reason", 1, 2, 3),
        gristmill.RuleError("message", "reason", "path", 2, 3),
        gristmill.ProgramError("message", "reason", "name", 2, 3),
        gristmill.RunError("message"),
        gristmill.SetError("message", "reason", "path"),
    ]
    for error in errors:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert str(again) == str(error)
