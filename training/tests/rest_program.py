"""What a person's program does with the REST API."""

import json
from types import SimpleNamespace
from typing import Any

from django.test import Client

from training.people.keys import key_create
from training.tests.datasets_folder import small_dataset

JOBS = "/api/v1/training/jobs"


class Program:
    """What a person's program does with a key."""

    def __init__(self, cast: SimpleNamespace, user: Any = None, *, write: bool = True) -> None:
        _, token = key_create(user or cast.owner, cast.organization, "program", write=write)
        self.client = Client(headers={"Authorization": f"Bearer {token}"})

    def get(self, address: str, **parameters: Any) -> Any:
        return self.client.get(address, parameters)

    def post(self, address: str, body: Any = None, **headers: str) -> Any:
        content = body if isinstance(body, str | bytes) else json.dumps(body or {})
        return self.client.post(address, content, content_type="application/json", headers=headers)


def wanted(cast: SimpleNamespace, **fields: Any) -> dict[str, Any]:
    """The body of a job that can be made."""
    what = {"trainer": "ultralytics", "model_name": "yolo11n.yaml", "dataset": small_dataset(cast).pk}
    return {"experiment": cast.experiment.pk, **what, **fields}
