"""Files of a job for people: checkpoints by a signed address of the store, artifacts as they are."""

from pathlib import PurePosixPath

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from training.models import Artifact, Checkpoint
from training.pages.doors import signed_in
from training.storage.store import ObjectMissing, internal_store

LINK_SECONDS = 300


@require_GET
@signed_in
def checkpoint_download(request: HttpRequest, checkpoint_id: int) -> HttpResponseBase:
    """Send to the store itself, by an address that is good for five minutes."""
    checkpoint = Checkpoint.objects.visible_to(request.user).filter(pk=checkpoint_id).first()
    if checkpoint is None:
        raise Http404("No such checkpoint.")
    epoch = "" if checkpoint.epoch is None else f"-epoch{checkpoint.epoch}"
    name = f"job-{checkpoint.job_id}-{checkpoint.kind}{epoch}{PurePosixPath(checkpoint.key).suffix}"
    return redirect(internal_store().presign_get(checkpoint.key, seconds=LINK_SECONDS, filename=name))


@require_GET
@signed_in
def artifact_show(request: HttpRequest, artifact_id: int) -> HttpResponseBase:
    """A picture in the browser, anything else as a download; its type is what its bytes were found to be."""
    artifact = Artifact.objects.visible_to(request.user).filter(pk=artifact_id).first()
    if artifact is None:
        raise Http404("No such artifact.")
    try:
        content = internal_store().get(artifact.key)
    except ObjectMissing as error:
        raise Http404(gettext("This artifact is gone.")) from error
    download = not artifact.content_type.startswith("image/") or "download" in request.GET
    headers = {
        "Content-Disposition": content_disposition_header(download, artifact.name) or "inline",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, max-age=86400",  # another content has another row
    }
    return HttpResponse(content, content_type=artifact.content_type, headers=headers)
