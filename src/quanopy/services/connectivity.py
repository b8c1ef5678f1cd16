"""Whether the connections that a program wants are somewhere on a device."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from quanopy.codecs.targets import decode_target
from quanopy.domain.requirements import Edges, Shape
from quanopy.domain.resources import Target

MOST_STEPS = 20_000
"""Places tried before a search is given up: some 0.1 s."""

MOST_QUBITS = 1_000
"""Of more, no search is tried."""

Graph = Mapping[int, Collection[int]]


@lru_cache(maxsize=64)
def connections(target: Target) -> Graph | None:
    """Which qubits are connected to which, by an instruction on both; ``None``: all to all."""
    document = decode_target(target)
    found: defaultdict[int, set[int]] = defaultdict(set)
    everywhere = False
    for entry in document["instructions"].values():
        places = entry["qubits"]
        if places is None:
            everywhere = True
            continue
        for place in places:
            if len(place) == 2:
                one, other = place
                found[one].add(other)
                found[other].add(one)
    return dict(found) if found or not everywhere else None


def edges_of(shape: Shape | Edges, qubits: int) -> Edges:
    """The pairs that a shape of so many qubits connects."""
    if not isinstance(shape, Shape):
        return shape
    path = tuple((one, one + 1) for one in range(qubits - 1))
    if shape is Shape.ALL:
        return tuple((one, other) for other in range(qubits) for one in range(other))
    return (*path, (0, qubits - 1)) if shape is Shape.RING and qubits > 2 else path


@lru_cache(maxsize=4096)
def connects(target: Target, edges: Edges) -> bool | None:
    """Whether a target has these pairs of qubits connected somewhere, as :func:`embeds`."""
    graph = connections(target)
    return True if graph is None else embeds(edges, graph)


def embeds(edges: Edges, graph: Graph) -> bool | None:
    """Whether these pairs can be laid onto a graph, each of their qubits onto another of it;
    ``None``: not found in :data:`MOST_STEPS`, or too many."""
    if not edges:
        return True
    wanted: defaultdict[int, set[int]] = defaultdict(set)
    for one, other in edges:
        wanted[one].add(other)
        wanted[other].add(one)
    if len(wanted) > len(graph) or not _degrees_suffice(wanted, graph):
        return False
    if len(wanted) > MOST_QUBITS:
        return None
    return _search(_order(wanted), wanted, graph)


def _degrees_suffice(wanted: Graph, graph: Graph) -> bool:
    """Whether, most connected first, each has a place with as many connections."""
    asked = sorted((len(near) for near in wanted.values()), reverse=True)
    there = sorted((len(near) for near in graph.values()), reverse=True)
    return all(want <= has for want, has in zip(asked, there, strict=False))


def _order(wanted: Graph) -> Sequence[int]:
    """Qubits so that each comes next to one before it, where it can: those with fewest
    connections first where all are of paths, else those with most."""
    branching = max(map(len, wanted.values())) > 2
    order: list[int] = []
    left, near = set(wanted), set[int]()
    while left:
        free = near or left
        order.append(
            max(free, key=lambda q: (len(wanted[q]), -q))
            if branching
            else min(free, key=lambda q: (len(wanted[q]), q))
        )
        left.discard(order[-1])
        near = (near | set(wanted[order[-1]])) & left
    return order


def _search(order: Sequence[int], wanted: Graph, graph: Graph) -> bool | None:
    placed: dict[int, int] = {}
    used: set[int] = set()
    options: list[Iterator[int]] = [iter(_places(order[0], wanted, placed, used, graph))]
    for _ in range(MOST_STEPS):
        place = next(options[-1], None)
        if place is None:
            options.pop()
            if not options:
                return False
            used.remove(placed.pop(order[len(options) - 1]))
            continue
        qubit = order[len(options) - 1]
        placed[qubit] = place
        used.add(place)
        if len(placed) == len(order):
            return True
        options.append(iter(_places(order[len(options)], wanted, placed, used, graph)))
    return None


def _places(
    qubit: int, wanted: Graph, placed: Mapping[int, int], used: Collection[int], graph: Graph
) -> Sequence[int]:
    """Where a qubit can go beside those that are placed; what has fewest ways out first."""
    beside = [graph[placed[other]] for other in wanted[qubit] if other in placed]
    free = set.intersection(*map(set, beside)) if beside else set(graph)
    fitting = [p for p in free if p not in used and len(graph[p]) >= len(wanted[qubit])]
    return sorted(fitting, key=lambda p: (sum(n not in used for n in graph[p]), p))
