"""Order and edges of a hierarchy: depth-first post-order, cycles, and dependencies that others imply. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from jobqueue.errors import DependencyError

N = TypeVar("N", bound=Hashable)


def post_order(root: N, children: Callable[[N], Iterable[N]]) -> list[N]:
    """All that ``root`` depends on, and itself: dependencies before dependents, siblings in their order.

    Chains of any length are fine: nothing here recurses.

    Raises:
        DependencyError: there is a cycle.
    """
    order: list[N] = []
    done: set[N] = set()
    path: set[N] = {root}
    stack = [(root, iter(children(root)))]
    while stack:
        node, rest = stack[-1]
        for child in rest:
            if child in path:
                raise DependencyError("the hierarchy contains a cycle, so none of the jobs in it could ever begin")
            if child not in done:
                path.add(child)
                stack.append((child, iter(children(child))))
                break
        else:
            stack.pop()
            path.discard(node)
            done.add(node)
            order.append(node)
    return order


def without_implied(children: Sequence[Sequence[int]]) -> list[list[int]]:
    """The same graph with every dependency dropped that others imply (its transitive reduction).

    Args:
        children: for each node, in post-order, the nodes that it depends on.

    Source: an edge to ``c`` is implied exactly if ``c`` can be reached from another child. Only nodes with several
    parents can be at the end of such an edge, so only these are kept in the sets of what can be reached.
    """
    parents = [0] * len(children)
    for below in children:
        for child in below:
            parents[child] += 1
    bit = {node: nth for nth, node in enumerate(node for node, count in enumerate(parents) if count > 1)}
    if not bit:
        return [list(below) for below in children]
    left = list(parents)
    reach: list[int] = [0] * len(children)
    reduced = []
    for node, below in enumerate(children):
        beyond = 0
        for child in below:
            beyond |= reach[child]
        kept = [child for child in below if child not in bit or not beyond >> bit[child] & 1]
        reduced.append(kept)
        for child in below:
            if child in bit:
                beyond |= 1 << bit[child]
            left[child] -= 1
            if not left[child]:
                # A set of bits for each node of a wide graph would be its square; the last parent needs it last.
                reach[child] = 0
        reach[node] = beyond
    return reduced
