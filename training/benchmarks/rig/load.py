"""The load generator, a program of its own: many clients, one call in flight each, on kept connections.

It reads a plan from standard input and writes what it saw to standard output,
both JSON. The clients are bare asyncio protocols, the same for every server:
about 0.05 ms of a processor a call, so that what is measured is the server.
Bodies are made before the clock starts, but for the numbers that differ.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LIMIT_SECONDS = 30.0  # beyond the plan's own time: what is still unanswered then has failed
POINT_TIME = 1_760_000_000.0


class CallFailed(Exception):
    """A call was not answered 200, or less was stored than was sent."""


@dataclass(slots=True)
class Client:
    """Who calls: its address and headers, and how many reports it has had acknowledged."""

    path: str
    headers: dict[str, str]
    run: str
    reports: int = 0
    latencies: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One call in flight, its answer read by length or by chunks."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def call(self, request: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if end and self._answer is not None and (whole := whole_body(head.lower(), body)) is not None:
            self._buffer = b""
            self._answer.set_result((int(head[9:12]), whole))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(CallFailed(f"the server closed the connection: {error}"))

    def close(self) -> None:
        self._transport.close()


def whole_body(head: bytes, body: bytes) -> bytes | None:
    """The body if it has arrived whole."""
    _, found, rest = head.partition(b"content-length:")
    if found:
        return body if len(body) >= int(rest.split(b"\r\n", 1)[0]) else None
    if not body.endswith(b"0\r\n\r\n"):
        return None
    parts = []
    while body:
        size, _, body = body.partition(b"\r\n")
        parts.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return b"".join(parts)


def ours_body(names: list[str], rows: int) -> Callable[[Client], bytes]:
    """One report in the plain form, or `rows` in the compact one, with the sender's numbers."""
    values = [0.1234567 + index for index in range(len(names))]

    def plain(client: Client) -> bytes:
        no = client.reports + 1
        return b'{"no":%d,"epoch":1,"step":%d,"time":%.1f,"metrics":%b}' % (no, no, POINT_TIME, metrics)

    def compact(client: Client) -> bytes:
        first = client.reports + 1
        told = b",".join(b"[%d,1,%d,%.1f,%b]" % (no, no, POINT_TIME, row) for no in range(first, first + rows))
        return b'{"names":%b,"rows":[%b]}' % (columns, told)

    metrics = json.dumps(dict(zip(names, values, strict=True)), separators=(",", ":")).encode()
    columns, row = json.dumps(names).encode(), json.dumps(values, separators=(",", ":")).encode()
    return plain if rows == 1 else compact


def mlflow_body(names: list[str], rows: int) -> Callable[[Client], bytes]:
    """The same points in the body of MLflow's `runs/log-batch`."""
    rest = f'"timestamp":{int(POINT_TIME * 1000)},"step":'
    points = [f'{{"key":"{name}","value":{0.1234567 + index},{rest}'.encode() for index, name in enumerate(names)]

    def body(client: Client) -> bytes:
        steps = range(client.reports + 1, client.reports + 1 + rows)
        told = b",".join(b"%b%d}" % (point, step) for step in steps for point in points)
        return b'{"run_id":"%b","metrics":[%b]}' % (client.run.encode(), told)

    return body


def ours_check(body: bytes, rows: int) -> None:
    """Every report of the call was stored, and none was there before."""
    if json.loads(body).get("stored") != rows:
        raise CallFailed(f"not everything was stored: {body[:300]!r}")


def mlflow_check(body: bytes, rows: int) -> None:
    """An answer of 200 is all that MLflow says."""


DIALECTS: dict[str, tuple[Callable[[list[str], int], Callable[[Client], bytes]], Callable[[bytes, int], None]]] = {
    "ours": (ours_body, ours_check),
    "mlflow": (mlflow_body, mlflow_check),
}


class Load:
    """One run of the plan: connect, one call each to warm up, then call for `seconds`."""

    def __init__(self, plan: dict[str, Any]) -> None:
        make, self._check = DIALECTS[plan["dialect"]]
        self._address = plan["host"], plan["port"]
        self._rows = plan["rows"]
        self._seconds = plan["seconds"]
        self._clients = [Client(**client) for client in plan["clients"]]
        self._names = [f"train/metric_{index:03d}" for index in range(plan["metrics"])]
        self._body = make(self._names, self._rows)

    async def run(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        connections = [(await loop.create_connection(Connection, *self._address))[1] for _ in self._clients]
        pairs = list(zip(self._clients, connections, strict=True))
        try:
            for client, connection in pairs:
                await self._call(client, connection)
            before = sum(client.reports for client in self._clients)
            busy, start = time.process_time(), time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for client, connection in pairs:
                    group.create_task(self._calls(client, connection, start + self._seconds))
            elapsed, busy = time.perf_counter() - start, time.process_time() - busy
        finally:
            for connection in connections:
                connection.close()
        reports = sum(client.reports for client in self._clients) - before
        return self._figures(reports, elapsed, busy)

    async def _calls(self, client: Client, connection: Connection, end: float) -> None:
        while (start := time.perf_counter()) < end:
            await self._call(client, connection)
            client.latencies.append(time.perf_counter() - start)

    async def _call(self, client: Client, connection: Connection) -> None:
        body = self._body(client)
        head = f"POST {client.path} HTTP/1.1\r\nHost: {self._address[0]}:{self._address[1]}\r\n"
        told = {"Content-Type": "application/json", **client.headers, "Content-Length": str(len(body))}
        head += "".join(f"{name}: {value}\r\n" for name, value in told.items()) + "\r\n"
        status, answer = await connection.call(head.encode() + body)
        if status != 200:
            raise CallFailed(f"answered {status}: {answer[:300]!r}")
        self._check(answer, self._rows)
        client.reports += self._rows

    def _figures(self, reports: int, elapsed: float, busy: float) -> dict[str, Any]:
        latencies = sorted(value for client in self._clients for value in client.latencies)
        return {
            "calls": len(latencies) + len(self._clients),  # with those that warmed up
            "calls_per_second": len(latencies) / elapsed,
            "points_per_second": reports * len(self._names) / elapsed,
            "p50_ms": 1000 * latencies[len(latencies) // 2],
            "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
            "client_busy": busy / elapsed,
            "reports": [client.reports for client in self._clients],
        }


def main() -> int:
    """The program; exits 1 with a sentence on standard error when a call fails."""
    plan = json.load(sys.stdin)
    figures = None
    try:
        figures = asyncio.run(asyncio.wait_for(Load(plan).run(), plan["seconds"] + LIMIT_SECONDS))
    except* (CallFailed, OSError, TimeoutError) as errors:
        sys.stderr.write("; ".join(str(error) or type(error).__name__ for error in errors.exceptions) + "\n")
    json.dump(figures, sys.stdout)
    return 0 if figures else 1


if __name__ == "__main__":
    sys.exit(main())
