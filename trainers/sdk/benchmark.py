"""What `report_progress` costs the training thread: `python -m trainers.sdk.benchmark` prints one line of JSON.

The process has the sender and the heartbeat running against a live server on loopback, in a process of its own.
Times are microseconds of wall time of one call with 10 metrics: `p50` and `p99` at one report a millisecond,
`burst_p50` and `burst_p99` in a loop that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from trainers.sdk import TrainerSDK

METRICS = {f"train/metric_{number}": number / 7 for number in range(10)}


class _Taker(BaseHTTPRequestHandler):
    """Takes every report without a look at it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        content = b'{"stored":1,"repeats":0,"refused":0,"last_no":0,"seq":0,"errors":[],"cancel":false}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def serve(out: IO[str]) -> None:
    """Be the server: print the port, and serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
    print(server.server_address[1], file=out, flush=True)
    server.serve_forever()


def measure(sdk: TrainerSDK, reports: int, pause: float) -> list[float]:
    """The cost of each of `reports` calls in microseconds, with `pause` seconds of work between two."""
    costs = []
    for step in range(reports):
        begun = time.perf_counter_ns()
        sdk.report_progress(METRICS, epoch=1, step=step)
        ended = time.perf_counter_ns()
        costs.append((ended - begun) / 1000)
        while time.perf_counter_ns() - ended < pause * 1e9:
            sum(range(100))
    return sorted(costs)


def run(reports: int) -> dict[str, Any]:
    """Measure against a server in a child process."""
    command = [sys.executable, "-m", "trainers.sdk.benchmark", "--serve"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            port = server.stdout.readline().strip() if server.stdout else ""
            variables = {"CALLBACK_URL": f"http://127.0.0.1:{port}/callback", "CALLBACK_TOKEN": "benchmark"}
            variables |= {"SPOOL_DIR": str(Path(folder) / "spool"), "WORK_DIR": folder, "HEARTBEAT_SECONDS": "1"}
            with TrainerSDK(variables) as sdk:
                measure(sdk, 200, 0.001)
                paced, burst = measure(sdk, reports, 0.001), measure(sdk, reports, 0.0)
                drained = sdk.close(60)
        finally:
            server.kill()
    figures = {"p50": _at(paced, 0.5), "p99": _at(paced, 0.99), "worst": paced[-1]}
    figures |= {"burst_p50": _at(burst, 0.5), "burst_p99": _at(burst, 0.99), "burst_worst": burst[-1]}
    return {"benchmark": "report_progress", "unit": "us", "reports": reports, "drained": drained} | {
        name: round(value, 1) for name, value in figures.items()
    }


def _at(costs: list[float], share: float) -> float:
    return costs[int(len(costs) * share)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=5000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(sys.stdout)
    else:
        print(json.dumps(run(given.reports)))
