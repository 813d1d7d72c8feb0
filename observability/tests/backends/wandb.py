"""Weights & Biases' own offline files, read with a small reader of their log format (no service needed)."""

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from observability.standins.loopback import Answer, loopback

KEY = "k" * 39 + "1"
BLOCK, CHUNK_HEADER = 32 * 1024, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@contextmanager
def backend(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables of the offline mode."""
    yield {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path / "wandb-files")}


def payloads(content: bytes) -> Iterator[bytes]:
    """The records of a `.wandb` file: LevelDB's log format with a header of 7 bytes and plain CRC-32 (IEEE)."""
    assert content[:7] == struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
    position, record = CHUNK_HEADER, b""
    while position < len(content):
        if BLOCK - position % BLOCK < CHUNK_HEADER:
            position += BLOCK - position % BLOCK
            continue
        checksum, length, kind = struct.unpack_from("<IHB", content, position)
        payload = content[position + CHUNK_HEADER : position + CHUNK_HEADER + length]
        assert len(payload) == length, "the file was cut"
        assert zlib.crc32(bytes([kind]) + payload) == checksum, f"wrong checksum at {position}"
        record = payload if kind in (FULL, FIRST) else record + payload
        if kind in (FULL, LAST):
            yield record
        position += CHUNK_HEADER + length


def records(path: Path) -> list[Any]:
    """The file's records as W&B's own protobufs."""
    from wandb.proto import wandb_internal_pb2

    return [wandb_internal_pb2.Record.FromString(payload) for payload in payloads(path.read_bytes())]


def file_of(experiment_id: str, config: Mapping[str, str]) -> Path:
    (found,) = Path(config["WANDB_DIR"]).glob(f"wandb/*-{experiment_id.rpartition('/')[2]}/run-*.wandb")
    return found


def read(experiment_id: str, config: Mapping[str, str]) -> dict[str, list[tuple[int, float, float]]]:
    """(step, time, value) of each point by the name in the file, in the file's order."""
    told = [record.history for record in records(file_of(experiment_id, config)) if record.HasField("history")]
    return _by_name({item.nested_key[0]: json.loads(item.value_json) for item in row.item} for row in told)


class Server:
    """A W&B server as far as runs and their history go: GraphQL for a run, and lines at their offsets for its files.

    It answers what `wandb sync` and the SDK ask (core/api/graphql, core/internal/filestream in wandb's repository).
    """

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.refuse = 0

    def respond(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self.refuse:
            return self.refuse, b'{"error": "refused"}'
        if path.startswith(("/upload/", "/sdk/otel/")):  # files of the run itself, and what the SDK tells of itself
            return 200, b"{}"
        if headers.get("Authorization") != "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode():
            return 401, b'{"errors": [{"message": "user is not logged in"}]}'
        content = json.loads((gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body) or b"{}")
        if path.startswith("/files/"):
            self._stream(path.split("/")[4], content)
            return 200, b"{}"
        if "createRunFiles" in content["query"]:
            files = [
                {"name": name, "uploadUrl": f"http://{headers['Host']}/upload/x"}
                for name in content["variables"]["files"]
            ]
            answer: dict[str, Any] = {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": files}}
        else:
            answer = self._answer(content["query"], content.get("variables") or {})
        return 200, json.dumps({"data": answer}).encode()

    def _stream(self, name: str, content: Mapping[str, Any]) -> None:
        self.runs[name]["exit_code"] = content.get("exitcode") if content.get("complete") else None
        for file, part in content.get("files", {}).items():
            lines = self.runs[name]["files"].setdefault(file, [])
            lines[part["offset"] : part["offset"] + len(part["content"])] = part["content"]

    def _answer(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in query:
            run = self.runs.setdefault(variables["name"], {"files": {}, "exit_code": None})
            run.update({key: value for key, value in variables.items() if value is not None})
            return {"upsertBucket": {"bucket": self._bucket(variables["name"]), "inserted": len(run["files"]) == 0}}
        if "RunResumeStatus" in query:
            known = variables["name"] in self.runs
            bucket = self._bucket(variables["name"]) if known else None
            return {"model": {"id": "p", "name": "p", "entity": {"id": "e", "name": "team"}, "bucket": bucket}}
        viewer = {"id": "v", "name": "u", "entity": "team", "username": "u", "email": "e", "flags": "{}"}
        viewer |= {"admin": False, "deletedAt": None, "teams": {"edges": []}, "apiKeys": {"edges": []}}
        return {"viewer": viewer, "serverInfo": {"features": []}}

    def _bucket(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        history = run["files"].get("wandb-history.jsonl", [])
        project = {"id": "p", "name": run.get("project"), "entity": {"id": "e", "name": "team"}}
        return {
            "id": name,
            "name": name,
            "displayName": run.get("displayName"),
            "config": run.get("config", "{}"),
            "summaryMetrics": "{}",
            "tags": run.get("tags", []),
            "historyLineCount": len(history),
            "historyTail": json.dumps(history[-1:]),
            "eventsLineCount": 0,
            "eventsTail": "[]",
            "logLineCount": 0,
            "wandbConfig": json.dumps({"t": {}}),
            "project": project,
        }

    def rows(self, run_id: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.runs[run_id]["files"]["wandb-history.jsonl"]]


servers: dict[str, Server] = {}


@contextmanager
def online(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables of the online mode, with a server of our own; `servers` holds its inside."""
    server = Server()
    with loopback(server.respond) as address:
        servers[address] = server
        yield {
            "WANDB_MODE": "online",
            "WANDB_DIR": str(tmp_path / "wandb-files"),
            "WANDB_API_KEY": KEY,
            "WANDB_BASE_URL": address,
            "WANDB_ENTITY": "team",
        }
    del servers[address]


def read_online(experiment_id: str, config: Mapping[str, str]) -> dict[str, list[tuple[int, float, float]]]:
    """(step, time, value) of each point by the name that the server has, in the order of its lines."""
    rows = servers[config["WANDB_BASE_URL"]].rows(experiment_id.rpartition("/")[2])
    numbers = [row["_step"] for row in rows]
    assert numbers == sorted(set(numbers)), "a row is there twice, or out of order"
    return _by_name(rows)


def _by_name(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[int, float, float]]]:
    points: dict[str, list[tuple[int, float, float]]] = {}
    for row in rows:
        for name in row.keys() - {"_step", "_timestamp", "_runtime", "step", "epoch", "attempt"}:
            points.setdefault(name, []).append((row["step"], row["_timestamp"], row[name]))
    return points
