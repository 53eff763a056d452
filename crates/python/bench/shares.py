"""Measures `gristmill.ray.sweep` on this machine: two workers beside one, and both beside the command line.

    python shares.py TOOL [GIB] [TURNS]

TOOL is a release build of `gristmill`; the module and Ray are installed in this Python. The text is made in the temporary
directory and read from the page cache. Turns are in pairs, one right after the other, and the order changes. A ratio is
the median of the ratios of pairs.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ray

import gristmill
import gristmill.ray
from texts import planted, words

PATTERNS = ["needle", r"key-\d{4,}", "tafomi", r"\b[bd]arufo\w+ no\b", r"\bb\w+ki d\w+ro\b", r"\b\w{22,}\b"]


def command_line(tool: str, data: Path, threads: int, directory: Path) -> tuple[float, float]:
    """Seconds by the wall, and of processors."""
    given = [part for pattern in PATTERNS for part in ("-e", pattern)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    output = directory / "rows.parquet"
    command = [tool, "scan", "--all", *given, "-j", str(threads), "--no-progress", "--output", str(output), str(data)]
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def swept(data: Path, directory: Path, processors: int, share_bytes: int) -> tuple[float, float]:
    output = directory / "out"
    shutil.rmtree(output, ignore_errors=True)
    # A worker takes all that is kept for it, so that as many run as fit.
    done = gristmill.ray.sweep(
        data, {"found": gristmill.Scan(PATTERNS)}, output, share_bytes=share_bytes, processors=processors
    )
    return done.seconds, done.processor_seconds


def main() -> None:
    tool = sys.argv[1]
    gib = float(sys.argv[2]) if len(sys.argv) > 2 else 4
    turns = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    source = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        data = directory / "data"
        data.mkdir()
        for number in range(4):
            size = int(gib * (1 << 28))
            text = words(source, min(size, 1 << 26))
            text = planted(source, text, ["needle", "key-12345"], 1000)
            with open(data / f"{number}.txt", "wb") as file:
                for _ in range(size // len(text)):
                    file.write(text)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        share_bytes = 256 << 20
        swept(data, directory, 1, share_bytes)
        command_line(tool, data, 2, directory)
        speedups, overheads, walls = [], [], []
        for turn in range(turns):
            order = [1, 2] if turn % 2 else [2, 1]
            seconds = {workers: swept(data, directory, 2 // workers, share_bytes) for workers in order}
            line = command_line(tool, data, 2, directory)
            speedups.append(seconds[1][0] / seconds[2][0])
            overheads.append(seconds[2][1] / line[1])
            walls.append(seconds[2][0] / line[0])
            print(
                f"one worker {seconds[1][0]:.2f} s, two {seconds[2][0]:.2f} s; processors: {seconds[2][1]:.2f} s, "
                f"command line {line[0]:.2f} s, {line[1]:.2f} s",
                flush=True,
            )
        print(f"two workers beside one: {statistics.median(speedups):.2f}")
        print(f"processor time of tasks beside the command line: {statistics.median(overheads):.2f}")
        print(f"two workers' time by the wall beside the command line: {statistics.median(walls):.2f}")


main()
