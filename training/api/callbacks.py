"""The trainers' door: what an attempt may say, and what it is answered (docs/trainer-protocol.md)."""

from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpResponse

from training.api.doors import answer, refusal, trainers_call
from training.artifacts import ArtifactRefused, artifact_put_url, artifact_register, artifact_verify
from training.checkpoints import (
    CheckpointRefused,
    checkpoint_put_url,
    checkpoint_register,
    checkpoint_start_urls,
    checkpoint_verify,
)
from training.datasets.snapshot import UnknownFile, snapshot_urls
from training.jobs.attempts import (
    Conflict,
    Ending,
    attempt_cancelled_said,
    attempt_completed,
    attempt_failed,
    attempt_get,
    attempt_heartbeat,
    attempt_started,
    attempt_totals,
)
from training.jobs.stopping import asked_to_stop
from training.jobs.transition import job_locked
from training.journal.checks import Unacceptable, clean_text, strict
from training.journal.checks import number_read as number
from training.journal.group import committer
from training.journal.payloads import Item, Totals, log_read, progress_read
from training.journal.writer import Append, append_event
from training.models import ErrorType, JobAttempt
from training.weights import weights_file, weights_url

KILOBYTE = 1024
REPORTS_BYTES = 4 * 1024 * KILOBYTE
MAX_TEXT = 64 * KILOBYTE
DOWNLOAD = ("files", "of", "bytes", "of_bytes")  # what a heartbeat may say of one
KINDS = ("best", "last", "epoch")
_totals: dict[int, tuple[int, int | None, int | None]] = {}  # job → what its attempt's row already says


@trainers_call(64 * KILOBYTE)
async def started(job_id: int, attempt: int, body: Any) -> HttpResponse:
    said = _object(body)
    words = {
        "operation": _text(said, "operation", 32),
        "sdk_version": _text(said, "sdk_version", 32),
        "process_id": number(said.get("process_id"), "process_id", 1, 2**31 - 1),
        "total_epochs": number(said.get("total_epochs"), "total_epochs", 0, 2**31 - 1),
        "total_steps": number(said.get("total_steps"), "total_steps"),
    }
    job = await sync_to_async(attempt_started)(job_id, attempt, words)
    return answer({"state": job.state, "cancel": asked_to_stop(job, attempt)})


@trainers_call(REPORTS_BYTES)
async def progress(job_id: int, attempt: int, body: Any) -> HttpResponse:
    said = progress_read(body)
    response = await _append(job_id, attempt, said.items)
    await _totals_keep(job_id, attempt, said.totals)
    return response


@trainers_call(REPORTS_BYTES)
async def log(job_id: int, attempt: int, body: Any) -> HttpResponse:
    return await _append(job_id, attempt, log_read(body))


async def _append(job_id: int, attempt: int, items: list[Item]) -> HttpResponse:
    done = await committer.append(Append(job_id, attempt, items))
    if done.error == "not_found":
        return refusal(404, "not_found")
    if done.error == "gap":
        return refusal(409, "gap", expected=done.last_no + 1, stored=done.stored)
    if done.error:
        raise Conflict(done.error, done.state)
    counts = {"stored": done.stored, "repeats": done.repeats, "refused": len(done.refused)}
    errors = [{"no": item.no, "reason": item.reason} for item in done.refused]
    told = {"last_no": done.last_no, "seq": done.seq, "errors": errors, "cancel": done.cancel}
    return answer({**counts, **told}, 400 if errors else 200)


async def _totals_keep(job_id: int, attempt: int, totals: Totals) -> None:
    said = (attempt, totals.epochs, totals.steps)
    if (totals.epochs or totals.steps) and _totals.get(job_id) != said:
        await sync_to_async(_totals_store)(job_id, attempt, totals)
        if len(_totals) > 10_000:
            _totals.clear()
        _totals[job_id] = said


def _totals_store(job_id: int, attempt: int, totals: Totals) -> None:
    try:
        attempt_totals(job_id, attempt, totals.epochs, totals.steps)
    finally:
        close_old_connections()  # on the short way no end of a request does it


