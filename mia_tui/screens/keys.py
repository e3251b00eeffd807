"""All keys of all screens: what `mia-tui keys` prints, and `docs/keys.md` holds."""

import importlib
from collections.abc import Iterator, Mapping

from mia_tui.keymap import FILE_NAME, Action, KeyMap, clashes, unknown_names
from mia_tui.widgets.actions import COMMON, MiaScreen

INTRODUCTION = f"""# Keys

Every screen shows its most important keys in the last line; `?` lists all of them and does the one that is chosen, and
`ctrl+p` finds any action by name. This page is made by `mia-tui keys --markdown`.

Keys of your own go into `{FILE_NAME}` in the configuration folder (`mia-tui doctor` says where that is):

```toml
preset = "arrows"                  # or "vim", the default: h j k l move the cursor, too

[keys]
"label.accept" = "y,enter"         # <screen>.<action> as below; key names as in Textual, comma separated
"*.zoom_in" = "plus"               # on every screen that has the action
"label.redo" = ""                  # no key
```
"""


def screen_classes(names: Mapping[str, str]) -> Iterator[type[MiaScreen]]:
    """The classes of the app's screens, given module and class names."""
    for module, name in names.items():
        yield getattr(importlib.import_module(f"mia_tui.screens.{module}"), name)


def tables(names: Mapping[str, str], keymap: KeyMap) -> dict[str, tuple[Action, ...]]:
    """Screen -> its rows without the common ones; "every screen" -> those."""
    common = {action.id for action in COMMON}
    found = {"*": keymap.rows("*", COMMON)}
    for screen in screen_classes(names):
        rows = keymap.rows(screen.NAME, screen.every_row())
        found[screen.NAME] = tuple(action for action in rows if action.id not in common or action not in COMMON)
    return found


def problems(names: Mapping[str, str], keymap: KeyMap) -> list[str]:
    """What is wrong with the user's key map: entries nobody knows, keys that stand for two actions."""
    found = [*keymap.problems, *unknown_names(keymap, {s.NAME: s.every_row() for s in screen_classes(names)})]
    for screen in screen_classes(names):
        found += clashes(screen.NAME, keymap.rows(screen.NAME, screen.every_row()))
    return found


def lines(names: Mapping[str, str], keymap: KeyMap, *, markdown: bool = False) -> Iterator[str]:
    """All keys as text or as a page of documentation."""
    if markdown:
        yield INTRODUCTION
    headings = {"*": "Every screen", **{s.NAME: s.HEADING for s in screen_classes(names)}}
    for screen, rows in tables(names, keymap).items():
        yield f"## {headings[screen]} (`{screen}`)\n" if markdown else f"{headings[screen]} ({screen})"
        opening = {action.id: action.key_text for action in rows}
        for group, context in dict.fromkeys((action.group, action.context) for action in rows):
            when = f" (after {opening[context]})" if context in opening else f" (while in {context})"
            title = group + (when if context else "")
            yield from _group(screen, title, [a for a in rows if (a.group, a.context) == (group, context)], markdown)
        yield ""


def _group(screen: str, title: str, rows: list[Action], markdown: bool) -> Iterator[str]:
    if not markdown:
        yield f"  {title}"
        yield from (f"    {action.all_keys_text:<18} {action.full_text}" for action in rows)
        return
    yield f"### {title}\n"
    yield "| keys | what it does | action |"
    yield "|---|---|---|"
    for action in rows:
        keys = " ".join(f"`` {key} ``" if key == "`" else f"`{key}`" for key in action.all_keys_text.split())
        keys = keys.replace("|", "\\|")
        yield f"| {keys} | {action.full_text} | `{screen}.{action.id}` |"
    yield ""
