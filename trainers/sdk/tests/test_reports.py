"""What a report may hold: anything that float() takes, and nothing that breaks the others."""

from __future__ import annotations

import math
import resource

import pytest


class Scalar:
    """Like a tensor of one number."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


@pytest.fixture
def stored(sdk, platform):
    def after(*reports):
        for metrics in reports:
            sdk.report_progress(metrics, epoch=1)
        assert sdk.close(5)
        return [content for _, kind, content in platform.records if kind == "progress"]

    return after


def test_nan_and_infinities_arrive_as_what_they_are(stored):
    metrics = stored({"a": math.nan, "b": math.inf, "c": -math.inf, "d": -0.0})[0]["metrics"]
    assert math.isnan(metrics["a"])
    assert (metrics["b"], metrics["c"], math.copysign(1, metrics["d"])) == (math.inf, -math.inf, -1)


def test_scalars_of_other_libraries_are_made_floats(stored):
    assert stored({"a": Scalar(0.25), "b": True, "c": 3})[0]["metrics"] == {"a": 0.25, "b": 1.0, "c": 3.0}


def test_a_value_that_is_no_number_is_refused_with_one_log_line(stored, platform):
    bad = {"good": 1.0, "bad": object(), "big": 10**400, "": 1.0, "n" * 256: 1.0, 7: 1.0}
    reports = stored(bad, bad)
    assert [report["metrics"] for report in reports] == [{"good": 1.0}] * 2
    assert sum("'big'" in line["message"] for line in platform.lines()) == 1


def test_names_and_messages_lose_nul_and_lone_surrogates(sdk, platform):
    sdk.report_progress({"a\0b": 1.0, "c\ud800": 2.0, "d\U0001f600": 3.0})
    sdk.log_error("x\0y\udfff\U0001f600")
    sdk.close(5)
    assert platform.points()[0][1] == {"a\ufffdb": 1.0, "c\ufffd": 2.0, "d\U0001f600": 3.0}
    assert platform.lines()[0]["message"] == "x\ufffdy\ufffd\U0001f600"


def test_four_hundred_metrics_are_one_report(stored):
    assert len(stored({f"m/{number}": number for number in range(400)})[0]["metrics"]) == 400


def test_more_than_a_thousand_metrics_are_several_reports(stored):
    reports = stored({f"m/{number}": number for number in range(2500)})
    assert [len(report["metrics"]) for report in reports] == [1000, 1000, 500]


def test_an_epoch_that_is_no_number_does_not_raise(sdk, platform):
    sdk.report_progress({"a": 1.0}, epoch="third", step=Scalar(1.0))
    sdk.report_progress(None)
    sdk.close(5)
    assert [metrics for _, metrics in platform.points()] == [{"a": 1.0}]


def test_phase_and_a_new_number_of_epochs_travel_in_the_plain_form(sdk, platform):
    sdk.report_started(total_epochs=3)
    sdk.report_progress({"a": 1.0}, epoch=1, total_epochs=3, phase="train")
    sdk.report_progress({"a": 2.0}, epoch=2, total_epochs=5, phase="val")
    sdk.close(5)
    contents = [content for _, kind, content in platform.records if kind == "progress"]
    assert [content.get("phase") for content in contents] == [None, "val"]
    assert contents[1]["total_epochs"] == 5


def test_a_long_message_is_cut_and_marked(sdk, platform):
    sdk.log_error("ß" * 100_000)
    sdk.close(5)
    message = platform.lines()[0]["message"]
    assert len(message.encode()) <= 64 << 10
    assert message.endswith("(cut, 100000 characters)")


def test_fifty_lines_are_one_batch_and_an_error_goes_at_once(sdk, platform):
    for number in range(53):
        sdk.log_info(f"line {number}", number=number)
    sdk.log_error("now")
    sdk.close(5)
    assert [len(content["lines"]) for _, _, content in platform.records] == [50, 4]


def test_an_event_names_itself_and_its_data(sdk, platform):
    sdk.log_event("early_stop", epoch=7, reason=object())
    sdk.close(5)
    line = platform.lines()[0]
    assert (line["source"], line["metadata"]["event"], line["metadata"]["epoch"]) == ("event", "early_stop", 7)


def test_training_goes_on_while_the_disk_is_full_and_the_log_says_what_was_lost(sdk, platform):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    sdk.report_progress({"a": 1.0}, step=1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (90, limits[1]))
    try:
        for step in range(2, 5):
            sdk.report_progress({"a": 1.0}, step=step)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    sdk.report_progress({"a": 1.0}, step=5)
    assert sdk.close(5)
    assert [content["step"] for _, kind, content in platform.records if kind == "progress"] == [1, 5]
    assert "3 reports were lost" in platform.lines()[0]["message"]
