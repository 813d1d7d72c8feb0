"""The way of an imported run's points into reports: their order, their grouping, and what can't be kept."""

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from observability.imports.spool import Spool
from observability.tests.imported import TIME

Row = tuple[str, int, float, float]
rows = st.tuples(
    st.sampled_from(["a", "b/c", "(손실)"]),
    st.integers(0, 3),
    st.sampled_from([TIME, TIME + 0.5, TIME + 9]),
    st.floats(allow_nan=True),
)


def reports(points: list[Row]) -> list[Any]:
    with Spool() as spool:
        for name, step, time, value in points:
            spool.point(name, step, time, value)
        return list(spool.reports(TIME))


def unpacked(report: Any) -> tuple[float, ...]:
    return struct.unpack(f"<{len(report.names)}d", report.values)


@given(st.lists(rows, max_size=60))
def test_every_point_is_in_one_report_in_the_order_of_time_exactly_as_it_was(points: list[Row]) -> None:
    made = reports(points)
    assert [report.no for report in made] == list(range(1, len(made) + 1))
    for wanted in {name for name, *_ in points}:
        given_ = [(time, step, struct.pack("<d", value)) for name, step, time, value in points if name == wanted]
        stored = [
            (report.time, report.step, report.values[8 * at : 8 * at + 8])
            for report in made
            for at, name in enumerate(report.names)
            if name == wanted
        ]
        assert stored == sorted(given_, key=lambda row: row[:2])  # stable: equal moments keep their order


def test_points_of_one_moment_are_one_report() -> None:
    made = reports([("a", 1, TIME, 1.0), ("a", 2, TIME, 3.0), ("b", 1, TIME, 2.0), ("b", 1, TIME + 1, 4.0)])
    assert [(one.step, one.time, one.names, unpacked(one)) for one in made] == [
        (1, TIME, ("a", "b"), (1.0, 2.0)),
        (2, TIME, ("a",), (3.0,)),
        (1, TIME + 1, ("b",), (4.0,)),
    ]


def test_a_second_value_at_the_same_moment_is_a_report_of_its_own() -> None:
    made = reports([("a", 1, TIME, 1.0), ("a", 1, TIME, 2.0), ("b", 1, TIME, 3.0)])
    assert [(one.names, unpacked(one)) for one in made] == [(("a", "b"), (1.0, 3.0)), (("a",), (2.0,))]


def test_more_names_than_a_report_takes_are_several() -> None:
    made = reports([(f"m{number}", 1, TIME, float(number)) for number in range(2500)])
    assert [len(one.names) for one in made] == [1000, 1000, 500]
    assert {value for one in made for value in unpacked(one)} == set(map(float, range(2500)))


def test_what_can_not_be_kept_is_told_with_its_number() -> None:
    with Spool() as spool:
        for name, step, time in (("x" * 256, 1, TIME), ("", 1, TIME), ("a", -1, TIME), ("a", 2**63, TIME)):
            spool.point(name, step, time, 1.0)
        for time in (0.0, float("nan"), TIME * 100):
            spool.point("a", 1, time, 1.0)
        (only,) = {report.time for report in spool.reports(TIME)}
        assert only == TIME and spool.points == 3
        assert [text.split()[0] for text in spool.troubles()] == ["2", "2", "3"]


def test_a_thousand_troubles_do_not_become_a_thousand_lines() -> None:
    with Spool() as spool:
        for number in range(1000):
            spool.trouble(f"line {number} is bad")
        assert len(spool.troubles()) == 51 and "950" in spool.troubles()[-1]
