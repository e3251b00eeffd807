"""Scores of two folders of label images or tables, and the report of any scoring as plain data and as text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mia_tui.analysis.classification import format_classification
from mia_tui.analysis.ctc.report import format_ctc, score_ctc
from mia_tui.analysis.label_planes import label_plane, places
from mia_tui.analysis.matching import METRICS, THRESHOLDS, Matching, match, mean_over_images, pool
from mia_tui.analysis.pairing import Pair, Pairing, pair_files
from mia_tui.analysis.points import RADIUS, format_points
from mia_tui.analysis.score_tables import is_class_table, score_image_classes, score_points
from mia_tui.analysis.semantic import class_scores, confusion_matrix
from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image, open_image

MAX_CLASSES = 256

Labels = NDArray[Any]
Result = dict[str, Any]


def score_folders(
    pred: Path,
    truth: Path,
    metric: str = "ap",
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    radius: float = RADIUS,
    allow_missing: bool = False,
) -> Result:
    """Score predicted label images, points or image classes against true ones.

    Parameters
    ----------
    pred, truth : Path
        Two folders, searched with all they hold, or two files. Files are paired as in `pair_files`. The frames of a
        stack are scored one by one.
    metric : str
        "ap": instances, every value is one object. "classes": every value is the class of a pixel, 0 is background; of
        tables (`classes.csv`) the classes of whole images, see `score_tables.score_image_classes`. "points": tables of
        points, see `score_tables.score_points`. "ctc": tracked sequences, see `ctc.report.score_ctc`.
    thresholds : sequence of float
        IoU thresholds of "ap".
    radius : float
        Pixels within which a found point of "points" may be a true one.
    allow_missing : bool
        Score a truth without prediction as one in which nothing was found; without it that is an error.

    Returns
    -------
    dict
        JSON-able: the report of `instance_report` or `class_report`, and `pred`, `truth` (as given), `files` (which
        were compared), `unpaired` (`truth` and `pred`: names of files without a partner; such a truth was counted as
        missed, such a prediction was not counted) and for "ap" `notes` (sentences about what is suspicious).

    Raises
    ------
    MiaError
        For an unknown metric, missing predictions, ambiguous names, files that cannot be read or are no label images,
        and pairs that differ in size or number of frames.
    """
    if metric not in METRIC_NAMES:
        raise MiaError(f"unknown metric {metric!r}: give one of {', '.join(METRIC_NAMES)}")
    if metric == "points":
        return score_points(pred, truth, radius=radius, allow_missing=allow_missing)
    if metric == "ctc":
        return score_ctc(pred, truth)
    if metric == "classes" and is_class_table(pred) and is_class_table(truth):
        return score_image_classes(pred, truth, allow_missing=allow_missing)
    pairing = pair_files(pred, truth)
    if pairing.unpaired_truth and not allow_missing:
        raise MiaError(_missing_message(pred, truth, pairing))
    report = SCORERS[metric](pairing, thresholds)
    return report | {
        "pred": str(pred),
        "truth": str(truth),
        "files": [{"name": pair.name, "truth": str(pair.truth), "pred": _name(pair.pred)} for pair in pairing.pairs],
        "unpaired": {"truth": list(pairing.unpaired_truth), "pred": list(pairing.unpaired_pred)},
    }


def _missing_message(pred: Path, truth: Path, pairing: Pairing) -> str:
    names, count = pairing.unpaired_truth, len(pairing.unpaired_truth)
    listed = ", ".join(names[:5]) + (f" and {count - 5} more" if count > 5 else "")
    return (
        f"{pred} has no prediction for {count} of the {len(pairing.pairs)} label images in {truth}: {listed}. Predict "
        "them, or count them as images in which nothing was found with --allow-missing."
    )


def _name(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _score_instances(pairing: Pairing, thresholds: Sequence[float]) -> Result:
    found: dict[str, tuple[Matching, ...]] = {}
    binary: dict[str, None] = {}
    for name, pair, truth, pred in _frames(pairing):
        binary |= dict.fromkeys(
            str(path) for path, labels in ((pair.truth, truth), (pair.pred, pred)) if _looks_binary(labels)
        )
        found[name] = match(truth, pred, thresholds)
    return instance_report(found) | {"notes": _binary_notes(list(binary))}


def _binary_notes(paths: list[str]) -> list[str]:
    if not paths:
        return []
    listed = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    return [
        f"{listed}: one value in several separate parts, scored as one object. If these are binary masks, give every "
        "object a number of its own first, or use --metric classes."
    ]


def _looks_binary(labels: Labels) -> bool:
    top = labels.max(initial=0)
    return bool(top) and bool(np.isin(labels, (0, top)).all()) and ndimage.label(labels)[1] > 1


def _score_classes(pairing: Pairing, _thresholds: Sequence[float]) -> Result:
    found: dict[str, tuple[list[int], NDArray[np.int64]]] = {}
    for name, pair, truth, pred in _frames(pairing):
        top = max(int(image.max(initial=0)) for image in (truth, pred))
        if top >= MAX_CLASSES:
            raise MiaError(
                f"{pair.truth} or its prediction holds the value {top}: class images have values up to "
                f"{MAX_CLASSES - 1}. For instances use --metric ap."
            )
        confusion = confusion_matrix(truth, pred, top + 1)
        values = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
        found[name] = values.tolist(), confusion[np.ix_(values, values)]
    classes = sorted({0}.union(*(values for values, _ in found.values())))
    names = ["background", *(f"class {value}" for value in classes[1:])]
    return class_report({name: _spread(classes, *counted) for name, counted in found.items()}, names)


def _spread(classes: list[int], values: list[int], confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """A confusion matrix of some values as one of all classes."""
    whole = np.zeros((len(classes), len(classes)), np.int64)
    places = np.searchsorted(classes, values)
    whole[np.ix_(places, places)] = confusion
    return whole


SCORERS: dict[str, Callable[[Pairing, Sequence[float]], Result]] = {
    "ap": _score_instances,
    "classes": _score_classes,
}
METRIC_NAMES = (*SCORERS, "points", "ctc")


# ---- reading --------------------------------------------------------------------------------------------------------


def _frames(pairing: Pairing) -> Iterator[tuple[str, Pair, Labels, Labels]]:
    """Name, files, truth and prediction of every frame; frames of a stack are named `name[3]` (0-based)."""
    for pair in pairing.pairs:
        with ExitStack() as stack:
            truth = stack.enter_context(open_image(pair.truth, indices=True))
            true_places = places(truth)
            predicted, pred_places = None, true_places
            if pair.pred is not None:
                predicted = stack.enter_context(open_image(pair.pred, indices=True))
                pred_places = places(predicted)
                _check_sizes(truth, predicted)
            for i, (place, pred_place) in enumerate(zip(true_places, pred_places, strict=True)):
                labels = label_plane(truth, *place)
                found = np.zeros_like(labels) if predicted is None else label_plane(predicted, *pred_place)
                yield pair.name if len(true_places) == 1 else f"{pair.name}[{i}]", pair, labels, found


def _check_sizes(truth: Image, pred: Image) -> None:
    sizes = [(len(places(image)), *image.info.sizes[3:]) for image in (truth, pred)]
    if sizes[0] != sizes[1]:
        described = [f"{frames} frame{'s' * (frames > 1)} of {height} x {width}" for frames, height, width in sizes]
        raise MiaError(
            f"{truth.info.path} has {described[0]} pixels, {pred.info.path} has {described[1]}: not the same image."
        )


# ---- reports --------------------------------------------------------------------------------------------------------


def instance_report(matchings: Mapping[str, Sequence[Matching]]) -> Result:
    """Report of instance matching, as `mia-tui score` and `evaluate` give it.

    Parameters
    ----------
    matchings : mapping
        Name of an image (or frame) -> its matchings, one per threshold.

    Returns
    -------
    dict
        JSON-able. `metric` "ap"; `images`: per image its name, n_true, n_pred and `scores`, one dict per threshold (see
        `Matching.as_dict`); `totals`: per threshold `pooled` (all objects as if in one image) and `mean_over_images`
        (every image, and every frame of a stack, counts the same); `mean_over_thresholds`: the same two, averaged over
        the thresholds; `empty_images`: how many had neither true nor predicted objects (they count as 0, see
        `Matching`).
    """
    if not matchings:
        raise ValueError("no image to report on")
    per_threshold = list(zip(*matchings.values(), strict=True))
    totals = [
        {"threshold": at[0].threshold, "pooled": pool(at).as_dict(), "mean_over_images": mean_over_images(at)}
        for at in per_threshold
    ]
    return {
        "metric": "ap",
        "images": [
            {
                "image": name,
                "n_true": found[0].n_true,
                "n_pred": found[0].n_pred,
                "scores": [m.as_dict() for m in found],
            }
            for name, found in matchings.items()
        ],
        "totals": totals,
        "mean_over_thresholds": {
            kind: {name: float(np.mean([total[kind][name] for total in totals])) for name in METRICS}
            for kind in ("pooled", "mean_over_images")
        },
        "empty_images": sum(m.n_true == m.n_pred == 0 for m in per_threshold[0]),
    }


def class_report(confusions: Mapping[str, NDArray[np.int64]], names: Sequence[str]) -> Result:
    """Report of class images, as `mia-tui score --metric classes` and `evaluate` give it.

    Parameters
    ----------
    confusions : mapping
        Name of an image (or frame) -> its confusion matrix.
    names : sequence of str
        Class names, background first.

    Returns
    -------
    dict
        JSON-able. `metric` "classes"; `images`: per image its name and `class_scores`; `pooled`: the `class_scores` of
        all pixels together; `mean_over_images`: each score averaged over the images that have it (a class that neither
        is in an image nor was predicted there has none).
    """
    if not confusions:
        raise ValueError("no image to report on")
    images = [{"image": name, **class_scores(matrix, names)} for name, matrix in confusions.items()]
    overall = [key for key in images[0] if key.startswith("mean_") or key == "pixel_accuracy"]
    means: Result = {key: _mean([image[key] for image in images]) for key in overall}
    means["classes"] = {
        name: {key: _mean([image["classes"][name][key] for image in images]) for key in ("iou", "dice")}
        for name in names
    }
    total = np.sum(list(confusions.values()), axis=0)
    return {"metric": "classes", "images": images, "pooled": class_scores(total, names), "mean_over_images": means}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def format_score(result: Result) -> str:
    """The totals of a report as an aligned text table (under 80 columns), with everything that was not paired."""
    lines = _FORMATS[result["metric"]](result)
    unpaired = result.get("unpaired", {})
    for key, text in (
        ("truth", "without a prediction, counted as images in which nothing was found"),
        ("pred", "predicted but without a truth, not counted"),
    ):
        names = unpaired.get(key, [])
        if names:
            lines += ["", f"{len(names)} {text}:", *(f"  {name}" for name in names)]
    for note in result.get("notes", []):
        lines += ["", f"Note: {note}"]
    return "\n".join(lines)


def _format_instances(result: Result) -> list[str]:
    pooled = result["totals"][0]["pooled"]
    lines = [
        f"{len(result['images'])} images, {pooled['n_true']} true and {pooled['n_pred']} predicted objects. "
        "AP = tp / (tp + fp + fn).",
        f"{'pooled over objects':>55}{'mean over images':>21}",
        f"{'IoU':>4}{'tp':>7}{'fp':>7}{'fn':>7}{'AP':>7}{'prec':>6}{'recall':>7}{'F1':>6}{'PQ':>6}"
        f"{'AP':>9}{'F1':>6}{'PQ':>6}",
    ]
    for total in result["totals"]:
        p = total["pooled"]
        counts = f"{total['threshold']:>4.2f}{p['tp']:>7}{p['fp']:>7}{p['fn']:>7}"
        lines.append(counts + _score_cells(p, total["mean_over_images"]))
    mean = result["mean_over_thresholds"]
    lines.append(f"{'mean':>4}{'':21}" + _score_cells(mean["pooled"], mean["mean_over_images"]))
    if result["empty_images"]:
        lines.append(f"{result['empty_images']} images with neither true nor predicted objects count as 0 in the mean.")
    return lines


def _score_cells(pooled: Mapping[str, float], mean: Mapping[str, float]) -> str:
    return (
        f"{pooled['accuracy']:>7.3f}{pooled['precision']:>6.3f}{pooled['recall']:>7.3f}{pooled['f1']:>6.3f}"
        f"{pooled['panoptic_quality']:>6.3f}{mean['accuracy']:>9.3f}{mean['f1']:>6.3f}{mean['panoptic_quality']:>6.3f}"
    )


def _format_classes(result: Result) -> list[str]:
    pooled, mean = result["pooled"], result["mean_over_images"]
    width = max(len("mean without background"), *(len(name) for name in pooled["classes"]))
    lines = [
        f"{len(result['images'])} images",
        f"{'':{width}}{'pooled over pixels':>21}{'mean over images':>21}",
        f"{'class':{width}}{'IoU':>12}{'Dice':>9}{'IoU':>12}{'Dice':>9}",
    ]
    rows = [(name, pooled["classes"][name], mean["classes"][name]) for name in pooled["classes"]]
    for name, suffix in (("mean", ""), ("mean without background", "_foreground")):
        both = [{key: scores[f"mean_{key}{suffix}"] for key in ("iou", "dice")} for scores in (pooled, mean)]
        rows.append((name, both[0], both[1]))
    for name, of_all, of_images in rows:
        cells = [of_all["iou"], of_all["dice"], of_images["iou"], of_images["dice"]]
        texts = ["-" if cell is None else f"{cell:.3f}" for cell in cells]
        lines.append(f"{name:{width}}{texts[0]:>12}{texts[1]:>9}{texts[2]:>12}{texts[3]:>9}")
    accuracy = pooled["pixel_accuracy"]
    return [*lines, f"Pixel accuracy {accuracy:.3f}" if accuracy is not None else "No pixels"]


_FORMATS: dict[str, Callable[[Result], list[str]]] = {
    "ap": _format_instances,
    "classes": _format_classes,
    "points": format_points,
    "image_classes": format_classification,
    "ctc": format_ctc,
}
