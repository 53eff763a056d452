"""The examples of docs/python.md and of the docstrings run as they are written."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gristmill


@pytest.fixture
def evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evidence").mkdir()
    Path("evidence/a.txt").write_text("a needle, and key-17\n")
    Path("evidence/b.txt").write_text("nothing of any interest\n")


def test_the_document(repository: Path, evidence: None) -> None:
    text = (repository / "docs/python.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S))
    assert code.count(">>>") > 20
    test = doctest.DocTestParser().get_doctest(code, {}, "docs/python.md", "docs/python.md", 0)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_recipes(repository: Path, evidence: None) -> None:
    text = (repository / "docs/recipes.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S))
    assert code.count(">>>") > 10
    test = doctest.DocTestParser().get_doctest(code, {}, "docs/recipes.md", "docs/recipes.md", 0)
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.filterwarnings("ignore")
def test_the_recipe_for_spark(
    repository: Path, evidence: None, monkeypatch: pytest.MonkeyPatch, skipped: Callable[[str, str], None]
) -> None:
    if importlib.util.find_spec("pyspark") is None or shutil.which("java") is None:
        skipped("recipes", "the recipe for Spark is not run without pyspark and Java")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    text = (repository / "docs/recipes.md").read_text()
    [code] = re.findall(r"^```python-spark\n(.*?)^```$", text, re.M | re.S)
    names: dict[str, Any] = {}
    exec(code.replace('"/evidence"', repr(str(Path("evidence").absolute()))), names)
    rows = sorted((row["absolute_offset"], row["length"], row["pattern"]) for row in names["matches"].collect())
    names["spark"].stop()
    assert rows == [(2, 6, "needle"), (14, 6, r"key-\d+")]


def test_docstrings(evidence: None) -> None:
    done = doctest.testmod(gristmill)
    assert done.attempted > 1
    assert done.failed == 0


def test_the_readme(repository: Path, evidence: None) -> None:
    text = (repository / "crates/python/README.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    names: dict[str, object] = {}
    exec(code.replace('"/evidence"', '"evidence"'), names)
    assert names["matches"] is not None
    [shown] = re.findall(r"^```python\n(.*?)^```$", (repository / "README.md").read_text(), re.M | re.S)
    exec(shown.replace('"/evidence"', '"evidence"'), {})
