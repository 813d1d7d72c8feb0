"""One door to the platform: POST with the attempt's token, the answer sorted by what to do about it."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import httpx

from trainers.sdk import clients
from trainers.sdk.errors import NetworkError
from trainers.sdk.metrics import compact


class Verdict(Enum):
    """What an answer asks of the sender."""

    TAKEN = "go on with what follows"
    GAP = "send again from the number expected"
    UNREADABLE = "the platform cannot take a request of this form or size"
    OVER = "stop: no report of this attempt will be taken again"
    LATER = "the same again, later"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, its JSON object (empty where there was none), and the seconds of Retry-After."""

    status: int
    data: dict[str, Any] = field(default_factory=dict)
    retry_after: float | None = None

    @property
    def verdict(self) -> Verdict:
        """The protocol's table of answers; a status it does not know is tried again."""
        if self.status == 200 or (self.status == 400 and "last_no" in self.data):
            return Verdict.TAKEN
        if self.status in (400, 413):
            return Verdict.UNREADABLE
        if self.status == 409 and self.data.get("error") == "gap" and isinstance(self.data.get("expected"), int):
            return Verdict.GAP
        return Verdict.OVER if self.status in (401, 404, 409) else Verdict.LATER

    @property
    def reason(self) -> str:
        """The answer in a few words, for a log line."""
        return f"{self.status} {self.data.get('error') or self.data.get('reason') or ''}".strip()


class BackOff:
    """Exponential back-off with full jitter, in seconds."""

    def __init__(self, base: float = 0.2, cap: float = 30.0) -> None:
        self.base, self.cap = base, cap
        self.tries = 0

    def next(self, retry_after: float | None = None) -> float:
        """How long to wait before the next try; never less than what the platform asked for."""
        self.tries += 1
        jitter = random.uniform(0, min(self.cap, self.base * 2 ** min(self.tries, 20)))
        return jitter if retry_after is None else retry_after + min(jitter, 1.0)

    def reset(self) -> None:
        """Start anew after a success."""
        self.tries = 0


class Connection:
    """A persistent HTTP client for the calls below CALLBACK_URL; safe under threads."""

    def __init__(self, url: str, token: str, timeout: float = 30.0) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._client = clients.client(timeout)

    def post(self, call: str, content: bytes) -> Answer:
        """POST a JSON body once. Raises NetworkError when no answer came."""
        try:
            response = self._client.post(f"{self.url}/{call}", content=content, headers=self._headers)
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
            raise NetworkError(f"{call}: {type(error).__name__}: {error}") from error
        return Answer(response.status_code, _object(response), _retry_after(response))

    def ask(self, call: str, payload: dict[str, Any], seconds: float = 60.0) -> Answer:
        """POST until the platform answers for good or `seconds` are over. Raises NetworkError then."""
        back_off, deadline, content = BackOff(), time.monotonic() + seconds, compact(payload)
        while True:
            try:
                answer = self.post(call, content)
                trouble, asked = answer.reason, answer.retry_after
                if answer.verdict is not Verdict.LATER:
                    return answer
            except NetworkError as error:
                trouble, asked = str(error), None
            pause = back_off.next(asked)
            if time.monotonic() + pause > deadline:
                raise NetworkError(f"{call}: no answer within {seconds:.0f} s: {trouble}")
            time.sleep(pause)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        data = response.json()
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _retry_after(response: httpx.Response) -> float | None:
    """The header in seconds, from a number or a date; at most an hour, so that a wrong clock cannot silence a run."""
    text = response.headers.get("Retry-After")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(0.0, seconds), 3600.0)
