"""Sparse assignment: which of many possible links are the cheapest together."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

Array = npt.NDArray[Any]

BLOCK = 2000
"""Possible links solved in one call. The solver's time grows faster than its problem, and each call costs too."""


def assign(rows: Array, columns: Array, cost: Array, limit: float | None) -> Array:
    """The links that are cheapest together when each row and each column has one at most.

    Parameters
    ----------
    rows, columns : (E,) int
        Ends of the possible links, numbers of any range; no pair twice.
    cost : (E,) float
        At least 0.
    limit : float or None
        What a row without a link costs; a link that costs this much is none. None: as many links as can be, and of
        those the cheapest.

    Returns
    -------
    (E,) bool
        The links chosen. Each connected component is solved to its optimum (Jonker-Volgenant on the sparse matrix with
        a column of its own for every row that stays without).
    """
    chosen = np.zeros(len(rows), bool)
    able = np.flatnonzero(cost < limit) if limit is not None else np.arange(len(rows))
    if not able.size:
        return chosen
    row, column = _numbered(rows[able]), _numbered(columns[able])
    alone = (np.bincount(row)[row] == 1) & (np.bincount(column)[column] == 1)
    chosen[able[alone]] = True
    able, row, column = able[~alone], row[~alone], column[~alone]
    if not able.size:
        return chosen
    part = components(row, column) if able.size > BLOCK else np.zeros(able.size, np.int64)
    order = np.argsort(part, kind="stable")
    able, row, column, part = able[order], row[order], column[order], part[order]
    ends = np.append(np.flatnonzero(np.diff(part)), len(part) - 1) + 1
    start = 0
    while start < len(part):
        end = int(ends[np.searchsorted(ends, start + BLOCK).clip(max=len(ends) - 1)])
        part_of = slice(start, end)
        chosen[able[part_of][_solve(row[part_of], column[part_of], cost[able[part_of]], limit)]] = True
        start = end
    return chosen


def components(rows: Array, columns: Array) -> Array:
    """(E,) int: the connected component of each link, rows and columns being different nodes."""
    row, column = _numbered(rows), _numbered(columns)
    if not len(row):
        return np.zeros(0, np.int64)
    height = int(row.max()) + 1
    size = height + int(column.max()) + 1
    graph = coo_matrix((np.ones(len(row), np.int8), (row, column + height)), shape=(size, size))
    found: Array = connected_components(graph, directed=False)[1][row]
    return found


def _numbered(values: Array) -> Array:
    """The values as 0, 1, 2 and so on, in their order."""
    low = values.min() if len(values) else 0
    span = int(values.max() - low) + 1 if len(values) else 1
    if span > 4 * len(values) + 1000:
        return np.unique(values, return_inverse=True)[1]
    there = np.zeros(span, bool)
    there[values - low] = True
    numbers: Array = (np.cumsum(there) - 1)[values - low]
    return numbers


def _solve(rows: Array, columns: Array, cost: Array, limit: float | None) -> Array:
    """Indices of the links that are cheapest together."""
    row, column = _numbered(rows), _numbered(columns)
    height, width = int(row.max()) + 1, int(column.max()) + 1
    if limit is None:
        limit = (min(height, width) + 1) * (float(cost.max()) + 1.0)
    own = np.arange(height)
    matrix = csr_matrix(
        (
            np.concatenate([cost, np.full(height, limit)]) + 1.0,  # a stored 0 would be no link at all
            (np.concatenate([row, own]), np.concatenate([column, width + own])),
        ),
        shape=(height, width + height),
    )
    matched_row, matched = min_weight_full_bipartite_matching(matrix)
    partner = np.empty(height, np.int64)
    partner[matched_row] = matched
    return np.flatnonzero(partner[row] == column)
