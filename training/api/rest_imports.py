"""REST: imports of datasets: from folders on the server, uploaded archives, places of an object store."""

from datetime import datetime
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.rest_pages import Id, Page, PageQuery, Text, caller_of, one_of, page_answer
from training.api.rest_projects import organization_for
from training.datasets.services import NAME_LENGTH
from training.imports import services
from training.imports.selectors import imports_visible
from training.imports.uploads import uploads_visible
from training.models import DatasetImport, ImportState
from training.people.keys import Caller
from training.people.roles import Action, require

router = Router(tags=["imports"])


class ImportIn(Schema):
    organization: Annotated[Id | None, Field(description="Needed if you are in several.", examples=[None])] = None
    folder: Annotated[str, Field(max_length=1000, description="On the server.", examples=["/data/import/bottles"])] = ""
    upload: Annotated[Id | None, Field(description="Instead of a folder: an upload whose parts are all there.")] = None
    address: Annotated[str, Field(max_length=1000, description="Instead of a folder: `s3://bucket/prefix`.")] = ""
    name: Annotated[str, Field(max_length=NAME_LENGTH, description="Empty for the folder's own name.")] = ""
    format: Annotated[Text, Field(description="What the data are, if in doubt; a failed import's report has them.")] = (
        ""
    )
    task: Annotated[Text, Field(description="What they are to train, if in doubt.")] = ""


class ImportOut(Schema):
    id: int
    name: str
    url: Annotated[str, Field(description="Its page.")]
    organization_id: int
    source_kind: str
    source: str
    upload_id: Annotated[int | None, Field(description="The upload; null once the dataset is made.")]
    state: ImportState
    stage: Annotated[str, Field(description="What is being done now.", examples=["Checking", "Copying"])]
    done: int
    total: Annotated[int, Field(description="Files of this stage; 0 where that is not known yet.")]
    wanted_format: Annotated[str, Field(description="The format that was named, if one was.")]
    wanted_task: Annotated[str, Field(description="The task that was named, if one was.")]
    report: Annotated[
        dict[str, Any],
        Field(description="What was found; `candidates`, if it has to be said which of them the folder is."),
    ]
    error: str
    dataset_id: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @staticmethod
    def resolve_url(asked: DatasetImport) -> str:
        return f"{settings.SITE_URL}/imports/{asked.pk}/"


class Imports(Page):
    items: list[ImportOut]


class ImportQuery(PageQuery):
    state: ImportState | None = None


@router.get("/imports", response=Imports, url_name="import-list")
def import_list(request: HttpRequest, wanted: Query[ImportQuery]) -> Any:
    """Your imports, newest first."""
    caller = caller_of(request)
    rows = imports_visible(caller.user, caller.organization_id)
    return page_answer(rows.filter(state=wanted.state) if wanted.state else rows, wanted)


@router.post("/imports", response={202: ImportOut}, url_name="import-ask")
def import_ask(request: HttpRequest, body: ImportIn) -> Any:
    """Ask for an import; a worker runs it. Asked again while it is on its way, it is the same one."""
    caller = caller_of(request)
    organization = organization_for(caller, body.organization)
    require(caller.user, Action.IMPORT_DATASET, organization)
    upload = None
    if body.upload is not None:
        upload = one_of(uploads_visible(caller.user, organization.pk), body.upload)
    wanted = {"address": body.address, "format_name": body.format, "task_type": body.task}
    return Status(202, services.import_ask(organization, body.name, body.folder, caller.user, upload=upload, **wanted))


@router.get("/imports/{int:import_id}", response=ImportOut, url_name="import")
def import_get(request: HttpRequest, import_id: int) -> Any:
    """One import: how far it is, or what came of it."""
    return _import(caller_of(request), import_id)


@router.post("/imports/{int:import_id}/cancel", response=ImportOut, url_name="import-cancel")
def import_cancel(request: HttpRequest, import_id: int) -> Any:
    """Cancel it: at once while it waits, else as soon as its worker looks. Nothing is kept."""
    caller = caller_of(request)
    asked = _import(caller, import_id)
    require(caller.user, Action.CANCEL_IMPORT, asked)
    return services.import_cancel(asked)


def _import(caller: Caller, import_id: int) -> DatasetImport:
    found: DatasetImport = one_of(imports_visible(caller.user, caller.organization_id), import_id)
    return found
