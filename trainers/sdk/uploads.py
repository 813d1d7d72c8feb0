"""Checkpoints on their way to the store: copied at once, hashed and uploaded by a background thread."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainers.sdk.connection import Connection, Verdict
from trainers.sdk.errors import StorageError, TrainerError
from trainers.sdk.parts import Address, Part
from trainers.sdk.signed import DEFAULT_PART, SignedFiles


@dataclass(frozen=True)
class Checkpoint:
    """A private copy of a checkpoint file, and what the platform is to know about it."""

    path: Path
    kind: str
    name: str
    epoch: int | None = None
    step: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)


class Uploads:
    """A queue with one thread. A newer checkpoint of the same name takes the place of one that still waits."""

    def __init__(self, connection: Connection, work_dir: Path, warn: Callable[[str], None]) -> None:
        self.connection, self.work_dir, self.warn = connection, work_dir, warn
        self._files = SignedFiles()
        self._registered: dict[str, str] = {}
        self._waiting: dict[str, Checkpoint] = {}
        self._busy = self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def keys(self) -> list[str]:
        """The keys of the checkpoints that the platform has confirmed, the newest of each name."""
        return list(self._registered.values())

    def submit(
        self, path: Path, kind: str, name: str, epoch: int | None, step: int | None, metrics: Mapping[str, Any]
    ) -> None:
        """Copy the file and queue it; not a link, frameworks rewrite checkpoints in place. Raises OSError."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(prefix="upload-", dir=self.work_dir)) / name
        try:
            shutil.copyfile(path, copy)
        except OSError:
            shutil.rmtree(copy.parent, ignore_errors=True)
            raise
        checkpoint = Checkpoint(copy, kind, name, epoch, step, {key: float(value) for key, value in metrics.items()})
        with self._changed:
            replaced = self._waiting.pop(name, None)
            self._waiting[name] = checkpoint
            self._changed.notify_all()
        if replaced:
            shutil.rmtree(replaced.path.parent, ignore_errors=True)
        self._start()

    def wait(self, seconds: float) -> bool:
        """Wait until the queue is empty; whether it is within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout=seconds)

    def upload(self, checkpoint: Checkpoint) -> str:
        """Upload a file and return its key; says nothing about it yet. Raises StorageError, NetworkError, OSError."""
        entry = {"kind": checkpoint.kind, "name": checkpoint.name, "epoch": checkpoint.epoch}
        entry |= {"size": checkpoint.path.stat().st_size, "sha256": sha256_of(checkpoint.path)}
        return self._files.put(checkpoint.path, lambda: self._address(entry))

    def close(self) -> None:
        """Begin nothing new; an upload that runs ends with the process, the older checkpoint stays as it was."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sdk-uploads", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (checkpoint := self._next()) is not None:
            try:
                self._upload_and_register(checkpoint)
            except (TrainerError, OSError) as error:
                self.warn(f"checkpoint {checkpoint.name} of epoch {checkpoint.epoch} was not stored: {error}")
            finally:
                shutil.rmtree(checkpoint.path.parent, ignore_errors=True)
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _next(self) -> Checkpoint | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._busy = True
            return self._waiting.pop(next(iter(self._waiting)))

    def _upload_and_register(self, checkpoint: Checkpoint) -> None:
        """Twice, where the platform finds that the object differs from what was said."""
        for attempt in (1, 2):
            payload: dict[str, Any] = {"kind": checkpoint.kind, "epoch": checkpoint.epoch, "step": checkpoint.step}
            payload |= {"key": self.upload(checkpoint), "metrics": checkpoint.metrics}
            payload |= {"size": checkpoint.path.stat().st_size, "sha256": sha256_of(checkpoint.path)}
            answer = self.connection.ask("checkpoint", payload, seconds=600.0)
            if answer.status == 200:
                self._registered[checkpoint.name] = payload["key"]
                return
            if answer.status != 400 or attempt == 2:
                raise StorageError(f"the platform refused it: {answer.reason}")

    def _address(self, entry: dict[str, Any]) -> Address:
        answer = self.connection.ask("urls", {"put": [entry]}, seconds=600.0)
        put = answer.data.get("put", {}).get(entry["name"])
        if answer.verdict is not Verdict.TAKEN or not put:
            raise StorageError(f"the platform gave no address for {entry['name']}: {answer.reason}")
        part_size = int(put.get("part_size") or DEFAULT_PART)
        if "parts" in put:
            return Address(put["key"], part_size=part_size, parts=tuple(Part.of(told) for told in put["parts"]))
        return Address(put["key"], put["url"], part_size)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
