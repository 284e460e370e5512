"""Forests inside sparse symmetric matrices, compiled. Meaning and shapes: `resolvent.kernels.reference.forests`.

In a packed partition a root is its own parent with the ratio zero, so that no branch is left in the loops. Places are
unsigned, so that Numba need not test them for a sign; with the order of the nodes a sweep is three times faster so.
"""

from __future__ import annotations

import numpy as np

from resolvent.kernels.cpu.compiling import IN_ORDER, helper, kernel
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

compiled = kernel(IN_ORDER)
inside = helper(IN_ORDER)

BUCKETS = 1024
SHIFT = 48
SMALL_PIVOT = 64.0
GROUP = 4096
LENGTHS = 8


@compiled
def forest_order(
    indices: Array, indptr: Array, starts: Array, members: Array, place: Array, order: Array, parent: Array, edge: Array
) -> int:
    cycles = 0
    for block in range(starts.shape[0] - 1):
        first, last = starts[block], starts[block + 1]
        for k in range(first, last):
            place[members[k]] = -2
        filled = first
        for k in range(first, last):
            root = members[k]
            if place[root] != -2:
                continue
            order[filled], parent[filled], edge[filled], place[root] = root, filled - first, -1, filled - first
            head = filled
            filled += 1
            while head < filled:
                node, above = order[head], order[first + parent[head]]
                for j in range(indptr[node], indptr[node + 1]):
                    other = indices[j]
                    if place[other] == -2:
                        order[filled], parent[filled], place[other] = other, head - first, filled - first
                        edge[filled] = j
                        filled += 1
                    elif place[other] >= 0 and other != node and other != above:
                        cycles += int(parent[first + place[other]] != head - first)
                head += 1
        for k in range(first, last):
            place[members[k]] = -1
    return cycles // 2


@compiled
def forest_solve(
    data: Array, diagonal: Array, order: Array, parent: Array, edge: Array, free: Array, rhs: Array, solution: Array
) -> int:
    m, cut = order.shape[0], free.shape[0] > 0
    pivots = np.empty(m, np.float64)
    for k in range(m):
        pivots[k] = diagonal[order[k]]
        solution[k] = rhs[k]
    wrong = 0
    for k in range(m - 1, -1, -1):
        if cut and not free[k]:
            continue
        if not pivots[k] > 0:
            wrong += 1
            continue
        p = parent[k]
        if p != k and not (cut and not free[p]):
            entry = np.float64(data[edge[k]])
            ratio = entry / pivots[k]
            pivots[p] -= ratio * entry
            solution[p] -= ratio * solution[k]
    for k in range(m):
        if (cut and not free[k]) or not pivots[k] > 0:
            solution[k] = 0
            continue
        p = parent[k]
        above = 0.0 if p == k else np.float64(data[edge[k]]) * solution[p]
        solution[k] = (solution[k] - above) / pivots[k]
    return wrong


@compiled
def forest_step(
    data: Array, indices: Array, indptr: Array, diagonal: Array, order: Array, parent: Array, edge: Array, free: Array,
    x: Array, gradient: Array,
) -> float:  # fmt: skip
    m = order.shape[0]
    d, rhs = np.empty(m, np.float64), np.empty(m, np.float64)
    for k in range(m):
        rhs[k] = -gradient[order[k]]
    if forest_solve(data, diagonal, order, parent, edge, free, rhs, d) > 0:
        return -1.0
    fall = 0.0
    for k in range(m):
        fall += d[k] * rhs[k]
    for k in range(m):
        node, step = order[k], x.dtype.type(d[k])
        if step != 0:
            x[node] += step
            for j in range(indptr[node], indptr[node + 1]):
                gradient[indices[j]] += data[j] * step
    return 0.5 * fall


@compiled
def order_by_score(scores: Array, order: Array) -> None:
    n = scores.shape[0]
    wide = np.empty(n, np.float64)
    bits = wide.view(np.int64)
    most = np.int64(0)
    for i in range(n):
        wide[i] = scores[i]
        bits[i] >>= SHIFT
        if bits[i] > most:
            most = bits[i]
    starts = np.empty(BUCKETS + 1, np.int64)
    for key in range(BUCKETS + 1):
        starts[key] = 0
    for i in range(n):
        key = most - bits[i]
        bits[i] = key if key < BUCKETS else BUCKETS - 1
        starts[bits[i] + 1] += 1
    for key in range(BUCKETS):
        starts[key + 1] += starts[key]
    for i in range(n):
        order[starts[bits[i]]] = i
        starts[bits[i]] += 1


