"""A loopback Loki: its push endpoint, which keeps lines as Loki does and checks what it is sent."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from observability.standins.loopback import Answer, loopback

USER, PASSWORD = "loki-user", "loki-password-of-the-tests"
LABEL = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Server:
    """Lines by stream; a line that its stream already has at that time is ignored, as Loki's ingester does."""

    def __init__(self) -> None:
        self.streams: dict[str, list[tuple[int, str]]] = {}
        self.refuse = 0
        self.oldest = 0.0  # seconds since 1970: older lines are refused, the others of the same push are kept
        self.tells_oldest = True
        self.pushes = 0

    def respond(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self.refuse:
            return self.refuse, b"refused"
        if headers.get("Authorization") != "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode():
            return 401, b"no such user"
        if path == "/loki/api/v1/status/buildinfo":
            return 200, b'{"version": "3.0.0"}'
        assert (path, headers.get("Content-Type")) == ("/loki/api/v1/push", "application/json")
        self.pushes += 1
        said = [self._keep(stream["stream"], stream["values"]) for stream in json.loads(body)["streams"]]
        return (400, "".join(said).encode()) if any(said) else (204, b"")

    def _keep(self, labels: Mapping[str, str], values: list[list[str]]) -> str:
        """Keep what is young enough; what Loki says of the rest (pkg/ingester/stream.go in its repository)."""
        assert all(LABEL.fullmatch(name) and isinstance(value, str) for name, value in labels.items())
        lines = self.streams.setdefault(json.dumps(labels, sort_keys=True), [])
        old = [int(nanoseconds) for nanoseconds, _ in values if int(nanoseconds) < self.oldest * 1e9]
        for nanoseconds, line in values:
            if int(nanoseconds) >= self.oldest * 1e9 and (int(nanoseconds), line) not in lines:
                lines.append((int(nanoseconds), line))
        told = (
            f", oldest acceptable timestamp is: {moment(self.oldest):%Y-%m-%dT%H:%M:%SZ}" if self.tells_oldest else ""
        )
        said = "entry with timestamp {:%Y-%m-%d %H:%M:%S.%f} +0000 UTC ignored, reason: 'entry too far behind{}',\n"
        listed = "".join(said.format(moment(one / 1e9), told) for one in old[:10])
        return f"{listed}total ignored: {len(old)} out of {len(values)} for stream: {labels}\n" if old else ""


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


servers: dict[str, Server] = {}


@contextmanager
def backend(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables that reach it; `servers` holds its inside under its address."""
    server = Server()
    with loopback(server.respond) as address:
        servers[address] = server
        yield {"LOKI_URL": address, "LOKI_USERNAME": USER, "LOKI_PASSWORD": PASSWORD}
    del servers[address]


def read(experiment_id: str, config: Mapping[str, str]) -> dict[str, list[tuple[int, float, float]]]:
    """Always empty: Loki holds lines."""
    return {}
