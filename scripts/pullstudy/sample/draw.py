"""Seeded draws from the ecosystem file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pullstudy.schemas import read_yaml

Ecosystem = Mapping[str, Any]


def read_ecosystem(path: Path) -> Ecosystem:
    """Read `resources/sample/ecosystem.yaml`."""
    ecosystem: Ecosystem = read_yaml(path)
    return ecosystem


class Draw:
    """A seeded source of choices; the same seed and calls give the same choices."""

    def __init__(self, seed: int, stream: str) -> None:
        # Each stream is independent, so that one part of the sample can grow without moving others.
        self._generator = np.random.default_rng([seed, *stream.encode()])

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return bool(self._generator.random() < probability)

    def one(self, options: Sequence[Any], weights: Sequence[float] | None = None) -> Any:
        """One of the options."""
        shares = None if weights is None else np.asarray(weights, float) / sum(weights)
        return options[int(self._generator.choice(len(options), p=shares))]

    def some(self, options: Sequence[Any], at_most: int) -> list[Any]:
        """Between one and `at_most` different options, in their order."""
        count = int(self._generator.integers(1, min(at_most, len(options)) + 1))
        chosen = self._generator.choice(len(options), count, replace=False)
        return [options[i] for i in sorted(chosen)]

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self._generator.integers(low, high + 1))

    def skewed(self, median: float, spread: float, at_most: float = np.inf) -> float:
        """A log-normal number: `spread` is the standard deviation of its natural logarithm."""
        return float(min(median * np.exp(spread * self._generator.standard_normal()), at_most))

    def digest(self) -> str:
        """A made-up SHA-256 digest."""
        return "sha256:" + self._generator.bytes(32).hex()


def draw_base(draw: Draw, ecosystem: Ecosystem) -> Mapping[str, Any]:
    """Draw a base image by its weight."""
    bases = ecosystem["bases"]
    base: Mapping[str, Any] = draw.one(bases, [base["weight"] for base in bases])
    return base