@trainers_call(64 * KILOBYTE)
async def heartbeat(job_id: int, attempt: int, body: Any) -> HttpResponse:
    said = _object(body)
    seen, download = bool(said.get("cancel_seen")), _download(said.get("download"))
    job, row = await sync_to_async(attempt_heartbeat)(job_id, attempt, seen, download)
    cancel = asked_to_stop(job, attempt)
    return answer({"state": job.state, "cancel": cancel, "lease_until": row.lease_until.timestamp()})


@trainers_call(1024 * KILOBYTE)
async def urls(job_id: int, attempt: int, body: Any) -> HttpResponse:
    said = _object(body)
    names, puts = said.get("get", []), said.get("put", [])
    if not isinstance(names, list) or not isinstance(puts, list) or len(names) + len(puts) > 1000:
        raise Unacceptable("get and put must be lists, of at most 1,000 names together")
    if not all(isinstance(name, str) for name in names) or not all(isinstance(put, dict) for put in puts):
        raise Unacceptable("get must hold names, put must hold objects")
    try:
        return answer(await sync_to_async(_urls)(job_id, attempt, names, puts))
    except UnknownFile as error:
        return refusal(404, "not_found", detail=str(error))
    except (CheckpointRefused, ArtifactRefused) as error:
        raise Unacceptable(str(error)) from error


def _urls(job_id: int, attempt: int, names: list[str], puts: list[dict[str, Any]]) -> dict[str, Any]:
    row = attempt_get(job_id, attempt)
    return {
        "get": _get_urls(row, names),
        "put": {str(put.get("name")): _put_url(row, put) for put in puts},
    }


def _get_urls(row: JobAttempt, names: list[str]) -> dict[str, str]:
    starts = [name for name in names if name.startswith("checkpoint/")]
    weights = row.job.weights
    given = {weights_file(weights): weights_url(weights)} if weights and weights_file(weights) in names else {}
    files = [name for name in names if name not in given and name not in starts]
    if files and row.job.snapshot is None:
        raise UnknownFile(files[0])
    try:
        given |= checkpoint_start_urls(row, starts)
    except KeyError as error:
        raise UnknownFile(str(error.args[0])) from error
    return given | (snapshot_urls(row.job.snapshot, files) if row.job.snapshot and files else {})


def _put_url(row: JobAttempt, put: dict[str, Any]) -> dict[str, Any]:
    size = number(put.get("size"), "size", 1)
    if size is None:
        raise Unacceptable("size is missing")
    name, sha256 = _text(put, "name", 120), _sha256(put)
    if put.get("for") == "artifact":
        return artifact_put_url(row, name, size, sha256)
    return checkpoint_put_url(row, _kind(put), name or "checkpoint", size, sha256)


@trainers_call(64 * KILOBYTE)
async def checkpoint(job_id: int, attempt: int, body: Any) -> HttpResponse:
    said = _object(body)
    metrics = said.get("metrics") or {}
    if not isinstance(metrics, dict):
        raise Unacceptable("metrics must be an object")
    words = {
        "kind": _kind(said),
        "epoch": number(said.get("epoch"), "epoch", 0, 2**31 - 1),
        "step": number(said.get("step"), "step"),
        "key": _text(said, "key", 255),
        "size": number(said.get("size"), "size", 1) or 0,
        "sha256": _sha256(said),
        "metrics": strict(metrics),
    }
    try:
        stored = await sync_to_async(_checkpoint)(job_id, attempt, words)
    except CheckpointRefused as error:
        return refusal(400, "unacceptable", detail=str(error))
    return answer({"id": stored, "key": words["key"]})


def _checkpoint(job_id: int, attempt: int, words: dict[str, Any]) -> int:
    row = attempt_get(job_id, attempt)
    # reading a large object takes time: not under the lock that reports wait for
    checkpoint_verify(row, words["kind"], words["key"], words["size"], words["sha256"])
    with job_locked(job_id):
        made = checkpoint_register(attempt_get(job_id, attempt), **words)
        append_event(job_id, {"type": "checkpoint", "kind": made.kind, "epoch": made.epoch, "size": made.size})
    return made.pk


