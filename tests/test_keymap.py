"""Keys of one's own: presets, entries of `keymap.toml`, clashes, damaged files; and that a changed key really works."""

import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia_tui.keymap import PRESETS, Action, KeyMap, clashes, load_keymap, show_key, unknown_names

ROWS = (
    Action("accept", "y", "Accept"),
    Action("remove", "x,delete", "Delete"),
    Action("zoom_in", "plus,equals_sign", "Zoom in"),
    Action("close", "space", "Close", context="polygon"),
    Action("cursor_left", "left,h", "Cursor left"),
    Action("pan_left", "H,ctrl+left", "Half a view left"),
)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write `keymap.toml`; bytes are written as they are."""
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path))

    def put(text) -> KeyMap:
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "keymap.toml").write_bytes(data)
        return load_keymap()

    return put


def keys(keymap, screen="label", rows=ROWS) -> dict[str, str]:
    return {action.id: action.keys for action in keymap.rows(screen, rows)}


# ---- the file --------------------------------------------------------------------------------------------------------


def test_without_a_file_the_keys_are_those_of_the_table(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "none"))
    keymap = load_keymap()
    assert keymap == KeyMap()
    assert keymap.rows("label", ROWS) == ROWS


def test_the_preset_of_arrows_frees_the_letters_and_keeps_the_arrows(write) -> None:
    found = keys(write('preset = "arrows"'))
    assert found["cursor_left"] == "left"
    assert found["pan_left"] == "ctrl+left"
    assert found["accept"] == "y"


def test_a_name_of_one_screen_goes_before_one_of_all_screens(write) -> None:
    keymap = write('[keys]\n"label.zoom_in" = "f9"\n"*.zoom_in" = "f10"\n"label.accept" = "Y, enter"\n')
    assert keymap.problems == ()
    assert keys(keymap)["zoom_in"] == "f9"
    assert keys(keymap, "browser")["zoom_in"] == "f10"
    assert keys(keymap)["accept"].replace(" ", "") == "Y,enter"
    assert keys(keymap, "browser")["accept"] == "y"


def test_an_own_key_goes_before_the_preset(write) -> None:
    keymap = write('preset = "arrows"\n[keys]\n"label.cursor_left" = "a"\n')
    assert keys(keymap)["cursor_left"] == "a"
    assert keys(keymap, "browser")["cursor_left"] == "left"


def test_no_key_takes_the_keys_away(write) -> None:
    found = keys(write('[keys]\n"label.accept" = ""\n'))
    assert found["accept"] == ""
    assert found["remove"] == "x,delete"


def test_a_key_given_to_one_action_is_taken_from_the_others_of_its_mode(write) -> None:
    keymap = write('[keys]\n"label.accept" = "x,space"\n')
    found = keys(keymap)
    assert found["accept"] == "x,space"
    assert found["remove"] == "delete"
    assert found["close"] == "space", "keys of a mode are their own"
    assert clashes("label", keymap.rows("label", ROWS)) == []


def test_two_actions_given_one_key_are_said(write) -> None:
    keymap = write('[keys]\n"label.accept" = "f9"\n"label.remove" = "f9"\n')
    (text,) = clashes("label", keymap.rows("label", ROWS))
    assert "F9" in text
    assert "label.accept" in text
    assert "label.remove" in text


def test_a_name_that_is_no_action_is_said(write) -> None:
    keymap = write('[keys]\n"label.acept" = "y"\n"*.zoom_in" = "z"\n"browser.accept" = "k"\n"nodot" = "k"\n')
    found = unknown_names(keymap, {"label": ROWS})
    assert [name for name in ("label.acept", "browser.accept", "nodot") if any(name in text for text in found)] == [
        "label.acept", "browser.accept", "nodot",
    ]  # fmt: skip
    assert len(found) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('preset = "emacs"', "emacs"),
        ("preset = 3", "3"),
        ('preset = ["vim"]', "vim"),
        ('prest = "vim"', "prest"),
        ("keys = 7", r"\[keys\]"),
        ('[keys]\n"label.accept" = 7', r"\[keys\]"),
        ('[keys]\nlabel.accept = "y"', r"\[keys\]"),
        ("[keys\n", "keymap.toml"),
        (b"\xff\xfe\x00", "keymap.toml"),
        (b"preset = \x00", "keymap.toml"),
    ],
)
def test_what_is_wrong_is_said_and_the_rest_is_used(write, text, said) -> None:
    keymap = write(text)
    assert len(keymap.problems) == 1
    assert re.search(said, keymap.problems[0])
    assert keymap.preset in PRESETS
    assert keymap.rows("label", ROWS) == ROWS


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_file_keeps_the_program_from_starting(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("keys")
    before = os.environ.get("MIA_TUI_CONFIG")
    os.environ["MIA_TUI_CONFIG"] = str(folder)
    try:
        (folder / "keymap.toml").write_bytes(data)
        keymap = load_keymap()
        keymap.rows("label", ROWS)
    finally:
        os.environ["MIA_TUI_CONFIG"] = before or ""


def test_a_folder_in_the_place_of_the_file_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path))
    (tmp_path / "keymap.toml").mkdir()
    keymap = load_keymap()
    assert "keymap.toml" in keymap.problems[0]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("question_mark", "?"), ("ctrl+p", "^p"), ("full_stop", "."), ("f8", "F8"), ("shift+left", "⇧←"), ("y", "y"),
     ("apostrophe", "'"), ("semicolon", ";"), ("nonsense_key", "nonsense_key")],
)  # fmt: skip
def test_keys_are_shown_as_a_person_reads_them(name, shown) -> None:
    assert show_key(name) == shown


# ---- the tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_no_key_of_the_labelling_screen_stands_for_two_actions(preset) -> None:
    """For each task: what the desk has for it, with the rows of the screen around it."""
    from mia_tui.labeling.desk.rows import table
    from mia_tui.screens.labeling import LabelScreen

    for task in ("segmentation", "detection", "classification"):
        rows = KeyMap(preset).rows("label", (*table(task), *LabelScreen.actions()))
        assert clashes("label", rows) == []
        modes = [action for action in rows if action.context]
        assert all(action.keys for action in modes)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_no_key_of_any_screen_stands_for_two_actions(preset) -> None:
    from mia_tui.app import SCREEN_CLASSES
    from mia_tui.screens.keys import problems

    assert problems(SCREEN_CLASSES, KeyMap(preset)) == []


def test_the_command_says_what_is_wrong_with_the_key_file(tmp_path) -> None:
    (tmp_path / "keymap.toml").write_text('[keys]\n"label.nothing" = "y"\n"label.accept" = "x"\n"label.undo" = "x"\n')
    environment = {**os.environ, "MIA_TUI_CONFIG": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "mia_tui.cli", "keys", "--json"], capture_output=True, text=True, env=environment
    )
    assert "Traceback" not in done.stderr
    said = done.stdout + done.stderr
    assert "label.nothing" in said
    assert "label.accept" in said
    assert json.loads(done.stdout.splitlines()[-1])
