"""Ray: the rows of all tasks are those of one process, whatever happens to workers."""

from __future__ import annotations

import functools
import gc
import http.server
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytest.importorskip("ray.data", reason="Ray has no data part here")

pytestmark = pytest.mark.filterwarnings("ignore")

Row = dict[str, object]


def start() -> str | None:
    """Starts Ray, or says why it does not start: on a busy machine it gives up after half a minute."""
    try:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    except Exception as error:
        reason = str(error)
    else:
        return None
    ray.shutdown()
    # What it leaves of its processes must not be a warning in another test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
    return reason


@pytest.fixture(scope="module")
def cluster(skipped: Callable[[str, str], None]) -> Iterator[None]:
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for _ in range(4):
        reason = start()
        if reason is None:
            break
    else:
        skipped("ray", f"Ray cannot start here: {reason}")
    try:
        yield
    finally:
        ray.shutdown()


def by_place(found: list[Row]) -> list[Row]:
    return sorted(found, key=lambda row: tuple(str(value) for value in row.values()))


def files(directory: Path) -> Path:
    data = directory / "data"
    data.mkdir()
    for number in range(3):
        (data / f"{number}.log").write_bytes(b"a needle, key-%d and aaaa of it\n" % number * 20_000)
    (data / "small.txt").write_bytes(b"needle")
    return data


def test_a_dataset_and_a_sweep_have_the_rows_of_one_process(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gristmill.ray

    data = files(tmp_path)
    scan = gristmill.Scan(["needle", r"key-\d+", "aa"])
    expected = by_place(pa.table(gristmill.scan(data, scan.patterns, hidden=True, ignore=False)).to_pylist())
    assert len(expected) == 300_001

    source = gristmill.ray.ShareDatasource(data, scan, share_bytes=200_000)
    assert len(source.shares) > 10
    dataset = gristmill.ray.read(data, scan, share_bytes=200_000)
    tables = [pa.table(block) for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow")]
    assert by_place(pa.concat_tables(tables).to_pylist()) == expected

    # A relative path is that of this process, wherever workers run.
    monkeypatch.chdir(tmp_path)
    jobs = {"found": scan, "none": gristmill.Scan("no such thing"), "again": gristmill.Scan("needle")}
    done = gristmill.ray.sweep(["data", "gone"], jobs, tmp_path / "out", share_bytes=200_000)
    assert by_place(pq.read_table(tmp_path / "out/found").to_pylist()) == expected
    assert done.rows == {"found": 300_001, "none": 0, "again": 60_001}
    assert pq.read_table(tmp_path / "out/none").num_rows == 0
    assert [(failure.path, done.failure_count) for failure in done.failures] == [(str(tmp_path / "gone"), 1)]
    assert done.bytes_planned == sum(path.stat().st_size for path in data.iterdir())
    with pytest.raises(FileExistsError, match="not empty"):
        gristmill.ray.sweep("data", jobs, tmp_path / "out")
    with pytest.raises(ValueError, match="names a directory"):
        gristmill.ray.sweep("data", {"../x": scan}, tmp_path / "other")


def test_a_worker_that_is_killed_costs_no_row_and_doubles_none(cluster: None, tmp_path: Path) -> None:
    import gristmill.ray

    data = files(tmp_path)
    killed = tmp_path / "killed"

    jobs = {"found": gristmill.Scan(["needle", "aa"]), "sums": gristmill.Digest()}
    expected = {
        name: by_place(pa.table(stream).to_pylist()) for name, stream in gristmill.mill(data, jobs).items()
    }
    # The task as it is, but for a worker that dies in the middle of its first share.
    whole = gristmill.ray._run

    def dies(number: int, *arguments: object) -> object:
        if number == 1 and not killed.exists():
            real = pq.ParquetWriter.write_batch

            def write(writer: object, *given: object, **named: object) -> None:
                real(writer, *given, **named)
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)

            pq.ParquetWriter.write_batch = write
        return whole(number, *arguments)

    gristmill.ray._run = dies
    try:
        done = gristmill.ray.sweep(data, jobs, tmp_path / "out", share_bytes=700_000)
    finally:
        gristmill.ray._run = whole
    assert killed.exists()
    for name, rows in expected.items():
        assert by_place(pq.read_table(tmp_path / "out" / name).to_pylist()) == rows
        assert done.rows[name] == len(rows)
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert all(name.startswith("part-") for name in left), left


def test_without_ray_the_import_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError('no', name='ray')\n")
    text = "import gristmill\ntry:\n    import gristmill.ray\nexcept ImportError as error:\n    print(error)\n"
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'pip install "ray[data]"' in done.stdout


def test_objects_are_named_by_urls(cluster: None, tmp_path: Path) -> None:
    import gristmill.ray

    data = files(tmp_path)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=data)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/small.txt"
        paths = [url, (data / "0.log").as_uri()]
        done = gristmill.ray.sweep(paths, {"sums": gristmill.Digest()}, tmp_path / "swept")
        server.shutdown()
    assert not done.failures
    [part] = (tmp_path / "swept/sums").iterdir()
    assert pq.read_table(part)["path"].to_pylist() == [url, str(data / "0.log")]
