"""Cycles in a graph are found once each, whatever their length."""

from __future__ import annotations

import pytest

from rpcgen.model.cycles import find_cycles


@pytest.mark.parametrize(
    ("graph", "cycles"),
    [
        ({}, []),
        ({1: [2], 2: [3], 3: []}, []),
        ({1: [2, 3], 2: [4], 3: [4], 4: []}, []),
        ({1: [1]}, [[1]]),
        ({1: [2], 2: [1]}, [[1, 2]]),
        ({0: [1], 1: [2], 2: [3], 3: [1]}, [[1, 2, 3]]),
        ({1: [2, 2], 2: [1, 1]}, [[1, 2]]),
        ({1: [2], 2: [1, 3], 3: [2]}, [[1, 2]]),
        ({1: [1, 2], 2: [2]}, [[1], [2]]),
    ],
)
def test_cycles(graph: dict[int, list[int]], cycles: list[list[int]]) -> None:
    assert list(find_cycles(graph, graph.__getitem__)) == cycles


def test_length_is_no_matter() -> None:
    count = 100_000
    assert len(next(find_cycles([0], lambda node: [(node + 1) % count]))) == count
