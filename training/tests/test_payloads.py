"""What trainers may say, and what is refused with a reason while its neighbours are kept."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.journal import payloads
from training.journal.checks import LARGEST, Unacceptable, clean_text, strict
from training.journal.payloads import Lines, Metrics, Refused, log_read, progress_read

NOW = 1_700_000_000.0


def only(body: object) -> Metrics | Refused:
    (item,) = progress_read(body, NOW).items
    assert isinstance(item, Metrics | Refused)
    return item


def test_a_plain_report_is_stored_exactly() -> None:
    item = only({"no": 7, "epoch": 3, "step": 900, "time": NOW, "metrics": {"train/box_loss": 0.71}})
    assert item == Metrics(7, NOW, 900, 3, ("train/box_loss",), struct.pack("<d", 0.71))


def test_compact_rows_share_their_names() -> None:
    items = progress_read({"names": ["a", "b"], "rows": [[1, 1, 1, NOW, [1, 2]], [2, 1, 2, NOW, [3, 4]]]}, NOW).items
    assert [item.values for item in items] == [struct.pack("<2d", 1, 2), struct.pack("<2d", 3, 4)]


def test_nonfinite_values_come_as_words_or_as_bare_tokens() -> None:
    item = only({"metrics": {"a": "NaN", "b": "-Infinity", "c": math.inf, "d": -0.0}})
    values = struct.unpack("<4d", item.values)
    assert math.isnan(values[0]) and values[1:3] == (-math.inf, math.inf) and math.copysign(1, values[3]) == -1


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"metrics": {f"m{n}": 1 for n in range(1001)}}, "at most 1000"),
        ({"metrics": {"x" * 1_000_000: 1}}, "1 to 255 characters"),
        ({"metrics": {"": 1}}, "1 to 255 characters"),
        ({"metrics": {"a": "high"}}, "a must be a number"),
        ({"metrics": {"a": None}}, "a must be a number"),
        ({"metrics": {"a": 10**400}}, "too large"),
        ({"metrics": [1]}, "must be an object"),
        ({"step": -1, "metrics": {"a": 1}}, "step must be"),
        ({"step": 2**63, "metrics": {"a": 1}}, "step must be"),
        ({"step": 1.5, "metrics": {"a": 1}}, "step must be"),
        ({"epoch": True, "metrics": {"a": 1}}, "epoch must be"),
        ({"time": 253_370_764_800, "metrics": {"a": 1}}, "time must be"),
        ({"time": math.nan, "metrics": {"a": 1}}, "time must be"),
    ],
)
def test_a_bad_report_is_refused_with_a_reason(report: dict, reason: str) -> None:
    item = only({"no": 4, **report})
    assert isinstance(item, Refused) and item.no == 4 and reason in item.reason


def test_good_reports_beside_a_bad_one_are_kept() -> None:
    rows = [[1, 1, 1, NOW, [1]], [2, 1, -1, NOW, [2]], [3, 1, 3, NOW, [3]]]
    items = progress_read({"names": ["a"], "rows": rows}, NOW).items
    assert [type(item) for item in items] == [Metrics, Refused, Metrics]


PARTS = st.none() | st.booleans() | st.integers(-2, 2**64) | st.floats(NOW - 2, NOW + 2) | st.text(max_size=1)
PARTS |= st.sampled_from(
    [1, 2.0, NOW, math.nan, math.inf, 1e300, 10**400, "NaN", "Infinity", 946_684_799, NOW + 90_000]
)
ROWS = st.lists(PARTS | st.lists(PARTS, max_size=3), min_size=4, max_size=6) | PARTS | st.just({"a": 1})
PLAIN = st.tuples(st.integers(1, 9), st.integers(0, 9), st.none() | st.integers(0, 9), st.just(NOW), st.lists(PARTS))


@given(st.lists(ROWS | PLAIN.map(list), max_size=4), st.integers(0, 2))
def test_rows_taken_at_one_look_are_what_judging_them_one_by_one_gives(rows: list[Any], width: int) -> None:
    names = ("a", "b")[:width]
    told = progress_read({"names": list(names), "rows": rows}, NOW).items
    judged = [payloads._row_read(row, names, "", NOW) for row in rows]
    assert repr(told) == repr(judged)  # by their text, where 1, 1.0 and True differ


@pytest.mark.parametrize("body", [[], "x", 7, None, {"rows": 3}, {"reports": 1}, {"blocks": [1]}, {"reports": [1]}])
def test_a_body_without_form_is_unacceptable(body: object) -> None:
    with pytest.raises(Unacceptable):
        progress_read(body, NOW)


def test_names_that_become_equal_when_cleaned_are_refused() -> None:
    assert isinstance(only({"metrics": {"a\x00": 1, "a\ufffd": 2}}), Refused)


@given(st.text())
def test_cleaned_text_fits_every_database(text: str) -> None:
    cleaned = clean_text(text + "\x00" + "\ud800")
    assert "\x00" not in cleaned and cleaned.encode().decode() == cleaned


def test_log_lines_are_cleaned_cut_and_marked() -> None:
    (batch,) = log_read({"lines": [{"message": "a\x00b\ud800"}, {"message": "x" * 5_000_000, "level": "error"}]}, NOW)
    assert isinstance(batch, Lines)
    assert batch.lines[0].message == "a\ufffdb\ufffd"
    assert len(batch.lines[1].message) == 64 * 1024 and batch.lines[1].message.endswith("[cut]")


@pytest.mark.parametrize("lines", [[], None, [1], [{"message": 3}], [{"message": "a", "level": "loud"}]])
def test_a_bad_log_batch_is_refused_with_its_number(lines: object) -> None:
    (batch,) = log_read({"no": 9, "lines": lines}, NOW)
    assert isinstance(batch, Refused) and batch.no == 9


@given(st.recursive(st.floats() | st.integers(-LARGEST, LARGEST) | st.text(), lambda x: st.lists(x)))
def test_strict_values_are_strict_json(value: object) -> None:
    import json

    json.dumps(strict(value), allow_nan=False).encode()
