"""The examples of docs/python.md and of the docstrings run as they are written."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

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
