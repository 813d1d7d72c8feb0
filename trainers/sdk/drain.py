"""Send what a dead trainer's spool still holds: `python -m trainers.sdk.drain --seconds 30`.

Reads SPOOL_DIR, CALLBACK_URL and CALLBACK_TOKEN; prints one line; exits 0 when all was delivered or refused for
good, 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from trainers.sdk.connection import Connection
from trainers.sdk.delivery import Delivery
from trainers.sdk.errors import SpoolInUse
from trainers.sdk.letters import Letters
from trainers.sdk.spool import Spool
from trainers.sdk.stopping import StopSignal


def drain(folder: Path, url: str, token: str, seconds: float) -> tuple[bool, str]:
    """Deliver a spool within `seconds`: whether nothing is left to do, and a sentence. Raises SpoolInUse, OSError."""
    spool, connection = Spool(folder), Connection(url.rstrip("/"), token, max(1.0, min(30.0, seconds)))
    try:
        delivery = Delivery(spool, Letters(folder), connection, StopSignal())
        before, deadline = spool.pending, time.monotonic() + seconds
        while not delivery.done and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(delivery.try_once(), left))
        sentence = f"{before - spool.pending} of {before} records delivered"
        if delivery.refused:
            return True, f"{sentence}, the rest refused: {delivery.refused}"
        return delivery.done, sentence if delivery.done else f"{sentence}: {delivery.trouble or 'out of time'}"
    finally:
        spool.close()
        connection.close()


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to try")
    seconds = parser.parse_args().seconds
    try:
        names = ("SPOOL_DIR", "CALLBACK_URL", "CALLBACK_TOKEN")
        folder, url, token = (os.environ[name] for name in names)
        done, sentence = drain(Path(folder), url, token, seconds) if Path(folder).is_dir() else (True, "no spool")
    except KeyError as error:
        done, sentence = False, f"{error.args[0]} is not set"
    except (SpoolInUse, OSError) as error:
        done, sentence = False, str(error)
    print(f"drain: {sentence}", flush=True)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
