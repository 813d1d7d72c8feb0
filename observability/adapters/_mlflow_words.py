"""What MLflow takes as a name and a tag, and what its refusals mean."""

import re
from dataclasses import asdict

from observability.base import JobFacts
from observability.names import NameMapping
from observability.texts import text_cut, text_of

# mlflow/utils/validation.py: letters, digits, _-./ and space (and a colon, our escape), 250 characters, and nothing
# that a path would be normalised to something else for.
NAMES = NameMapping(re.compile(r"[^/\w.\- ]|(?<![^/])\.{1,2}(?![^/])|^\.(?=\.)|^/|/\Z|/(?=/)"), ":", limit=250)
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000
PERMANENT = {400, 401, 403, 404}


def job_tags(job: JobFacts) -> dict[str, str]:
    facts = {f"platform.{key}": text_cut(text_of(value), LONGEST_TAG) for key, value in asdict(job).items() if value}
    return facts | {"mlflow.user": job.created_by, "mlflow.source.name": job.url}


def is_permanent(error: Exception) -> bool:
    if (
        getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS"
    ):  # another delivery was faster: next time it is found
        return False
    return isinstance(error, (ImportError, KeyError)) or _status(error) in PERMANENT


def refuses_batch(error: Exception) -> bool:
    return _status(error) == 400 or "failed with error code 413" in str(error)  # MLflow has no word of its own for 413


def _status(error: Exception) -> int:
    return int(getattr(error, "get_http_status_code", lambda: 0)())
