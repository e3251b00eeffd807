"""Scores of tracked sequences in folders of the Cell Tracking Challenge, as plain data and as text."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mia_tui.analysis.ctc.aogm import operations
from mia_tui.analysis.ctc.biological import cell_cycle_accuracy, complete_tracks, divisions, track_fractions
from mia_tui.analysis.ctc.chota import chota
from mia_tui.analysis.ctc.match import Array, Matched, match_sequences, overlaps
from mia_tui.analysis.ctc.sequence import (
    CtcSequence,
    mask_problems,
    raise_problems,
    read_ctc,
    read_mask,
    table_problems,
)
from mia_tui.errors import MiaError

TOLERANCES = (0, 1, 2, 3)
"""Frames by which a division may be early or late, the i of BC(i)."""
Report = dict[str, Any]
_SEG_NAME = re.compile(r"man_seg_?(\d+)(?:_(\d+))?\.tiff?", re.IGNORECASE | re.ASCII)


def score_ctc(pred: Path, truth: Path) -> Report:
    """Score a folder of results against one of truth.

    Parameters
    ----------
    pred : Path
        Masks and table of a result (`01_RES`), or another truth.
    truth : Path
        Folder with `TRA/` and, as it may be, `SEG/` (`01_GT`), or one with `man_track.txt` itself. Without `SEG/` there
        is no SEG.

    Returns
    -------
    dict
        JSON-able: `track_report`, and `pred`, `truth`, `notes`.

    Raises
    ------
    MiaError
        For folders that cannot be read, frames of the one that the other does not have, masks of different sizes, and
        tables that are against the rules of the challenge, with every line and file.
    """
    found, true = read_ctc(pred), read_ctc(truth)
    raise_problems([*table_problems(found), *table_problems(true)])
    _check_same_frames(found, true)
    matched = match_sequences(_checked(true, found), true.spans, found.spans)
    raise_problems(
        [
            *mask_problems(found, matched.found.frame, matched.found.label),
            *mask_problems(true, matched.truth.frame, matched.truth.label),
        ]
    )
    seg_folder = truth.expanduser() / "SEG"
    seg = segmentation_score(_seg_pairs(seg_folder, found)) if seg_folder.is_dir() else None
    notes = [*_empty_notes(found, matched.found.frame), *_empty_notes(true, matched.truth.frame)]
    return track_report(matched, seg) | {"pred": str(pred), "truth": str(truth), "notes": notes}


def _check_same_frames(found: CtcSequence, true: CtcSequence) -> None:
    sides = [range(side.first, side.first + len(side)) for side in (found, true)]
    for own, other, side in ((sides[0], sides[1], found), (sides[1], sides[0], true)):
        missing = [frame for frame in other if frame not in own]
        if missing:
            listed = ", ".join(map(str, missing[:5])) + " and more" * (len(missing) > 5)
            elsewhere = true if side is found else found
            raise MiaError(
                f"{side.folder} has the frames {own[0]} to {own[-1]}, but {elsewhere.folder} {other[0]} to "
                f"{other[-1]}: without a mask here: {listed}. Both need the same frames."
            )


def _checked(true: CtcSequence, found: CtcSequence) -> Iterator[tuple[Array, Array]]:
    """True and found label image of every frame."""
    for frame, paths in enumerate(zip(true.files, found.files, strict=True)):
        masks = true.masks(frame), found.masks(frame)
        _check_shapes(paths[0], masks[0], paths[1], masks[1])
        yield masks


def _empty_notes(sequence: CtcSequence, frames: Array) -> list[str]:
    if len(frames) == 0:
        return [f"{sequence.folder} has no object at all"]
    empty = sorted(set(range(len(sequence))) - set(frames.tolist()))
    listed = ", ".join(str(frame + sequence.first) for frame in empty[:5]) + " and more" * (len(empty) > 5)
    return [f"{sequence.folder}: nothing in frame{'s' * (len(empty) > 1)} {listed}"] if empty else []


# ---- SEG -------------------------------------------------------------------------------------------------------------


def segmentation_score(pairs: Iterable[tuple[Array, Array]]) -> float | None:
    """SEG: the mean over all true objects of the intersection over union with the found object that covers more than
    half of it, 0 without one. None without any true object.

    Parameters
    ----------
    pairs : iterable of (array, array)
        True and found label images.
    """
    total, count = 0.0, 0
    for truth, found in pairs:
        both = overlaps(truth, found)
        total += float(both.iou[both.matched].sum())
        count += len(both.true)
    return total / count if count else None


def _seg_pairs(folder: Path, found: CtcSequence) -> Iterator[tuple[Array, Array]]:
    """The frames (or single planes, `man_seg_000_012.tif`) that were segmented, and what was found there."""
    for path in sorted(folder.iterdir()):
        name = _SEG_NAME.fullmatch(path.name)
        if name is None:
            continue
        frame, truth = int(name[1]) - found.first, read_mask(path)
        if not 0 <= frame < len(found):
            raise MiaError(f"{path} is of frame {name[1]}, for which {found.folder} has no mask.")
        masks = found.masks(frame)
        if name[2] is not None:
            if masks.ndim != 3 or int(name[2]) >= len(masks):
                raise MiaError(f"{path} is plane {name[2]}, which {found.files[frame]} does not have.")
            masks = masks[int(name[2])]
        _check_shapes(path, truth, found.files[frame], masks)
        yield truth, masks


def _check_shapes(path: Path, truth: Array, other: Path, found: Array) -> None:
    if truth.shape != found.shape:
        shapes = [" x ".join(map(str, masks.shape)) for masks in (truth, found)]
        raise MiaError(f"{path} has {shapes[0]} pixels, {other} has {shapes[1]}: not the same frame.")


# ---- report ----------------------------------------------------------------------------------------------------------


def track_report(matched: Matched, seg: float | None = None) -> Report:
    """All measures of two matched sequences.

    Parameters
    ----------
    seg : float, optional
        SEG, where the truth has segmented objects.

    Returns
    -------
    dict
        JSON-able, and None where a measure has nothing to measure. `metric` "ctc"; `scores`: SEG, DET, TRA, LNK, CHOTA,
        CT, TF, CCA, `division_f1` (that of BC(0), but 0 where only the result has divisions), BC, BIO and OP_CLB (lists
        over `tolerances`; BIO is the mean of CT, TF, CCA and BC(i) as far as there are), OP_CSB = (SEG + DET) / 2 and
        OP_CTB = (SEG + TRA) / 2; `operations`: see `aogm.Operations.as_dict`; `divisions`: tp, fp, fn per tolerance;
        `counts`: `frames`, and of both sides `objects`, `tracks` and `divisions`.
    """
    counted = operations(matched)
    scores: Report = {"SEG": seg, **counted.scores(), "CHOTA": chota(matched)}
    scores |= {
        "CT": complete_tracks(matched),
        "TF": track_fractions(matched) if len(matched.truth) else None,
        "CCA": cell_cycle_accuracy(matched),
    }
    splits = [divisions(matched, tolerance) for tolerance in TOLERANCES]
    scores["division_f1"] = splits[0].f1
    scores["BC"] = [split.branching for split in splits]
    scores["BIO"] = [_mean(scores["CT"], scores["TF"], scores["CCA"], value) for value in scores["BC"]]
    scores["OP_CSB"] = _half(seg, scores["DET"])
    scores["OP_CTB"] = _half(seg, scores["TRA"])
    scores["OP_CLB"] = [_half(scores["LNK"], value) for value in scores["BIO"]]
    sides = {"true": matched.truth, "found": matched.found}
    frames = int(max((side.spans[:, 2].max(initial=-1) for side in sides.values()), default=-1)) + 1
    return {
        "metric": "ctc",
        "scores": scores,
        "tolerances": list(TOLERANCES),
        "operations": counted.as_dict(),
        "divisions": [{"tp": split.tp, "fp": split.fp, "fn": split.fn} for split in splits],
        "counts": {
            "frames": frames,
            **{
                name: {"objects": len(side), "tracks": len(side.spans), "divisions": len(side.divisions())}
                for name, side in sides.items()
            },
        },
    }


def _mean(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _half(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else (one + other) / 2


def format_ctc(report: Mapping[str, Any]) -> list[str]:
    """Lines of the report of `track_report`, under 80 columns."""
    scores, counts, steps = report["scores"], report["counts"], report["operations"]
    lines = [
        f"{counts['frames']} frames. Objects, tracks, divisions: "
        + "; ".join("{} {objects}, {tracks}, {divisions}".format(side, **counts[side]) for side in ("true", "found"))
        + "."
    ]
    for names in (("SEG", "DET", "TRA", "LNK", "CHOTA"), ("CT", "TF", "CCA", "OP_CSB", "OP_CTB")):
        lines.append("  ".join(f"{name:>6} {_text(scores[name])}" for name in names))
    lines += ["", "Divisions and biology, with a division up to i frames early or late:"]
    lines.append(f"{'i':>4}{'right':>8}{'wrong':>8}{'missed':>8}{'BC(i)':>9}{'BIO(i)':>9}{'OP_CLB(i)':>11}")
    rows = zip(report["tolerances"], report["divisions"], scores["BC"], scores["BIO"], scores["OP_CLB"], strict=True)
    for i, split, branching, bio, overall in rows:
        cells = f"{i:>4}{split['tp']:>8}{split['fp']:>8}{split['fn']:>8}"
        lines.append(f"{cells}{_text(branching):>9}{_text(bio):>9}{_text(overall):>11}")
    lines += [
        "",
        "To mend: {FN} objects to add, {FP} to delete, {NS} to split;".format(**steps),
        "         {EA} links to add, {ED} to delete, {EC} to change.".format(**steps),
    ]
    return lines


def _text(value: float | None) -> str:
    return f"{'-':>6}" if value is None else f"{value:6.4f}"
