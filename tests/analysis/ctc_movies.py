"""Small tracked movies and damaged copies of them, written as folders of the Cell Tracking Challenge."""

from pathlib import Path

import numpy as np
import tifffile

SLOT, ROWS, COLUMNS = 6, 3, 5
Movie = tuple[np.ndarray, np.ndarray]
"""(T, Y, X) masks; (K, 4) table."""


def movie(rng: np.random.Generator, frames: int) -> Movie:
    """(T, Y, X) masks and (K, 4) table: tracks that sit in slots of a grid, divide, vanish and come."""
    slots = np.zeros((frames, ROWS * COLUMNS), np.int64)
    parents: dict[int, int] = {}
    slots[0, rng.permutation(slots.shape[1])[:4]] = [1, 2, 3, 4]
    used = 4
    for t in range(1, frames):
        for slot, track in enumerate(slots[t - 1]):
            chance = rng.random()
            free = [s for s in range(slots.shape[1]) if slots[t - 1, s] == 0 and slots[t, s] == 0]
            if track and chance < 0.25 and free:  # divides, now and then with an only daughter
                places = [slot, rng.choice(free)] if chance < 0.2 else [slot]
                for place in places:
                    used += 1
                    slots[t, place], parents[used] = used, int(track)
            elif track and chance < 0.92:
                slots[t, slot] = track
            elif not track and chance > 0.97 and slots[t, slot] == 0:
                used += 1
                slots[t, slot] = used
        if not slots[t].any():
            used += 1
            slots[t, 0] = used
    masks = np.stack([paint(row, rng.integers(3, 6, (len(row), 2))) for row in slots])
    return with_table(masks, parents)


def paint(labels: np.ndarray, sizes: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
    plane = np.zeros((ROWS * SLOT, COLUMNS * SLOT), np.int64)
    for slot, label in enumerate(labels):
        y, x = np.array(divmod(slot, COLUMNS)) * SLOT + (0 if shift is None else shift[slot])
        if label:
            plane[max(y, 0) : y + sizes[slot][0], max(x, 0) : x + sizes[slot][1]] = label
    return plane


def damaged(rng: np.random.Generator, masks: np.ndarray, table: np.ndarray, harm: float) -> Movie:
    """The same with damaged objects, late and lost divisions, swapped tracks and wrong mothers; still valid."""
    masks = masks.copy()
    parents = {int(row[0]): int(row[3]) for row in table if row[3]}
    damage_objects(rng, masks, harm)
    damage_divisions(rng, masks, table, parents, harm)
    for _ in range(int(2 * harm)):
        one, other = rng.choice(table[:, 0], 2)
        cut = rng.integers(0, len(masks))
        masks[cut:] = np.where(masks[cut:] == one, other, np.where(masks[cut:] == other, one, masks[cut:]))
    masks, found = with_table(masks, parents)
    for row in found:
        if rng.random() < 0.3 * harm:
            earlier = found[found[:, 2] < row[1], 0]
            row[3] = rng.choice(earlier) if len(earlier) and rng.random() < 0.8 else 0
    return masks, found


def damage_objects(rng: np.random.Generator, masks: np.ndarray, harm: float) -> None:
    """Objects are missed, merged, split, moved and made up."""
    fresh = int(masks.max()) + 1
    for plane in masks:
        for label in np.unique(plane[plane > 0]).tolist():
            where = plane == label
            chance = rng.random() / harm
            if chance < 0.15:
                plane[where] = 0
            elif chance < 0.35:
                plane[where] = rng.choice(np.unique(plane[plane > 0]))  # merged with another, or kept
            elif chance < 0.45:
                plane[where & (np.arange(plane.shape[1]) % 2 == 0)] = fresh
                fresh += 1
            elif chance < 0.6:
                plane[where] = 0
                moved = np.roll(where, tuple(rng.integers(-2, 3, 2)), (0, 1))
                plane[moved & (plane == 0)] = label
        if rng.random() < harm:
            plane[:2, -3:] = fresh
            fresh += 1


def damage_divisions(
    rng: np.random.Generator, masks: np.ndarray, table: np.ndarray, parents: dict[int, int], harm: float
) -> None:
    """A daughter goes on as her mother, or both begin a frame late."""
    for mother in sorted(set(parents.values())):
        daughters = [daughter for daughter, own in parents.items() if own == mother]
        chance = rng.random() / harm
        if chance < 0.2:
            masks[masks == daughters[0]] = mother
        elif chance < 0.8 and len(daughters) == 2:
            first = table[table[:, 0] == daughters[0], 1][0]
            masks[first][masks[first] == daughters[0]] = mother
            masks[first][masks[first] == daughters[1]] = 0


def with_table(masks: np.ndarray, parents: dict[int, int]) -> Movie:
    """The table that masks ask for: a track ends at a gap, the part after it is its daughter; sorted by first frame."""
    masks = masks.copy()
    fresh = int(max([masks.max(), *parents, *parents.values(), 0])) + 1
    rows = []
    for label in np.unique(masks[masks > 0]).tolist():
        times = np.flatnonzero((masks == label).any((1, 2)))
        mother = parents.get(label, 0)
        for part in np.split(times, np.flatnonzero(np.diff(times) > 1) + 1):
            name = label
            if part[0] != times[0]:
                name, fresh = fresh, fresh + 1
                masks[part] = np.where(masks[part] == label, name, masks[part])
            rows.append([name, part[0], part[-1], mother])
            mother = name
    ends = {row[0]: row[2] for row in rows}
    for row in rows:
        if ends.get(row[3], len(masks)) >= row[1]:
            row[3] = 0
    return masks, np.array(sorted(rows, key=lambda row: row[1]), np.int64).reshape(-1, 4)


def write(folder: Path, masks: np.ndarray, table: np.ndarray, *, truth: bool = False, dtype: str = "uint16") -> Path:
    """A result folder, or the folder `TRA` of a truth."""
    folder = folder / "TRA" if truth else folder
    folder.mkdir(parents=True)
    prefix, name = ("man_track", "man_track.txt") if truth else ("mask", "res_track.txt")
    for t, plane in enumerate(masks):
        tifffile.imwrite(folder / f"{prefix}{t:03d}.tif", plane.astype(dtype), photometric="minisblack")
    (folder / name).write_text("".join(" ".join(map(str, row)) + "\n" for row in table.tolist()))
    return folder
