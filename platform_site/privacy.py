"""Keeps this process's environment, which holds the platform's secrets, from other processes of the same user.

A process that is not dumpable can't be attached to, and its /proc/<pid>/environ, memory and descriptors are root's
alone. So a trainer that runs as the worker's own user reads nothing of it there. It may still read what that user's
files hold: give trainers a user of their own (TRAINER_USER) where that matters.
"""

import ctypes
import os

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4


def process_hide() -> bool:
    """Make this process not dumpable; whether it is so now. It has no core dumps then, and debuggers need root."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return bool(libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)
