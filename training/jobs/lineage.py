"""What a job has from the one that it was cloned from, and what it has not."""

from typing import Any

from django.contrib.auth.models import AnonymousUser

from training.jobs.selectors import jobs_visible
from training.models import TrainingJob, User

Difference = tuple[str, Any, Any]


def job_parent(user: User | AnonymousUser, job: TrainingJob) -> TrainingJob | None:
    """The job that this one was cloned from, if the person may see that too."""
    if job.parent_id is None:
        return None
    found: TrainingJob | None = jobs_visible(user).filter(pk=job.parent_id).first()
    return found


def job_differences(before: TrainingJob, now: TrainingJob) -> list[Difference]:
    """(what, before, now) of everything that training depends on and that is not the same in both."""
    facts = [("trainer", "trainer"), ("model", "model_name"), ("dataset", "dataset_id"), ("snapshot", "snapshot_id")]
    found = [(name, getattr(before, field), getattr(now, field)) for name, field in facts]
    names = sorted({*before.config, *now.config})
    found += [(name, before.config.get(name), now.config.get(name)) for name in names]
    return [one for one in found if one[1] != one[2]]
