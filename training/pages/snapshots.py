"""The page that compares two snapshots."""

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from training.datasets.difference import snapshot_difference
from training.datasets.selectors import snapshot_get
from training.models import DatasetSnapshot
from training.pages.doors import signed_in
from training.storage.store import ObjectMissing


@require_GET
@signed_in
def snapshot_compare(request: HttpRequest, snapshot_id: int, other_id: int) -> HttpResponseBase:
    """From the first snapshot to the other; both have to be ones that the person may see."""
    before, after = _snapshot_or_404(request, snapshot_id), _snapshot_or_404(request, other_id)
    try:
        difference = snapshot_difference(before, after)
    except ObjectMissing as error:
        raise Http404(gettext("The list of a snapshot's files is gone.")) from error
    kinds = [
        (gettext("Added"), difference.added, after.dataset_id),
        (gettext("Removed"), difference.removed, before.dataset_id),
        (gettext("Changed"), difference.changed, after.dataset_id),
        (gettext("Moved to another split"), difference.moved, after.dataset_id),
    ]
    splits = list(dict.fromkeys([*before.split_counts, *after.split_counts]))
    context = {
        "before": before,
        "after": after,
        "difference": difference,
        "kinds": kinds,
        "splits": [(one, before.split_counts.get(one, 0), after.split_counts.get(one, 0)) for one in splits],
    }
    return render(request, "training/snapshot_compare.html", context)


def _snapshot_or_404(request: HttpRequest, snapshot_id: int) -> DatasetSnapshot:
    try:
        return snapshot_get(request.user, snapshot_id)
    except DatasetSnapshot.DoesNotExist as error:
        raise Http404("No such snapshot.") from error
