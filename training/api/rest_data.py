"""REST: datasets: found, looked at with what is on their pictures, named, and deleted."""

import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from training.api.problems import Refusal
from training.api.rest_pages import Id, Page, PageQuery, Text, caller_of, one_of, page_answer, sequence_answer
from training.datasets.images import BadImage
from training.datasets.pictures import Picture, pictures_all, pictures_find
from training.datasets.selectors import dataset_list
from training.datasets.services import DESCRIPTION_LENGTH, NAME_LENGTH, DatasetInUse, dataset_delete, dataset_edit
from training.datasets.thumbnails import thumbnail
from training.models import Dataset
from training.people.keys import Caller
from training.people.roles import Action, require

router = Router(tags=["datasets"])
drawing = threading.BoundedSemaphore(2)  # large pictures take seconds of a processor: not of all at once


class DatasetQuery(PageQuery):
    format: Text = ""
    task_type: Text = ""
    name: Annotated[Text, Field(description="Part of the name.")] = ""


class DatasetOut(Schema):
    id: int
    name: Annotated[str, Field(examples=["bottles"])]
    organization_id: int
    format: Annotated[str, Field(examples=["yolo"])]
    task_type: Annotated[str, Field(examples=["detection"])]
    classes: Annotated[list[str], Field(examples=[["bottle", "cap"]])]
    images: int | None
    created_at: datetime

    @staticmethod
    def resolve_images(dataset: Dataset) -> int | None:
        found = dataset.report.get("images")
        return found if isinstance(found, int) else None


class DatasetWhole(DatasetOut):
    description: str
    split_config: Annotated[dict[str, Any], Field(description="The split that jobs get instead of the dataset's own.")]
    total_bytes: Annotated[int | None, Field(description="The size of its files; unknown for old imports.")]
    report: Annotated[
        dict[str, Any],
        Field(
            description="What the import found: splits, objects of each class, and problems.",
            examples=[{"images": 380, "labelled": 372, "splits": {"train": 300, "val": 80}, "problem_count": 0}],
        ),
    ]
    created_by: str | None

    @staticmethod
    def resolve_created_by(dataset: Dataset) -> str | None:
        return dataset.created_by.get_username() if dataset.created_by else None


class Datasets(Page):
    items: list[DatasetOut]


class DatasetChange(Schema):
    name: Annotated[str | None, Field(max_length=NAME_LENGTH)] = None
    description: Annotated[str | None, Field(max_length=DESCRIPTION_LENGTH)] = None
    split: Annotated[
        dict[str, Any] | None,
        Field(
            description="How jobs that are made from now on divide the images; empty for the dataset's own split. "
            "`group` keeps together what is in one `folder`, or what is called alike `before:_`.",
            examples=[{"train": 0.7, "val": 0.2, "test": 0.1, "seed": 3, "stratify": True, "group": ""}],
        ),
    ] = None


class PictureQuery(PageQuery):
    split: Annotated[Text, Field(description="Of this part of the split only.", examples=["val"])] = ""
    class_number: Annotated[
        Id | Literal[0] | None, Field(description="Only those with an object of this class, counted from 0.")
    ] = None


class PictureOut(Schema):
    number: int
    path: Annotated[str, Field(examples=["images/val/0001.jpg"])]
    split: Annotated[str, Field(examples=["val"])]
    classes: Annotated[list[int], Field(description="The class of each object on it.", examples=[[0, 0, 1]])]


class Pictures(Page):
    items: list[PictureOut]


class SizeQuery(Schema):
    size: Annotated[Literal["small", "large"], Field(description="320 or 1,280 pixels on the longer side.")] = "small"


@router.get("/datasets", response=Datasets, url_name="dataset-list")
def datasets(request: HttpRequest, wanted: Query[DatasetQuery]) -> Any:
    """Your datasets, newest first."""
    caller = caller_of(request)
    rows = dataset_list(caller.user, caller.organization_id)
    exact = {"format": wanted.format, "task_type": wanted.task_type, "name__icontains": wanted.name}
    return page_answer(rows.filter(**{field: value for field, value in exact.items() if value}), wanted)


@router.get("/datasets/{int:dataset_id}", response=DatasetWhole, url_name="dataset")
def dataset_get(request: HttpRequest, dataset_id: int) -> Any:
    """One dataset, with the report of its import."""
    return _dataset(caller_of(request), dataset_id)


@router.patch("/datasets/{int:dataset_id}", response=DatasetWhole, url_name="dataset-change")
def dataset_change(request: HttpRequest, dataset_id: int, body: DatasetChange) -> Any:
    """Change a dataset's name or description; what the body leaves out stays."""
    caller = caller_of(request)
    dataset = _dataset(caller, dataset_id)
    require(caller.user, Action.EDIT_DATASET, dataset)
    name = dataset.name if body.name is None else body.name
    description = dataset.description if body.description is None else body.description
    return dataset_edit(dataset, name, description, body.split, by=caller.user)


@router.delete("/datasets/{int:dataset_id}", response={204: None}, url_name="dataset-delete")
def dataset_remove(request: HttpRequest, dataset_id: int) -> Any:
    """Delete a dataset with its files, for good. 409 while jobs need it to tell what they were trained on."""
    caller = caller_of(request)
    dataset = _dataset(caller, dataset_id)
    require(caller.user, Action.DELETE_DATASET, dataset)
    try:
        dataset_delete(dataset)
    except DatasetInUse as refusal:
        raise Refusal(409, str(refusal)) from refusal
    return Status(204, None)


@router.get("/datasets/{int:dataset_id}/pictures", response=Pictures, url_name="dataset-pictures")
def dataset_pictures(request: HttpRequest, dataset_id: int, wanted: Query[PictureQuery]) -> Any:
    """Its pictures in order of their numbers, with the classes of the objects on them."""
    dataset = _dataset(caller_of(request), dataset_id)
    found: Iterable[Picture] = pictures_find(dataset, wanted.split, wanted.class_number)
    return sequence_answer(found, lambda picture: picture.number, wanted)


@router.get(
    "/datasets/{int:dataset_id}/pictures/{int:number}",
    url_name="dataset-picture",
    openapi_extra={
        "responses": {
            200: {
                "description": "A JPEG",
                "content": {"image/jpeg": {"schema": {"type": "string", "contentMediaType": "image/jpeg"}}},
            }
        }
    },
)
def dataset_picture(request: HttpRequest, dataset_id: int, number: int, wanted: Query[SizeQuery]) -> Any:
    """One picture as a small JPEG, with its objects drawn."""
    dataset = _dataset(caller_of(request), dataset_id)
    pictures = pictures_all(dataset)
    if number >= len(pictures):
        raise Refusal(404, "There is no picture of this number.")
    try:
        with drawing:
            drawn = thumbnail(dataset, pictures[number], wanted.size)
    except BadImage as error:
        raise Refusal(404, f"This picture can't be shown: {error}.") from error
    return HttpResponse(drawn, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})


def _dataset(caller: Caller, pk: int) -> Dataset:
    dataset: Dataset = one_of(dataset_list(caller.user, caller.organization_id), pk)
    return dataset
