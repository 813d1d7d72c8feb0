"""The labeler's API, as the platform uses it (docs/labeler.md): bounded in time and size, and read with distrust."""

import logging
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from django.conf import settings

from training.labeler.tokens import token_make
from training.models import User

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
MOST_BYTES = 4 << 20
AT_ONCE = 50  # datasets that one batch asks for
AWAY_SECONDS = 15.0  # for so long one that did not answer is not asked again
IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,64}")
logger = logging.getLogger(__name__)


class LabelerError(Exception):
    """The labeler did not do what was asked; the message is for people."""


class LabelerAway(LabelerError):
    """It can't be reached, or did not answer in time."""


class LabelerRefused(LabelerError):
    """It answered that this person may not, or that there is no such thing."""


@dataclass(frozen=True, slots=True)
class LabelerDataset:
    """A dataset as the labeler tells it; numbers are None where it does not tell them."""

    id: str
    name: str
    task_type: str
    images: int | None
    classes: int | None
    updated_at: str


@dataclass(frozen=True, slots=True)
class LabelerFile:
    """Where a dataset can be downloaded as a zip of a DICE folder, for some minutes."""

    url: str
    size: int
    sha256: str


class _Away:
    """What is remembered of a labeler that did not answer, so that not every page waits for it anew."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def check(self, url: str) -> None:
        until, said = self._until.get(url, (0.0, ""))
        if time.monotonic() < until:
            raise LabelerAway(said)

    def tell(self, url: str, said: str) -> LabelerAway:
        with self._lock:
            self._until = {url: (time.monotonic() + AWAY_SECONDS, said)}
        return LabelerAway(said)

    def forget(self) -> None:
        self._until = {}


away = _Away()


def labeler_configured() -> bool:
    """Whether there is a labeler at all."""
    return bool(settings.LABELER_API_URL)


class LabelerClient:
    """Calls in the name of one person. Every method raises LabelerAway or LabelerRefused."""

    def __init__(self, user: User | None) -> None:
        self.user, self.url = user, settings.LABELER_API_URL.rstrip("/")

    def datasets(self) -> list[LabelerDataset]:
        """The datasets that the person may see there."""
        return _datasets(self._ask("GET", "/datasets"))

    def get(self, dataset_id: str) -> LabelerDataset:
        """One of them."""
        return _dataset(self._ask("GET", f"/datasets/{_checked(dataset_id)}"))

    def batch(self, dataset_ids: Sequence[str]) -> list[LabelerDataset]:
        """Those of up to 50 that the person may see."""
        if len(dataset_ids) > AT_ONCE:
            raise ValueError(f"at most {AT_ONCE} datasets at once")
        return _datasets(self._ask("POST", "/datasets/batch", {"ids": [_checked(one) for one in dataset_ids]}))

    def permission(self, dataset_id: str) -> bool:
        """Whether the person may take the dataset away."""
        return self._ask("GET", f"/datasets/{_checked(dataset_id)}/permission").get("download") is True

    def download(self, dataset_id: str) -> LabelerFile:
        """An address for the whole dataset."""
        said = self._ask("POST", f"/datasets/{_checked(dataset_id)}/download-url", {"format": "dice", "archive": "zip"})
        url, size, sha256 = said.get("url"), said.get("size"), str(said.get("sha256") or "")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")) or not isinstance(size, int):
            raise LabelerRefused("The labeler gave no address for the dataset that can be used.")
        return LabelerFile(url, size, sha256)

    def health(self) -> None:
        """Raise LabelerAway unless it answers."""
        self._ask("GET", "/health")

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        away.check(self.url)
        headers = {"Authorization": f"Bearer {token_make(self.user)}", "Accept": "application/json"}
        try:
            with (
                httpx.Client(timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)) as client,
                client.stream(method, f"{self.url}{path}", json=body, headers=headers) as response,
            ):
                content = _bounded(response)
        except httpx.HTTPError as error:
            logger.warning("The labeler does not answer: %s", type(error).__name__)
            raise away.tell(self.url, "The labeler does not answer. Its datasets appear here once it does.") from error
        return self._understood(response.status_code, content)

    def _understood(self, status: int, content: bytes) -> dict[str, Any]:
        if status >= 500 or status == 429:
            raise away.tell(self.url, f"The labeler is in trouble (it answered {status}). Try again in a moment.")
        if status == 401:
            raise LabelerRefused("The labeler does not know this platform: is SERVICE_JWT_SECRET the same on both?")
        if status in (403, 404):
            raise LabelerRefused("The labeler has no such dataset for you.")
        try:
            said = httpx.Response(status, content=content).json()
        except ValueError as error:
            raise LabelerRefused("The labeler's answer can't be read.") from error
        if status != 200 or not isinstance(said, dict):
            raise LabelerRefused(f"The labeler refused it ({status}).")
        return said


def _bounded(response: httpx.Response) -> bytes:
    """The body; one that is too long or that drips is given up."""
    deadline, content = time.monotonic() + READ_SECONDS, b""
    for block in response.iter_bytes():
        content += block
        if len(content) > MOST_BYTES or time.monotonic() > deadline:
            raise httpx.ReadError("too much, or too slow")
    return content


def _checked(dataset_id: str) -> str:
    if not IDENTIFIER.fullmatch(dataset_id) or dataset_id in (".", ".."):
        raise LabelerRefused("The labeler has no such dataset for you.")
    return dataset_id


def _datasets(said: dict[str, Any]) -> list[LabelerDataset]:
    found = said.get("datasets")
    if not isinstance(found, list):
        raise LabelerRefused("The labeler's answer can't be read.")
    return [_dataset(one) for one in found[:1000]]


def _dataset(said: Any) -> LabelerDataset:
    if not isinstance(said, dict) or not IDENTIFIER.fullmatch(str(said.get("id") or "")):
        raise LabelerRefused("The labeler's answer can't be read.")
    texts = [str(said.get(name) or "")[:120] for name in ("name", "task_type", "updated_at")]
    counts = [one if isinstance(one := said.get(name), int) and one >= 0 else None for name in ("images", "classes")]
    return LabelerDataset(str(said["id"]), texts[0], texts[1], counts[0], counts[1], texts[2])
