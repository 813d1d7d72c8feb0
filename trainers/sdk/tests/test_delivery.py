"""What the SDK does about each answer, and that nothing is lost or doubled on the way."""

from __future__ import annotations

import json
import random
import time

import pytest

from trainers.sdk.drain import drain
from trainers.sdk.tests.platform_server import TOKEN, Platform


def report(sdk, count, start=0):
    for step in range(start, start + count):
        sdk.report_progress({"train/loss": 1.0 / (step + 1), "lr/pg0": 0.01}, epoch=1, step=step)


def stored_steps(platform):
    return [content["step"] for _, kind, content in platform.records if kind == "progress"]


def until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def test_everything_arrives_once_and_in_order(sdk, platform):
    sdk.report_started(total_epochs=3)
    report(sdk, 2500)
    assert sdk.report_completed({"loss": 0.5}, best_epoch=2, best_value=0.9)
    assert stored_steps(platform) == list(range(2500))
    assert platform.calls[0][0] in ("started", "heartbeat")
    assert platform.bodies("completion")[0]["last_no"] == 2500


def test_a_report_is_sent_as_soon_as_it_is_there(sdk, platform):
    report(sdk, 1)
    until(lambda: stored_steps(platform) == [0], seconds=2.0)


def test_batches_are_compact_and_within_their_limits(sdk, platform):
    platform.faults.append((503, {"retry_after": 1}))
    report(sdk, 3000)
    for step in range(60):
        sdk.report_progress({f"metric/{number}/{'x' * 200}": number for number in range(1000)}, step=step)
    sdk.close(20)
    assert len(platform.records) == 3060
    assert max(platform.sizes) < 4 << 20
    assert all("rows" in body or "blocks" in body for body in platform.bodies("progress"))


def test_a_server_that_was_away_gets_everything_when_it_is_back(sdk, platform, variables):
    report(sdk, 10)
    sdk.close()
    platform.stop()
    from trainers.sdk import TrainerSDK

    again = TrainerSDK(variables)
    report(again, 40, start=10)
    time.sleep(0.5)
    back = Platform(port=platform.port)
    back.last_no = 10
    assert again.close(15)
    assert stored_steps(back) == list(range(10, 50))
    back.stop()


def test_an_answer_dropped_after_the_commit_is_a_repeat(sdk, platform):
    platform.faults.extend(["cut after", "cut before", "cut after"])
    report(sdk, 5)
    assert sdk.close(10)
    assert stored_steps(platform) == list(range(5))
    assert platform.repeats >= 5


def test_a_gap_is_sent_again_from_the_number_expected(sdk, platform):
    report(sdk, 20)
    until(lambda: len(platform.records) == 20)
    with platform.mutex:
        del platform.records[12:]
        platform.last_no = 12
    report(sdk, 5, start=20)
    assert sdk.close(10)
    assert stored_steps(platform) == list(range(25))


def test_numbers_that_the_spool_no_longer_has_are_filled_with_a_log_line(sdk, platform):
    sdk._spool.segment_bytes = 200
    report(sdk, 50)
    until(lambda: len(platform.records) == 50)
    with platform.mutex:
        platform.records.clear()
        platform.last_no = 0
    report(sdk, 1, start=50)
    assert sdk.close(10)
    assert platform.last_no == 51
    assert any("spool no longer has it" in line["message"] for line in platform.lines())


@pytest.mark.parametrize(
    "answer",
    [
        (409, {"error": "stale_attempt"}),
        (409, {"error": "terminal", "state": "cancelled"}),
        (401, {"error": "token"}),
        (404, {"error": "job"}),
    ],
)
def test_an_answer_that_is_final_stops_training(sdk, platform, answer):
    platform.over = answer
    report(sdk, 1)
    until(lambda: sdk.should_stop)
    assert sdk.stop_reason == "refused"
    report(sdk, 10)
    assert sdk.close(1)


