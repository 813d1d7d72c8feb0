"""People's REST API: who may call it, its documentation, and the routes of each noun."""

import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from ninja.errors import AuthenticationError, AuthorizationError
from ninja.parser import Parser
from ninja.security import APIKeyCookie
from ninja.security.http import HttpAuthBase

from training.api.docs import Documentation
from training.api.frame import FramedAPI
from training.api.problems import problems_register
from training.api.rest_alerts import router as alerts
from training.api.rest_checkpoints import router as checkpoints
from training.api.rest_data import router as data
from training.api.rest_experiments import router as experiments
from training.api.rest_imports import router as imports
from training.api.rest_inference import router as inference
from training.api.rest_job_actions import router as job_actions
from training.api.rest_job_create import router as jobs
from training.api.rest_job_logs import router as job_logs
from training.api.rest_labeler import router as labeler
from training.api.rest_members import router as project_members
from training.api.rest_metrics import router as metrics
from training.api.rest_notes import router as notes
from training.api.rest_people import router as people
from training.api.rest_presets import router as presets
from training.api.rest_projects import router as projects
from training.api.rest_trainers import router as trainers
from training.api.rest_uploads import router as uploads
from training.api.rest_weights import router as weights
from training.api.rest_workers import router as workers
from training.models import User
from training.people.keys import READ, WRITE, Caller, key_caller
from training.people.origin import origin_key

SAFE = ("GET", "HEAD", "OPTIONS")
DESCRIPTION = """
Everything that belongs to your organizations, for your programs.

- **Sign in** with an API key (your key page makes one): `Authorization: Bearer vtk_…`. This page uses your session.
- **Lists** come in pages: `next` and `previous` are the addresses of the pages beside this one, or null.
- **Filters** are those that each call lists. Unknown parameters are refused, not ignored.
- **Repeats**: send an `Idempotency-Key` with a POST, and it is done once, however often the network makes you send it.
- **Editing**: send the `ETag` that you read as `If-Match`; if somebody else was faster you are told so with 412.
- **Errors** are `application/problem+json` with a `request_id`, which the log of the server knows too.
- **Limits** are per key and per person; `RateLimit-Remaining` says what is left of this minute, 429 when to try again.
- **Numbers** that JSON can't hold are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
"""


class KeyAuth(HttpAuthBase):
    """An API key. A bad one is refused, whatever session there may be beside it."""

    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Caller | None:
        authorization = request.headers.get("Authorization", "")
        if not authorization:
            return None
        caller = key_caller(authorization)
        if caller is None:
            raise AuthenticationError
        if not caller.may(READ if request.method in SAFE else WRITE):
            raise AuthorizationError(message="This key is good for reading only.")
        origin_key(caller.key)
        return caller


class SessionAuth(APIKeyCookie):
    """The session of a signed-in browser; what changes anything needs its CSRF token too."""

    param_name = "sessionid"

    def __call__(self, request: HttpRequest) -> Caller | None:
        if not request.user.is_authenticated or request.headers.get("Authorization"):
            return None
        return super().__call__(request)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        return Caller(request.user) if isinstance(request.user, User) else None


class StrictParser(Parser):
    """JSON as the standard has it, and only text that every database can hold."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = json.loads(request.body, parse_constant=_refused)
        for text in _texts(body):
            text.encode()  # a lone surrogate can't be
            if "\x00" in text:
                _refused(text)
        return body


def _refused(text: str) -> Any:
    raise ValueError(f"{text!r} can't be stored")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _texts(item)


api = FramedAPI(
    title="Vision AI training platform",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api",
    auth=[KeyAuth(), SessionAuth()],
    parser=StrictParser(),
    docs=Documentation(),
)
problems_register(api)
DATA = (data, imports, uploads, labeler, weights)
WORK = (jobs, job_logs, job_actions, metrics, checkpoints, inference, presets, trainers, workers)
for router in (*WORK, *DATA, projects, experiments, notes, project_members, alerts, people):
    api.add_router("/v1/training", router)
