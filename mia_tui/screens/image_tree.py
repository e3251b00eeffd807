"""The list of a project's images: by split and folder, with marks for labelled and predicted ones."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.style import Style
from rich.text import Text
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from mia_tui.project import PREDICT_PREFIX, ImageRef, Project

LABELLED = "●"
PREDICTED = "◇"
SPLIT_TITLES = {"train": "Training images", "predict": "Images to predict"}


@dataclass(frozen=True)
class Listing:
    """The images of a project and which of them have labels or predictions of a model."""

    refs: tuple[ImageRef, ...]
    labelled: frozenset[str]
    predicted: frozenset[str]
    models: tuple[str, ...]


def list_images(project: Project, model: str | None) -> Listing:
    """Look through the folders of a project. `model` None stands for the newest that has predictions."""
    models = models_with_predictions(project)
    chosen = model if model in models else (models[0] if models else None)
    predicted = project.frames_under(f"predictions:{chosen}") if chosen is not None else []
    labelled = project.frames_under("labels") if project.source_folder("labels").is_dir() else []
    return Listing(
        tuple(project.images()),
        frozenset(key for key, _ in labelled),
        frozenset(key for key, _ in predicted),
        tuple(models),
    )


def models_with_predictions(project: Project) -> list[str]:
    """Names of the models that have predictions, newest first."""
    folders = [path for path in (project.folder / "predictions").glob("*") if path.is_dir()]
    return [path.name for path in sorted(folders, key=lambda p: p.stat().st_mtime, reverse=True)]


class ImageTree(Tree[ImageRef]):
    """Splits and folders as branches, images as leaves."""

    DEFAULT_CSS = """
    ImageTree {
        width: 100%; height: 1fr; background: $background; padding: 0 0 0 1; overflow-x: hidden; scrollbar-size: 1 1;
        scrollbar-background: $background; scrollbar-color: $border;
    }
    """

    def __init__(self) -> None:
        super().__init__("images")
        self.show_root = False
        self.show_guides = False
        self.guide_depth = 2
        self._leaves: dict[str, TreeNode[ImageRef]] = {}

    def fill(self, listing: Listing) -> None:
        """Show a listing. When only the marks changed, the tree keeps its place and what is unfolded."""
        if [ref.key for ref in listing.refs] != list(self._leaves):
            self._rebuild(listing.refs)
        for ref in listing.refs:
            self._leaves[ref.key].set_label(_label(ref, listing))

    def _rebuild(self, refs: Iterable[ImageRef]) -> None:
        self.clear()
        self._leaves = {}
        branches: dict[tuple[str, ...], TreeNode[ImageRef]] = {(): self.root}
        for ref in refs:
            *folders, _ = ref.key.removeprefix(PREDICT_PREFIX).split("/")
            path = (ref.split, *folders)
            for depth in range(1, len(path) + 1):
                if path[:depth] not in branches:
                    title = SPLIT_TITLES.get(ref.split, ref.split) if depth == 1 else path[depth - 1]
                    branches[path[:depth]] = branches[path[: depth - 1]].add(Text(title), expand=True)
            self._leaves[ref.key] = branches[path].add_leaf(Text(ref.key), data=ref)

    def render_label(self, node: TreeNode[ImageRef], base_style: Style, style: Style) -> Text:
        """Names that are too long are cut in the middle: their ends tell them apart."""
        label = super().render_label(node, base_style, style)
        depth = 0
        while node.parent is not None:
            node, depth = node.parent, depth + 1
        room = max(8, self.size.width - self.guide_depth * (depth - 1) - 1)
        return shorten_middle(label, room) if label.cell_len > room else label

    def choose(self, key: str) -> None:
        """Put the cursor on an image."""
        leaf = self._leaves.get(key)
        if leaf is not None and self.cursor_node is not leaf:
            node = leaf.parent
            while node is not None:
                node.expand()
                node = node.parent
            self.move_cursor(leaf)


def shorten_middle(text: Text, width: int) -> Text:
    """The text in `width` columns, with an ellipsis in its middle."""
    head = width // 3
    return text[:head] + Text("…", style=text.style) + text[len(text) - (width - head - 1) :]


def _label(ref: ImageRef, listing: Listing) -> Text:
    marks = (LABELLED if ref.key in listing.labelled else " ") + (PREDICTED if ref.key in listing.predicted else " ")
    return Text.assemble((marks, "bold"), f" {ref.path.name}")
