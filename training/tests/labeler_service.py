"""A labeler on loopback for tests: it checks the tokens as docs/labeler.md says, and hands out zips."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "a secret that both sides have, and nobody else"


class LabelerService:
    """`datasets` by id, with the zip and the addresses of those who may see it. `hangs` and `status` are faults."""

    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.seen: set[str] = set()
        self.claims: dict[str, Any] = {}
        self.hangs, self.status = 0.0, 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (Door,), {"service": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, dataset_id: str, name: str, content: bytes, people: tuple[str, ...], **more: Any) -> None:
        facts = {"id": dataset_id, "name": name, "task_type": "detection", "images": 8, "classes": 2}
        self.datasets[dataset_id] = {"facts": facts, "zip": content, "people": people, "download": True, **more}

    def refusal(self, header: str) -> str:
        """What is wrong with a token; empty for a good one, whose claims are kept."""
        try:
            kind, _, token = header.partition(" ")
            signed, _, signature = token.rpartition(".")
            head, claims = (json.loads(_bytes(part)) for part in signed.split("."))
        except ValueError:
            return "no token"
        good = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
        if (
            kind != "Bearer"
            or head != {"alg": "HS256", "typ": "JWT"}
            or not hmac.compare_digest(good, _bytes(signature))
        ):
            return "signature"
        if claims["aud"] != "labeler" or not claims["iss"]:
            return "audience"
        if not claims["iat"] - 5 <= time.time() < claims["exp"] <= claims["iat"] + 300:
            return "expired"
        if claims["jti"] in self.seen:
            return "replayed"
        self.seen.add(claims["jti"])
        self.claims = claims
        return ""


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Door(BaseHTTPRequestHandler):
    service: LabelerService

    def do_GET(self) -> None:
        if self.path.startswith("/zip/"):
            return self.answer(200, self.service.datasets[self.path.removeprefix("/zip/")]["zip"])
        return self.do_POST()

    def do_POST(self) -> None:
        service = self.service
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
        service.calls[self.path] += 1
        time.sleep(service.hangs)
        if service.status:
            return self.answer(service.status, b"{}")
        if wrong := service.refusal(self.headers["Authorization"] or ""):
            return self.answer(401, json.dumps({"error": wrong}).encode())
        return self.answer(*self.handled(asked))

    def handled(self, asked: dict[str, Any]) -> tuple[int, bytes]:
        who = self.service.claims.get("email")
        mine = {name: one for name, one in self.service.datasets.items() if who in one["people"]}
        top, *rest = self.path.strip("/").split("/")
        if top == "health":
            return 200, b"{}"
        if not rest or rest == ["batch"]:
            chosen = [one["facts"] for name, one in mine.items() if not rest or name in asked["ids"]]
            return 200, json.dumps({"datasets": chosen}).encode()
        if rest[0] not in mine:
            return 404, b"{}"
        one = mine[rest[0]]
        if rest[1:] == ["permission"]:
            return 200, json.dumps({"download": one["download"]}).encode()
        if rest[1:] == ["download-url"]:
            sha256 = one.get("sha256") or hashlib.sha256(one["zip"]).hexdigest()
            told = {"url": f"{self.service.url}/zip/{rest[0]}", "size": len(one["zip"]), "sha256": sha256}
            return 200, json.dumps(told).encode()
        return 200, json.dumps(one["facts"]).encode()

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
