"""Cycles in a directed graph, found without recursion. Knows nothing of what the nodes are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Node = TypeVar("Node")


def find_cycles(
    nodes: Iterable[Node], successors: Callable[[Node], Iterable[Node]]
) -> Iterator[list[Node]]:
    """Cycles, each as the path that runs through it once; none shares a node with an earlier one."""
    finished: set[Node] = set()
    reported: set[Node] = set()
    for start in nodes:
        if start in finished:
            continue
        path: dict[Node, Iterator[Node]] = {start: iter(successors(start))}
        while path:
            current, rest = next(reversed(path.items()))
            following = next((node for node in rest if node not in finished), None)
            if following is None:
                finished.add(current)
                del path[current]
            elif following not in path:
                path[following] = iter(successors(following))
            else:
                cycle = list(path)[list(path).index(following) :]
                if reported.isdisjoint(cycle):
                    reported.update(cycle)
                    yield cycle
