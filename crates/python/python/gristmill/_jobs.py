"""Jobs as values, several of them over one read, and shares of a run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from . import _gristmill
from ._errors import FileWarning
from ._gristmill import Batch, PatternSet, Program, Stream

if TYPE_CHECKING:
    from typing import Unpack

    from ._gristmill import _FileOptions, _Names, _Options, _Path, _Paths, _Patterns, _RunOptions

__all__ = ["Digest", "Job", "Mill", "Part", "Run", "Scan", "Share", "Stats", "mill", "plan", "run_share"]

SHARE_BYTES = 256 << 20


class Job:
    """A job of `mill`, `plan` and `run_share`: a `Scan`, `Digest`, `Stats` or `Run`."""

    __module__ = "gristmill"
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Scan(Job):
    """What `gristmill.scan` does, as a job of `mill` and `run_share`. The fields are arguments of `scan`."""

    __module__ = "gristmill"

    patterns: _Patterns | PatternSet | None = None
    """Regexes or strings, or a set of them."""
    rules: _Paths | None = None
    fixed_strings: bool = False
    ignore_case: bool = False
    word_regexp: bool = False
    line_regexp: bool = False
    crlf: bool = False
    unicode: bool = True
    context_bytes: int | None = None
    show_secrets: bool = False
    max_match: int | None = None
    regex_size_limit: int | None = None
    set_memory: int | None = None

    def compiled(self) -> Scan:
        """The same job with patterns or rules compiled, as a `PatternSet`: to be pickled, or run many times."""
        if isinstance(self.patterns, PatternSet):
            return self
        compiled = PatternSet(
            self.patterns,
            rules=self.rules,
            fixed_strings=self.fixed_strings,
            ignore_case=self.ignore_case,
            word_regexp=self.word_regexp,
            line_regexp=self.line_regexp,
            crlf=self.crlf,
            unicode=self.unicode,
            regex_size_limit=self.regex_size_limit,
            set_memory=self.set_memory,
        )
        return Scan(
            compiled, context_bytes=self.context_bytes, show_secrets=self.show_secrets, max_match=self.max_match
        )


@dataclass(frozen=True, slots=True)
class Digest(Job):
    """What `gristmill.digest` does, as a job."""

    __module__ = "gristmill"

    algorithms: _Names | None = None
    """As of `digest`: `blake3` if none is named."""


@dataclass(frozen=True, slots=True)
class Stats(Job):
    """What `gristmill.stats` does, as a job."""

    __module__ = "gristmill"


@dataclass(frozen=True, slots=True)
class Run(Job):
    """What `gristmill.run` does, as a job: a program, and numbers for its arguments."""

    __module__ = "gristmill"

    program: Program | _Path
    """The program, or its path."""
    args: Mapping[str, int] | None = None
    """Values for its arguments."""


class Mill(Mapping[str, Stream]):
    """The streams of several jobs over one read, by the jobs' names.

    Streams may be read at the same time, by threads, or one after the other. `batches` takes the batches of all as they
    come. `with gristmill.mill(...) as streams:` ends the run in any case.
    """

    __module__ = "gristmill"

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self._streams = dict(streams)
        self._pairs: _gristmill.Pairs | None = None

    def __getitem__(self, name: str) -> Stream:
        return self._streams[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._streams)

    def __len__(self) -> int:
        return len(self._streams)

    def __repr__(self) -> str:
        return f"Mill({', '.join(self._streams)})"

    def batches(self) -> Iterator[tuple[str, Batch]]:
        """The batches of all jobs as they come, each with its job's name. The streams then cannot be read one by one."""
        names = list(self._streams)
        self._pairs = _gristmill.Pairs(list(self._streams.values()))
        return ((names[place], batch) for place, batch in self._pairs)

    def close(self) -> None:
        """Ends the run, if it goes on, and waits for its end."""
        if self._pairs is not None:
            self._pairs.close()
        for stream in self._streams.values():
            stream.close()

    def __enter__(self) -> Mill:
        return self

    def __exit__(self, *_exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def mill(paths: _Paths, jobs: Mapping[str, Job], **options: Unpack[_Options]) -> Mill:
    """Runs several jobs over the same files, and reads each file once.

    `jobs` has a `Scan`, `Digest`, `Stats` or `Run` for each name. The rows of each are those of its function alone. All
    files are read, also hidden ones, unless `hidden` and `ignore` say otherwise.
    """
    given = dict(jobs)
    return Mill(dict(zip(given, _gristmill.start_mill(paths, given, **options), strict=True)))


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a share, or a part of one."""

    __module__ = "gristmill"

    path: bytes
    """The file, or the URL of an object. User, password and query of a URL are in it, and may be secrets."""
    size: int
    """Its size when it was planned, in bytes."""
    modified: int
    """When it was changed, in nanoseconds since 1970."""
    range: tuple[int, int] | None = None
    """First byte and the byte behind the last, of a part; none for a whole file."""
    failed: str | None = None
    """Why it could not be listed, which the run of its share tells."""

    @property
    def nbytes(self) -> int:
        """How many bytes it has."""
        return self.size if self.range is None else self.range[1] - self.range[0]


@dataclass(frozen=True, slots=True)
class Share:
    """Files, and parts of files, that one process runs over. It is small, and may be pickled."""

    __module__ = "gristmill"

    parts: tuple[Part, ...]
    """They, in the order of the plan."""

    @property
    def nbytes(self) -> int:
        """How many bytes its files and parts have."""
        return sum(part.nbytes for part in self.parts)

    @property
    def paths(self) -> list[str]:
        """The names of its files."""
        return [os.fsdecode(part.path) for part in self.parts]


def _named(jobs: Mapping[str, Job] | Job) -> dict[str, Job]:
    return dict(jobs) if isinstance(jobs, Mapping) else {"job": jobs}


def plan(
    paths: _Paths,
    jobs: Mapping[str, Job] | Job,
    *,
    share_bytes: int = SHARE_BYTES,
    most_files: int = 10_000,
    cut: bool = True,
    **options: Unpack[_FileOptions],
) -> list[Share]:
    """Divides files into shares of about `share_bytes`, for `run_share` in any process that sees the same files.

    The rows of all shares together are those of one run. A file with more bytes is cut into parts if each of the jobs has
    rows that a part of a file has: scans for patterns. There are 65,536 parts of a file at most, which are larger where there
    would be more. All others get whole files, as does everything with `cut=False`.
    Files are ordered by path unless `sort` says otherwise. What cannot be listed is told when its share is run.
    """
    shares, notices = _gristmill.divided(paths, _named(jobs), share_bytes, most_files, cut, **options)
    for notice in notices:
        warnings.warn(notice, FileWarning, stacklevel=2)
    return [Share(tuple(Part(*fields) for fields in share)) for share in shares]


@overload
def run_share(share: Share, jobs: Job, **options: Unpack[_RunOptions]) -> Stream: ...
@overload
def run_share(share: Share, jobs: Mapping[str, Job], **options: Unpack[_RunOptions]) -> Mill: ...
def run_share(share: Share, jobs: Mapping[str, Job] | Job, **options: Any) -> Stream | Mill:
    """Runs a job, or several by name, over a share. The jobs must be those for which it was planned.

    A share may be run again, with the same rows. A file that was cut into parts and has been changed since then fails.
    """
    parts = [(part.path, part.size, part.modified, part.range, part.failed) for part in share.parts]
    given = _named(jobs)
    streams = _gristmill.start_share(parts, given, **options)
    if not isinstance(jobs, Mapping):
        return streams[0]
    return Mill(dict(zip(given, streams, strict=True)))


for _function in (mill, plan, run_share):
    _function.__module__ = "gristmill"
