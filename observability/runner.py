"""The process of one backend: imports the adapter, and makes the calls that its parent asks for, one at a time.

Run as `python -m observability.runner FILE FD`. FD is a socket to the parent;
when it closes, for whatever reason, this process and all that it has started
end at once, also in the middle of a call. It knows no Django, no database and
no secret but the variables of its own adapter, which come over the socket once
no other process of its user can look into this one.
"""

import ctypes
import os
import queue
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from observability.base import Adapter, AdapterError
from observability.discovery import load
from observability.family import family_kill
from observability.wire import Message, arguments, frame, receive_all, unframe

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
GIVE_WAY = 5  # as of nice(1): a third of the share of a process that does not give way
STATELESS = {"check", "get_metrics", "get_experiment_url"}
Requests = queue.SimpleQueue[Message]


def main() -> None:
    path, connection = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    share = session_share()  # opened while this process may: soon its files in /proc belong to root
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # as platform_site/privacy.py, which knows the site
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # should a call never let the reader run
    os.dup2(2, 1)  # what an SDK prints belongs to its last words
    requests: Requests = queue.SimpleQueue()
    threading.Thread(target=_read, args=(connection, requests), daemon=True).start()
    adapter: Adapter | None = None
    while True:
        request = requests.get()
        try:
            if adapter is None:
                adapter = adapter_open(path, *request["arguments"])
                give_way(share)  # its SDK is imported, which takes seconds of a processor and must not time out
                answer = {"result": None, "state": request["state"]}
            else:
                answer = call(adapter, request)
        except Exception as error:  # whatever an SDK raises: the parent decides what it means
            answer = failure(error)
        connection.sendall(frame(answer))


def session_share() -> TextIO | None:
    """Where Linux is told how much this session gives way, if it shares processors among sessions first."""
    try:
        return Path("/proc/self/autogroup").open("w")
    except OSError:
        return None


def give_way(share: TextIO | None) -> None:
    """Leave the processors to whoever takes and shows reports; nobody there waits for a lock of this process."""
    os.setpriority(os.PRIO_PROCESS, 0, max(GIVE_WAY, os.getpriority(os.PRIO_PROCESS, 0)))
    if share is not None:
        with suppress(OSError), share:
            share.write(str(GIVE_WAY))


def adapter_open(path: Path, variables: dict[str, str]) -> Adapter:
    """The first request, which brings the adapter's variables. They are in the environment too, for its SDK."""
    os.environ.update(variables)
    adapter = load(path)()
    adapter.initialize(variables)
    return adapter


def call(adapter: Adapter, request: Message) -> Message:
    """Make one call; its result, and the state as the call has left it."""
    name, state = request["call"], request["state"]
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
