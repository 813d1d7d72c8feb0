"""REST: archives sent in parts, to be imported as datasets."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema, Status
from pydantic import Field

from training.api.problems import Refusal
from training.api.rest_pages import Id, Page, PageQuery, caller_of, one_of, page_answer
from training.api.rest_projects import organization_for
from training.imports import uploads
from training.imports.uploads import FILENAME_LENGTH, uploads_visible
from training.models import DatasetUpload, DatasetUploadPart
from training.people.keys import Caller
from training.people.roles import Action, require

router = Router(tags=["imports"])
SHA256 = "^[0-9a-f]{64}$"
BINARY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class UploadIn(Schema):
    organization: Annotated[Id | None, Field(description="Needed if you are in several.", examples=[None])] = None
    filename: Annotated[str, Field(min_length=1, max_length=FILENAME_LENGTH, examples=["bottles.zip"])]
    size: Annotated[int, Field(ge=1, le=2**62, description="In bytes.", examples=[73_400_320])]
    sha256: Annotated[
        str, Field(pattern="^([0-9a-f]{64})?$", description="Of the whole file; checked before it is unpacked.")
    ] = ""


class PartOut(Schema):
    number: int
    sha256: str


class UploadOut(Schema):
    id: int
    organization_id: int
    filename: str
    size: int
    sha256: str
    part_size: Annotated[int, Field(description="Bytes of every part but the last.", examples=[8_388_608])]
    part_count: int
    created_by: str | None
    created_at: datetime
    touched_at: datetime

    @staticmethod
    def resolve_created_by(upload: DatasetUpload) -> str | None:
        return upload.created_by.get_username() if upload.created_by else None


class UploadWhole(UploadOut):
    parts: Annotated[list[PartOut], Field(description="The parts that have arrived, in order.")]

    @staticmethod
    def resolve_parts(upload: DatasetUpload) -> list[DatasetUploadPart]:
        return list(upload.parts.order_by("number"))


class Uploads(Page):
    items: list[UploadOut]


class PartQuery(Schema):
    sha256: Annotated[str, Field(pattern=SHA256, description="Of this part, in hexadecimal.")]


@router.get("/uploads", response=Uploads, url_name="upload-list")
def upload_list(request: HttpRequest, wanted: Query[PageQuery]) -> Any:
    """Your organizations' uploads that have not become datasets, newest first."""
    caller = caller_of(request)
    return page_answer(uploads_visible(caller.user, caller.organization_id), wanted)


@router.post("/uploads", response={201: UploadWhole}, url_name="upload-begin")
def upload_begin(request: HttpRequest, body: UploadIn) -> Any:
    """Begin to send an archive. The same name, size and checksum again go on with the same upload."""
    caller = caller_of(request)
    organization = organization_for(caller, body.organization)
    require(caller.user, Action.IMPORT_DATASET, organization)
    return Status(201, uploads.upload_begin(caller.user, organization, body.filename, body.size, body.sha256))


@router.get("/uploads/{int:upload_id}", response=UploadWhole, url_name="upload")
def upload_get(request: HttpRequest, upload_id: int) -> Any:
    """One upload, with the parts that have arrived: those that are missing or differ from yours are to be sent."""
    return _upload(caller_of(request), upload_id)


@router.put(
    "/uploads/{int:upload_id}/parts/{int:number}", response=PartOut, url_name="upload-part", openapi_extra=BINARY
)
def upload_part(
    request: HttpRequest,
    upload_id: int,
    number: Annotated[int, Path(description="Counted from 1.")],
    wanted: Query[PartQuery],
) -> Any:
    """Send a part: its bytes are the body, and nothing else. In any order, some at once, and again without harm."""
    caller = caller_of(request)
    upload = _upload(caller, upload_id)
    require(caller.user, Action.IMPORT_DATASET, upload.organization)
    data = request.read(uploads.PART_BYTES + 1)
    if len(data) > uploads.PART_BYTES:
        raise Refusal(413, f"A part has at most {uploads.PART_BYTES} bytes.")
    uploads.upload_part(upload, number, data, wanted.sha256)
    return {"number": number, "sha256": wanted.sha256}


@router.delete("/uploads/{int:upload_id}", response={204: None}, url_name="upload-delete")
def upload_delete(request: HttpRequest, upload_id: int) -> Any:
    """Forget an upload and what was sent of it. 409 while it is being imported."""
    caller = caller_of(request)
    upload = _upload(caller, upload_id)
    require(caller.user, Action.CANCEL_IMPORT, upload)
    uploads.upload_delete(upload, caller.user)
    return Status(204, None)


def _upload(caller: Caller, upload_id: int) -> DatasetUpload:
    found: DatasetUpload = one_of(uploads_visible(caller.user, caller.organization_id), upload_id)
    return found
