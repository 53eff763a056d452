"""Gristmill: find strings, regexes and secrets in very many bytes, and fingerprint and summarise files.

`scan`, `digest`, `stats` and `run` read files and return a `Stream` of Arrow record batches, which pyarrow, Polars,
DuckDB and pandas take as they are. `mill` runs several of them over one read; `plan` and `run_share` divide a run among
processes, and `gristmill.ray` among machines. `PatternSet` searches bytes in memory. docs/python.md explains all of it.

>>> import gristmill
>>> found = gristmill.PatternSet(["needle", "pin"]).scan(b"a pin, a needle")
>>> len(found)
2
"""

from __future__ import annotations

from . import _gristmill
from ._errors import (
    FileError,
    FilesError,
    FileWarning,
    GristmillError,
    PatternError,
    ProgramError,
    RuleError,
    RunError,
    SetError,
)
from ._gristmill import Batch, PatternSet, Program, Report, Stream, digest, run, scan, stats
from ._jobs import Digest, Job, Mill, Part, Run, Scan, Share, Stats, mill, plan, run_share

__version__: str = _gristmill.__VERSION__

__all__ = [
    "Batch",
    "Digest",
    "FileError",
    "FilesError",
    "FileWarning",
    "GristmillError",
    "Job",
    "Mill",
    "Part",
    "PatternError",
    "PatternSet",
    "Program",
    "ProgramError",
    "Report",
    "RuleError",
    "Run",
    "RunError",
    "Scan",
    "SetError",
    "Share",
    "Stats",
    "Stream",
    "digest",
    "mill",
    "plan",
    "run",
    "run_share",
    "scan",
    "stats",
]
