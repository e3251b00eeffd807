"""What it takes to turn a found graph of tracks into the true one: DET, LNK and TRA.

Matula et al., "Cell tracking accuracy measurement based on comparison of acyclic oriented graphs", PLoS ONE 10 (2015).
"""

from dataclasses import asdict, dataclass

import numpy as np

from mia_tui.analysis.ctc.match import Array, Matched, Objects

WEIGHTS = {"NS": 5.0, "FN": 10.0, "FP": 1.0, "ED": 1.0, "EA": 1.5, "EC": 1.0}
"""The cost of each operation, as the challenge sets them."""
_OF_NODES, _OF_EDGES = ("NS", "FN", "FP"), ("ED", "EA", "EC")


@dataclass(frozen=True)
class Operations:
    """Operations that turn the found graph into the true one.

    Attributes
    ----------
    NS, FN, FP : int
        Objects to split (a found one that covers n true ones counts n - 1), to add, to delete.
    ED, EA, EC : int
        Links to delete, to add, and whose meaning (same track, or daughter) to change.
    nodes, edges : int
        Objects and links of the truth.
    """

    NS: int
    FN: int
    FP: int
    ED: int
    EA: int
    EC: int
    nodes: int
    edges: int

    def cost(self, names: tuple[str, ...]) -> float:
        """Weighted sum of some operations."""
        counts: dict[str, int] = asdict(self)
        return sum(WEIGHTS[name] * counts[name] for name in names)

    def scores(self) -> dict[str, float | None]:
        """DET, LNK and TRA, 0 to 1: 1 - cost / cost of building the truth from nothing. None without a truth."""
        nodes, edges = WEIGHTS["FN"] * self.nodes, WEIGHTS["EA"] * self.edges
        return {
            "DET": _normed(self.cost(_OF_NODES), nodes),
            "TRA": _normed(self.cost(_OF_NODES + _OF_EDGES), nodes + edges),
            "LNK": _normed(self.cost(_OF_EDGES), edges),
        }

    def as_dict(self) -> dict[str, float]:
        """The counts, `AOGM` (their weighted sum) and `AOGM_0` (that of the truth from nothing)."""
        from_nothing = WEIGHTS["FN"] * self.nodes + WEIGHTS["EA"] * self.edges
        return asdict(self) | {"AOGM": self.cost(_OF_NODES + _OF_EDGES), "AOGM_0": from_nothing}


def _normed(cost: float, from_nothing: float) -> float | None:
    return 1 - min(cost, from_nothing) / from_nothing if from_nothing else None


def operations(matched: Matched) -> Operations:
    """Count them.

    Found links count between objects that are the partner of one true object each; others fall with their objects.
    """
    truth, found = matched.truth, matched.found
    detected = matched.partner >= 0
    true_of = np.full(len(found), -1)  # for partners of exactly one
    true_of[matched.partner[matched.alone]] = np.flatnonzero(matched.alone)
    links, daughter = edges(truth)
    own, own_daughter = edges(found)
    ends = true_of[own]
    kept = (ends >= 0).all(1)
    true_key = links[:, 0] * len(truth) + links[:, 1]
    own_key = (ends[:, 0] * len(truth) + ends[:, 1])[kept]
    _, i, j = np.intersect1d(true_key, own_key, assume_unique=True, return_indices=True)
    return Operations(
        NS=int(detected.sum() - (matched.partners > 0).sum()),
        FN=int((~detected).sum()),
        FP=int((matched.partners == 0).sum()),
        ED=len(own_key) - len(j),
        EA=len(true_key) - len(i),
        EC=int((daughter[i] != own_daughter[kept][j]).sum()),
        nodes=len(truth),
        edges=len(links),
    )


def edges(objects: Objects) -> tuple[Array, Array]:
    """Links of a sequence.

    Returns
    -------
    (E, 2) int64, (E,) bool
        Indices of the earlier and the later object; whether the later one is a daughter's first. Objects of a track are
        linked from one frame to the very next.
    """
    order = objects.by_track()
    before, after = order[:-1], order[1:]
    same = (objects.label[before] == objects.label[after]) & (objects.frame[after] - objects.frame[before] == 1)
    within = np.stack([before[same], after[same]], 1)
    daughters = objects.spans[objects.spans[:, 3] > 0]
    row = {int(track): number for number, track in enumerate(objects.spans[:, 0])}
    mothers = objects.spans[np.array([row[int(mother)] for mother in daughters[:, 3]], np.int64)]
    across = np.stack([objects.at(mothers[:, 2], mothers[:, 0]), objects.at(daughters[:, 1], daughters[:, 0])], 1)
    return np.concatenate([within, across]), np.arange(len(within) + len(across)) >= len(within)
