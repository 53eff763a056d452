"""The stubs are what the module is, and checkers accept what the documents show."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import gristmill

USES = """
import gristmill

def count(path: str) -> int:
    stream: gristmill.Stream = gristmill.scan([path, b"x"], ["a", b"b"], ignore_case=True, sort="path", hidden=True)
    with stream as batches:
        rows = sum(len(batch) for batch in batches)
    for failure in stream.failures:
        print(failure.path, failure.offset, failure.reason)
    report: gristmill.Report | None = stream.report
    found: gristmill.Batch = gristmill.PatternSet("x").scan(bytearray(b"x"))
    gristmill.run(gristmill.Program(""), path, {"limit": 3}, progress=lambda read, files: None)
    jobs = {"found": gristmill.Scan("x"), "sums": gristmill.Digest(["md5"]), "all": gristmill.Stats()}
    with gristmill.mill(path, jobs, sort="path") as streams:
        for name, batch in streams.batches():
            print(name, len(batch))
    for share in gristmill.plan(path, gristmill.Scan("x"), share_bytes=1 << 20, glob="*.log"):
        one: gristmill.Stream = gristmill.run_share(share, gristmill.Scan("x"), workers=1)
        several: gristmill.Mill = gristmill.run_share(share, {"x": gristmill.Stats()})
    return rows + found.num_rows
"""

WRONG = """
import gristmill

gristmill.scan(".", "x", hiden=True)
gristmill.scan(".", "x", sort="size")
gristmill.scan(".", 3)
gristmill.PatternSet("x").scan("text")
gristmill.stats(".").no_such_thing
gristmill.mill(".", {"x": "y"})
gristmill.plan(".", gristmill.Stats(), workers=1)
"""


def test_checkers_know_the_module(tmp_path: Path) -> None:
    (tmp_path / "uses.py").write_text(USES)
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    tests = Path(__file__).parent
    package = tests.parent / "python/gristmill"
    done = subprocess.run([*command, "uses.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    done = subprocess.run([*command, "wrong.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.count("wrong.py:") - done.stdout.count("note:") == 7, done.stdout
    done = subprocess.run([*command, package], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_stubs_are_what_the_module_is(tmp_path: Path) -> None:
    config = Path(__file__).parents[1] / "pyproject.toml"
    command = [sys.executable, "-m", "mypy.stubtest", "gristmill", "--mypy-config-file", str(config)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_is_documented() -> None:
    for name in gristmill.__all__:
        value = getattr(gristmill, name)
        assert value.__doc__, name
        assert value.__module__ in ("gristmill", "gristmill._gristmill"), name
        # Fields have their texts in the source alone.
        fields = getattr(value, "__dataclass_fields__", {})
        for member in vars(value) if isinstance(value, type) else []:
            if member not in fields and not member.startswith("_") and not issubclass(value, BaseException):
                assert getattr(value, member).__doc__, f"{name}.{member}"


def test_the_version_is_the_crates() -> None:
    assert gristmill.__version__ == importlib.metadata.version("gristmill")