@inside
def _top(root: Array, node: int) -> int:
    """Return the root of the tree of `node`, halving the path to it."""
    while root[node] != node:
        root[node] = root[root[node]]
        node = root[node]
    return node


@compiled
def greedy_forest(indices: Array, indptr: Array, order: Array, members: Array) -> int:
    n = indptr.shape[0] - 1
    root = np.empty(n, np.int32)  # -1: not taken
    seen = np.empty(n, np.int32)  # the last node that had a neighbour in the tree of this root
    for node in range(n):
        root[node], seen[node] = -1, -1
    taken = 0
    for k in range(order.shape[0]):
        node = order[k]
        fits = True
        for j in range(indptr[node], indptr[node + 1]):
            other = indices[j]
            if other != node and root[other] >= 0:
                top = _top(root, other)
                if seen[top] == node:
                    fits = False
                    break
                seen[top] = node
        if not fits:
            continue
        root[node] = node
        for j in range(indptr[node], indptr[node + 1]):
            other = indices[j]
            if other != node and root[other] >= 0:
                root[_top(root, other)] = node
        members[taken] = node
        taken += 1
    return taken


@compiled
def tree_partition(indices: Array, indptr: Array, order: Array, label: Array) -> int:
    n = indptr.shape[0] - 1
    root, seen = np.empty(n, np.int32), np.empty(n, np.int32)
    closed = np.empty(n, np.int32)  # the last node that closes a cycle in this forest
    for node in range(n):
        label[node], seen[node], closed[node] = -1, -1, -1
    forests = 0
    for k in range(order.shape[0]):
        node = order[k]
        for j in range(indptr[node], indptr[node + 1]):
            other = indices[j]
            if other != node and label[other] >= 0:
                top = _top(root, other)
                if seen[top] == node:
                    closed[label[other]] = node
                seen[top] = node
        found = 0
        while found < forests and closed[found] == node:
            found += 1
        if found == forests:
            forests += 1
        label[node], root[node] = found, node
        for j in range(indptr[node], indptr[node + 1]):
            other = indices[j]
            if other != node and label[other] == found:
                root[_top(root, other)] = node
    return forests


@compiled
def colour(indices: Array, indptr: Array, order: Array, label: Array) -> int:
    n = indptr.shape[0] - 1
    sizes, seen = np.empty(n, np.int32), np.empty(n, np.int32)
    for node in range(n):
        label[node], sizes[node], seen[node] = -1, 0, -1
    colours = 0
    for k in range(order.shape[0]):
        node = order[k]
        for j in range(indptr[node], indptr[node + 1]):
            other = indices[j]
            if other != node and label[other] >= 0:
                seen[label[other]] = node
        best = colours
        for c in range(colours):
            if seen[c] != node and (best == colours or sizes[c] < sizes[best]):
                best = c
        if best == colours:
            colours += 1
        label[node] = best
        sizes[best] += 1
    return colours


@inside
def _by_depth(
    indptr: Array, starts: Array, order: Array, parent: Array, nodes: Array, above: Array, place: Array
) -> None:
    """Renumber: trees of one group by depth, then by entries between blocks.

    `above` takes the places of the parents, `place` is the inverse of `nodes`.
    """
    n = order.shape[0]
    depth, outer, ranked = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    counts = np.empty(n + LENGTHS + 1, np.int32)
    for k in range(n):
        depth[k], outer[k] = 0, 0
    for block in range(starts.shape[0] - 1):
        first, last = starts[block], starts[block + 1]
        begin = first
        while begin < last:
            end, deepest = begin, 0
            while end < last and not (parent[end] == end - first and end - begin >= GROUP):
                outer[end] += indptr[order[end] + 1] - indptr[order[end]]
                if parent[end] != end - first:
                    depth[end] = depth[first + parent[end]] + 1
                    if depth[end] > deepest:
                        deepest = depth[end]
                    outer[end] -= 1
                    outer[first + parent[end]] -= 1
                end += 1
            for length in range(LENGTHS + 1):
                counts[length] = 0
            for k in range(begin, end):
                if outer[k] >= LENGTHS:
                    outer[k] = LENGTHS - 1
                counts[outer[k] + 1] += 1
            for length in range(LENGTHS):
                counts[length + 1] += counts[length]
            for k in range(begin, end):
                ranked[begin + counts[outer[k]]] = k
                counts[outer[k]] += 1
            for level in range(deepest + 2):
                counts[level] = 0
            for k in range(begin, end):
                counts[depth[k] + 1] += 1
            for level in range(deepest + 1):
                counts[level + 1] += counts[level]
            for i in range(begin, end):
                k = ranked[i]
                own = begin + counts[depth[k]]
                counts[depth[k]] += 1
                nodes[own], place[order[k]] = order[k], own
                above[own] = order[first + parent[k]]
            begin = end
    for k in range(n):
        above[k] = place[above[k]]


