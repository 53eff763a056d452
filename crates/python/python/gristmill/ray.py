"""Gristmill on the machines of a Ray cluster.

`read` gives the rows of a job as a `ray.data.Dataset`; `sweep` writes the rows of several jobs as Parquet. Both divide the
files into shares (`gristmill.plan`), each of which is a task of Ray. All machines must see the files by the same names,
and rows have absolute paths. docs/ray.md explains it. This module needs Ray with its data part: `pip install "ray[data]"`.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import ray
    import ray.data
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask
except ImportError as _error:
    raise ImportError(
        f"gristmill.ray needs Ray with its data part, and {_error.name or 'a part of it'} is missing: "
        'pip install "ray[data]"'
    ) from _error

from . import _gristmill
from ._errors import FileError
from ._jobs import SHARE_BYTES, Job, Scan, Share, plan, run_share

if TYPE_CHECKING:
    from ._gristmill import _Paths

__all__ = ["ShareDatasource", "Swept", "read", "sweep"]

BLOCK_ROWS = 65_536
"""The rows of a block of a dataset, and of a row group. A task that is repeated must give the same blocks, since Ray keeps
those that it had from the first attempt; so they are cut by rows alone."""

_RUN_OPTIONS = ("encoding", "decompress", "depth", "chunk_size", "memory", "direct")


def _divided(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of files, and those of runs."""
    run = {name: options.pop(name) for name in _RUN_OPTIONS if name in options}
    return options, run


def _absolute(paths: _Paths) -> list[bytes]:
    """The paths as every process finds them, wherever it was started."""
    several = [paths] if isinstance(paths, (str, bytes, os.PathLike)) else paths
    names = (os.fsencode(path) for path in several)
    return [name if _gristmill.is_url(name) else os.path.abspath(name) for name in names]


def _whole(run: Mapping[str, Any]) -> bool:
    """Whether files cannot be cut, because they are decoded."""
    return bool(run.get("decompress")) or run.get("encoding") not in (None, "none")


def _prepared(job: Job) -> Job:
    return job.compiled() if isinstance(job, Scan) else job


def _blocks(batches: Iterator[Any], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of `BLOCK_ROWS` rows, whatever the batches are; the last has what is left."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        taken = pa.record_batch(batch)
        while rows + taken.num_rows >= BLOCK_ROWS:
            fits = BLOCK_ROWS - rows
            yield pa.Table.from_batches([*waiting, taken.slice(0, fits)], schema).combine_chunks()
            taken, waiting, rows = taken.slice(fits), [], 0
        if taken.num_rows:
            waiting.append(taken)
            rows += taken.num_rows
    if rows:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()


class ShareDatasource(Datasource):  # type: ignore[misc]
    """The rows of a job over files, as a source of `ray.data.read_datasource`: a read task for each share.

    `job` is a `Scan`, `Digest`, `Stats` or `Run`; it is compiled here and put into Ray's object store, from which each
    machine fetches it once. `workers` are the threads of a task; Ray should be told the same number of processors, as
    `read` does. `errors` is what a file that fails does: `"raise"`, the default, fails the dataset, and `"warn"` writes a
    warning to the log of the task's worker. The other options are those of `gristmill.plan` and `gristmill.run_share`.
    """

    def __init__(
        self,
        paths: _Paths,
        job: Job,
        *,
        share_bytes: int = SHARE_BYTES,
        cut: bool = True,
        workers: int = 1,
        errors: str = "raise",
        **options: Any,
    ) -> None:
        super().__init__()
        files, run = _divided(options)
        prepared = _prepared(job)
        self._shares = plan(_absolute(paths), prepared, share_bytes=share_bytes, cut=cut and not _whole(run), **files)
        self._schema = _schema(prepared)
        self._job = ray.put(prepared)
        self._run = {**run, "workers": workers, "errors": errors}

    @property
    def shares(self) -> list[Share]:
        """The shares, one for each read task."""
        return self._shares

    def estimate_inmemory_data_size(self) -> int | None:
        """None: how many rows there are is not known before the files are read."""
        return None

    def get_read_tasks(self, parallelism: int, per_task_row_limit: int | None = None, *_: Any, **__: Any) -> list[ReadTask]:
        """A task for each share, whatever `parallelism` is asked for: shares are of a size that suits a task."""
        tasks = []
        for share in self._shares:
            metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=tuple(share.paths), exec_stats=None)
            read = _reader(share, self._job, self._schema, self._run)
            tasks.append(ReadTask(read, metadata, schema=self._schema, per_task_row_limit=per_task_row_limit))
        return tasks


def _schema(job: Job) -> pa.Schema:
    """The columns of a job's rows."""
    with run_share(Share(()), job) as stream:
        return pa.schema(stream)


def _reader(
    share: Share, job: ray.ObjectRef[Job], schema: pa.Schema, run: Mapping[str, Any]
) -> Callable[[], Iterator[pa.Table]]:
    def read() -> Iterator[pa.Table]:
        with run_share(share, ray.get(job), **run) as stream:
            any_block = False
            for block in _blocks(stream, schema):
                any_block = True
                yield block
            if not any_block:
                yield schema.empty_table()

    return read


def read(paths: _Paths, job: Job, *, workers: int = 1, **options: Any) -> ray.data.Dataset:
    """The rows of a job over files, as a `ray.data.Dataset`. The arguments are those of `ShareDatasource`."""
    source = ShareDatasource(paths, job, workers=workers, **options)
    dataset: ray.data.Dataset = ray.data.read_datasource(
        source, override_num_blocks=max(1, len(source.shares)), ray_remote_args={"num_cpus": workers}
    )
    return dataset


