"""VIR0 programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import gristmill


def test_programs_are_what_the_command_line_says(repository: Path, tool: Path, tmp_path: Path) -> None:
    for path in sorted((repository / "programs").glob("*.vasm")):
        program = gristmill.Program.load(path)
        verified = subprocess.run([tool, "verify", path], capture_output=True, text=True, check=True).stdout
        assert f"{program.instructions} instructions" in verified
        assert f"at most {program.cost()} executed for a chunk of {program.chunk} bytes" in verified
        assert f"about {program.seconds():.3f} seconds" in verified
        assembled = tmp_path / "program.vir0"
        subprocess.run([tool, "asm", path, "-o", assembled], check=True)
        assert program.to_bytes() == assembled.read_bytes()
        again = gristmill.Program.from_bytes(program.to_bytes())
        shown = subprocess.run([tool, "disasm", assembled], capture_output=True, text=True, check=True).stdout
        assert again.disassemble() == program.disassemble() == shown
        assert program.cost(0) <= program.cost(4096) <= program.cost()


def test_a_program_says_what_it_has(repository: Path) -> None:
    program = gristmill.Program(".acc one sum\n.acc many[4] sum\n.arg a = 3\n.arg b\n  arg r1, a\n  acc one, r1\n")
    assert program.arguments == {"a": 3, "b": None}
    assert program.accumulators == {"one": 1, "many": 4}
    assert repr(program).startswith("Program(")
    assert gristmill.Program.load(repository / "programs/entropy.vasm").name == "entropy"


def test_files_of_a_text_lie_below_it_or_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/table").write_bytes(b"\1\2\3\4")
    (tmp_path / "source").mkdir()
    source = tmp_path / "source/program.vasm"
    source.write_text('.file "../data/table"\n.acc one sum\n  acc one, r1\n')
    with pytest.raises(gristmill.ProgramError, match="source's directory"):
        gristmill.Program.load(source)
    for allowed in [tmp_path / "data", [str(tmp_path / "data")]]:
        assert gristmill.Program.load(source, allow_include=allowed).accumulators == {"one": 1}
