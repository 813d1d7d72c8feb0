"""The trainers' door: tokens, bodies, and the answers of docs/trainer-protocol.md."""

import hashlib
import json
from typing import Any

import pytest
from django.test import AsyncClient
from django.urls import reverse

from training.jobs.attempts import token_make
from training.journal import group
from training.journal.group import JournalUnavailable
from training.journal.reader import lines_after, records_after
from training.models import Checkpoint, JobAttempt, JobState, RecordKind, TrainingJob
from training.storage.store import internal_store

pytestmark = pytest.mark.django_db(transaction=True)
CALLS = ("started", "progress", "log", "heartbeat", "urls", "checkpoint", "completion")


class Trainer:
    def __init__(self, attempt: JobAttempt) -> None:
        self.job_id = attempt.job_id
        self.token = token_make(attempt.job_id, attempt.number)
        self.client = AsyncClient()

    async def say(self, call: str, body: Any = None, token: str | None = None, job_id: int | None = None) -> Any:
        content = body if isinstance(body, str | bytes) else json.dumps(body or {})
        response = await self.client.post(
            reverse(f"callback-{call}", args=[job_id or self.job_id]),
            content,
            content_type="application/json",
            headers={"authorization": f"Bearer {self.token if token is None else token}"},
        )
        return response.status_code, json.loads(response.content)


@pytest.fixture
def trainer(attempt: JobAttempt) -> Trainer:
    return Trainer(attempt)


@pytest.mark.parametrize("call", CALLS)
async def test_no_call_is_open_without_the_right_token(trainer: Trainer, call: str) -> None:
    assert (await trainer.say(call, token=""))[0] == 401
    assert (await trainer.say(call, token="made.up.token"))[0] == 401
    assert (await trainer.say(call, token=trainer.token[:-1]))[0] == 401
    assert (await trainer.say(call, job_id=trainer.job_id + 1))[0] == 404


@pytest.mark.parametrize("call", CALLS)
async def test_no_call_takes_what_is_not_json(trainer: Trainer, call: str) -> None:
    for body in ("{", b"\xff\xfe", "[" * 30_000, "7", '"text"'):
        assert (await trainer.say(call, body))[0] == 400


async def test_a_heartbeat_may_say_how_far_the_data_are(trainer: Trainer, attempt: JobAttempt) -> None:
    said = {"files": 5, "of": 12, "bytes": 100, "of_bytes": 240}
    assert (await trainer.say("heartbeat", {"download": said}))[0] == 200
    await trainer.say("heartbeat")
    await attempt.arefresh_from_db()
    assert attempt.download == said
    for wrong in ("much", [1], {"files": -1}, {"files": "5"}, {"bytes": 2**70}):
        assert (await trainer.say("heartbeat", {"download": wrong}))[0] == 400


@pytest.mark.parametrize("call", CALLS)
async def test_every_call_refuses_a_large_body(trainer: Trainer, call: str) -> None:
    assert (await trainer.say(call, '{"x": "' + "x" * 5_000_000 + '"}'))[0] == 413


async def test_a_run_from_start_to_completion(trainer: Trainer) -> None:
    assert await trainer.say("started", {"operation": "train", "total_epochs": 2}) == (
        200,
        {"state": "running", "cancel": False},
    )
    status, answer = await trainer.say("progress", {"no": 1, "epoch": 1, "metrics": {"loss": 0.5}})
    assert (status, answer["stored"], answer["last_no"]) == (200, 1, 1)
    assert (await trainer.say("log", {"no": 2, "lines": [{"message": "hello"}]}))[1]["last_no"] == 2
    assert (await trainer.say("heartbeat"))[1]["state"] == "running"
    assert await trainer.say("completion", {"status": "completed", "last_no": 2}) == (200, {"state": "finalizing"})


async def test_a_repeat_a_gap_and_a_refusal_are_told_apart(trainer: Trainer) -> None:
    rows = [[1, 1, 1, None, [1.0]], [2, 1, -1, None, [2.0]], [3, 1, 3, None, ["NaN"]]]
    status, answer = await trainer.say("progress", {"names": ["loss"], "rows": rows})
    assert (status, answer["stored"], answer["refused"], answer["last_no"]) == (400, 2, 1, 3)
    assert answer["errors"][0]["no"] == 2 and "step" in answer["errors"][0]["reason"]
    assert (await trainer.say("progress", {"names": ["loss"], "rows": rows[:1]}))[1]["repeats"] == 1
    assert await trainer.say("progress", {"no": 9, "metrics": {}}) == (
        409,
        {"error": "gap", "expected": 4, "stored": 0},
    )


