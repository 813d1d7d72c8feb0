"""Notes on experiments and jobs: written by many, and overwritten by nobody who has not read what he replaces."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext

from training.models import Experiment, JobNotes, TrainingJob, User
from training.people.audit import audit

NOTES_LENGTH = 100_000
Noted = Experiment | JobNotes  # rows with notes, their version, and who wrote it when


class NotesChanged(Exception):
    """Somebody else has written since. `there` has the text and the version that are there now."""

    def __init__(self, there: Noted) -> None:
        super().__init__(gettext("Somebody else has changed these notes since you began: nothing was overwritten."))
        self.there = there


def experiment_notes_write(experiment: Experiment, text: str, version: int, user: User) -> Experiment:
    """Replace the notes that were read as `version`.

    Raises NotesChanged where they are another version by now with another
    text, and ValidationError for a text that is too long.
    """
    with transaction.atomic():
        locked = Experiment.objects.select_for_update(no_key=True).get(pk=experiment.pk)
        _write("experiment", experiment, locked, text, version, user)
    return Experiment.objects.select_related("project", "notes_by").get(pk=experiment.pk)


def job_notes(job: TrainingJob) -> JobNotes:
    """The notes on a job; empty ones of version 0 where nobody has written yet."""
    found = JobNotes.objects.select_related("notes_by").filter(job=job).first()
    return found or JobNotes(job=job)


def job_notes_write(job: TrainingJob, text: str, version: int, user: User) -> JobNotes:
    """`experiment_notes_write` for a job."""
    with transaction.atomic():
        JobNotes.objects.get_or_create(job=job)
        locked = JobNotes.objects.select_for_update(no_key=True).get(job=job)
        _write("job", job, locked, text, version, user)
    return job_notes(job)


def _write(noun: str, what: Experiment | TrainingJob, locked: Noted, text: str, version: int, user: User) -> None:
    """Put the text into the locked row, if it is still what was read."""
    text = text.replace("\r\n", "\n").rstrip()
    if len(text) > NOTES_LENGTH or "\x00" in text:
        raise ValidationError(
            {"notes": gettext("Notes have at most %(most)s characters.") % {"most": f"{NOTES_LENGTH:,}"}}
        )
    if locked.notes_version != version:
        if locked.notes != text:
            raise NotesChanged(locked)
        return
    changed = {"notes": text, "notes_version": F("notes_version") + 1, "notes_by": user, "notes_at": timezone.now()}
    type(locked).objects.filter(pk=locked.pk).update(**changed)
    audit(f"{noun}.notes", what, by=user, old={"notes": locked.notes}, new={"notes": text})
