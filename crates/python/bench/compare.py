"""Measures the module beside the command line, and `PatternSet` beside other searchers of many strings.

    python compare.py TOOL [TURNS]

TOOL is a release build of `gristmill`; the module, pyahocorasick, hyperscan and yara-x are installed in this Python. Texts
are made in the temporary directory: words of syllables, with some of the patterns among them. Turns are in pairs, one
right after the other, and the order changes. All times are processor time, and those in memory are of one thread; a ratio
is the median of the ratios of pairs, the other's time over ours, so that above 1 we are faster.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ahocorasick
import hyperscan
import yara_x

import gristmill
from texts import planted, words

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PATTERNS = 512
FILE_BYTES = 2 << 30
MEMORY_BYTES = 64 << 20


def paired(name: str, turns: int, ours: Callable[[], float], theirs: Callable[[], float]) -> None:
    pairs = []
    for turn in range(turns):
        if turn % 2:
            other = theirs()
            pairs.append((ours(), other))
        else:
            pairs.append((ours(), theirs()))
    mine, others = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(other / own for own, other in pairs)
    print(f"| {name}, {turns} | {mine * 1e3:.0f} | {others * 1e3:.0f} | {ratio:.3f} |", flush=True)


def process(*command: str) -> float:
    """Processor time of a process, which must succeed."""
    null = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, null, 1)]
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    os.close(null)
    _, status, used = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 1), command
    return used.ru_utime + used.ru_stime


def timed(search: Callable[[], int], expected: int) -> Callable[[], float]:
    def once() -> float:
        began = time.thread_time()
        count = search()
        took = time.thread_time() - began
        assert count == expected, (count, expected)
        return took

    return once


def files(tool: str, turns: int, directory: Path, patterns: list[str], text: bytes) -> None:
    path, listed = directory / "text", directory / "patterns"
    with open(path, "wb") as file:
        for _ in range(FILE_BYTES // len(text)):
            file.write(text)
    listed.write_text("".join(f"{pattern}\n" for pattern in patterns))
    rows = "for batch in stream: pass"
    for name, code, flags in [
        ("`scan` of 8 strings", f"scan({str(path)!r}, {patterns[:8]!r}, fixed_strings=True)", ["-F", *(
            part for pattern in patterns[:8] for part in ("-e", pattern)
        )]),
        ("`scan` of 512 strings", f"scan({str(path)!r}, {patterns!r}, fixed_strings=True)", ["-F", "-f", str(listed)]),
    ]:
        module = f"import gristmill\nstream = gristmill.{code}\n{rows}"
        paired(
            f"{name}, 2 GiB",
            turns,
            lambda module=module: process(sys.executable, "-c", module),  # type: ignore[misc]
            lambda flags=flags: process(tool, "scan", "--all", "--format", "arrow", *flags, str(path)),  # type: ignore[misc]
        )
    for name, algorithm in [("`digest`, BLAKE3, 2 GiB", "blake3")]:
        module = f"import gristmill\nstream = gristmill.digest({str(path)!r}, {algorithm!r})\n{rows}"
        paired(
            name,
            turns,
            lambda module=module: process(sys.executable, "-c", module),  # type: ignore[misc]
            lambda: process(tool, "digest", "--format", "arrow", str(path)),
        )


def memory(turns: int, patterns: list[str], text: bytes) -> None:
    ours = gristmill.PatternSet(patterns, fixed_strings=True)
    expected = len(ours.scan(text))
    print(f"{expected} matches of {len(patterns)} strings in {len(text) >> 20} MiB; {ours.explain()}")
    mine = timed(lambda: len(ours.scan(text)), expected)

    automaton = ahocorasick.Automaton()
    for pattern in patterns:
        automaton.add_word(pattern, pattern)
    automaton.make_automaton()
    decoded = text.decode("latin-1")
    paired("pyahocorasick", turns, mine, timed(lambda: sum(1 for _ in automaton.iter(decoded)), expected))

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    # Ends are enough: of a string the start follows from it.
    encoded = [pattern.encode() for pattern in patterns]
    database.compile(expressions=encoded, ids=list(range(len(encoded))), elements=len(encoded), flags=[0] * len(encoded))
    counted = [0]

    def match(*_: object) -> None:
        counted[0] += 1

    def with_hyperscan() -> int:
        counted[0] = 0
        database.scan(text, match_event_handler=match)
        return counted[0]

    paired("hyperscan", turns, mine, timed(with_hyperscan, expected))

    strings = "\n".join(f'$p{number} = "{pattern}"' for number, pattern in enumerate(patterns))
    rules = yara_x.compile("rule every { strings:\n" + strings + "\ncondition: any of them }")
    scanner = yara_x.Scanner(rules)
    scanner.max_matches_per_pattern(10_000_000)

    def with_yara() -> int:
        results = scanner.scan(text)
        return sum(len(pattern.matches) for rule in results.matching_rules for pattern in rule.patterns)

    paired("yara-x", turns, mine, timed(with_yara, expected))
    changing = bytearray(text)
    paired("`PatternSet` over a `bytearray`", turns, mine, timed(lambda: len(ours.scan(changing)), expected))


def main() -> None:
    tool = sys.argv[1]
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    source = random.Random(1)
    patterns = ["".join(source.choices(LETTERS, k=source.randrange(8, 21))) for _ in range(PATTERNS)]
    text = planted(source, words(source, MEMORY_BYTES), patterns, 10_000)
    print("| what, turns | ours, ms | theirs, ms | ratio |\n|---|---|---|---|")
    memory(turns, patterns, text)
    with tempfile.TemporaryDirectory() as directory:
        files(tool, turns, Path(directory), patterns, text)


main()
