"""The SDK's own remarks, on standard error, which the supervisor keeps as log lines."""

from __future__ import annotations

import contextlib
import sys


def remark(text: str) -> None:
    """Write a line; never raises, though nobody may be reading any more, or the disk be full."""
    with contextlib.suppress(OSError, ValueError):
        print(f"trainer sdk: {text}", file=sys.stderr, flush=True)
