"""A container's log as a stream of bytes, whole and once, however often the connection breaks."""

import logging
import os
import re
import threading
import time as clock
from typing import IO, Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from training.execution.pod import TRAINER

logger = logging.getLogger(__name__)
STAMP = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)\S* ")
TIMEOUT = (5, 300)  # a silent trainer's connection is made anew
AGAIN_SECONDS = 1.0
TRIES_AFTER_THE_END = 5


class LogFollower:
    """Copies the log of a pod's trainer into `stream`, from `begin` until the container's end after `end`.

    Every line comes with its time, so what a new connection repeats is known and left out.
    """

    def __init__(self, core: Any, namespace: str) -> None:
        self._core, self._namespace = core, namespace
        reading, self._pipe = os.pipe()
        self.stream: IO[bytes] = os.fdopen(reading, "rb")
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._last, self._same = b"", 0  # the newest time, and how many lines bore it
        self._heard = 0.0

    def begin(self, pod: str) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=[pod], name="pod-log", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """The container has ended: what is there is read, and no more is waited for."""
        self._ended.set()
        if self._thread is None:
            os.close(self._pipe)

    def _run(self, pod: str) -> None:
        tries = 0
        with os.fdopen(self._pipe, "wb") as pipe:
            while tries < TRIES_AFTER_THE_END:
                over = self._ended.is_set()
                try:
                    self._copy(pod, pipe)
                    if over:
                        return
                except BrokenPipeError:  # nobody reads any more
                    return
                except (ApiException, HTTPError, OSError) as error:
                    logger.info("The log of %s breaks off: %s", pod, error)
                    tries += over
                self._ended.wait(AGAIN_SECONDS)

    def _copy(self, pod: str, pipe: IO[bytes]) -> None:
        more = {"since_seconds": int(clock.monotonic() - self._heard) + 5} if self._heard else {}
        response = self._core.read_namespaced_pod_log(
            pod,
            self._namespace,
            container=TRAINER,
            follow=True,
            timestamps=True,
            _preload_content=False,
            _request_timeout=TIMEOUT,
            **more,
        )
        known, at_known, skipped = self._last, self._same, 0
        try:
            for line in response:
                found = STAMP.match(line)
                stamp = found[1] if found else self._last
                if known and (stamp < known or (stamp == known and skipped < at_known)):
                    skipped += stamp == known
                    continue
                self._same = self._same + 1 if stamp == self._last else 1
                self._last, self._heard = stamp, clock.monotonic()
                pipe.write(line[found.end() :] if found else line)
                pipe.flush()
        finally:
            response.release_conn()
