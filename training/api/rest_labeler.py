"""REST: the labeler's datasets, and imports of them."""

from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.problems import Refusal
from training.api.rest_imports import ImportOut
from training.api.rest_pages import Id, Page, PageQuery, caller_of, sequence_answer
from training.api.rest_projects import organization_for
from training.imports.selectors import imports_visible
from training.labeler.client import LabelerAway, LabelerClient, LabelerRefused, labeler_configured
from training.labeler.importing import labeler_import_ask, labeler_imports
from training.people.roles import Action, require

router = Router(tags=["imports"])


class LabelerDatasetOut(Schema):
    id: Annotated[str, Field(description="The labeler's own.", examples=["7f"])]
    name: str
    task_type: str
    images: Annotated[int | None, Field(description="Null where the labeler does not tell.")]
    classes: int | None
    updated_at: Annotated[str, Field(description="As the labeler tells it.", examples=["2026-11-20T09:00:00Z"])]
    import_id: Annotated[int | None, Field(description="Your latest import of it.")] = None
    dataset_id: Annotated[int | None, Field(description="What that import made.")] = None


class LabelerDatasets(Page):
    items: list[LabelerDatasetOut]


class LabelerImportIn(Schema):
    organization: Annotated[Id | None, Field(description="Needed if you are in several.", examples=[None])] = None
    dataset: Annotated[str, Field(min_length=1, max_length=64, description="Its id there.", examples=["7f"])]


@router.get("/labeler/datasets", response=LabelerDatasets, url_name="labeler-datasets")
def labeler_datasets(request: HttpRequest, wanted: Query[PageQuery]) -> Any:
    """The datasets that the labeler shows to you; 404 where no labeler is set up, 503 while it does not answer."""
    caller = caller_of(request)
    _configured()
    try:
        found = LabelerClient(caller.user).datasets()
    except (LabelerAway, LabelerRefused) as error:
        raise Refusal(503, str(error)) from error
    places = {one.id: number for number, one in enumerate(found)}
    page = sequence_answer(found, lambda one: places[one.id], wanted)
    imports = labeler_imports(imports_visible(caller.user, caller.organization_id), page["items"])
    page["items"] = [_told(one, imports) for one in page["items"]]
    return page


@router.post("/labeler/imports", response={202: ImportOut}, url_name="labeler-import")
def labeler_import(request: HttpRequest, body: LabelerImportIn) -> Any:
    """Ask for an import of one, under its name there; a worker runs it. Asked again on its way, it is the same one."""
    caller = caller_of(request)
    _configured()
    organization = organization_for(caller, body.organization)
    require(caller.user, Action.IMPORT_DATASET, organization)
    try:
        return Status(202, labeler_import_ask(organization, body.dataset, caller.user))
    except LabelerAway as error:
        raise Refusal(503, str(error)) from error
    except LabelerRefused as error:
        raise Refusal(404, str(error)) from error


def _configured() -> None:
    if not labeler_configured():
        raise Http404("There is no labeler.")


def _told(one: Any, imports: dict[str, Any]) -> dict[str, Any]:
    asked = imports.get(one.id)
    facts = {name: getattr(one, name) for name in ("id", "name", "task_type", "images", "classes", "updated_at")}
    return facts | ({"import_id": asked.pk, "dataset_id": asked.dataset_id} if asked else {})