async def test_bare_nonfinite_tokens_are_stored_and_answers_are_strict(trainer: Trainer) -> None:
    status, _ = await trainer.say("progress", '{"no": 1, "metrics": {"a": NaN, "b": Infinity}}')
    assert status == 200
    status, _ = await trainer.say(
        "completion", '{"status": "failed", "final_metrics": {"a": NaN}, "message": "\\u0000"}'
    )
    assert status == 200


async def test_text_that_no_database_takes_is_replaced(trainer: Trainer) -> None:
    await trainer.say("log", '{"no": 1, "lines": [{"message": "a\\u0000b\\ud800"}]}')
    from asgiref.sync import sync_to_async

    lines = await sync_to_async(lines_after)(trainer.job_id, 0)
    assert lines[-1].message == "a\ufffdb\ufffd"


async def test_an_older_token_and_a_finished_job_are_conflicts(trainer: Trainer) -> None:
    await TrainingJob.objects.filter(pk=trainer.job_id).aupdate(state=JobState.CANCELLED)
    for call in ("started", "heartbeat", "urls"):
        assert (await trainer.say(call))[0] == 409
    assert await trainer.say("progress", {"no": 1}) == (409, {"error": "terminal", "state": "cancelled"})
    await TrainingJob.objects.filter(pk=trainer.job_id).aupdate(attempt=2)
    assert (await trainer.say("progress", {"no": 1}))[1]["error"] == "stale_attempt"


async def test_an_absent_database_is_told_with_when_to_come_back(trainer: Trainer, monkeypatch: Any) -> None:
    async def away(append: object) -> None:
        raise JournalUnavailable("away")

    monkeypatch.setattr(group.committer, "append", away)
    status, answer = await trainer.say("progress", {"no": 1, "metrics": {"a": 1}})
    assert status == 503 and answer["error"] == "unavailable"


async def test_a_cancel_shows_in_every_answer(trainer: Trainer) -> None:
    await TrainingJob.objects.filter(pk=trainer.job_id).aupdate(state=JobState.CANCELLING)
    assert (await trainer.say("heartbeat"))[1]["cancel"] is True
    assert (await trainer.say("progress", {"no": 1, "metrics": {"a": 1}}))[1]["cancel"] is True
    assert (await trainer.say("completion", {"status": "cancelled"}))[1]["state"] == "cancelling"


async def test_a_checkpoint_is_taken_when_it_is_what_it_claims(trainer: Trainer) -> None:
    content = b"weights" * 100
    told = {"kind": "best", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    status, answer = await trainer.say("urls", {"put": [{"name": "best.pt", **told}]})
    key = answer["put"]["best.pt"]["key"]
    assert status == 200 and (await trainer.say("checkpoint", {"key": key, **told}))[0] == 400
    internal_store().put(key, content)
    assert (await trainer.say("checkpoint", {"key": key, **told, "sha256": "0" * 64}))[0] == 400
    for _ in range(2):
        assert (await trainer.say("checkpoint", {"key": key, **told, "epoch": 3}))[0] == 200
    assert await Checkpoint.objects.acount() == 1


async def test_files_outside_the_snapshot_are_not_found(trainer: Trainer) -> None:
    for name in ("../secret", "images/a.png", "snapshot/manifest.json"):
        assert (await trainer.say("urls", {"get": [name]}))[0] == 404


async def test_totals_told_on_the_way_are_kept(trainer: Trainer) -> None:
    await trainer.say("progress", {"no": 1, "epoch": 1, "total_epochs": 7, "total_steps": 70, "metrics": {"a": 1}})
    attempt = await JobAttempt.objects.aget(job_id=trainer.job_id)
    assert (attempt.total_epochs, attempt.total_steps) == (7, 70)


def test_many_requests_at_once_are_one_row_each(trainer: Trainer) -> None:
    import asyncio

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*[trainer.say("progress", {"metrics": {"a": n}}) for n in range(40)])

    answers = asyncio.run(all_at_once())
    assert {status for status, _ in answers} == {200}
    found = records_after(trainer.job_id, 0, kinds=[RecordKind.METRICS])
    assert sorted(record.values[0] for record in found) == [float(n) for n in range(40)]
