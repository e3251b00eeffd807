"""The filter before the keyboard: answers go, keys stay, however both are cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia_tui.terminal.answers import ESCAPE_S, AnswerFilter

ANSWERS = [
    "\x1b[?62;4;22c", "\x1b[>1;4000;29c", "\x1b_Gi=31;OK\x1b\\", "\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\",
    "\x1bP>|kitty(0.35.2)\x1b\\", "\x1bP1$r0;48:2::1:2:3m\x1b\\", "\x1b[6;20;10t", "\x1b[4;800;1200t",
    "\x1b[?1u", "\x1b]11;rgb:1e1e/1e1e/1e1e\x07",
]  # fmt: skip
"""What no reader of keys knows."""
READ = ["\x1b[?2026;2$y", "\x1b[12;40R", "\x1b[48;40;120;800;1200t"]
"""What Textual reads itself."""
KEYS = [
    "a", "7", "é", "€", "\r", "\t", "\x7f", "\x1b[A", "\x1bOP", "\x1b[1;5C", "\x1b[15~", "\x1b[97;5u", "\x1ba",
    "\x1b[Z", "\x1b[<0;10;20M", "\x1b[M !!", "\x1b[I", "\x1b[[A", "\x1b[200~some \x1b[?62c text\x1b[201~",
]  # fmt: skip


def passed(pieces, gap=0.01, owed=True) -> str:
    """What comes out when pieces arrive `gap` seconds apart, with the filter looked after every 10 ms."""
    keyboard = AnswerFilter()
    if owed:
        keyboard.asked("\x1b[6n", 0.0)
    out, now = [], 0.0
    for piece in pieces:
        out.append(keyboard.feed(piece, now))
        while gap and (deadline := keyboard.deadline) is not None and deadline < now + gap:
            out.append(keyboard.tick(deadline))
        now += gap
    out.append(keyboard.tick(now + 100))
    return "".join(out)


@st.composite
def streams(draw):
    """What arrives, what of it is to be passed on, and where it is cut."""
    parts = draw(st.lists(st.sampled_from(ANSWERS + READ + KEYS), min_size=1, max_size=12))
    text = "".join(parts)
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    # the mark that all is answered ends the time in which strings are taken for answers
    strings_after = any("R" in part and part in READ for part in parts[:-1])
    return parts, pieces, strings_after


@settings(max_examples=300, deadline=None)
@given(streams(), st.sampled_from([0.0, 0.01, 0.06, 0.3]))
def test_answers_are_taken_out_and_keys_pass_in_order(stream, gap) -> None:
    parts, pieces, strings_after = stream
    answers = [part for part in ANSWERS if not (strings_after and part[1] in "_P]")]
    if strings_after and any(part in ANSWERS and part not in answers for part in parts):
        return  # answers come in the order of the questions: none of these comes after the last one
    if any(part.startswith("\x1b") and part in KEYS for part in parts) and gap > ESCAPE_S and strings_after:
        return  # a key cut for so long after everything was answered is an escape key: as in any terminal program
    assert passed(pieces, gap) == "".join(part for part in parts if part not in ANSWERS)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("gap", [0.0, 0.05, 0.3, 0.45])
def test_an_answer_in_single_characters(answer, gap) -> None:
    assert passed(["j", *answer, "k"], gap) == "jk"


def test_an_answer_whose_escape_character_was_given_up() -> None:
    """The line stood still for two seconds right there: an escape key was passed on, but no letters and digits."""
    assert passed(["\x1b", "[?62;4c", "j"], gap=2.0) == "\x1bj"
    assert passed(["\x1b", "[", "?62;4c", "j"], gap=0.55) == "\x1bj"


@pytest.mark.parametrize("typed", ["\x1b", "\x1b[", "\x1bO", "\x1bP", "\x1b_", "\x1b]"])
def test_what_a_person_can_type_comes_through_after_a_while(typed) -> None:
    assert passed([typed, "x"], gap=2.0) == typed + "x"
    assert passed([typed, "x"], gap=2.0, owed=False) == typed + "x"


def test_a_cut_answer_is_dropped_and_what_is_typed_much_later_is_not() -> None:
    assert passed(["\x1b[?62;", "j"], gap=20.0) == "j"
    assert passed(["\x1b_Gi=31;O", "j"], gap=20.0) == "j"


def test_the_escape_key_is_quick_when_no_answer_is_to_come() -> None:
    keyboard = AnswerFilter()
    assert keyboard.feed("\x1b", 5.0) == ""
    assert keyboard.deadline == pytest.approx(5.0 + ESCAPE_S)
    assert keyboard.tick(5.0 + ESCAPE_S) == "\x1b"
    keyboard.asked("\x1b[?2026$p\x1b[6n", 6.0)
    keyboard.feed("\x1b[1;1R", 6.1)
    keyboard.feed("\x1b", 6.2)
    assert keyboard.deadline == pytest.approx(6.2 + ESCAPE_S), "all is answered: nothing to wait for"


def test_a_long_string_ends_some_time() -> None:
    assert passed(["\x1b_G" + "x" * 10_000 + "\x1b\\", "j"]).endswith("j")
