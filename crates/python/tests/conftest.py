"""What all tests need: the command line's tool, and files to read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def tool() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return target / "debug" / "gristmill"


@pytest.fixture(scope="session")
def skipped(repository: Path) -> Callable[[str, str], None]:
    """Skips the test, and says so for the list that scripts/test ends with."""

    def skip(what: str, why: str) -> None:
        subprocess.run([repository / "scripts/skipped", what, why], check=True)
        pytest.skip(why)

    return skip


Table = Callable[..., pa.Table]


@pytest.fixture
def table(tool: Path, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The table that the command line writes."""

    def written(*arguments: object) -> pa.Table:
        output = tmp_path_factory.mktemp("table") / "table.arrow"
        command = [tool, *arguments, "--output", output]
        done = subprocess.run([os.fspath(str(one)) for one in command], stdin=subprocess.DEVNULL, check=False)
        assert done.returncode in (0, 1), done
        with pyarrow.ipc.open_file(output) as file:
            return file.read_all()

    return written


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with files of several kinds, which is the current one."""
    files = {
        "a.txt": b"a needle, a Needle\nkey-17 and key-18\n",
        "b.rs": b"fn needle() {}\n" * 500,
        "deep/c.txt": b"\0needle\xffpin\n",
        "deep/deeper/d.log": b"no such thing\n",
        "empty": b"",
        ".hidden": b"a hidden needle\n",
        ".ignore": b"ignored\n",
        "ignored": b"an ignored needle\n",
        "secret.toml": b'token = "acme_live_0123456789abcdefghijKLMN"\nticket = "ABC-1234"\n',
        "large": b"0123456789abcdef" * 300_000 + b"needle",
    }
    for name, data in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "tree"
