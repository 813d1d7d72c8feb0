"""Stands between a worker and its trainer, and ends all that the trainer started when the worker is gone.

Run as `python -I -S shim.py FD USER COMMAND…`. FD is a socket to the worker: `T` asks
the trainer to end, `K` ends it, and its closing, whatever the reason, does both.
USER is `uid:gid:group,group` to run the trainer as, or `-` for the worker's own.
When the trainer has ended, the shim ends what it left behind, says
`exit N` or `signal N` on the socket, and ends too. A parent-death signal
would fire when the thread that started the trainer ends, and misses grandchildren.
"""

import ctypes
import os
import select
import signal
import socket
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
PR_CAPBSET_DROP = 24
# CAP_SYS_MODULE, _RAWIO, _PTRACE, _ADMIN, _PERFMON, _BPF, _CHECKPOINT_RESTORE: Linux 6.18 opens /proc to PERFMON, too
LOOKING_INTO_OTHERS = (16, 17, 19, 21, 38, 39, 40)
PR_SET_NO_NEW_PRIVS = 38
GRACE_SECONDS = 3.0


def main() -> None:
    worker = socket.socket(fileno=int(sys.argv[1]))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # the worker decides, on the socket
    trainer = spawn(sys.argv[2], sys.argv[3:], worker.fileno())
    status = watch(trainer, worker)
    for number in descendants(os.getpid()):
        end(number, signal.SIGKILL)
    tell(worker, status)


def spawn(user: str, command: list[str], fd: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.close(fd)
        os.setsid()
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_DFL)
        confine(user)
        os.execvpe(command[0], command, os.environ)
    except OSError as error:
        os.write(2, f"{command[0]} could not be started: {error.strerror}\n".encode())
        os._exit(127)


def confine(user: str) -> None:
    """Give up what would let a trainer look into other processes, or become another user again."""
    libc = ctypes.CDLL(None)
    for capability in LOOKING_INTO_OTHERS:  # only root has them to give up
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if user != "-":
        uid, gid, groups = user.split(":")
        os.setgroups([int(group) for group in groups.split(",")])
        os.setgid(int(gid))
        os.setuid(int(uid))


def watch(trainer: int, worker: socket.socket) -> int:
    """Wait for the trainer's end, doing what the worker says; its wait status."""
    ended = os.pidfd_open(trainer)
    deadline = None
    waits: list[int | socket.socket] = [ended, worker]
    while True:
        patience = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(waits, [], [], patience)
        if ended in ready:
            return reap(trainer)
        if worker in ready:
            words = receive(worker)
            for number in descendants(os.getpid()):
                end(number, signal.SIGKILL if b"K" in words else signal.SIGTERM)
            if not words:  # the worker is gone
                waits, deadline = [ended], time.monotonic() + GRACE_SECONDS
        elif deadline is not None:
            for number in descendants(os.getpid()):
                end(number, signal.SIGKILL)
            return reap(trainer)


def receive(worker: socket.socket) -> bytes:
    try:
        return worker.recv(16)
    except ConnectionError:
        return b""


def reap(trainer: int) -> int:
    """The trainer's wait status; orphans that the shim adopted are taken along."""
    while True:
        number, status = os.wait()
        if number == trainer:
            return status


def descendants(root: int) -> list[int]:
    """Every process below `root`, children before their parents."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                parent = int(stat.read().rpartition(b")")[2].split()[1])
        except OSError:  # it ended while we looked
            continue
        children.setdefault(parent, []).append(int(name))
    found, level = [], [root]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found += level
    return found[::-1]


def end(number: int, name: int) -> None:
    try:
        os.kill(number, name)
    except ProcessLookupError:
        return


def tell(worker: socket.socket, status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    try:
        worker.sendall(f"exit {code}".encode() if code >= 0 else f"signal {-code}".encode())
    except OSError:  # nobody is left to hear it
        return


if __name__ == "__main__":
    main()
