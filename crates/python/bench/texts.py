"""Texts for measurements: words of syllables, with patterns planted among them."""

from __future__ import annotations

import random


def words(source: random.Random, size: int) -> bytes:
    syllables = [first + second + third for first in "bdfgklmnprst" for second in "aeiou" for third in ["", "n", "r"]]
    vocabulary = ["".join(source.choices(syllables, k=source.randrange(1, 5))) for _ in range(20_000)]
    weights = [1 / (rank + 1) for rank in range(len(vocabulary))]
    text = " ".join(source.choices(vocabulary, weights=weights, k=1 << 20)).encode()
    return (text * (size // len(text) + 1))[:size]


def planted(source: random.Random, text: bytes, patterns: list[str], count: int) -> bytes:
    changed = bytearray(text)
    for _ in range(count):
        pattern = source.choice(patterns).encode()
        at = source.randrange(len(changed) - len(pattern))
        changed[at : at + len(pattern)] = pattern
    return bytes(changed)
