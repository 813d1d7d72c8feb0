"""The summaries of metrics: right figures, of effective points only, whatever is repeated."""

import math
from typing import Any

import pytest

from observability.summary import summary_update
from training.journal.payloads import Metrics
from training.journal.writer import Append, commit
from training.models import FollowerCursor, JobAttempt, MetricSummary, TrainingJob, Worker
from training.tests.journal_entries import metrics, tell

pytestmark = pytest.mark.django_db
SCORE = "metrics/mAP50-95(B)"


def summary(job: TrainingJob, name: str) -> dict[str, Any]:
    fields = ("count", "nonfinite", "first", "latest", "minimum", "maximum", "total", "best", "best_epoch")
    return MetricSummary.objects.filter(job=job, name=name).values(*fields).get()


def score(step: int, epoch: int, value: float) -> Metrics:
    return metrics(step, epoch, **{SCORE: value})


def test_the_figures_of_a_metric(job: TrainingJob) -> None:
    tell(job, score(1, 1, 0.2), score(2, 2, math.nan), score(3, 3, 0.6), score(4, 4, math.inf), score(5, 5, 0.4))
    summary_update(job)
    found = summary(job, SCORE)
    assert found.pop("total") == pytest.approx(1.2)
    assert found == {
        "count": 5,
        "nonfinite": 2,
        "first": 0.2,
        "latest": 0.4,
        "minimum": 0.2,
        "maximum": 0.6,
        "best": 0.6,
        "best_epoch": 3,
    }


def test_batches_and_repeats_give_the_same_figures(job: TrainingJob) -> None:
    for step in range(1, 8):
        tell(job, metrics(step, step, train__box_loss=1.0 / step))
        assert summary_update(job) == 1 and summary_update(job) == 0
    found = summary(job, "train/box_loss")
    assert (found["count"], found["first"], found["latest"], found["minimum"]) == (7, 1.0, 1 / 7, 1 / 7)
    assert FollowerCursor.objects.filter(job=job).count() == 1


def test_the_order_of_the_journal_counts_across_lists_of_names(job: TrainingJob) -> None:
    tell(job, metrics(1, 1, a=1.0), metrics(2, 1, a=2.0, b=0.0), metrics(3, 1, a=3.0))
    tell(job, metrics(4, 1, a=4.0, b=0.0))
    summary_update(job)
    assert (summary(job, "a")["first"], summary(job, "a")["latest"], summary(job, "a")["count"]) == (1.0, 4.0, 4)


def test_a_resumed_attempt_replaces_what_came_after_its_checkpoint(attempt: JobAttempt, worker: Worker) -> None:
    job = attempt.job
    commit([Append(job.pk, 1, [metrics(step, step, loss=float(step)) for step in range(1, 6)])])
    summary_update(job)
    assert summary(job, "loss")["count"] == 5
    JobAttempt.objects.create(
        job=job, number=2, opened_at=attempt.opened_at, lease_until=attempt.lease_until, resumed_step=3, resumed_epoch=3
    )
    TrainingJob.objects.filter(pk=job.pk).update(attempt=2)
    commit([Append(job.pk, 2, [metrics(step, step, loss=10.0 * step) for step in (4, 5)])])
    summary_update(job)
    found = summary(job, "loss")
    assert (found["count"], found["first"], found["latest"], found["total"]) == (5, 1.0, 50.0, 96.0)
    assert FollowerCursor.objects.filter(job=job).count() == 1
