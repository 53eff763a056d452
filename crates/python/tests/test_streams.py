"""Streams: who takes them, how they end, and what they take of memory, lock and time."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest

import gristmill


def test_polars_duckdb_and_pandas_take_streams(tree: Path) -> None:
    expected = pa.table(gristmill.scan(".", "needle", sort="path"))
    assert expected.num_rows > 500
    taken = polars.DataFrame(gristmill.scan(".", "needle", sort="path"))
    assert taken.to_dicts() == expected.to_pylist()
    stream = gristmill.scan(".", "needle", sort="path")
    rows = duckdb.sql("SELECT path, absolute_offset FROM stream").fetchall()
    assert rows == list(zip(expected["path"].to_pylist(), expected["absolute_offset"].to_pylist(), strict=True))
    reader = pa.RecordBatchReader.from_stream(gristmill.scan(".", "needle", sort="path"))
    frame = reader.read_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["path"]) == expected["path"].to_pylist()


def test_batches_are_taken_one_by_one(tree: Path) -> None:
    Path("many").write_bytes(b"x" * 200_000)
    stream = gristmill.scan("many", "x")
    batches = list(stream)
    assert len(batches) > 2
    assert sum(len(batch) for batch in batches) == 200_000
    first = batches[0]
    assert first.num_rows == len(first)
    assert first.column_names == stream.column_names
    assert first.nbytes > 0
    taken = pa.record_batch(first)
    assert taken.num_rows == first.num_rows
    assert taken["absolute_offset"].to_pylist() == list(range(first.num_rows))
    assert polars.DataFrame(first).height == first.num_rows
    assert list(stream) == []


def test_the_rest_of_a_stream_goes_to_another_consumer(tree: Path) -> None:
    Path("many").write_bytes(b"x" * 200_000)
    stream = gristmill.scan("many", "x")
    first = next(stream)
    assert first.num_rows + pa.table(stream).num_rows == 200_000


def test_a_stream_is_read_once(tree: Path) -> None:
    stream = gristmill.stats("a.txt")
    assert pa.table(stream).num_rows == 1
    with pytest.raises(ValueError, match="can be read once"):
        pa.table(stream)
    with pytest.raises(ValueError, match="can be read once"):
        next(stream)


def test_capsules_have_the_names_of_the_interface(tree: Path) -> None:
    with gristmill.stats("a.txt") as stream:
        assert '"arrow_schema"' in repr(stream.__arrow_c_schema__())
        assert pa.schema(stream).names == stream.column_names
        batch = next(stream)
        schema, array = batch.__arrow_c_array__(None)
        assert '"arrow_schema"' in repr(schema)
        assert '"arrow_array"' in repr(array)
        assert pa.schema(batch).names == stream.column_names
        for wrong in [1, array, stream]:
            with pytest.raises(TypeError, match="arrow_schema"):
                stream.__arrow_c_stream__(wrong)
            with pytest.raises(TypeError, match="arrow_schema"):
                batch.__arrow_c_array__(requested_schema=wrong)
        assert '"arrow_array_stream"' in repr(stream.__arrow_c_stream__(requested_schema=batch.__arrow_c_schema__()))


def test_a_requested_schema_is_a_wish(tree: Path) -> None:
    wish = pa.schema([("path", pa.large_string())])
    stream = gristmill.stats("a.txt")
    own = pa.schema(stream)
    capsule = stream.__arrow_c_stream__(wish.__arrow_c_schema__())

    class Holder:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return capsule

    assert pa.table(Holder()).schema == own


def test_closing_ends_the_run(tree: Path) -> None:
    size = 64 << 20
    with open("many", "wb") as file:
        file.write(b"x" * size)
    stream = gristmill.scan("many", "x")
    next(stream)
    stream.close()
    assert stream.report is not None
    assert stream.report.stopped
    assert stream.report.bytes < size
    assert stream.failures == []
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        next(stream)
    with gristmill.scan("many", "x") as stream:
        assert stream.report is None
    assert stream.report is not None
    assert stream.report.stopped


def threads() -> int:
    names = []
    for task in os.listdir("/proc/self/task"):
        try:
            names.append(Path(f"/proc/self/task/{task}/comm").read_text())
        except (FileNotFoundError, ProcessLookupError):
            # It has ended meanwhile.
            continue
    return names.count("gristmill-run\n")


def test_dropping_a_stream_ends_the_run(tree: Path) -> None:
    with open("many", "wb") as file:
        file.write(b"x" * (16 << 20))
    stream = gristmill.scan("many", "x")
    next(stream)
    assert threads() >= 1
    del stream
    gc.collect()
    while threads():
        pass
    # So does a consumer that takes some batches and goes.
    reader = pa.RecordBatchReader.from_stream(gristmill.scan("many", "x"))
    reader.read_next_batch()
    del reader
    gc.collect()
    while threads():
        pass
    # And a capsule that nobody takes.
    capsule = gristmill.scan("many", "x").__arrow_c_stream__()
    del capsule
    while threads():
        pass


def test_memory_is_bounded(tree: Path) -> None:
    name = "x" * 200
    rows = 1 << 20
    with open(name, "wb") as file:
        file.write(b"x" * rows)
    # The rows would take some 500 MB.
    code = f"""
