"""The stand-in for a ClearML server, in a thread of the tests, and what it holds."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from observability.names import group_split
from observability.standins.clearml import KEY, SECRET, Server
from observability.standins.loopback import loopback

servers: dict[str, Server] = {}


@contextmanager
def backend(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables that reach it; `servers` holds its inside under its address."""
    server = Server()
    with loopback(server.respond) as address:
        servers[address] = server
        yield {"CLEARML_API_HOST": address, "CLEARML_API_ACCESS_KEY": KEY, "CLEARML_API_SECRET_KEY": SECRET}
    del servers[address]


def key(name: str) -> str:
    """How the server has a metric's name: metric and variant."""
    return "/".join(group_split(name))


def read(experiment_id: str, config: Mapping[str, str]) -> dict[str, list[tuple[int, float, float]]]:
    """(step, time, value) of each point by `metric/variant`, as the server holds them, in the order of time."""
    points: dict[str, list[tuple[int, float, float]]] = {}
    found = servers[config["CLEARML_API_HOST"]].scalars.values()
    for event in sorted(found, key=lambda event: (event["timestamp"], event["iter"])):
        assert event["task"] != experiment_id or math.isfinite(event["value"])
        if event["task"] == experiment_id:
            point = (event["iter"], event["timestamp"] / 1000, event["value"])
            points.setdefault(f"{event['metric']}/{event['variant']}", []).append(point)
    return points
