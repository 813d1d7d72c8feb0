"""Notes on experiments: written by many, and overwritten by nobody who has not read what he replaces."""

from django.core.exceptions import ValidationError
from django.db.models import F
from django.utils import timezone

from training.models import Experiment, User

NOTES_LENGTH = 100_000


class NotesChanged(Exception):
    """Somebody else has written since. `experiment` has the text and the version that are there now."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__("Somebody else has changed these notes since you began: nothing was overwritten.")
        self.experiment = experiment


def experiment_notes_write(experiment: Experiment, text: str, version: int, user: User) -> Experiment:
    """Replace the notes that were read as `version`.

    Raises NotesChanged where they are another version by now with another
    text, and ValidationError for a text that is too long.
    """
    text = text.replace("\r\n", "\n").rstrip()
    if len(text) > NOTES_LENGTH or "\x00" in text:
        raise ValidationError({"notes": f"Notes have at most {NOTES_LENGTH:,} characters."})
    changed = Experiment.objects.filter(pk=experiment.pk, notes_version=version).update(
        notes=text, notes_version=F("notes_version") + 1, notes_by=user, notes_at=timezone.now()
    )
    now: Experiment = Experiment.objects.select_related("project", "notes_by").get(pk=experiment.pk)
    if not changed and now.notes != text:
        raise NotesChanged(now)
    return now
