"""The session: what all parts of the SDK share, from its threads to its end."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from typing import Self

from trainers.sdk.connection import Connection
from trainers.sdk.delivery import Delivery
from trainers.sdk.environment import AttemptEnvironment
from trainers.sdk.heartbeat import Heartbeat
from trainers.sdk.letters import Letters
from trainers.sdk.logs import LogBuffer
from trainers.sdk.pulse import Pulse
from trainers.sdk.sender import Sender
from trainers.sdk.spool import Spool
from trainers.sdk.stderr import remark
from trainers.sdk.stopping import REFUSED, TERMINATED, StopSignal
from trainers.sdk.uploads import Uploads

DRAIN_SECONDS = 10.0


class Session:
    """One attempt's conversation with the platform. Use it as a context manager, or leave the end to atexit."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        """Open the spool and start the threads. Raises SettingError, SpoolInUse, OSError."""
        self.environment = AttemptEnvironment.read(variables)
        self._variables = os.environ if variables is None else variables
        self._stop = StopSignal()
        self._connection = Connection(self.environment.callback_url, self.environment.callback_token)
        self._spool = Spool(self.environment.spool_dir)
        self._letters = Letters(self.environment.spool_dir)
        self._logs = LogBuffer(self._spool)
        self._sender = Sender(Delivery(self._spool, self._letters, self._connection, self._stop), self._logs)
        self._uploads = Uploads(self._connection, self.environment.work_dir, self.warn)
        pulse = self.environment.heartbeat_seconds
        self._pulse = Connection(self._connection.url, self.environment.callback_token, min(10.0, max(2.0, pulse)))
        self._heartbeat = Heartbeat(self._pulse, self._stop, pulse)
        self._alive = Pulse(self.environment.spool_dir / "pulse", pulse)
        self._silent = False
        self._complaints: set[str] = set()
        self._process = os.getpid()
        self._sender.start()
        self._heartbeat.start()
        self._alive.start()
        atexit.register(self.close)

    @property
    def should_stop(self) -> bool:
        """Whether training should end now: cancelled, refused by the platform, or terminated."""
        return self._stop.asked

    @property
    def stop_reason(self) -> str | None:
        """`cancel`, `refused` or `terminated`; None while training should go on."""
        return self._stop.reason

    def terminate(self) -> None:
        """Ask training to end because this process was told to, by a signal for instance."""
        self._stop.ask(TERMINATED)

    def close(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Send what is left, for at most `seconds`, and end the threads; whether all was answered."""
        if self._process != os.getpid():
            return True
        self._process = 0
        atexit.unregister(self.close)
        self._logs.flush()
        self._uploads.close()
        drained = self._sender.drain(seconds)
        self._sender.close()
        self._heartbeat.close()
        self._alive.close()
        self._spool.close()
        self._connection.close()
        self._pulse.close()
        return drained

    def warn(self, text: str) -> None:
        """Write a warning into the job's log, each text once; never raises."""
        if text in self._complaints or len(self._complaints) > 1000:
            return
        self._complaints.add(text)
        remark(text)
        if self._talking:
            self._logs.add("warning", text, "sdk", None)

    @property
    def _talking(self) -> bool:
        """Whether a report can still be taken: not after completion, and not once refused for good."""
        return not self._silent and self._stop.reason != REFUSED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
