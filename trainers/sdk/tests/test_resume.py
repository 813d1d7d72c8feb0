"""Where a training begins: at nothing, at a checkpoint of its own, or at another job's weights; and the pulse."""

from __future__ import annotations

import hashlib
import time

import pytest

from trainers.sdk import SettingError, StorageError

WEIGHTS = b"weights after five epochs"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def test_a_training_that_begins_anew_is_given_nothing(sdk):
    assert (sdk.resume_checkpoint(), sdk.starting_weights()) == (None, None)


def test_a_checkpoint_to_go_on_from_is_fetched_with_its_place(make_sdk, platform):
    platform.files["checkpoint/resume.pt"] = WEIGHTS
    place = {"RESUME_CHECKPOINT": "checkpoint/resume.pt", "RESUME_SHA256": SHA256, "RESUME_EPOCH": "5"}
    sdk = make_sdk(**place)
    assert sdk.resume_checkpoint().read_bytes() == WEIGHTS
    assert (sdk.environment.resume.epoch, sdk.environment.resume.step) == (5, None)


def test_a_checkpoint_that_arrives_changed_is_refused(make_sdk, platform):
    platform.files["checkpoint/weights.pt"] = b"others"
    sdk = make_sdk(WEIGHTS_CHECKPOINT="checkpoint/weights.pt", WEIGHTS_SHA256=SHA256)
    with pytest.raises(StorageError, match="another SHA-256"):
        sdk.starting_weights()


def test_a_place_that_is_no_number_is_named(make_sdk):
    with pytest.raises(SettingError, match="RESUME_EPOCH"):
        make_sdk(RESUME_CHECKPOINT="checkpoint/resume.pt", RESUME_EPOCH="five")


def test_the_pulse_goes_on_while_the_platform_is_away_and_ends_with_the_sdk(make_sdk, platform, tmp_path):
    platform.stop()
    sdk, file = make_sdk(HEARTBEAT_SECONDS="0.1"), tmp_path / "spool" / "pulse"
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline
    first = file.stat().st_mtime_ns
    while file.stat().st_mtime_ns == first:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sdk.close(seconds=0.1)
    assert not file.exists()
