"""Axes strings: which letters there are, what a guess is, and what a person may override.

The letters are those of OME and ImageJ: T time, C channel, Z depth, Y row, X column, S colour samples of one pixel. An
axes string names the dimensions in the order in which they are stored, as `TZCYX` or `YXS`.
"""

from collections.abc import Iterable

from mia_tui.errors import MiaError

LETTERS = "TCZYXS"
GUESSABLE = "IQ"
"""tifffile's letters for a dimension of which the file does not say what it is: I a sequence of pages, Q anything."""

Shape = tuple[int, ...]


def text_shape(shape: Iterable[int]) -> str:
    """A shape as people write it: `5x2x64x80`."""
    return "x".join(str(size) for size in shape)


def check_override(axes: str, shape: Shape, name: str) -> str:
    """The axes a person gave for a file of this `shape`, in capitals.

    Raises
    ------
    MiaError
        For a letter outside `LETTERS`, one given twice, a missing Y or X, the wrong number of letters, or an S that is
        not 3 or 4 samples long. The message says what would be right.
    """
    axes = axes.upper()
    wrong = sorted(set(axes) - set(LETTERS))
    if wrong:
        raise MiaError(f"{name}: axes {axes!r} has the letter {wrong[0]!r}. The letters are T, C, Z, Y, X and S (RGB).")
    if len(set(axes)) < len(axes) or not {"Y", "X"} <= set(axes):
        raise MiaError(f"{name}: axes {axes!r} must name Y and X, and every letter once.")
    if len(axes) != len(shape):
        raise MiaError(
            f"{name}: axes {axes!r} has {len(axes)} letters, but the image has {len(shape)} dimensions: "
            f"{text_shape(shape)}."
        )
    if "S" in axes and shape[axes.index("S")] not in (3, 4):
        size = shape[axes.index("S")]
        raise MiaError(f"{name}: S is 3 or 4 colour samples, this dimension has {size}. Call it C (channels).")
    return axes


def settle(axes: str, shape: Shape, name: str) -> tuple[str, bool]:
    """Axes as a reader found them, in our letters; True when one of them is a guess.

    A single dimension of unknown meaning is taken for time: most stacks of pages are movies. Anything else unknown is
    not guessed at.

    Raises
    ------
    MiaError
        When more than one dimension is unknown, or one has a meaning that none of our letters has.
    """
    strange = [letter for letter in axes if letter not in LETTERS]
    if not strange and len(set(axes)) == len(axes) and {"Y", "X"} <= set(axes):
        return axes, False
    if len(strange) == 1 and strange[0] in GUESSABLE and "T" not in axes:
        return axes.replace(strange[0], "T"), True
    example = "TZCYX"[-len(axes) :] if len(axes) <= 5 else "TZCYXS"
    raise MiaError(
        f"{name}: the file calls its dimensions {axes} ({text_shape(shape)}), which is not clear. Give the axes in "
        f"project.toml, under [axes], with one letter of TCZYXS for each dimension, as {example!r}."
    )


def tczyx_sizes(axes: str, shape: Shape, samples: int) -> tuple[int, int, int, int, int]:
    """Sizes as (T, C, Z, Y, X); the `samples` that are kept of an S axis count as channels."""
    size = dict(zip(axes, shape, strict=True))
    channels = size.get("C", 1) * (samples if "S" in size else 1)
    return size.get("T", 1), channels, size.get("Z", 1), size["Y"], size["X"]
