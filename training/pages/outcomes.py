"""What became of jobs that somebody changed, told on the next page; what was deleted with a button that undoes it."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest

from training.jobs.bulk import Bulk, Outcome
from training.templatetags.text import plain_text

DONE = {
    Bulk.CANCEL: "cancelled",
    Bulk.TAG: "tagged",
    Bulk.UNTAG: "freed of the tag",
    Bulk.ARCHIVE: "archived",
    Bulk.UNARCHIVE: "put back into the list",
    Bulk.DELETE: "deleted",
    Bulk.UNDELETE: "brought back",
}
TOLD = 8  # refusals that are told one by one


def outcomes_tell(request: HttpRequest, verb: Bulk, outcomes: Sequence[Outcome], missing: int = 0) -> None:
    """One message for all that was done, and one that says what was not and why."""
    done = [one.job for one in outcomes if not one.refusal]
    refused = [one for one in outcomes if one.refusal]
    if done:
        names = f"“{plain_text(done[0].name)[:80]}” was" if len(done) == 1 else f"{len(done)} jobs were"
        undo = "undo " + " ".join(str(job.pk) for job in done) if verb == Bulk.DELETE else ""
        messages.success(request, f"{names} {DONE[verb]}.", extra_tags=undo)
    if refused:
        messages.warning(request, f"Not {DONE[verb]}: {_reasons(refused)}")
    if missing:
        messages.warning(request, f"{missing} of the chosen jobs {'is' if missing == 1 else 'are'} not there any more.")
    if not (done or refused or missing):
        messages.warning(request, "No job was chosen.")


def _reasons(refused: Sequence[Outcome]) -> str:
    told = "; ".join(f"“{plain_text(one.job.name)[:60]}”: {one.refusal}" for one in refused[:TOLD])
    return f"{told}; and {len(refused) - TOLD} more." if len(refused) > TOLD else told
