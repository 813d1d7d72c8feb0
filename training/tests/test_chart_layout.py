"""A person's own layout of a project's charts, and what charts are told besides values."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse

from training.models import ChartLayout, Checkpoint, JobAttempt, TrainingJob
from training.projects.chart_layout import chart_layout_of
from training.tests.journal_entries import metrics, tell
from training.tests.test_pages import browser

pytestmark = pytest.mark.django_db
LAYOUT = {"axis": "wall", "smooth": 0.6, "log": True, "order": ["a/b"], "hidden": ["손실/<b>"], "folded": ["lr"]}


def send(cast: SimpleNamespace, body: Any, who: str = "owner") -> int:
    address = reverse("chart-layout", args=[cast.experiment.project_id])
    text = body if isinstance(body, str) else json.dumps(body)
    return browser(getattr(cast, who)).post(address, text, content_type="application/json").status_code


def test_a_layout_is_kept_for_one_person(cast: SimpleNamespace) -> None:
    assert send(cast, {"axis": "epoch"}) == 204 and send(cast, LAYOUT) == 204
    assert chart_layout_of(cast.owner, cast.experiment.project) == LAYOUT
    assert chart_layout_of(cast.teammate, cast.experiment.project) == {}


def test_the_job_page_brings_the_layout(cast: SimpleNamespace, job: TrainingJob) -> None:
    send(cast, LAYOUT)
    page = browser(cast.owner).get(reverse("job-page", args=[job.pk]))
    assert json.loads(page.context["layout"]) == LAYOUT and b"<b>" not in page.content


@pytest.mark.parametrize(
    "body",
    ["", "{", "7", "[" * 5000, {"axis": "pk"}, {"smooth": "x"}, {"order": [7]}, {"hidden": ["x" * 301]}],
    ids=lambda body: str(body)[:20],
)
def test_a_layout_that_makes_no_sense_is_refused(cast: SimpleNamespace, body: Any) -> None:
    assert send(cast, body) == 400 and not ChartLayout.objects.exists()


def test_a_long_list_keeps_its_newest_entries(cast: SimpleNamespace) -> None:
    assert send(cast, {"order": [str(number) for number in range(600)], "more": "x"}) == 204
    kept = chart_layout_of(cast.owner, cast.experiment.project)
    assert kept["order"] == [str(number) for number in range(100, 600)] and "more" not in kept


def test_charts_are_told_of_attempts_checkpoints_and_the_best_epoch(
    cast: SimpleNamespace, job: TrainingJob, attempt: JobAttempt
) -> None:
    tell(job, metrics(step=1, loss=1.0))
    JobAttempt.objects.filter(pk=attempt.pk).update(best_epoch=3)
    Checkpoint.objects.create(job=job, attempt=attempt, kind="best", epoch=3, key="k", size=1, sha256="0" * 64)
    (told,) = browser(cast.owner).get(reverse("job-metrics", args=[job.pk])).json()["attempts"]
    assert told["best_epoch"] == 3 and told["opened"] == attempt.opened_at.timestamp()
    assert [(one["kind"], one["epoch"], one["step"]) for one in told["checkpoints"]] == [("best", 3, None)]
