"""A program that makes the jobs of soak and flood, and tells what database and web server have of them."""

import json
import os
import sys
import urllib.request
from contextlib import suppress
from typing import Any

import django


def make(jobs: int) -> str:
    from training.benchmarks.rig.cast import cast_make
    from training.jobs.services import job_create
    from training.models import Experiment, User

    cast = cast_make(0)
    user, experiment = User.objects.get(), Experiment.objects.get()
    for number in range(jobs):
        told: dict[str, Any] = {"trainer": "steady", "model_name": "m", "dataset": None, "config": {}}
        job_create(user=user, experiment=experiment, name=f"Soak {number}", **told)
    return str(cast["cookie"])


def cast(jobs: int) -> str:
    from training.benchmarks.rig.cast import cast_make

    return json.dumps(cast_make(jobs)["clients"])


def flood() -> str:
    """One more job of the trainer that prints."""
    from training.jobs.services import job_create
    from training.models import Experiment, User

    told: dict[str, Any] = {"trainer": "chatty", "model_name": "m", "dataset": None, "config": {}}
    return str(job_create(user=User.objects.get(), experiment=Experiment.objects.get(), name="Flood", **told).pk)


def newest() -> str:
    from training.models import TrainingJob

    return str(TrainingJob.objects.latest("pk").state)


def lines() -> str:
    from training.models import TrainingLog

    stored = TrainingLog.objects.filter(message__startswith="flood ").count()
    return json.dumps(
        {"stored": stored, "marks": TrainingLog.objects.filter(message__contains="lines were cut").count()}
    )


def cookie() -> str:
    from django.conf import settings
    from django.contrib.sessions.models import Session

    return f"{settings.SESSION_COOKIE_NAME}={Session.objects.latest('expire_date').session_key}"


def calm() -> str:
    """Cancel the jobs that wait for their turn; how many have not ended yet, by state."""
    from django.db.models import Count

    from training.jobs.services import job_cancel
    from training.jobs.states import ENDED
    from training.jobs.transition import NotAllowed
    from training.models import JobState, TrainingJob, User

    for job in TrainingJob.objects.filter(state=JobState.QUEUED):
        with suppress(NotAllowed):  # its turn came just now
            job_cancel(job, User.objects.get())
    left = TrainingJob.objects.exclude(state__in=ENDED).values_list("state")
    return json.dumps(dict(left.annotate(Count("pk"))))


def count(url: str) -> str:
    """Every number of every attempt: out of the journal, and as the REST API of the running server has it."""
    from django.db.models import Count

    from training.journal.reader import metric_columns
    from training.models import Slot, TrainingJob

    stored: dict[str, list[int]] = {}
    shown: dict[str, list[int]] = {}
    for job_id in TrainingJob.objects.values_list("pk", flat=True):
        for columns in metric_columns(job_id, ["number"]):
            if "number" in columns.names:
                values = columns.values[:, columns.names.index("number")]
                _gather(stored, job_id, columns.attempt, values)
        request = urllib.request.Request(f"{url}/api/v1/training/jobs/{job_id}/metrics?full=true&name=number")
        request.add_header("Cookie", cookie())
        with urllib.request.urlopen(request, timeout=20) as answer:
            _shown(shown, job_id, json.load(answer))
    states = dict(TrainingJob.objects.values_list("state").annotate(Count("pk")))
    taken = Slot.objects.exclude(attempt=None).count()
    return json.dumps({"stored": stored, "shown": shown, "states": states, "slots_taken": taken})


def _gather(found: dict[str, list[int]], job_id: int, attempts: Any, values: Any) -> None:
    for attempt, value in zip(attempts, values, strict=True):
        if value == value:
            found.setdefault(f"{job_id}-{int(attempt)}", []).append(int(value))


def _shown(found: dict[str, list[int]], job_id: int, series: dict[str, Any]) -> None:
    for block in series["blocks"]:
        if "number" in block["names"]:
            values = block["values"][block["names"].index("number")]
            _gather(found, job_id, [block["attempt"]] * len(values), values)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
    django.setup()
    what, *words = sys.argv[1:]
    asked: dict[str, Any] = {"make": lambda: make(int(words[0])), "cookie": cookie, "calm": calm}
    asked |= {"cast": lambda: cast(int(words[0])), "flood": flood, "newest": newest, "lines": lines}
    sys.stdout.write((asked[what]() if what in asked else count(words[0])) + "\n")
