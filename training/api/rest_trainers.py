"""REST: the trainers that there are, with every setting that a job may have."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from training.api.problems import Refusal
from training.trainers import Trainer, trainers_all

router = Router(tags=["trainers"])


class SettingOut(Schema):
    name: Annotated[str, Field(examples=["epochs"])]
    type: Annotated[str, Field(description="integer, number, boolean, choice or text.", examples=["integer"])]
    label: Annotated[str, Field(examples=["Epochs"])]
    default: Annotated[Any, Field(examples=[100])]
    minimum: Annotated[float | None, Field(examples=[1])]
    maximum: float | None
    choices: Annotated[list[str], Field(examples=[[]])]
    group: Annotated[str, Field(examples=["Basic"])]
    help: str
    advanced: Annotated[bool, Field(description="For advanced engineers.", examples=[False])]


class TrainerOut(Schema):
    name: Annotated[str, Field(examples=["ultralytics"])]
    label: Annotated[str, Field(examples=["Ultralytics YOLO"])]
    framework: str
    tasks: Annotated[list[str], Field(examples=[["detection"]])]
    models: Annotated[dict[str, list[str]], Field(examples=[{"detection": ["yolo11n.yaml"]}])]
    primary_metric: Annotated[str, Field(examples=["metrics/mAP50-95(B)"])]


class TrainerWhole(TrainerOut):
    settings: list[SettingOut]


class Trainers(Schema):
    items: list[TrainerOut]


@router.get("/trainers", response=Trainers, url_name="trainer-list")
def trainer_list(request: HttpRequest) -> Any:
    """Every trainer, with the tasks and models that it knows."""
    return {"items": list(map(_out, trainers_all().values()))}


@router.get("/trainers/{str:name}", response=TrainerWhole, url_name="trainer")
def trainer(request: HttpRequest, name: str) -> Any:
    """One trainer, with its settings: what `config` of a job may hold."""
    found = trainers_all().get(name)
    if found is None:
        raise Refusal(404, "There is no such trainer.")
    fields = SettingOut.model_fields
    return _out(found) | {"settings": [{one: getattr(each, one) for one in fields} for each in found.settings]}


def _out(trainer: Trainer) -> dict[str, Any]:
    return {name: getattr(trainer, name) for name in TrainerOut.model_fields}