def test_items_refused_with_400_are_not_sent_again(sdk, platform, capfd):
    sdk.report_progress({"loss": 1.0}, step=-1)
    report(sdk, 3)
    assert sdk.close(5)
    assert stored_steps(platform) == [0, 1, 2]
    assert "step is negative" in capfd.readouterr().err


def test_retry_after_is_honoured(sdk, platform):
    platform.faults.append((503, {"retry_after": 1}))
    report(sdk, 1)
    assert sdk.close(5)
    times = [moment for moment, call in platform.times if call == "progress"]
    assert times[1] - times[0] >= 1.0


def test_a_request_too_large_is_sent_in_smaller_ones(sdk, platform):
    platform.faults.extend([(413, {}), (413, {})])
    report(sdk, 100)
    assert sdk.close(5)
    assert stored_steps(platform) == list(range(100))


def test_one_report_that_cannot_be_read_does_not_hold_up_the_others(sdk, platform):
    platform.faults.extend([(400, {})] * 4)
    report(sdk, 10)
    assert sdk.close(5)
    assert stored_steps(platform) == list(range(1, 10))
    assert platform.last_no == 10


def test_logs_and_progress_keep_the_order_of_their_numbers(sdk, platform):
    platform.faults.append((503, {"retry_after": 1}))
    for step in range(60):
        report(sdk, 1, start=step)
        sdk.log_error(f"line {step}") if step % 3 == 0 else sdk.log_info(f"line {step}")
    assert sdk.close(10)
    assert [number for number, _, _ in platform.records] == list(range(1, platform.last_no + 1))
    assert stored_steps(platform) == list(range(60))
    assert [line["message"] for line in platform.lines()] == [f"line {step}" for step in range(60)]


def test_a_cancel_is_seen_in_an_answer_and_acknowledged(make_sdk, platform):
    sdk = make_sdk(HEARTBEAT_SECONDS="60")
    platform.cancel = True
    report(sdk, 1)
    until(lambda: sdk.stop_reason == "cancel")
    until(lambda: {"cancel_seen": True} in platform.bodies("heartbeat"))
    assert sdk.report_cancelled()
    assert platform.bodies("completion")[0]["status"] == "cancelled"


def test_a_cancel_is_seen_by_the_heartbeat(make_sdk, platform):
    sdk = make_sdk(HEARTBEAT_SECONDS="0.1")
    platform.cancel = True
    until(lambda: sdk.stop_reason == "cancel")


def test_a_completion_that_was_not_answered_is_left_to_the_drain(sdk, platform, variables, tmp_path):
    report(sdk, 3)
    platform.faults.extend(["cut before"] * 50)
    assert not sdk.report_completed({"loss": 0.1}, seconds=0.5)
    sdk.close(0.1)
    platform.faults.clear()
    assert drain(tmp_path / "spool", platform.url, TOKEN, 5) == (True, "3 of 3 records delivered")
    assert platform.bodies("completion")[0]["last_no"] == 3


def test_what_was_said_after_the_completion_is_not_sent(sdk, platform):
    assert sdk.report_failed(ValueError("bad setting"), error_type="CONFIG_ERROR")
    report(sdk, 3)
    sdk.close(1)
    assert platform.records == []
    assert json.dumps(platform.bodies("completion")[0]).count("ValueError: bad setting") == 1


@pytest.mark.parametrize("seed", [2, 3])
def test_a_bad_network_loses_and_doubles_nothing(sdk, platform, seed):
    dice = random.Random(seed)
    faults = ["cut before", "cut after", (503, {"retry_after": 0}), (413, {}), None, None, None]
    platform.faults.extend(dice.choice(faults) for _ in range(20))
    for step in range(600):
        report(sdk, 1, start=step)
        if step % 20 == 0:
            sdk.log_error(f"line {step}")
            time.sleep(0.01)
    assert sdk.close(30)
    assert stored_steps(platform) == list(range(600))
    assert len(platform.lines()) == 30
