"""What a page may ask of the database: at most 25 queries, and no more for more rows."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from training.jobs.tags import job_tag
from training.models import (
    Checkpoint,
    Dataset,
    DatasetImport,
    Experiment,
    JobAttempt,
    JobState,
    MetricSummary,
    PretrainedWeights,
    Project,
    Role,
    TrainingJob,
    Worker,
)
from training.people.keys import key_create
from training.tests.conftest import job_make, person
from training.tests.journal_entries import lines, named, tell
from training.tests.test_pages import browser

pytestmark = pytest.mark.django_db
METRIC = "metrics/mAP50-95(B)"
MOST = 25
FEW, MANY = 12, 24  # each state is among the few
PAGES = [
    "home",
    "job-list",
    "job-rows",
    "job-new",
    "job-page",
    "job-news",
    "job-actions",
    "job-log",
    "job-deliveries",
    "dataset-list",
    "dataset-page",
    "project-list",
    "project-page",
    "key-list",
    "job-notes",
    "experiment-page",
    "organization-page",
    "audit-page",
    "import-list",
    "weights-list",
    "worker-list",
]
ALONE = (
    "job-list",
    "job-rows",
    "job-new",
    "dataset-list",
    "project-list",
    "import-list",
    "weights-list",
    "worker-list",
)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_costs_at_most_25_queries_and_no_more_for_more_rows(
    cast: SimpleNamespace, django_assert_max_num_queries: Callable[[int], Any], name: str
) -> None:
    lead = person("lead", cast.organization, Role.ADMIN)
    visitor, counts = browser(lead), []
    for wanted in (FEW, MANY):
        for number in range(wanted):
            everything_make(cast, wanted + number, lead)
        with django_assert_max_num_queries(MOST) as counted:
            assert visitor.get(address_of(name, cast)).status_code == 200
        counts.append(len(counted))
    assert counts[1] <= counts[0]


def address_of(name: str, cast: SimpleNamespace) -> str:
    job, dataset = TrainingJob.objects.earliest("pk"), Dataset.objects.earliest("pk")
    ids = {"job": [job.pk], "dataset": [dataset.pk], "project": [cast.experiment.project_id]}
    ids |= {"experiment": [cast.experiment.pk]}
    ids |= {"organization": [cast.organization.pk], "audit": [cast.organization.pk]}
    address = reverse(name, args=[] if name in ALONE else ids.get(name.partition("-")[0], []))
    columns = f"?column=metric:{METRIC}&column=setting:epochs&sort=-setting:epochs"
    rows = "".join(f"&id={pk}" for pk in TrainingJob.objects.values_list("pk", flat=True))
    return address + {"job-list": columns, "job-rows": f"{columns}{rows}&newest=1"}.get(name, "")


def everything_make(cast: SimpleNamespace, number: int, lead: Any) -> None:
    """One more of each: a job in one of the states with all that hangs on it, a project, a dataset, a worker, a key."""
    states, now = list(JobState), timezone.now()
    state = states[number % len(states)]
    over = state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)
    times = {"queued_at": now, "started_at": now - timedelta(hours=1), "ended_at": now if over else None}
    project = Project.objects.create(organization=cast.organization, name=f"project {Project.objects.count()}")
    Experiment.objects.create(project=project, name="one")
    data = {"organization": cast.organization, "format": "yolo", "task_type": "detection", "prefix": f"d{project.pk}"}
    dataset = Dataset.objects.create(name=f"dataset {project.pk}", **data)
    settings = {"epochs": number, f"own{number}": 1}
    job = job_make(cast, state, name=f"job {number}", config=settings, attempt=1, dataset=dataset, **times)
    attempt = JobAttempt.objects.create(job=job, number=1, opened_at=now, lease_until=now, total_epochs=10)
    file = {"key": f"k{job.pk}", "size": 1, "sha256": "0" * 64}
    Checkpoint.objects.create(job=job, attempt=attempt, kind="best", **file)
    tell(job, named(METRIC, 0.5, step=number), lines("x"))
    MetricSummary.objects.create(job=job, name=METRIC, best=0.1, latest=0.2)
    job_tag(job, ["one", f"tag {number}"])
    DatasetImport.objects.create(organization=cast.organization, name=f"import {job.pk}", created_by=lead)
    whose = {"organization": cast.organization, "created_by": lead}
    PretrainedWeights.objects.create(**whose, name=f"w{job.pk}", key=f"w{job.pk}", size=1, stored_at=now)
    Worker.objects.create(name=f"worker {job.pk}", host="here", started_at=now, seen_at=now)
    key_create(lead, cast.organization, f"key {number}", write=False)
