"""The reports' short way in keeps the promises of the ordinary one."""

import json
from typing import Any

import pytest

from training.api.callbacks import REPORTS_BYTES
from training.api.shortcut import reports_first
from training.jobs.attempts import attempt_started, token_make
from training.models import JobAttempt

pytestmark = pytest.mark.django_db(transaction=True)
REPORT = {"no": 1, "epoch": 1, "step": 5, "total_epochs": 7, "metrics": {"loss": 0.5}}


class Caller:
    """Calls an ASGI application with a body in parts; `seen` are its messages, `passed` what went the ordinary way."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.passed: list[str] = []

    async def ordinary(self, scope: Any, receive: Any, send: Any) -> None:
        self.passed.append(scope["path"])

    async def call(self, path: str, token: str, *parts: bytes, method: str = "POST", cut: bool = False) -> Any:
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        messages[-1]["more_body"] = cut
        messages.append({"type": "http.disconnect"})
        headers = [(b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "http", "method": method, "path": path, "headers": headers}

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            self.seen.append(message)

        await reports_first(self.ordinary)(scope, receive, send)
        return json.loads(self.seen[-1]["body"]) if self.seen else None

    @property
    def status(self) -> int:
        return int(self.seen[0]["status"])


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def running(attempt: JobAttempt) -> JobAttempt:
    attempt_started(attempt.job_id, attempt.number, {})
    return attempt


def path(attempt: JobAttempt, name: str = "progress") -> str:
    return f"/api/v1/training/jobs/{attempt.job_id}/callback/{name}"


def token(attempt: JobAttempt) -> str:
    return token_make(attempt.job_id, attempt.number)


async def test_a_report_in_parts_is_stored_and_answered(caller: Caller, running: JobAttempt) -> None:
    body = json.dumps(REPORT).encode()
    said = await caller.call(path(running), token(running), body[:9], body[9:])
    assert (caller.status, said["stored"], said["last_no"], caller.passed) == (200, 1, 1, [])
    assert dict(caller.seen[0]["headers"])[b"Content-Length"] == str(len(caller.seen[1]["body"])).encode()


async def test_totals_said_with_a_report_are_kept(caller: Caller, running: JobAttempt) -> None:
    await caller.call(path(running), token(running), json.dumps(REPORT).encode())
    await running.arefresh_from_db()
    assert running.total_epochs == 7


async def test_a_strange_token_is_refused(caller: Caller, running: JobAttempt) -> None:
    await caller.call(path(running), "made-up", json.dumps(REPORT).encode())
    assert caller.status == 401


async def test_a_token_opens_its_own_job_only(caller: Caller, running: JobAttempt) -> None:
    other = token_make(running.job_id + 1, 1)
    await caller.call(path(running), other, json.dumps(REPORT).encode())
    assert caller.status == 404


async def test_a_body_too_large_is_refused_while_it_is_read(caller: Caller, running: JobAttempt) -> None:
    part = b" " * (REPORTS_BYTES // 2 + 1)
    await caller.call(path(running), token(running), part, part, cut=True)
    assert caller.status == 413


async def test_a_report_that_did_not_arrive_whole_is_dropped(caller: Caller, running: JobAttempt) -> None:
    assert await caller.call(path(running), token(running), b'{"no": 1', cut=True) is None


async def test_a_fault_of_ours_is_answered_500(
    caller: Caller, running: JobAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.api.callbacks.progress_read", lambda body: 1 / 0)
    said = await caller.call(path(running), token(running), b"{}")
    assert (caller.status, said) == (500, {"error": "internal_error"})


@pytest.mark.parametrize(("name", "method"), [("heartbeat", "POST"), ("progress", "GET"), ("progress/", "POST")])
async def test_everything_else_goes_the_ordinary_way(
    caller: Caller, running: JobAttempt, name: str, method: str
) -> None:
    await caller.call(path(running, name), token(running), b"{}", method=method)
    assert caller.passed == [path(running, name)]
