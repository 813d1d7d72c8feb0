"""The process of one backend: imports the adapter, and makes the calls that its parent asks for, one at a time.

Run as `python -m observability.runner FILE FD`. FD is a socket to the parent;
when it closes, for whatever reason, this process and all that it has started
end at once, also in the middle of a call. It knows no Django, no database and
no secret but the variables of its own adapter.
"""

import ctypes
import os
import queue
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from observability.base import Adapter, AdapterError
from observability.discovery import load
from observability.family import family_kill
from observability.wire import Message, arguments, frame, receive_all, unframe

PR_SET_PDEATHSIG = 1
STATELESS = {"check", "get_metrics", "get_experiment_url"}
Requests = queue.SimpleQueue[Message]


def main() -> None:
    path, connection = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # should a call never let the reader run
    os.dup2(2, 1)  # what an SDK prints belongs to its last words
    requests: Requests = queue.SimpleQueue()
    threading.Thread(target=_read, args=(connection, requests), daemon=True).start()
    adapter: Adapter | None = None
    while True:
        request = requests.get()
        try:
            if adapter is None:
                adapter = adapter_open(path)
            answer = call(adapter, request)
        except Exception as error:  # whatever an SDK raises: the parent decides what it means
            answer = failure(error)
        connection.sendall(frame(answer))


def adapter_open(path: Path) -> Adapter:
    adapter = load(path)()
    variables = [variable.name for variable in adapter.variables if variable.name in os.environ]
    adapter.initialize({name: os.environ[name] for name in variables})
    return adapter


def call(adapter: Adapter, request: Message) -> Message:
    """Make one call; its result, and the state as the call has left it."""
    name, state = request["call"], request["state"]
    if name == "open":
        return {"result": None, "state": state}
    values: list[Any] = arguments(name, request["arguments"])
    result = getattr(adapter, name)(*values, *([] if name in STATELESS else [state]))
    return {"result": result, "state": state}


def failure(error: Exception) -> Message:
    """An error in words that survive the way to the ledger."""
    if isinstance(error, AdapterError):
        facts = {"permanent": error.permanent, "retry_after": error.retry_after, "batch": error.batch}
        return {"error": str(error), **facts}
    return {"error": f"{type(error).__name__}: {error}"[:4000], "permanent": False, "retry_after": None, "batch": False}


def _read(connection: socket.socket, requests: Requests) -> None:
    try:
        while (request := unframe(partial(receive_all, connection))) is not None:
            requests.put(request)
    finally:
        family_kill(os.getpid())


if __name__ == "__main__":
    main()