@dataclass(frozen=True, slots=True)
class Swept:
    """What `sweep` has done."""

    rows: dict[str, int]
    """The rows of each job."""
    failures: list[FileError]
    """The files and places that failed, at most 10,000 of a share."""
    failure_count: int
    """How many there were."""
    shares: int
    """The shares."""
    bytes_planned: int
    """The bytes of all files, as they were when they were listed."""
    seconds: float
    """How long it took."""
    processor_seconds: float
    """The time of processors that the tasks took, all of them together."""


@dataclass(frozen=True, slots=True)
class _Done:
    rows: dict[str, int]
    processor_seconds: float
    failures: list[FileError]
    failure_count: int


def _name(number: int) -> str:
    return f"part-{number:06}.parquet"


def _run(number: int, share: Share, jobs: dict[str, Job], output: str, run: dict[str, Any]) -> _Done:
    """Runs a share, and writes a file for each job that has rows.

    A file gets its name when it is whole, in place of what an earlier attempt has left.
    """
    began = time.process_time()
    writers: dict[str, pq.ParquetWriter] = {}
    written: dict[str, Path] = {}
    rows = dict.fromkeys(jobs, 0)
    try:
        with run_share(share, jobs, errors="collect", **run) as streams:
            for name, batch in streams.batches():
                taken = pa.record_batch(batch)
                if name not in writers:
                    written[name] = Path(output, name, f".{_name(number)}.{uuid.uuid4().hex}")
                    writers[name] = pq.ParquetWriter(written[name], taken.schema, compression="zstd")
                writers[name].write_batch(taken, row_group_size=BLOCK_ROWS)
                rows[name] += taken.num_rows
            # What could not be read is known to each job; what one job alone could not do, to that job.
            told: dict[tuple[str | None, int | None, str], FileError] = {}
            for stream in streams.values():
                for failure in stream.failures:
                    told[failure.path, failure.offset, failure.reason] = failure
            count = max((stream.failure_count for stream in streams.values()), default=0)
        for name, writer in writers.items():
            writer.close()
            os.replace(written[name], Path(output, name, _name(number)))
    finally:
        for name, writer in writers.items():
            writer.close()
            written[name].unlink(missing_ok=True)
    return _Done(rows, time.process_time() - began, list(told.values()), max(count, len(told)))


def sweep(
    paths: _Paths,
    jobs: Mapping[str, Job],
    output: str | os.PathLike[str],
    *,
    share_bytes: int = SHARE_BYTES,
    cut: bool = True,
    workers: int = 1,
    processors: float | None = None,
    retries: int = 3,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> Swept:
    """Runs several jobs over files on all machines, and writes the rows of each as Parquet.

    `output` is a directory that all machines see; it must be empty, or not be there. The rows of the job `name` are the
    files `output/name/part-*.parquet`, one for each share that has any. A share whose worker dies is run again, up to
    `retries` times, and its files replace those of the attempt before: no row comes twice. `workers` are the threads of a
    task, and `processors` those that Ray keeps for it: as many, if nothing is said. `progress` is called with the shares that are done, and all. The other
    options are those of `gristmill.plan` and `gristmill.run_share`.
    """
    began = time.monotonic()
    files, run = _divided(options)
    place = Path(output)
    if place.exists() and any(place.iterdir()):
        raise FileExistsError(f"{place} is not empty: rows of another sweep would be mixed with those of this; name another")
    for name in jobs:
        if not name or name.startswith((".", "_")) or "/" in name or "\0" in name:
            raise ValueError(f"jobs: {name!r} names a directory, and cannot; use letters and digits")
    prepared = {name: _prepared(job) for name, job in jobs.items()}
    shares = plan(_absolute(paths), prepared, share_bytes=share_bytes, cut=cut and not _whole(run), **files)
    for name in prepared:
        (place / name).mkdir(parents=True, exist_ok=True)
    shipped = ray.put(prepared)
    kept = workers if processors is None else processors
    task = ray.remote(_run).options(num_cpus=kept, max_retries=retries, scheduling_strategy="SPREAD")
    run = {**run, "workers": workers}
    rows = dict.fromkeys(prepared, 0)
    failures: list[FileError] = []
    count = done = 0
    processor = 0.0
    left = enumerate(shares)
    running: list[ray.ObjectRef[_Done]] = []
    try:
        while True:
            # No more tasks wait than keep all processors busy: a plan may have a million shares.
            there: dict[str, float] = ray.cluster_resources()
            most = max(4, int(2 * there.get("CPU", 1) / max(kept, 0.1)))
            for number, share in left:
                running.append(task.remote(number, share, shipped, str(place.absolute()), run))
                if len(running) >= most:
                    break
            if not running:
                break
            ready, running = ray.wait(running, num_returns=1)
            for one in ray.get(ready):
                for name, more in one.rows.items():
                    rows[name] += more
                failures.extend(one.failures)
                count += one.failure_count
                processor += one.processor_seconds
                done += 1
                if progress is not None:
                    progress(done, len(shares))
    except BaseException:
        for one in running:
            ray.cancel(one)
        raise
    for name, job in prepared.items():
        # What workers have left that died; and the columns, if there is no row.
        for leftover in (place / name).glob(".part-*"):
            leftover.unlink(missing_ok=True)
        if not rows[name]:
            pq.write_table(_schema(job).empty_table(), place / name / _name(0))
    planned = sum(share.nbytes for share in shares)
    return Swept(rows, failures, count, len(shares), planned, time.monotonic() - began, processor)
