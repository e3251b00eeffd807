"""What a person can do, and with which keys: rows of actions, presets, and the user's own keys in `keymap.toml`.

```toml
preset = "arrows"                  # or "vim" (the default): whether h j k l move the cursor too

[keys]                             # "<screen>.<action>" = "key,other key"; "" takes the keys away
"label.accept" = "y,enter"
"*.zoom_in" = "plus"               # on every screen that has this action
```
`docs/keys.md` lists all screens, actions and keys.
"""

import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from mia_tui.settings import config_folder

FILE_NAME = "keymap.toml"
HJKL = {"left": "h", "right": "l", "up": "k", "down": "j"}
PRESETS: dict[str, dict[str, str]] = {
    "vim": {},
    "arrows": {
        **{f"*.cursor_{way}": way for way in HJKL},
        **{f"*.pan_{way}": f"ctrl+{way}" for way in HJKL},
    },
}
"""Preset -> (screen.action -> keys), laid over the keys of the tables."""


@dataclass(frozen=True)
class Action:
    """What a person can do on a screen.

    Attributes
    ----------
    id : str
        The handler is the screen's method `action_<id>`.
    keys : str
        Key names as Textual spells them, comma separated; the first one is shown.
    text : str
        What it does, a word or two: what the footer shows.
    group : str
        Heading in the help.
    show : bool
        Whether the footer shows it.
    more : str
        What it does in a few words, for help and palette; `text` when empty.
    method, args : str, tuple
        For rows that share a handler: it is the screen's `method(*args)` instead of `action_<id>()`.
    context : str
        The mode in which the keys count; "" for the screen itself. Keys of a mode go before those of the screen.
    first : str
        For what a menu offers: the key, as a person reads it, that opens the menu.
    """

    id: str
    keys: str
    text: str
    group: str = "View"
    show: bool = False
    more: str = ""
    method: str = ""
    args: tuple[Any, ...] = ()
    context: str = ""
    first: str = ""

    @property
    def full_text(self) -> str:
        return self.more or self.text

    @property
    def key_names(self) -> list[str]:
        return [key.strip() for key in self.keys.split(",") if key.strip()]

    @property
    def key_text(self) -> str:
        """The first key as a person reads it, e.g. `?` or `^p`."""
        return show_key(self.key_names[0]) if self.key_names else ""

    @property
    def all_keys_text(self) -> str:
        return " ".join(f"{self.first} {show_key(key)}".strip() for key in self.key_names)


NAMED = {
    "up": "↑", "down": "↓", "left": "←", "right": "→", "backspace": "⌫", "escape": "esc", "enter": "⏎",
    "minus": "-", "plus": "+", "slash": "/", "backslash": "\\", "underscore": "_", "at": "@", "home": "home",
    "end": "end", "space": "space", "tab": "tab", "delete": "del", "insert": "ins", "pageup": "pgup",
    "pagedown": "pgdn", "greater_than_sign": ">", "less_than_sign": "<",
}  # fmt: skip


def show_key(name: str) -> str:
    """A Textual key name as a person reads it: `question_mark` is `?`, `ctrl+p` is `^p`."""
    *modifiers, key = name.split("+")
    text = NAMED.get(key, key)
    if key not in NAMED and len(key) > 1:
        try:
            text = unicodedata.lookup(key.replace("_", " ").upper())
        except KeyError:
            text = key.upper() if key[0] == "f" and key[1:].isdigit() else key
    if "ctrl" in modifiers:
        text = f"^{text}"
    if "alt" in modifiers:
        text = f"alt+{text}"
    return f"⇧{text}" if "shift" in modifiers else text


@dataclass(frozen=True)
class KeyMap:
    """The keys in force. `problems` say what was wrong with the file; what was wrong is left out."""

    preset: str = "vim"
    own: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def rows(self, screen: str, actions: Iterable[Action]) -> tuple[Action, ...]:
        """The actions of a screen with the keys of the preset and of the user.

        A key that the user gives to one action is taken from every other action of its context that was not given it
        as well; two that were given one key keep it, and `clashes` says so.
        """
        changed, taken = [], set()
        for action in actions:
            given = self.keys_of(screen, action.id)
            changed.append(action if given is None else replace(action, keys=given))
            if self._is_own(screen, action.id):
                taken |= {(action.context, key) for key in changed[-1].key_names}
        return tuple(
            action if not taken or self._is_own(screen, action.id) else _without(action, taken) for action in changed
        )

    def _is_own(self, screen: str, action: str) -> bool:
        return f"{screen}.{action}" in self.own or f"*.{action}" in self.own

    def keys_of(self, screen: str, action: str) -> str | None:
        """The keys that preset or user give to an action; None when its table decides."""
        for keys in (self.own, PRESETS[self.preset]):
            for name in (f"{screen}.{action}", f"*.{action}"):
                if name in keys:
                    return keys[name]
        return None


def _without(action: Action, taken: Set[tuple[str, str]]) -> Action:
    """The action without the keys that are taken in its context."""
    kept = [key for key in action.key_names if (action.context, key) not in taken]
    return action if len(kept) == len(action.key_names) else replace(action, keys=",".join(kept))


def load_keymap() -> KeyMap:
    """Read `keymap.toml` from the user's configuration folder. Nothing in it can keep the program from starting."""
    path = config_folder() / FILE_NAME
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return KeyMap()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return KeyMap(problems=(f"{path} cannot be read, so the default keys are used: {error}",))
    problems = [
        f"{path}: {name} is not understood (known: preset, keys)" for name in values.keys() - {"preset", "keys"}
    ]
    preset = values.get("preset", "vim")
    if not isinstance(preset, str) or preset not in PRESETS:
        problems.append(f"{path}: there is no preset {preset!r}; choose one of {', '.join(PRESETS)}")
        preset = "vim"
    table = values.get("keys", {})
    good = {name: keys for name, keys in table.items() if isinstance(keys, str)} if isinstance(table, dict) else {}
    if not isinstance(table, dict) or len(good) < len(table):
        problems.append(f'{path}: entries of [keys] are lines such as "label.accept" = "y,enter"')
    return KeyMap(preset, good, tuple(problems))


def clashes(screen: str, actions: Sequence[Action]) -> list[str]:
    """Keys that stand for two actions of one context, as sentences."""
    seen: dict[tuple[str, str], str] = {}
    found = []
    for action in actions:
        for key in action.key_names:
            other = seen.setdefault((action.context, key), action.id)
            if other != action.id:
                found.append(f"{show_key(key)} is both {screen}.{other} and {screen}.{action.id}")
    return found


def unknown_names(keymap: KeyMap, tables: Mapping[str, Iterable[Action]]) -> list[str]:
    """Entries of the user's keys that name no action of the `tables` (screen -> rows), as sentences."""
    known = {f"{screen}.{action.id}" for screen, rows in tables.items() for action in rows}
    known |= {f"*.{name.split('.', 1)[1]}" for name in known}
    return [
        f"{FILE_NAME}: there is no action {name!r} (docs/keys.md lists them)"
        for name in keymap.own
        if name not in known
    ]
