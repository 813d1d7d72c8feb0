"""What the adapters' tests send, and what of it must be found again, modulo the losses that an adapter declares."""

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from observability.base import Adapter, JobFacts, Losses, Report
from observability.steps import step_of

TIME = 1_760_000_000.0
NAMES = (
    "train/box_loss",
    "metrics/mAP50-95(B)",
    "한국어/손실 값",
    "이름" * 100,
    "x/" + "(y)" * 66,
    "lr-x/y",
    "lr/x-y",
    "loss",
    "loss/loss",
    "a//b/../c/.",
    "/",
    "..",
    " spaced ",
    "100%:~",
    "_step",
    "step",
)
VALUES = (0.1, math.nan, math.inf, -math.inf, -0.0, 1e-300, 1.7e308, -3.5, 1 / 3)
FLOAT32_LARGEST = 3.4028234663852886e38
LARGEST = 1.7976931348623157e308
Config = dict[str, str]
Points = dict[str, list[tuple[int, float, float]]]


def job_facts(job_id: int = 42, **changes: Any) -> JobFacts:
    facts: dict[str, Any] = {
        "name": "이름 'of' a (job)",
        "organization": "An/Organization",
        "project": "..",
        "experiment": "First",
        "trainer": "ultralytics",
        "task_type": "detection",
        "model_name": "yolo11n.yaml",
        "dataset": "bottles",
        "dataset_version_hash": "ab12",
        "created": TIME + 0.123456,
        "created_by": "owner",
        "url": f"http://127.0.0.1:8000/jobs/{job_id}/",
        "tags": ("first", "둘째"),
    }
    return JobFacts(job_id=job_id, **facts | changes)


def reports(count: int, first: int = 1, attempt: int = 1, first_step: int = 0) -> list[Report]:
    """`count` reports in order: every name, every awkward value, with and without step and epoch."""
    made = []
    for number in range(count):
        values = tuple(VALUES[(number + place) % len(VALUES)] for place in range(len(NAMES)))
        step = None if number % 10 >= 8 else first_step + number
        epoch = None if number % 10 == 9 else (first_step + number) // 10
        time = TIME + (first + number) * 1.0625 + 0.000123
        made.append(Report(first + number, attempt, time, step, epoch, NAMES, values))
    return made


def expected(sent: Iterable[Report], losses: Losses) -> Points:
    """What must be found again of these reports, by name, in order."""
    points: Points = {}
    for report in sent:
        time = round(report.time * 1000) / 1000 if losses.milliseconds else report.time
        for name, value in zip(report.names, report.values, strict=True):
            if not (losses.drops_nonfinite and _is_refused(value, losses)):
                points.setdefault(name, []).append((step_of(report), time, value_held(value, losses)))
    if losses.merges_equal_steps:
        points = {name: _merged(found) for name, found in points.items()}
    return points


def _is_refused(value: float, losses: Losses) -> bool:
    return not math.isfinite(value) or (losses.float32 and abs(value) > FLOAT32_LARGEST)


def value_held(value: float, losses: Losses) -> float:
    """What a backend with these losses holds of a value."""
    if losses.clamps_infinity and math.isinf(value):
        return math.copysign(LARGEST, value)
    if losses.float32 and math.isfinite(value):
        beyond = abs(value) > FLOAT32_LARGEST
        return math.copysign(math.inf, value) if beyond else float(struct.unpack("<f", struct.pack("<f", value))[0])
    return value


def _merged(points: Sequence[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    last = {step: (step, time, value) for step, time, value in points}
    return sorted(last.values(), key=lambda point: point[1])


def comparable(points: Mapping[str, Iterable[tuple[int, float, float]]], signed_zero: bool = True) -> dict[str, Any]:
    """Points that compare equal if they are: NaN equals NaN, and -0.0 is not 0.0 unless a backend can't tell."""
    return {
        name: [(step, time, _exact(value if signed_zero or value else 0.0)) for step, time, value in found]
        for name, found in points.items()
    }


def _exact(value: float) -> str:
    return "nan" if math.isnan(value) else float(value).hex()


def stored(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state as the delivery gives it back: through JSON."""
    return dict(json.loads(json.dumps(state)))


def opened(adapter: type[Adapter], config: Mapping[str, str]) -> Adapter:
    """A new adapter, as in a new process."""
    one = adapter()
    one.initialize(config)
    return one
