"""Text from a run is shown, and does nothing."""

import pytest

from training.templatetags.pages import duration, figure, system_name
from training.templatetags.text import plain_text, terminal_html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("\x1b[31mred\x1b[0m plain", '<span class="a31">red</span> plain'),
        ("\x1b[1;38;5;208mx\x1b[22my", '<span class="a1">x</span>y'),
        ("\x1b[32m<b>\x1b[m", '<span class="a32">&lt;b&gt;</span>'),
        ("10%\r50%\r100%", "100%"),
        ("10%\r\n100%\r", "10%\n100%"),
        ("\x1b]8;;https://evil.example\x07click\x1b]8;;\x07", "click"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
    ],
)
def test_a_terminal_line_becomes_harmless_html(text: str, shown: str) -> None:
    assert terminal_html(text) == shown


def test_characters_that_turn_the_direction_are_named() -> None:
    shown = terminal_html("user\u202egnp.exe\x00")
    assert "\u202e" not in shown and "\x00" not in shown
    assert "U+202E" in shown and "U+0000" in shown


def test_a_colour_takes_the_place_of_another() -> None:
    assert terminal_html("\x1b[31ma\x1b[34mb\x1b[39mc") == '<span class="a31">a</span><span class="a34">b</span>c'


def test_a_line_of_a_megabyte_is_cut() -> None:
    assert len(terminal_html("x" * 1_000_000)) < 5000


def test_an_unfinished_sequence_takes_no_time() -> None:
    assert terminal_html("\x1b[" + ";" * 3000) == ";" * 3000


def test_a_name_stays_on_one_line() -> None:
    assert plain_text("a\nb\u202ec\x1b[31md") == "a b\ufffdcd"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "0.5000"), (3.0, "3"), (float("nan"), "NaN"), (float("-inf"), "−∞"), (1e-9, "1.00e-09"), (None, "–")],
)
def test_figures_are_short(value: float | None, shown: str) -> None:
    assert figure(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(5, "5 s"), (185, "3 min 05 s"), (8040, "2 h 14 min"), (273600, "3 d 4 h")]
)
def test_durations_are_words(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown


def test_measurements_are_named_as_people_say() -> None:
    assert system_name("system/gpu.0.memory_gib") == "GPU 0 memory"