@compiled
def pack_forests(
    data: Array, indices: Array, indptr: Array, starts: Array, order: Array, parent: Array, nodes: Array, above: Array,
    ratio: Array, inverse: Array, pointers: Array, split: Array, columns: Array, values: Array,
) -> float:  # fmt: skip
    n = order.shape[0]
    place = np.empty(n, np.uint32)
    pivots, link, whole = np.empty(n, np.float64), np.empty(n, np.float64), np.empty(n, np.float64)
    _by_depth(indptr, starts, order, parent, nodes, above, place)
    filled, one, zero = np.uint64(0), np.uint64(1), data.dtype.type(0)
    for block in range(starts.shape[0] - 1):
        first, last = np.uint64(starts[block]), np.uint64(starts[block + 1])
        for k in range(first, last):
            pointers[k] = filled
            begin, end = np.uint64(indptr[nodes[k]]), np.uint64(indptr[nodes[k] + one])
            diagonal, up, over = 0.0, 0.0, above[k]
            for j in range(begin, end):  # without branches: which entry is which cannot be foreseen
                c, entry = place[np.uint32(indices[j])], data[j]
                columns[filled], values[filled] = c, entry
                filled += np.uint64(c < first)
                diagonal += entry if c == k else zero
                up += entry if c == over and c != k else zero
            split[k] = filled
            for j in range(begin, end):
                c = place[np.uint32(indices[j])]
                columns[filled], values[filled] = c, data[j]
                filled += np.uint64(c >= last)
            whole[k], link[k] = diagonal, up
            pivots[k] = whole[k]
    pointers[n], columns[filled], values[filled] = filled, 0, 0
    least, small = 1.0, SMALL_PIVOT * (2.0**-52 if data.itemsize == 8 else 2.0**-23)
    for k in range(n - 1, -1, -1):
        share = pivots[k] / whole[k] if whole[k] > 0 else pivots[k]
        if share < least:
            least = share
        one_over = 0.0 if abs(pivots[k]) <= small * whole[k] else 1 / pivots[k]
        factor = link[k] * one_over
        inverse[k], ratio[k] = one_over, factor
        pivots[above[k]] -= factor * link[k]
    return least


@compiled
def tree_sweep(
    nodes: Array, starts: Array, above: Array, ratio: Array, inverse: Array, pointers: Array, split: Array,
    columns: Array, values: Array, b: Array, x: Array, work: Array, symmetric: bool,
) -> None:  # fmt: skip
    n, blocks, one = nodes.shape[0], starts.shape[0] - 1, np.uint64(1)
    y, nothing = work, x.dtype.type(0)
    if not symmetric:
        for k in range(n):
            y[k] = x[nodes[k]]
    visits = 2 * blocks - 1 if symmetric and blocks > 0 else blocks
    for visit in range(visits):
        block = visit if visit < blocks else 2 * (blocks - 1) - visit
        first, last = np.uint64(starts[block]), np.uint64(starts[block + 1])
        for j in range(first, last):
            y[j] = nothing  # here children leave what they pass on
        back = last
        if symmetric and visit < blocks:  # from zero: later blocks are zero still
            while back > first:
                back -= one
                total = b[nodes[back]] + y[back]
                for j in range(pointers[back], split[back]):
                    total -= values[j] * y[columns[j]]
                y[back] = total
                y[above[back]] -= ratio[back] * total
        else:
            while back > first:
                back -= one
                total = b[nodes[back]] + y[back]
                for j in range(pointers[back], pointers[back + one]):
                    total -= values[j] * y[columns[j]]
                y[back] = total
                y[above[back]] -= ratio[back] * total
        for k in range(first, last):
            y[k] = y[k] * inverse[k] - ratio[k] * y[above[k]]
            x[nodes[k]] = y[k]  # of the last visit in the end
