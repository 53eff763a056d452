"""The rows of all shares of a run are those of the run."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import gristmill

PATTERNS = ["aa", "needle", r"a.{0,50}b", r"key-\d+", r"(?:ab)+c?", r"[^\n0]{3,}b", r"\bneedle\b", "x+"]

Row = dict[str, object]


def rows(stream: gristmill.Stream) -> list[Row]:
    return pa.table(stream).to_pylist()


def by_place(found: list[Row]) -> list[Row]:
    return sorted(found, key=lambda row: (row["path"], row["absolute_offset"], row["pattern_index"]))


def seed() -> int:
    return int(os.environ.get("GRISTMILL_SHARES_SEED", "20261129"))


def test_shares_have_the_rows_of_the_run(tree: Path) -> None:
    draw = random.Random(seed())
    paths = ["random-0", "random-1", "random-2", "random-3", "a.txt", "b.rs", "deep"]
    for _ in range(4):
        for number in range(4):
            length = draw.choice([0, 10, 5_000, 200_000])
            letters = draw.choice([b"a", b"ab", b"ab c\n", b"x needle key-17 ab"])
            Path(f"random-{number}").write_bytes(bytes(draw.choices(letters, k=length)))
        job = gristmill.Scan(
            draw.sample(PATTERNS, 3), ignore_case=draw.random() < 0.3, context_bytes=draw.choice([None, 0, 30])
        ).compiled()
        share_bytes = draw.choice([8192, 20_000, 70_000])
        shares = pickle.loads(pickle.dumps(gristmill.plan(paths, job, share_bytes=share_bytes)))
        found = [row for share in shares for row in rows(gristmill.run_share(share, job, workers=1))]
        whole = rows(gristmill.mill(paths, {"only": job})["only"])
        assert by_place(found) == by_place(whole), job


def test_another_process_runs_a_share(tree: Path) -> None:
    job = gristmill.Scan(["needle"]).compiled()
    shares = gristmill.plan(".", job, share_bytes=1 << 20)
    text = (
        "import pickle, sys, gristmill\n"
        "share, job = pickle.load(sys.stdin.buffer)\n"
        "print(sum(len(batch) for batch in gristmill.run_share(share, job)))\n"
    )
    found = 0
    for share in shares:
        given = pickle.dumps((share, job))
        assert len(given) < 4096
        done = subprocess.run([sys.executable, "-c", text], input=given, capture_output=True, check=True)
        found += int(done.stdout)
    assert found == len(rows(gristmill.scan(".", "needle", hidden=True, ignore=False)))


def test_what_depends_on_whole_files_gets_them(tree: Path, repository: Path) -> None:
    rules = repository / "examples/rules.toml"
    program = gristmill.Program(".acc count sum\n  each r1, 1\n    ld8 r2, r1\n    acc count, r2\n  end\n")
    whole: list[gristmill.Job] = [
        gristmill.Digest(["sha256", "blake3"]),
        gristmill.Stats(),
        gristmill.Run(program),
        gristmill.Scan(rules=rules).compiled(),
        gristmill.Scan("(?s)key.*18"),
    ]
    for job in whole:
        shares = gristmill.plan(".", job, share_bytes=4096)
        assert all(part.range is None for share in shares for part in share.parts), job
        found = [row for share in shares for row in rows(gristmill.run_share(share, job))]
        expected = rows(gristmill.mill(".", {"only": job}, sort="path")["only"])
        assert found == expected, job
    # One such job keeps the files of all whole.
    jobs = {"scan": gristmill.Scan("needle"), "sums": gristmill.Digest()}
    shares = gristmill.plan(".", jobs, share_bytes=4096)
    assert all(part.range is None for share in shares for part in share.parts)
    taken: dict[str, list[Row]] = {name: [] for name in jobs}
    for share in shares:
        for name, stream in gristmill.run_share(share, jobs).items():
            taken[name] += rows(stream)
    for name, job in jobs.items():
        assert taken[name] == rows(gristmill.mill(".", {"only": job}, sort="path")["only"])


def test_files_are_cut_by_size(tree: Path) -> None:
    job = gristmill.Scan("needle")
    large = Path("large").stat().st_size
    shares = gristmill.plan("large", job, share_bytes=1 << 20)
    ranges = [part.range for share in shares for part in share.parts]
    assert all(one is not None for one in ranges)
    places = [one for one in ranges if one is not None]
    assert places[0][0] == 0
    assert places[-1][1] == large
    assert all(one[1] == other[0] for one, other in zip(places, places[1:], strict=False))
    [whole] = gristmill.plan("large", job, share_bytes=1 << 20, cut=False)
    assert whole.parts[0].range is None
    assert whole.nbytes == large
    assert len(gristmill.plan(".", job, most_files=2)) == 5
    assert gristmill.plan(".", job, glob="*.log")[0].paths == ["./deep/deeper/d.log"]
    with pytest.raises(ValueError, match="at least 4,096"):
        gristmill.plan(".", job, share_bytes=1)


def test_a_share_tells_what_failed(tree: Path) -> None:
    job = gristmill.Scan("needle")
    [share] = gristmill.plan(["a.txt", "gone"], job)
    stream = gristmill.run_share(share, job, errors="collect")
    assert len(rows(stream)) == 1
    assert [failure.path for failure in stream.failures] == ["gone"]
    shares = gristmill.plan("large", job, share_bytes=1 << 20)
    with open("large", "ab") as file:
        file.write(b"x")
    for share in shares:
        with pytest.raises(gristmill.FilesError, match="changed after it was cut"):
            list(gristmill.run_share(share, job, errors="raise"))
    [first, *_] = gristmill.plan("large", job, share_bytes=1 << 20)
    with pytest.raises(gristmill.FilesError, match="takes whole files"):
        list(gristmill.run_share(first, gristmill.Stats(), errors="raise"))
    with pytest.raises(gristmill.FilesError, match="a part of a file cannot be decoded"):
        list(gristmill.run_share(first, job, errors="raise", decompress=True))


def test_sets_and_programs_are_pickled(repository: Path) -> None:
    for made in [gristmill.PatternSet(["a", "b+"]), gristmill.PatternSet(rules=repository / "examples/rules.toml")]:
        again = pickle.loads(pickle.dumps(made))
        assert again.names == made.names
        assert again.to_bytes() == made.to_bytes()
        assert pa.record_batch(again.scan(b"abba")).equals(pa.record_batch(made.scan(b"abba")))
    program = gristmill.Program(".arg limit = 3\n.acc count sum\n  each r1, 1\n    ld8 r2, r1\n    acc count, r2\n  end\n")
    again = pickle.loads(pickle.dumps(program))
    assert (again.name, again.arguments, again.to_bytes()) == (program.name, program.arguments, program.to_bytes())
    data = gristmill.PatternSet("a").to_bytes()
    with pytest.raises(gristmill.SetError):
        gristmill.PatternSet.from_bytes(data[:-1])
    with pytest.raises(gristmill.SetError):
        gristmill.PatternSet.from_bytes(data, set_memory=10)
