"""A platform for tests: the trainers' protocol on loopback, strict about numbers and sizes, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

PART_SIZE = 64 << 10
TOKEN = "attempt-token"


class Platform:
    """Keeps what it was sent. `faults` holds what the next numbered call is answered instead (see `Door.do_POST`)."""

    def __init__(self, port: int = 0, part_size: int = PART_SIZE) -> None:
        self.records: list[tuple[int, str, Any]] = []
        self.last_no, self.repeats = 0, 0
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.times: list[tuple[float, str]] = []
        self.sizes: list[int] = []
        self.faults: deque[Any] = deque()
        self.put_faults: deque[Any] = deque()
        self.over: tuple[int, dict[str, Any]] | None = None
        self.cancel = False
        self.files: dict[str, bytes] = {}
        self.gets: Counter[str] = Counter()
        self.uploads: dict[str, dict[str, Any]] = {}
        self.expired: set[str] = set()
        self.part_size, self.mutex = part_size, threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), type("OneDoor", (Door,), {"platform": self}))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1/training/jobs/42/callback"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def bodies(self, call: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == call]

    def points(self) -> list[tuple[int, dict[str, Any]]]:
        return [(number, content["metrics"]) for number, kind, content in self.records if kind == "progress"]

    def lines(self) -> list[dict[str, Any]]:
        return [line for _, kind, content in self.records if kind == "log" for line in content["lines"]]

    def take(self, call: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Numbers must follow each other: a repeat is dropped, a gap refuses the request from there on."""
        items = reports_in(body) if call == "progress" else body.get("batches") or [body]
        if call == "progress" and not 1 <= len(items) <= 1000:
            return 413, {"error": "too many"}
        stored, repeats, errors = 0, 0, []
        for item in items:
            number = item.get("no")
            if number is not None and number <= self.last_no:
                repeats += 1
                continue
            if number is not None and number != self.last_no + 1:
                return 409, {"error": "gap", "expected": self.last_no + 1}
            self.last_no = number or self.last_no
            reason = fault_of(call, item)
            if reason:
                errors.append({"no": number, "reason": reason})
            else:
                self.records.append((number or 0, call, item))
                stored += 1
        self.repeats += repeats
        answer = {"stored": stored, "repeats": repeats, "refused": len(errors), "errors": errors}
        return (400 if errors else 200), {**answer, "last_no": self.last_no, "seq": 0, "cancel": self.cancel}

    def urls(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        wanted = body.get("get", [])
        if len(wanted) > 1000 or any(name not in self.files for name in wanted):
            return 404, {"error": "no such file"}
        serial = len(self.calls)
        for entry in body.get("put", []):
            self.uploads.setdefault(f"jobs/42/{entry['name']}-{entry['sha256'][:8]}", {"data": b"", **entry})
        keys = {entry["name"]: f"jobs/42/{entry['name']}-{entry['sha256'][:8]}" for entry in body.get("put", [])}
        base = f"http://127.0.0.1:{self.port}"
        return 200, {
            "get": {name: f"{base}/get/{name}?signature={serial}" for name in wanted},
            "put": {
                name: {"key": key, "url": f"{base}/put/{key}?signature={serial}", "part_size": self.part_size}
                for name, key in keys.items()
            },
            "expires": time.time() + 3600,
        }

    def checkpoint(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        upload = self.uploads.get(body["key"])
        whole = upload and hashlib.sha256(upload["data"]).hexdigest() == body["sha256"] == upload["sha256"]
        return (200, {}) if whole and len(upload["data"]) == body["size"] else (400, {"error": "not the object"})

    def put(self, key: str, content_range: str, content: bytes) -> tuple[int, dict[str, Any]]:
        upload = self.uploads[key]
        span, _, size = content_range.removeprefix("bytes ").partition("/")
        first, last = map(int, span.split("-"))
        if int(size) != upload["size"] or len(content) > self.part_size or len(content) != last - first + 1:
            return 400, {"error": "not what was signed"}
        if first != len(upload["data"]):
            return 409, {"received": len(upload["data"])}
        upload["data"] += content
        if last + 1 == upload["size"] and hashlib.sha256(upload["data"]).hexdigest() != upload["sha256"]:
            upload["data"] = b""
            return 422, {"error": "checksum"}
        return 200, {"received": len(upload["data"])}


def reports_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    """All forms of `progress` as plain reports."""
    if "metrics" in body or "reports" in body:
        return body.get("reports") or [body]
    blocks = body.get("blocks", [body])
    return [
        {"no": no, "epoch": epoch, "step": step, "time": at, "metrics": dict(zip(block["names"], values, strict=True))}
        for block in blocks
        for no, epoch, step, at, values in block["rows"]
    ]


def fault_of(call: str, item: dict[str, Any]) -> str | None:
    """Why an item is refused; None if it is not."""
    if call == "log":
        return None if 1 <= len(item["lines"]) <= 1000 else "a batch has 1 to 1000 lines"
    if not 1 <= len(item["metrics"]) <= 1000 or any(not 1 <= len(name) <= 255 for name in item["metrics"]):
        return "metrics"
    return None if (item.get("step") or 0) >= 0 else "step is negative"


class Door(BaseHTTPRequestHandler):
    platform: Platform
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        content, platform = self.body(), self.platform
        call = self.path.rpartition("/")[2]
        with platform.mutex:
            platform.times.append((time.monotonic(), call))
            fault = platform.faults.popleft() if platform.faults and call in ("progress", "log", "completion") else None
            answer = self.refusal(content, call) or (fault if isinstance(fault, tuple) else None)
            if answer is None and fault != "cut before":
                body = json.loads(content)
                platform.calls.append((call, body))
                platform.sizes.append(len(content))
                answer = self.handled(call, body)
        if answer is None or fault == "cut after":
            self.cut()
        else:
            self.answer(*answer)

    def refusal(self, content: bytes, call: str) -> tuple[int, dict[str, Any]] | None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"error": "token"}
        if len(content) > 4 << 20:
            return 413, {"error": "too large"}
        return self.platform.over if call != "urls" else None

    def handled(self, call: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if call in ("progress", "log"):
            return self.platform.take(call, body)
        if call == "urls":
            return self.platform.urls(body)
        if call in ("checkpoint", "artifact"):
            return self.platform.checkpoint(body)
        if call == "heartbeat":
            return 200, {"state": "running", "cancel": self.platform.cancel, "lease_until": time.time() + 30}
        return (200, {}) if call in ("started", "completion", "inference", "export") else (404, {})

    def do_PUT(self) -> None:
        content, key = self.body(), self.path.removeprefix("/put/").partition("?")[0]
        with self.platform.mutex:
            fault = self.platform.put_faults.popleft() if self.platform.put_faults else None
            if fault == "cut after":
                self.platform.put(key, self.headers["Content-Range"], content)
            if isinstance(fault, str):
                self.cut()
            elif self.path in self.platform.expired or self.headers["Authorization"]:
                self.answer(403, {})
            else:
                self.answer(*(fault or self.platform.put(key, self.headers["Content-Range"], content)))

    def do_HEAD(self) -> None:
        key = self.path.removeprefix("/put/").partition("?")[0]
        status = 403 if self.path in self.platform.expired else 200
        self.send_response(status)
        self.send_header("X-Received", str(len(self.platform.uploads[key]["data"])))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        name = unquote(self.path.removeprefix("/get/").partition("?")[0])
        with self.platform.mutex:
            self.platform.gets[name] += 1
            status = 403 if self.path in self.platform.expired else 200
        self.answer(status, self.platform.files[name] if status == 200 else b"")

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def answer(self, status: int, data: dict[str, Any] | bytes) -> None:
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        if isinstance(data, dict) and "retry_after" in data:
            self.send_header("Retry-After", str(data["retry_after"]))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
