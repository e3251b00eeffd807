"""The table of actions: every screen's keys, footer, help and palette come from it and agree with each other."""

import importlib

import pytest
from textual.events import Key
from textual.widgets import Input, OptionList, Static

from mia_tui.app import IMAGE_CLASSES, SCREEN_CLASSES, MiaApp
from mia_tui.keymap import Action, show_key
from mia_tui.project import Project
from mia_tui.widgets.actions import MAX_FOOTER_KEYS, PLACES, ActionProvider, KeyFooter, MiaScreen
from mia_tui.widgets.help import GoScreen, HelpScreen


class Sample(MiaScreen):
    HEADING = "Sample"
    ACTIONS = (
        Action("count", "c,plus", "Count", "Counting", show=True),
        Action("count_ten", "C", "Count ten", "Counting", method="add", args=(10,)),
        Action("never", "v", "Never", "Counting", show=True),
    )

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def compose_body(self):
        yield Static("the body of the sample")

    def add(self, number) -> None:
        self.total += number

    def action_count(self) -> None:
        self.add(1)

    def action_never(self) -> None:
        raise AssertionError("a disabled action was done")

    def disabled_reason(self, action_id):
        return "It is never time for this." if action_id == "never" else super().disabled_reason(action_id)


class Other(MiaScreen):
    HEADING = "Other"
    entered = None

    def enter(self, *_args, **context) -> None:
        self.entered = context


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    screens = {"projects": Sample, "runs": Other}
    monkeypatch.setattr("mia_tui.app._opener", screens.get)
    return MiaApp()


def visible(app) -> str:
    return "\n".join("".join(s.text for s in strip) for strip in app.screen._compositor.render_strips())


@pytest.mark.parametrize("name", SCREEN_CLASSES)
def test_every_row_has_a_handler_and_no_key_is_used_twice(name) -> None:
    screen = getattr(importlib.import_module(f"mia_tui.screens.{name}"), SCREEN_CLASSES[name])
    seen: dict[str, str] = {}
    ids = set()
    for action in screen.actions():
        assert callable(getattr(screen, action.method or f"action_{action.id}", None)), f"{action.id} does nothing"
        assert action.id not in ids, f"{action.id} is there twice"
        assert action.text, f"{action.id} says nothing"
        ids.add(action.id)
        for key in action.key_names:
            assert key not in seen, f"{key} is bound to {action.id} and {seen[key]}"
            seen[key] = action.id
    bound = {key for key, bindings in screen._merged_bindings.key_to_bindings.items() if "act(" in bindings[0].action}
    assert {show_key(key) for key in bound} == {show_key(key) for key in seen}
    assert "?" in {show_key(key) for key in seen}


def test_places_have_letters_and_keys_of_their_own() -> None:
    assert len({place.letter for place in PLACES}) == len(PLACES) == len({place.key for place in PLACES})
    assert {place.name for place in PLACES} == {*SCREEN_CLASSES, "review"} - {IMAGE_CLASSES}


async def test_keys_do_what_the_table_says_and_disabled_ones_say_why(app) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("c", "plus", "C", "v")
        assert app.screen.total == 12
        assert [n.message for n in app._notifications] == ["It is never time for this."]


async def test_the_footer_shows_at_most_eight_keys_and_always_the_help(app) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        line = visible(app).splitlines()[-1]
        assert line.split() == ["c", "Count", "v", "Never", "g", "Go", "to…", "?", "Help"]
        assert len(app.screen.footer_actions()) <= MAX_FOOTER_KEYS
        await pilot.resize_terminal(61, 24)
        app.screen.query_one(KeyFooter).styles.width = 20
        await pilot.pause()
        assert visible(app).splitlines()[-1].split() == ["c", "Count", "?", "Help"]


async def test_help_is_searched_and_does_what_is_chosen(app) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        text = visible(app)
        assert "Counting" in text
        assert "It is never time for this." in text
        await pilot.press(*"ten")
        await pilot.pause()
        assert "Count ten" in visible(app)
        assert [option.id for option in app.screen.query_one(OptionList).options if option.id] == ["count_ten"]
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Sample)
        assert app.screen.total == 10
        await pilot.press("f1", *"nonsense")
        await pilot.pause()
        assert "Nothing matches" in visible(app)
        await pilot.press("escape")
        assert isinstance(app.screen, Sample)


async def test_help_lists_every_action_of_the_screen(app) -> None:
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("f1")
        await pilot.pause()
        listing = app.screen.query_one(OptionList)
        assert {option.id for option in listing.options if option.id} == {a.id for a in Sample.actions()} - {"help"}
        assert app.screen.query_one(Input).has_focus


async def test_go_menu_goes_to_a_screen_and_escape_comes_back(app, tmp_path) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("g")
        await pilot.pause()
        assert isinstance(app.screen, GoScreen)
        assert "Review predictions" in visible(app)
        await pilot.press("r")
        await pilot.pause()
        assert isinstance(app.screen, Sample)
        assert "No project is open" in next(iter(app._notifications)).message
        app.project = Project.create(tmp_path / "project", images=tmp_path)
        await pilot.press("g", "r")
        await pilot.pause()
        await app.workers.wait_for_complete()
        assert isinstance(app.screen, Other)
        assert app.screen.entered == {}
        assert "project  ›  Other" in visible(app)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, Sample)
        app.go("runs", run="a")
        await app.workers.wait_for_complete()
        assert app.screen.entered == {"run": "a"}


async def test_a_key_typed_before_the_menu_is_there_reaches_it(app, tmp_path) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        app.project = Project.create(tmp_path / "project", images=tmp_path)
        for key in "gr":  # both before the first is dealt with
            app.post_message(Key(key, key))
        await pilot.pause()
        await app.workers.wait_for_complete()
        assert isinstance(app.screen, Other)


async def test_the_palette_has_every_action_with_its_reason(app) -> None:
    async with app.run_test(size=(80, 24)):
        provider = ActionProvider(app.screen)
        found = {hit.text or str(hit.display): hit.help async for hit in provider.discover()}
        assert found["Count"].startswith("Counting")
        assert found["Never"] == "Not now: It is never time for this."
        hits = [hit async for hit in provider.search("count ten")]
        await hits[0].command()
        assert app.screen.total == 10


async def test_a_terminal_that_is_too_small_says_so_and_recovers(app) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        for width, height in ((59, 24), (80, 17)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            assert f"The terminal is {width} x {height}" in visible(app)
            assert "the body of the sample" not in visible(app)
        await pilot.resize_terminal(60, 18)
        await pilot.pause()
        assert "the body of the sample" in visible(app)
