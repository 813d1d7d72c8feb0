"""What every call of a trainer goes through: its token, its body's size and form, and the answers of section 5.1."""

import functools
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.core import signing
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from training.jobs.attempts import Conflict, token_read
from training.journal.checks import Unacceptable, strict
from training.journal.group import JournalUnavailable
from training.models import TrainingJob
from training.storage.store import StoreAway

logger = logging.getLogger(__name__)
Call = Callable[[int, int, Any], Coroutine[Any, Any, HttpResponse]]
Read = Callable[[int], Awaitable[bytes]]
RETRY_SECONDS = 2
token_known = functools.lru_cache(4096)(token_read)  # a good token stays good, and checking it takes a tenth of a call


def answer(data: dict[str, Any], status: int = 200) -> HttpResponse:
    """Strict JSON; non-finite numbers go out as strings."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return HttpResponse(text, status=status, content_type="application/json")


def refusal(status: int, error: str, **detail: Any) -> HttpResponse:
    return answer({"error": error, **strict(detail)}, status)


class TrainersCall:
    """A call that is open to the token of its attempt only: `call(job_id, attempt number, body)`.

    Django calls it as a view; `training.api.shortcut` calls `answered` itself.
    """

    csrf_exempt = True

    def __init__(self, call: Call, most_bytes: int) -> None:
        functools.update_wrapper(self, call)
        markcoroutinefunction(self)
        self._call = call
        self._most_bytes = most_bytes

    async def __call__(self, request: HttpRequest, job_id: int) -> HttpResponse:
        async def read(most_bytes: int) -> bytes:
            if int(request.headers.get("Content-Length") or 0) > most_bytes or len(request.body) > most_bytes:
                raise RequestDataTooBig
            return request.body

        if request.method != "POST":
            return refusal(405, "method_not_allowed")
        return await self.answered(job_id, request.headers.get("Authorization", ""), read)

    async def answered(self, job_id: int, authorization: str, read: Read) -> HttpResponse:
        """The answer to one call. `read` gives the body, or raises RequestDataTooBig where it is larger than told."""
        try:
            token_job, number = token_known(_bearer(authorization))
        except (signing.BadSignature, ValueError, TypeError):
            return refusal(401, "not_authenticated", detail="This token was not given out here.")
        if token_job != job_id:
            return refusal(404, "not_found", detail="This token is not for this job.")
        try:
            return await self._call(job_id, number, _json(await read(self._most_bytes)))
        except RequestDataTooBig:
            return refusal(413, "too_large", detail=f"At most {self._most_bytes} bytes are taken.")
        except Unacceptable as error:
            return refusal(400, "unacceptable", detail=str(error))
        except Conflict as error:
            return refusal(409, error.error, state=error.state)
        except TrainingJob.DoesNotExist:
            return refusal(404, "not_found", detail="This job has been removed.")
        except (JournalUnavailable, OperationalError, InterfaceError) as error:
            logger.warning("The database is away: %s", error)
            response = refusal(503, "unavailable", detail="The database is away; nothing was stored.")
            response["Retry-After"] = str(RETRY_SECONDS)
            return response
        except StoreAway as error:
            logger.warning("The store is away: %s", error)
            response = refusal(503, "unavailable", detail="The platform's object store is away.")
            response["Retry-After"] = str(RETRY_SECONDS)
            return response


def trainers_call(most_bytes: int) -> Callable[[Call], TrainersCall]:
    """Make a view of a call whose body has at most `most_bytes`."""
    return functools.partial(TrainersCall, most_bytes=most_bytes)


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise Unacceptable("the body is not JSON") from error
