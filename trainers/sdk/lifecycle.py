"""The life of a run as the trainer tells it: started, progress, and one of the ends."""

from __future__ import annotations

import os
import time as clock
import traceback as tracebacks
from collections.abc import Mapping
from typing import Any

from trainers.sdk.errors import NetworkError
from trainers.sdk.failures import error_type_of
from trainers.sdk.metrics import bodies_of, shortened, usable_floats, whole_number
from trainers.sdk.session import Session
from trainers.sdk.version import VERSION

SECONDS_TO_COMPLETE, SECONDS_TO_FAIL, SECONDS_TO_CANCEL = 900.0, 120.0, 25.0


class Lifecycle(Session):
    """Reports go to the spool and return; the ends wait until the platform has answered everything before them."""

    _total_epochs: int | None = None

    def report_started(self, total_epochs: int | None = None, total_steps: int | None = None) -> None:
        """Say that the work begins: the job is running from here."""
        payload = {"operation": self.environment.operation, "sdk_version": VERSION, "process_id": os.getpid()}
        self._total_epochs = total_epochs
        self._post_letter("started", payload | {"total_epochs": total_epochs, "total_steps": total_steps})

    def report_progress(
        self,
        metrics: Mapping[str, Any],
        *,
        epoch: int | None = None,
        step: int | None = None,
        total_epochs: int | None = None,
        phase: str | None = None,
        time: float | None = None,
    ) -> None:
        """Keep one report; sent in the background, and not lost if this process is killed after the return.

        Values are what float() takes. Epochs count from 1, steps from 0, `time` is in seconds since 1970, now by
        default. Takes microseconds and never raises: what cannot be taken is named in the job's log instead.
        """
        try:
            if self._talking:
                epoch, step = whole_number(epoch, "epoch", self.warn), whole_number(step, "step", self.warn)
                extra = self._extra(total_epochs, phase)
                for kind, body in bodies_of(metrics, epoch, step, time or clock.time(), extra, self.warn):
                    self._spool.append(kind, body)
                if self._spool.lost:
                    self._tell_losses()
        except Exception as error:
            self.warn(f"a report was not taken: {type(error).__name__}: {error}")

    def report_completed(
        self,
        final_metrics: Mapping[str, Any] | None = None,
        *,
        best_epoch: int | None = None,
        best_value: float | None = None,
        seconds: float = SECONDS_TO_COMPLETE,
    ) -> bool:
        """End the job well, after the last upload and report; whether the platform answered within `seconds`.

        If it did not, the word is kept in the spool, and the supervisor sends it.
        """
        final = dict(zip(*usable_floats(final_metrics or {}, self.warn), strict=True))
        payload = {"status": "completed", "final_metrics": final, "exit_code": 0}
        return self._end(payload | {"best_epoch": best_epoch, "best_value": best_value}, seconds)

    def report_failed(
        self,
        error: BaseException | str,
        error_type: str | None = None,
        traceback: str | None = None,
        seconds: float = SECONDS_TO_FAIL,
    ) -> bool:
        """End the job with an error; type and traceback come from the exception where they are not given."""
        if isinstance(error, BaseException):
            error_type = error_type or error_type_of(error)
            traceback = traceback or "".join(tracebacks.format_exception(error))
        message = shortened(error) or type(error).__name__
        payload = {"status": "failed", "error_type": error_type or "UNKNOWN_ERROR", "message": message, "exit_code": 1}
        return self._end(payload | {"traceback": shortened(traceback or "")}, seconds)

    def report_cancelled(self, seconds: float = SECONDS_TO_CANCEL) -> bool:
        """End the job as cancelled, after `should_stop` was seen because of a cancel."""
        return self._end({"status": "cancelled"}, seconds)

    def report_inference_completed(self, results: Mapping[str, Any], seconds: float = SECONDS_TO_COMPLETE) -> bool:
        """Hand in the results of an inference; whether the platform answered."""
        self._post_letter("inference", dict(results))
        return self._sender.drain(seconds)

    def report_export_completed(self, results: Mapping[str, Any], seconds: float = SECONDS_TO_COMPLETE) -> bool:
        """Hand in the results of an export; whether the platform answered."""
        self._post_letter("export", dict(results))
        return self._sender.drain(seconds)

    def _tell_losses(self) -> None:
        """Once the spool has room again, say in the job's log how many reports it could not keep."""
        if self._spool.has_room:
            lost, self._spool.lost = self._spool.lost, 0
            self.warn(f"{lost} reports were lost before {clock.strftime('%H:%M:%S')}: the spool's disk was full")

    def _extra(self, total_epochs: int | None, phase: str | None) -> dict[str, Any]:
        """What a compact row has no room for, where it says something new."""
        extra: dict[str, Any] = {}
        if total_epochs is not None and total_epochs != self._total_epochs:
            self._total_epochs = extra["total_epochs"] = int(total_epochs)
        if phase is not None and phase != "train":
            extra["phase"] = phase
        return extra

    def _end(self, payload: dict[str, Any], seconds: float) -> bool:
        if not self._talking:
            return False
        deadline = clock.monotonic() + seconds
        self._uploads.wait(seconds)
        self._logs.flush()
        self._silent = True
        payload |= {"last_no": self._spool.last_number, "checkpoints": self._uploads.keys}
        kept = self._post_letter("completion", payload)
        drained = self._sender.drain(max(1.0, deadline - clock.monotonic())) and not self._sender.delivery.refused
        return drained and (kept or self._ask("completion", payload))

    def _post_letter(self, call: str, payload: dict[str, Any]) -> bool:
        """Keep a call in the spool's folder until it is answered; False if the disk has no room for it."""
        try:
            self._letters.write(call, {key: value for key, value in payload.items() if value is not None})
        except OSError as error:
            self.warn(f"{call} could not be kept in the spool: {error}")
            return False
        self._spool.news.set()
        return True

    def _ask(self, call: str, payload: dict[str, Any]) -> bool:
        try:
            return self._connection.ask(call, payload).status == 200
        except NetworkError as error:
            self.warn(str(error))
            return False
