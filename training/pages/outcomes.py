"""What became of jobs that somebody changed, told on the next page; what was deleted with a button that undoes it."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from training.jobs.bulk import Bulk, Outcome
from training.templatetags.text import plain_text

DONE = {  # of one job, of several, and of none
    Bulk.CANCEL: (_("“%(name)s” was cancelled."), _("%(count)s jobs were cancelled."), _("Not cancelled: %(reasons)s")),
    Bulk.TAG: (_("“%(name)s” was tagged."), _("%(count)s jobs were tagged."), _("Not tagged: %(reasons)s")),
    Bulk.UNTAG: (
        _("“%(name)s” was freed of the tag."),
        _("%(count)s jobs were freed of the tag."),
        _("Not freed of the tag: %(reasons)s"),
    ),
    Bulk.ARCHIVE: (_("“%(name)s” was archived."), _("%(count)s jobs were archived."), _("Not archived: %(reasons)s")),
    Bulk.UNARCHIVE: (
        _("“%(name)s” was put back into the list."),
        _("%(count)s jobs were put back into the list."),
        _("Not put back into the list: %(reasons)s"),
    ),
    Bulk.DELETE: (_("“%(name)s” was deleted."), _("%(count)s jobs were deleted."), _("Not deleted: %(reasons)s")),
    Bulk.UNDELETE: (
        _("“%(name)s” was brought back."),
        _("%(count)s jobs were brought back."),
        _("Not brought back: %(reasons)s"),
    ),
}
TOLD = 8  # refusals that are told one by one


def outcomes_tell(request: HttpRequest, verb: Bulk, outcomes: Sequence[Outcome], missing: int = 0) -> None:
    """One message for all that was done, and one that says what was not and why."""
    one_done, some_done, none_done = DONE[verb]
    done = [one.job for one in outcomes if not one.refusal]
    refused = [one for one in outcomes if one.refusal]
    if done:
        said = {"name": plain_text(done[0].name)[:80], "count": len(done)}
        undo = "undo " + " ".join(str(job.pk) for job in done) if verb == Bulk.DELETE else ""
        messages.success(request, (one_done if len(done) == 1 else some_done) % said, extra_tags=undo)
    if refused:
        messages.warning(request, none_done % {"reasons": _reasons(refused)})
    if missing:
        text = ngettext(
            "%(count)s of the chosen jobs is not there any more.",
            "%(count)s of the chosen jobs are not there any more.",
            missing,
        )
        messages.warning(request, text % {"count": missing})
    if not (done or refused or missing):
        messages.warning(request, gettext("No job was chosen."))


def _reasons(refused: Sequence[Outcome]) -> str:
    told = "; ".join(f"“{plain_text(one.job.name)[:60]}”: {one.refusal}" for one in refused[:TOLD])
    if len(refused) <= TOLD:
        return told
    return gettext("%(told)s; and %(count)s more.") % {"told": told, "count": len(refused) - TOLD}
