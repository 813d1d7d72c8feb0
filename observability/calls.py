"""How an adapter is called: in a process of its own, with a time limit; or, for our own database, in this one."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db import connection as database

from observability import wire
from observability.base import Adapter, AdapterError, State
from observability.discovery import Found
from observability.failures import without_secrets
from observability.family import family_kill
from observability.runner import STATELESS

logger = logging.getLogger(__name__)
# What programs need to run at all, and to reach a network; no setting of the platform is among them.
INHERITED: tuple[str, ...] = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
INHERITED += ("REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
TICK_SECONDS = 0.5
Tick = Callable[[], None]


class Unreachable(AdapterError):
    """The adapter itself could not be had: nothing was said to the backend, whichever delivery asked."""


class TimedOut(AdapterError):
    """The call did not end in time; its process was ended."""


class Caller(Protocol):
    """One opened adapter. `call` changes `state` as the adapter does, and raises AdapterError."""

    def open(self, tick: Tick) -> None: ...

    def call(self, name: str, arguments: Sequence[Any], state: State, tick: Tick) -> Any: ...

    def close(self) -> None: ...


def caller_of(found: Found) -> Caller:
    return LocalCaller(found) if found.adapter and found.adapter.in_process else ChildCaller(found)


def variables_of(adapter: type[Adapter]) -> dict[str, str]:
    """The values of the adapter's variables that are set. Raises Unreachable if one that it needs is not."""
    missing = [one.name for one in adapter.variables if one.required and not os.environ.get(one.name)]
    if missing:
        raise Unreachable(f"{', '.join(missing)} must be set for {adapter.label}")
    return {one.name: os.environ[one.name] for one in adapter.variables if os.environ.get(one.name)}


class LocalCaller:
    def __init__(self, found: Found) -> None:
        assert found.adapter is not None
        self._adapter = found.adapter()
        self._config = variables_of(found.adapter)

    def open(self, tick: Tick) -> None:
        self._adapter.initialize(self._config)

    def call(self, name: str, arguments: Sequence[Any], state: State, tick: Tick) -> Any:
        try:
            return getattr(self._adapter, name)(*arguments, *([] if name in STATELESS else [state]))
        except (AdapterError, OperationalError, InterfaceError):
            raise
        except Exception as error:
            raise AdapterError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Nothing of it outlives this object."""


class ChildCaller:
    """Starts the process when first needed, and again after it was given up or has ended."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._last_words: deque[str] = deque(maxlen=12)
        self._listener: threading.Thread | None = None

    def open(self, tick: Tick) -> None:
        """Have the adapter initialized. Raises Unreachable."""
        if self._process is not None:
            return
        if self._found.adapter is None:
            raise Unreachable(self._found.error)
        try:
            variables = variables_of(self._found.adapter)
            self._start()
            self._ask({"call": "open", "arguments": [variables], "state": {}}, tick)
        except AdapterError as error:
            self.close()
            raise Unreachable(str(error), retry_after=error.retry_after) from error

    def call(self, name: str, arguments: Sequence[Any], state: State, tick: Tick) -> Any:
        self.open(tick)
        plain = [wire.plain(value) for value in arguments]
        answer = self._ask({"call": name, "arguments": plain, "state": state}, tick)
        state.clear()
        state.update(answer["state"])
        return answer["result"]

    def close(self) -> None:
        """Give the process up, whatever it is doing."""
        if self._process is not None and self._connection is not None:
            family_kill(self._process.pid)
            self._process.wait()
            self._connection.close()
        self._process = self._connection = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        command = [sys.executable, "-m", "observability.runner", str(self._found.path), str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                command,
                cwd=Path(__file__).resolve().parent.parent,
                env=inherited,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._connection = ours
        self._last_words.clear()
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        with process.stdout as output:
            while line := output.readline(4000):
                self._last_words.append(line.decode(errors="replace").rstrip())

    def _ask(self, request: wire.Message, tick: Tick) -> wire.Message:
        """One call and its answer. A process that does not answer in time is ended."""
        deadline = time.monotonic() + settings.DELIVERY_CALL_SECONDS
        try:
            self._send(wire.frame(request), deadline)
            answer = wire.unframe(lambda count: self._receive(count, deadline, tick))
        except TimeoutError:
            self.close()
            limit = f"{settings.DELIVERY_CALL_SECONDS:g} s"
            raise TimedOut(f"{request['call']} did not end within {limit}; its process was ended") from None
        except BaseException:
            self.close()
            raise
        if answer is None:
            raise AdapterError(self._gone(request["call"]))
        if "error" in answer:
            raise AdapterError(
                self._hidden(answer["error"]), **{name: answer[name] for name in ("permanent", "retry_after", "batch")}
            )
        return answer

    def _send(self, body: bytes, deadline: float) -> None:
        assert self._connection is not None
        self._connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            self._connection.sendall(body)
        except (BrokenPipeError, ConnectionResetError):  # it has ended: the answer that is missing tells
            logger.debug("The process of %s has ended before it was asked", self._found.name)

    def _receive(self, count: int, deadline: float, tick: Tick) -> bytes:
        assert self._connection is not None
        if "pool" in database.settings_dict.get("OPTIONS", {}) and not database.in_atomic_block:
            database.close()  # back to the pool: a slow backend must not hold a connection
        found = bytearray()
        while len(found) < count:
            self._connection.settimeout(max(0.01, min(TICK_SECONDS, deadline - time.monotonic())))
            try:
                piece = self._connection.recv(count - len(found))
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise
                tick()
                continue
            except ConnectionResetError:
                break
            if not piece:
                break
            found += piece
        return bytes(found)

    def _gone(self, call: str) -> str:
        assert self._process is not None and self._listener is not None
        process, words = self._process, self._last_words
        with suppress(subprocess.TimeoutExpired):
            process.wait(2)  # its socket closes a moment before it ends
        self.close()
        self._listener.join(2)  # until it has heard the last one
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
        said = " | ".join(words)[-1500:]
        return self._hidden(f"the backend's process ended during {call}: {how}. {said}".strip())

    def _hidden(self, text: str) -> str:
        return without_secrets(text, self._found.adapter.variables if self._found.adapter else (), os.environ)