import gristmill, re, time
rows = 0
for batch in gristmill.scan({name!r}, "x", workers=2):
    rows += len(batch)
    # The run would be far ahead if it did not wait.
    time.sleep(0.02)
assert rows == {rows}, rows
# What getrusage tells begins with the parent's.
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 << 10


def test_the_lock_is_free_while_a_batch_is_waited_for(tree: Path) -> None:
    os.mkfifo("fifo")

    def write() -> None:
        # Opening waits for the reader, which is the run.
        with open("fifo", "wb") as file:
            file.write(b"a needle")

    writer = threading.Thread(target=write)
    writer.start()
    assert pa.table(gristmill.scan("fifo", "needle")).num_rows == 1
    writer.join()


def test_a_stream_is_read_by_one_thread_at_a_time(tree: Path) -> None:
    os.mkfifo("fifo")
    stream = gristmill.scan("fifo", "needle")
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    with open("fifo", "wb") as file:
        refused = None
        while refused is None:
            try:
                stream.close()
            except ValueError as error:
                refused = error
            else:
                break
        file.write(b"a needle")
    reader.join()
    assert refused is None or "another thread" in str(refused)


@pytest.mark.parametrize(
    "read",
    [
        "list(stream)",
        "pyarrow.table(stream)",
        "gristmill.PatternSet([r'(?:x+x+)+y']).scan(b'x' * (1 << 28)); list(stream)",
    ],
)
def test_ctrl_c_ends_a_run(tree: Path, read: str) -> None:
    os.mkfifo("fifo")
    # Both ends are open, and nothing is written.
    descriptor = os.open("fifo", os.O_RDWR)
    code = f"""
import gristmill, pyarrow, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
stream = gristmill.scan("fifo", "needle")
print("reading", flush=True)
try:
    {read}
    while True: pass
finally:
    stream.close()
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"reading\n"
    child.send_signal(signal.SIGINT)
    _, told = child.communicate()
    os.close(descriptor)
    assert child.returncode == -signal.SIGINT, told
    assert told.rstrip().endswith(b"KeyboardInterrupt"), told


def test_progress_is_told(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int]] = []
    stream = gristmill.digest(".", progress=lambda *counts: told.append(counts))
    table = pa.table(stream)
    assert told == sorted(told)
    assert told[-1] == (sum(table["bytes"].to_pylist()), table.num_rows)
    pa.table(gristmill.digest(".", progress=True))
    assert "B/s" in capfd.readouterr().err
    pa.table(gristmill.digest(".", progress=False))

    def fail(read: int, files: int) -> None:
        raise ZeroDivisionError

    stream = gristmill.digest(".", progress=fail)
    with pytest.raises(ZeroDivisionError):
        list(stream)
    with pytest.raises(TypeError, match="progress"):
        gristmill.digest(".", progress=3)  # type: ignore[arg-type]


def test_tqdm_is_asked_for_by_name(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ModuleNotFoundError, match="tqdm"):
        gristmill.digest(".", progress=True)


def test_nothing_needs_pyarrow(tree: Path) -> None:
    code = """
import sys
import gristmill
assert sum(map(len, gristmill.stats("."))) > 5
assert not {"pyarrow", "numpy", "tqdm"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
