"""schemathesis over the whole OpenAPI document, with all of its checks, in the ASGI application on a real database.

Every operation that the document has is called, so also those that are added
later. Half of the ids are those of things that there are.
"""

import json
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from platform_site.asgi import http
from training.api.rest import api
from training.models import Checkpoint, Dataset, InferenceJob, JobAttempt, JobState, PretrainedWeights, Role
from training.people.keys import key_create
from training.tests.conftest import job_make, person
from training.tests.journal_entries import lines, metrics, tell

EXAMPLES = 5
BUSINESS = [
    "2xx",
    "3xx",
    400,
    401,
    403,
    404,
    409,
    412,
    413,
    415,
    422,
    429,
    503,
]  # a good form may ask for what there is not
REFUSED = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429, 503]
CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 20261121,
        "checks": {
            "positive_data_acceptance": {"expected-statuses": BUSINESS},
            "negative_data_rejection": {"expected-statuses": REFUSED},
        },
    }
)
schema = schemathesis.openapi.from_dict(json.loads(json.dumps(api.get_openapi_schema())), config=CONFIG)
schema.app = http


@pytest.fixture
def ids(cast: SimpleNamespace, settings: Any) -> dict[str, int]:
    """One of each thing that an address may name."""
    settings.API_KEY_CALLS_A_MINUTE = settings.API_PERSON_CALLS_A_MINUTE = 0
    job = job_make(cast, JobState.FAILED)
    tell(job, metrics(step=1, train__loss=float("nan")), metrics(step=2, train__loss=0.5), lines("one", "=two()"))
    attempt = JobAttempt.objects.create(job=job, number=1, opened_at=job.created_at, lease_until=job.created_at)
    file = {"key": f"jobs/{job.pk}/b.pt", "size": 3, "sha256": "0" * 64}
    checkpoint = Checkpoint.objects.create(job=job, attempt=attempt, kind="best", **file)
    data = {"name": "bottles", "format": "yolo", "task_type": "detection", "prefix": "datasets/none"}
    dataset = Dataset.objects.create(organization=cast.organization, **data)
    kept = {"name": "mine", "framework": "ultralytics", "task_type": "detection"} | file
    weights = PretrainedWeights.objects.create(organization=cast.organization, **kept)
    tried = {"picture_name": "a.png", "content_type": "image/png", "width": 20, "height": 20}
    test = InferenceJob.objects.create(job=job, checkpoint=checkpoint, **tried)
    project = cast.experiment.project_id
    found = {"job": job.pk, "checkpoint": checkpoint.pk, "dataset": dataset.pk, "project": project}
    found |= {"weights": weights.pk, "pretrained": weights.pk, "inference": test.pk}
    return found | {"experiment": cast.experiment.pk, "organization": cast.organization.pk}


@pytest.fixture
def authorization(cast: SimpleNamespace) -> dict[str, str]:
    manager = person("manager", cast.organization, Role.MANAGER)
    return {"Authorization": f"Bearer {key_create(manager, cast.organization, 'fuzz', write=True)[1]}"}


def real(values: Any, ids: dict[str, int]) -> None:
    """Put real ids in place of the even ones among `values`."""
    if isinstance(values, dict):
        for name, value in values.items():
            noun = name.removesuffix("_id")
            if noun in ids and type(value) is int and 0 < value < 2**63 and value % 2 == 0:
                values[name] = ids[noun]


@pytest.mark.django_db(transaction=True)
@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
def test_every_operation_keeps_what_the_document_promises(
    case: schemathesis.Case, ids: dict[str, int], authorization: dict[str, str]
) -> None:
    real(case.path_parameters, ids)
    real(case.body, ids)
    case.call_and_validate(headers=authorization)