@trainers_call(64 * KILOBYTE)
async def artifact(job_id: int, attempt: int, body: Any) -> HttpResponse:
    said = _object(body)
    words = {
        "kind": _text(said, "kind", 32),
        "name": _text(said, "name", 120),
        "key": _text(said, "key", 255),
        "size": number(said.get("size"), "size", 1) or 0,
        "sha256": _sha256(said),
        "epoch": number(said.get("epoch"), "epoch", 0, 2**31 - 1),
    }
    try:
        stored = await sync_to_async(_artifact)(job_id, attempt, words)
    except ArtifactRefused as error:
        return refusal(400, "unacceptable", detail=str(error))
    return answer({"id": stored, "key": words["key"]})


def _artifact(job_id: int, attempt: int, words: dict[str, Any]) -> int:
    content_type = artifact_verify(attempt_get(job_id, attempt), words["key"], words["size"], words["sha256"])
    with job_locked(job_id):
        made, new = artifact_register(attempt_get(job_id, attempt), content_type, **words)
        if new:
            append_event(job_id, {"type": "artifact", "kind": made.kind, "name": made.name, "size": made.size})
    return made.pk


@trainers_call(1024 * KILOBYTE)
async def completion(job_id: int, attempt: int, body: Any) -> HttpResponse:
    said = _object(body)
    status = said.get("status")
    words = {
        "final_no": number(said.get("last_no"), "last_no"),
        "exit_code": number(said.get("exit_code"), "exit_code", -(2**31), 2**31 - 1),
        "best_epoch": number(said.get("best_epoch"), "best_epoch", 0, 2**31 - 1),
        "final_metrics": strict(said.get("final_metrics") or {}),
        "listed_checkpoints": _keys(said.get("checkpoints") or []),
    }
    if status == "completed":
        job = await sync_to_async(attempt_completed)(job_id, attempt, words)
    elif status == "failed":
        ending = Ending(_error_type(said), _failure(said))
        job = await sync_to_async(attempt_failed)(job_id, attempt, ending, "trainer", words)
    elif status == "cancelled":
        job = await sync_to_async(attempt_cancelled_said)(job_id, attempt, words)
    else:
        raise Unacceptable("status must be completed, failed or cancelled")
    return answer({"state": job.state})


def _download(raw: Any) -> dict[str, int] | None:
    if raw is None:
        return None
    said = _object(raw)
    return {name: number(said.get(name), f"download.{name}", 0) or 0 for name in DOWNLOAD}


def _keys(raw: Any) -> list[str]:
    if not isinstance(raw, list) or not all(isinstance(key, str) for key in raw) or len(raw) > 1000:
        raise Unacceptable("checkpoints must be a list of keys")
    return raw


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Unacceptable("the body must be a JSON object")
    return body


def _text(said: dict[str, Any], name: str, most: int) -> str:
    value = said.get(name) or ""
    if not isinstance(value, str) or len(value) > most:
        raise Unacceptable(f"{name} must be text of at most {most} characters")
    return clean_text(value)


def _kind(said: dict[str, Any]) -> str:
    if said.get("kind") not in KINDS:
        raise Unacceptable(f"kind must be one of {', '.join(KINDS)}")
    return str(said["kind"])


def _sha256(said: dict[str, Any]) -> str:
    value = str(said.get("sha256") or "").lower()
    if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise Unacceptable("sha256 must be 64 hexadecimal digits")
    return value


def _error_type(said: dict[str, Any]) -> ErrorType:
    raw = said.get("error_type") or ErrorType.UNKNOWN_ERROR
    return ErrorType(raw) if raw in ErrorType.values else ErrorType.UNKNOWN_ERROR


def _failure(said: dict[str, Any]) -> str:
    message = clean_text(str(said.get("message") or "The trainer failed without a message."))[:MAX_TEXT]
    trace = clean_text(str(said.get("traceback") or ""))[:MAX_TEXT]
    return f"{message}\n\n{trace}" if trace else message
