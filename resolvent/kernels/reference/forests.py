"""Forests inside sparse symmetric matrices, the meaning of the compiled twins.

The graph of a symmetric matrix H has an edge (i, j) where H_ij is stored, i != j; entries on the diagonal are passed
over. Where a set of nodes induces a forest, the system of its rows and columns is solved by two sweeps over its nodes,
from the leaves to the roots and back.

Arrays that occur again and again, for n nodes::

    indices, indptr      the pattern of H in CSR, symmetric, no entry twice
    starts (K + 1,)      block k of a partition is [starts[k], starts[k + 1]) of the concatenated arrays
    order (m,)           the nodes of a block, parents before children
    parent (m,)          the place of the parent inside the block; a root is its own parent
    edge (m,)            where H[parent, node] stands in ``data``; -1 for a root

The sweeps work on a partition packed by `pack_forests`, in which the nodes of a forest stand in the order in which they
are visited.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from resolvent.typing import Array

__all__ = [
    "colour",
    "forest_order",
    "forest_solve",
    "forest_step",
    "greedy_forest",
    "order_by_score",
    "pack_forests",
    "tree_partition",
    "tree_sweep",
]

OCTAVES, PARTS = 64, 16
"""Scores are told apart over 64 octaves below the largest, each cut into 16 parts."""

SMALL_PIVOT = 64.0
"""A pivot below so many roundings of its diagonal entry is zero."""

GROUP = 4096
"""Trees are visited together until they have so many nodes, which stay in the nearest cache."""

LENGTHS = 8
"""Rows of so many entries between blocks or more stand together."""


def forest_order(
    indices: Array, indptr: Array, starts: Array, members: Array, place: Array, order: Array, parent: Array, edge: Array
) -> int:
    """Write each block's nodes breadth first, with parents, and return how many edges close a cycle.

    `members` are the nodes of the blocks in any order, `place` (n,) int32 is -1 everywhere, before and after. Trees
    start at the first of their members. Work: one pass over the rows of the members.
    """
    cycles = 0
    for first, last in pairwise(starts):
        place[members[first:last]] = -2
        filled = first
        for root in members[first:last]:
            if place[root] != -2:
                continue
            order[filled], parent[filled], edge[filled], place[root] = root, filled - first, -1, filled - first
            head, filled = filled, filled + 1
            while head < filled:
                node, above = order[head], order[first + parent[head]]
                for j in range(indptr[node], indptr[node + 1]):
                    other = indices[j]
                    if place[other] == -2:
                        order[filled], parent[filled], place[other] = other, head - first, filled - first
                        edge[filled], filled = j, filled + 1
                    elif place[other] >= 0 and other != node and other != above:
                        cycles += parent[first + place[other]] != head - first
                head += 1
        place[members[first:last]] = -1
    return int(cycles) // 2


def forest_solve(
    data: Array, diagonal: Array, order: Array, parent: Array, edge: Array, free: Array, rhs: Array, solution: Array
) -> int:
    """Solve H_bb d = rhs for one forest b, and return how many pivots were not positive.

    `rhs` and `solution` (m,) are in the order of `order`, `diagonal` (n,) is that of H. Nodes where `free` (m,) is
    False get d = 0 and are cut out of their trees; an empty `free` frees all. A node whose pivot is not positive gets
    d = 0 too. Work: two passes over b.
    """
    m = len(order)
    pivots = diagonal[order].astype(np.float64)
    solution[:] = rhs
    wrong = 0
    for k in reversed(range(m)):
        if len(free) and not free[k]:
            continue
        if not pivots[k] > 0:
            wrong += 1
            continue
        p = parent[k]
        if p != k and not (len(free) and not free[p]):
            ratio = float(data[edge[k]]) / pivots[k]
            pivots[p] -= ratio * float(data[edge[k]])
            solution[p] = solution[p] - ratio * solution[k]
    for k in range(m):
        if (len(free) and not free[k]) or not pivots[k] > 0:
            solution[k] = 0
            continue
        p = parent[k]
        above = 0.0 if p == k else float(data[edge[k]]) * float(solution[p])
        solution[k] = (solution[k] - above) / pivots[k]
    return wrong


def forest_step(
    data: Array, indices: Array, indptr: Array, diagonal: Array, order: Array, parent: Array, edge: Array, free: Array,
    x: Array, gradient: Array,
) -> float:  # fmt: skip
    """Minimise a quadratic over the unknowns of one forest, and return by how much it falls.

    d = -H_bb^-1 g_b; x_b += d, g += H[:, b] d, for the gradient `gradient` (n,) at `x` (n,). With a pivot that is not
    positive nothing changes and the answer is -1. Work: the rows of b.
    """
    d, rhs = np.zeros(len(order)), -gradient[order].astype(np.float64)
    if forest_solve(data, diagonal, order, parent, edge, free, rhs, d):
        return -1.0
    fall = 0.5 * float(np.dot(d, rhs))
    x[order] += d.astype(x.dtype)
    for node, step in zip(order, d.astype(x.dtype), strict=True):
        if step != 0:
            row = slice(indptr[node], indptr[node + 1])
            gradient[indices[row]] += data[row] * step
    return fall


def order_by_score(scores: Array, order: Array) -> None:
    """Write the indices by falling score >= 0, up to the width of a bucket, ties by index.

    A score and the next one stand in the wrong order only where they share a bucket, so where they differ by less than
    one part in 16; scores below 2^-64 of the largest share the last bucket. Work: three passes, no sorting.
    """
    if not len(scores):
        return
    bits = np.ascontiguousarray(scores, np.float64).view(np.int64) >> 48  # 11 bits of exponent, 4 of the mantissa
    keys = np.minimum(bits.max() - bits, OCTAVES * PARTS - 1)
    order[:] = np.argsort(keys, kind="stable")


def greedy_forest(indices: Array, indptr: Array, order: Array, members: Array) -> int:
    """Write the nodes of a maximal induced forest into `members` (n,), and return how many they are.

    Nodes are visited in `order`; one is taken if its neighbours that have been taken lie in different trees. Work: one
    pass over the pattern, times the inverse Ackermann function.
    """
    label = np.full(len(indptr) - 1, -1)
    root = np.arange(len(indptr) - 1)
    taken = 0
    for node in order:
        trees = _trees(indices, indptr, node, label, root)
        if len(set(trees.get(0, []))) == len(trees.get(0, [])):
            label[node] = 0
            members[taken] = node
            taken += 1
            root[trees.get(0, [])] = node
    return taken


def tree_partition(indices: Array, indptr: Array, order: Array, label: Array) -> int:
    """Write into `label` (n,) the forest that each node belongs to, and return how many forests there are.

    Nodes are visited in `order`; each goes into the first forest in which it closes no cycle, else into a new one.
    """
    label[:] = -1
    root = np.arange(len(label))
    forests = 0
    for node in order:
        trees = _trees(indices, indptr, node, label, root)
        fits = (f for f in range(forests) if len(set(trees.get(f, []))) == len(trees.get(f, [])))
        found = next(fits, forests)
        label[node] = found
        root[trees.get(found, [])] = node
        forests = max(forests, found + 1)
    return forests


def _trees(indices: Array, indptr: Array, node: int, label: Array, root: Array) -> dict[int, list[int]]:
    """Return for each forest the roots of the trees that the neighbours of `node` lie in."""
    found: dict[int, list[int]] = {}
    for other in indices[indptr[node] : indptr[node + 1]]:
        if other != node and label[other] >= 0:
            top = int(other)
            while root[top] != top:
                top = int(root[top])
            found.setdefault(int(label[top]), []).append(top)
    return found


def colour(indices: Array, indptr: Array, order: Array, label: Array) -> int:
    """Write a colouring into `label` (n,), no two neighbours alike, and return how many colours it has.

    Nodes are visited in `order`; each gets the colour that fewest nodes have of those that its neighbours have not, the
    first of several, or a new one. Work: one pass over the pattern, and one over the colours for each node.
    """
    label[:] = -1
    sizes: list[int] = []
    for node in order:
        around = {int(label[other]) for other in indices[indptr[node] : indptr[node + 1]] if other != node}
        allowed = [c for c in range(len(sizes)) if c not in around]
        if not allowed:
            allowed = [len(sizes)]
            sizes.append(0)
        best = min(allowed, key=lambda c: sizes[c])
        label[node] = best
        sizes[best] += 1
    return len(sizes)


def pack_forests(
    data: Array, indices: Array, indptr: Array, starts: Array, order: Array, parent: Array, nodes: Array, above: Array,
    ratio: Array, inverse: Array, pointers: Array, split: Array, columns: Array, values: Array,
) -> float:  # fmt: skip
    """Write H as the sweeps read it: each forest eliminated, the entries between forests beside it.

    `order` (n,) has every node once, as `forest_order` gives it. Written are `nodes` (n,), each node at its new place;
    and by place `above` (n,) the place of the parent, `ratio` (n,) the entry to the parent over the pivot, `inverse`
    (n,) one over the pivot, and the entries outside of the own block as CSR, `pointers` (n + 1,), `columns` (places)
    and `values`, those of earlier blocks first and up to `split` (n,); both have one entry more, which is zero. Whole
    numbers are uint32.

    Trees are put together until they have `GROUP` nodes. The nodes of such a group stand by depth, so that the steps of
    a sweep do not wait for one another, and in a depth by the number of entries between blocks, so that the end of a
    row can be foreseen. Pivots are computed in float64. The answer is the smallest pivot over
    its diagonal entry; a pivot that is zero to rounding gets the inverse zero. Work: two passes over H.
    """
    block = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    first, place = starts[block], np.empty(len(order), np.int64)
    _by_depth(np.diff(indptr)[order], order, first + parent, block, nodes)
    place[nodes] = np.arange(len(order))
    above[place[order]] = place[order[first + parent]]
    pivots, link, whole = (np.zeros(len(order)) for _ in range(3))
    filled = 0
    for k, node in enumerate(nodes):
        pointers[k] = filled
        row = slice(indptr[node], indptr[node + 1])
        places, entries = place[indices[row]], data[row]
        pivots[k] = whole[k] = entries[places == k].sum()
        link[k] = entries[(places == above[k]) & (places != k)].sum()
        split[k] = filled + int((block[places] < block[k]).sum())
        for chosen in (block[places] < block[k], block[places] > block[k]):
            new = int(chosen.sum())
            columns[filled : filled + new], values[filled : filled + new] = places[chosen], entries[chosen]
            filled += new
    pointers[len(order)] = filled
    least = 1.0
    for k in reversed(range(len(order))):
        least = min(least, pivots[k] / whole[k] if whole[k] > 0 else pivots[k])
        zero = abs(pivots[k]) <= SMALL_PIVOT * np.finfo(data.dtype).eps * whole[k]
        one_over = 0.0 if zero else 1 / pivots[k]
        inverse[k], ratio[k] = one_over, link[k] * one_over
        pivots[above[k]] -= link[k] * one_over * link[k]
    return float(least)


def _by_depth(lengths: Array, order: Array, above: Array, block: Array, nodes: Array) -> None:
    """Write `order` with the nodes of each group of trees by depth; `lengths` of rows and `above` are by place."""
    below = above != np.arange(len(order))
    outer = lengths - below - np.bincount(above[below], minlength=len(order))
    group, depth = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    begin = 0
    for k in range(len(order)):
        full = above[k] == k and k - begin >= GROUP
        new = k > 0 and (full or block[k] != block[k - 1])
        begin = k if new else begin
        group[k] = group[k - 1] + new if k else 0
        depth[k] = 0 if above[k] == k else depth[above[k]] + 1
    nodes[:] = order[np.lexsort((np.minimum(outer, LENGTHS - 1), depth, group))]


def tree_sweep(
    nodes: Array, starts: Array, above: Array, ratio: Array, inverse: Array, pointers: Array, split: Array,
    columns: Array, values: Array, b: Array, x: Array, work: Array, symmetric: bool,
) -> None:  # fmt: skip
    """Solve for the unknowns of one forest after the other, in a packed partition of H.

    Without `symmetric` this is one sweep on H x = b from `x` (n,) over the blocks in their order. With it, x is what a
    sweep from zero and one back give: M b, M symmetric positive definite with H. `work` (n,) is overwritten. Work: a
    sweep is one product with H.
    """
    blocks = list(pairwise(starts))
    work[:] = 0 if symmetric else x[nodes]
    for first, last in blocks + (blocks[-2::-1] if symmetric else []):
        for k in range(first, last):
            row = slice(pointers[k], pointers[k + 1])
            work[k] = b[nodes[k]] - values[row] @ work[columns[row]]
        for k in reversed(range(first, last)):
            if above[k] != k:
                work[above[k]] -= ratio[k] * work[k]
        for k in range(first, last):
            work[k] = work[k] * inverse[k] - (ratio[k] * work[above[k]] if above[k] != k else 0)
    x[nodes] = work


def _lattice(rng: np.random.Generator, dtype: Any, rows: int, columns: int) -> tuple[Array, Array, Array]:
    """Return data, indices and indptr of a positive definite H on a lattice, entries multiples of 1/8."""
    n = rows * columns
    grid = np.arange(n).reshape(rows, columns)
    head = np.concatenate([grid[1:].ravel(), grid[:, 1:].ravel()])
    tail = np.concatenate([grid[:-1].ravel(), grid[:, :-1].ravel()])
    weights = rng.integers(1, 9, len(head)) / 8
    W = sp.csr_array((np.tile(weights, 2), (np.r_[head, tail], np.r_[tail, head])), shape=(n, n))
    H = sp.csr_array(sp.diags_array(np.asarray(W.sum(axis=1)).ravel() + 0.5) - W).astype(dtype)
    H.sort_indices()
    return H.data, H.indices.astype(np.int32), H.indptr.astype(np.int32)


SHAPES = ((0, 0), (1, 1), (1, 7), (5, 6))


def _partition(rng: np.random.Generator, shape: tuple[int, int], dtype: Any) -> tuple[Any, ...]:
    """Return the matrix, a partition into forests, and its order."""
    data, indices, indptr = _lattice(rng, dtype, *shape)
    n = len(indptr) - 1
    label = np.zeros(n, np.int32)
    forests = tree_partition(indices, indptr, rng.permutation(n).astype(np.int32), label)
    members = np.argsort(label, kind="stable").astype(np.int32)
    starts = np.searchsorted(label[members], np.arange(forests + 1)).astype(np.int32)
    order, parent, edge = (np.zeros(n, np.int32) for _ in range(3))
    forest_order(indices, indptr, starts, members, np.full(n, -1, np.int32), order, parent, edge)
    return data, indices, indptr, starts, members, order, parent, edge


def _one_forest(rng: np.random.Generator, shape: tuple[int, int], dtype: Any) -> tuple[Any, ...]:
    """Return the matrix with its diagonal, and its first forest."""
    data, indices, indptr, starts, _, order, parent, edge = _partition(rng, shape, dtype)
    n = len(indptr) - 1
    diagonal = sp.csr_array((data, indices, indptr), shape=(n, n)).diagonal() if n else np.zeros(0, dtype)
    last = starts[1] if n else 0
    return data, indices, indptr, diagonal, order[:last], parent[:last], edge[:last]


def _order_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    examples = []
    for shape in SHAPES:
        _, indices, indptr, starts, members, order, parent, edge = _partition(rng, shape, dtype)
        n = len(order)
        whole = np.array([0, n], np.int32)
        for cut in (starts, whole):
            outputs = (np.full(n, -1, np.int32), 0 * order, 0 * parent, 0 * edge)
            examples.append((indices, indptr, cut, members, *outputs))
    return examples


def _solve_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    examples = []
    for shape in SHAPES:
        data, _, _, diagonal, *forest = _one_forest(rng, shape, dtype)
        m = len(forest[0])
        rhs = rng.standard_normal(m).astype(dtype)
        for free in (np.zeros(0, bool), rng.random(m) < 0.7):
            examples.append((data, diagonal, *forest, free, rhs, np.zeros(m, dtype)))
        examples.append((data, diagonal - diagonal.max(initial=0), *forest, np.zeros(0, bool), rhs, np.zeros(m, dtype)))
    return examples


def _step_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    examples = []
    for shape in SHAPES:
        *matrix, order, parent, edge = _one_forest(rng, shape, dtype)
        x, gradient = rng.standard_normal((2, len(matrix[3]))).astype(dtype)
        for free in (np.zeros(0, bool), rng.random(len(order)) < 0.7):
            examples.append((*matrix, order, parent, edge, free, x, gradient))
    return examples


def _visit_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    examples = []
    for shape in SHAPES:
        _, indices, indptr = _lattice(rng, dtype, *shape)
        n = len(indptr) - 1
        examples.append((indices, indptr, rng.permutation(n).astype(np.int32), np.zeros(n, np.int32)))
    return examples


def _packed(rng: np.random.Generator, shape: tuple[int, int], dtype: Any) -> tuple[Any, ...]:
    data, indices, indptr, starts, _, order, parent, _ = _partition(rng, shape, dtype)
    n = len(order)
    place = np.arange(n) - np.repeat(starts[:-1], np.diff(starts))
    between = len(data) - n - 2 * int((parent != place).sum())
    nodes, above, pointers, split, columns = (np.zeros(size, np.uint32) for size in (n, n, n + 1, n, between + 1))
    ratio, inverse, values = np.zeros(n, dtype), np.zeros(n, dtype), np.zeros(between + 1, dtype)
    outputs = (nodes, above, ratio, inverse, pointers, split, columns, values)
    return data, indices, indptr, starts, order, parent, *outputs


def _sweep_examples(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    examples = []
    for shape in SHAPES:
        packed = _packed(rng, shape, dtype)
        pack_forests(*packed)
        n = len(packed[4])
        b, x = rng.standard_normal((2, n)).astype(dtype)
        starts = packed[3].astype(np.uint32)
        for symmetric in (False, True):
            examples.append((packed[6], starts, *packed[7:], b, x, np.zeros(n, dtype), symmetric))
    return examples


def _scores(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    scores = [np.zeros(0), np.ones(1), np.zeros(4), 10.0 ** rng.uniform(-30, 3, 300) * (rng.random(300) < 0.8)]
    return [(s.astype(dtype), np.zeros(len(s), np.int32)) for s in scores]


EXAMPLES: dict[str, Callable[[np.random.Generator, Any], list[tuple[Any, ...]]]] = {
    "colour": _visit_examples,
    "forest_order": _order_examples,
    "forest_solve": _solve_examples,
    "forest_step": _step_examples,
    "greedy_forest": _visit_examples,
    "order_by_score": _scores,
    "pack_forests": lambda rng, dtype: [_packed(rng, shape, dtype) for shape in SHAPES],
    "tree_partition": _visit_examples,
    "tree_sweep": _sweep_examples,
}
