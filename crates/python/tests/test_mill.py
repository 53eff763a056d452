"""Several jobs over one read: each has the rows of its function alone, however its stream is read."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import gristmill

COUNT = ".acc count sum\n  each r1, 1\n    ld8 r2, r1\n    acc count, r2\n  end\n"


def jobs(repository: Path) -> dict[str, gristmill.Job]:
    return {
        "strings": gristmill.Scan(["needle", "key-17"], fixed_strings=True, ignore_case=True),
        "regexes": gristmill.Scan([r"key-\d+", "needle"], context_bytes=4),
        "set": gristmill.Scan(gristmill.PatternSet(["needle"])),
        "rules": gristmill.Scan(rules=repository / "examples/rules.toml", show_secrets=True),
        "nothing": gristmill.Scan([]),
        "sums": gristmill.Digest(["sha256", "crc32c"]),
        "blake3": gristmill.Digest(),
        "stats": gristmill.Stats(),
        "sum": gristmill.Run(gristmill.Program(COUNT), {}),
    }


def alone(repository: Path) -> dict[str, pa.Table]:
    rules = repository / "examples/rules.toml"
    options = {"hidden": True, "ignore": False, "sort": "path"}
    streams = {
        "strings": gristmill.scan(".", ["needle", "key-17"], fixed_strings=True, ignore_case=True, **options),
        "regexes": gristmill.scan(".", [r"key-\d+", "needle"], context_bytes=4, **options),
        "set": gristmill.scan(".", ["needle"], **options),
        "rules": gristmill.scan(".", rules=rules, show_secrets=True, **options),
        "nothing": gristmill.scan(".", [], **options),
        "sums": gristmill.digest(".", ["sha256", "crc32c"], sort="path"),
        "blake3": gristmill.digest(".", sort="path"),
        "stats": gristmill.stats(".", sort="path"),
        "sum": gristmill.run(gristmill.Program(COUNT), ".", sort="path"),
    }
    return {name: pa.table(stream) for name, stream in streams.items()}


def test_each_job_has_the_rows_of_its_function(tree: Path, repository: Path) -> None:
    expected = alone(repository)
    with gristmill.mill(".", jobs(repository), sort="path") as streams:
        assert list(streams) == list(expected)
        assert len(streams) == len(expected)
        taken = {name: pa.table(streams[name]) for name in reversed(list(streams))}
    for name, table in expected.items():
        assert taken[name].equals(table), name
    reports = [streams[name].report for name in expected if name != "nothing"]
    assert all(report is not None and report.files == 10 for report in reports)
    assert [report.rows for report in reports if report] == [
        expected[name].num_rows for name in expected if name != "nothing"
    ]


def test_batches_come_with_their_jobs_name(tree: Path, repository: Path) -> None:
    expected = alone(repository)
    batches: dict[str, list[pa.RecordBatch]] = {name: [] for name in expected}
    with gristmill.mill(".", jobs(repository), sort="path") as streams:
        for name, batch in streams.batches():
            batches[name].append(pa.record_batch(batch))
        with pytest.raises(ValueError, match="can be read once"):
            next(streams["stats"])
    for name, table in expected.items():
        assert pa.Table.from_batches(batches[name], table.schema).equals(table.combine_chunks()), name


def test_streams_are_read_in_turn_though_no_one_reads_the_others(tree: Path) -> None:
    Path("many").write_bytes(b"xy" * 500_000)
    several = {"x": gristmill.Scan("x"), "y": gristmill.Scan("y"), "sum": gristmill.Digest()}
    for order in [["sum", "y", "x"], ["x", "sum", "y"]]:
        streams = gristmill.mill("many", several)
        rows = {name: sum(len(batch) for batch in streams[name]) for name in order}
        assert rows == {"x": 500_000, "y": 500_000, "sum": 1}
    streams = gristmill.mill("many", several)
    table = pa.table(streams["y"])
    assert table["absolute_offset"].to_pylist() == list(range(1, 1_000_000, 2))
    # Those that waited in a file come in their order, too.
    table = pa.table(streams["x"])
    assert table["absolute_offset"].to_pylist() == list(range(0, 1_000_000, 2))
    assert table.validate(full=True) is None


def test_one_stream_alone_is_enough(tree: Path) -> None:
    Path("many").write_bytes(b"xy" * 500_000)
    streams = gristmill.mill("many", {"x": gristmill.Scan("x"), "y": gristmill.Scan("y")})
    y = streams["y"]
    streams["x"].close()
    assert sum(len(batch) for batch in y) == 500_000
    report = y.report
    assert report is not None
    assert not report.stopped


def test_threads_read_streams_at_the_same_time(tree: Path) -> None:
    Path("many").write_bytes(b"xy" * 500_000)
    streams = gristmill.mill("many", {"x": gristmill.Scan("x"), "y": gristmill.Scan("y")})
    rows: dict[str, int] = {}

    def count(name: str) -> None:
        stream = streams[name]
        [(rows[name],)] = duckdb.connect().sql("SELECT count(*) FROM stream").fetchall()

    threads = [threading.Thread(target=count, args=(name,)) for name in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows == {"x": 500_000, "y": 500_000}


def test_a_run_ends_with_its_last_stream(tree: Path) -> None:
    Path("many").write_bytes(b"xy" * 2_000_000)
    streams = gristmill.mill("many", {"x": gristmill.Scan("x"), "y": gristmill.Scan("y")})
    x, y = streams["x"], streams["y"]
    next(x)
    streams.close()
    for stream in (x, y):
        report = stream.report
        assert report is not None
        assert report.stopped
    streams = gristmill.mill("many", {"x": gristmill.Scan("x"), "y": gristmill.Scan("y")})
    pairs = streams.batches()
    assert next(pairs)[0] in streams
    streams.close()
    assert streams["x"].report is not None


def test_each_stream_tells_of_failures(tree: Path) -> None:
    small = gristmill.Scan("(?s)0.*1", max_match=4096)
    with gristmill.mill(["a.txt", "gone", "large"], {"a": small, "b": gristmill.Stats()}, errors="collect") as streams:
        for stream in streams.values():
            list(stream)
        reasons = {name: [failure.path for failure in streams[name].failures] for name in streams}
    # What one job alone cannot search is that job's failure.
    assert reasons == {"a": ["gone", "large"], "b": ["gone"]}
    with pytest.warns(gristmill.FileWarning, match="gone: No such file"):
        list(gristmill.mill(["a.txt", "gone"], {"b": gristmill.Stats()})["b"])
    with pytest.raises(gristmill.FilesError, match="gone: No such file"):
        list(gristmill.mill(["a.txt", "gone"], {"b": gristmill.Stats()}, errors="raise").batches())


def test_wrong_jobs_are_refused_by_name(tree: Path) -> None:
    with pytest.raises(gristmill.PatternError, match="unclosed group") as raised:
        gristmill.mill(".", {"fine": gristmill.Stats(), "wrong": gristmill.Scan("a(")})
    assert raised.value.__notes__ == ["in the job 'wrong'"]
    with pytest.raises(TypeError, match="'wrong' is a Scan, Digest, Stats or Run"):
        gristmill.mill(".", {"wrong": "needle"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="no jobs"):
        gristmill.mill(".", {})
    with pytest.raises(TypeError, match="mill\\(\\) got an unexpected keyword argument 'hiden'"):
        gristmill.mill(".", {"a": gristmill.Stats()}, hiden=True)  # type: ignore[call-arg]
