"""A Kubernetes cluster of one machine for the tests: its API on loopback, and containers as processes.

Every body that comes in is read by the official client's own models, and has to say nothing that these don't know.
Pods wait for their Secret, have their mounts as folders, are probed, ended by TERM and after their grace by KILL, and
ended when they take more memory than their limit, as a kubelet does it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import yaml
from kubernetes import client

TOKEN = "the-workers-own-token"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def checked(kind: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The body, if the client's model knows every word of it. Raises ValueError."""
    known = json.loads(kind.from_dict(body).to_json())
    if missing := list(unknown(body, known)):
        raise ValueError(f"unknown or wrong: {missing}")
    return body


def unknown(body: Any, known: Any, path: str = "") -> Any:
    if isinstance(body, dict):
        for key, value in body.items():
            if not isinstance(known, dict) or key not in known:
                yield f"{path}/{key}"
            else:
                yield from unknown(value, known[key], f"{path}/{key}")
    elif isinstance(body, list):
        for number, value in enumerate(body):
            yield from unknown(value, known[number], f"{path}/{number}")
    elif body != known:
        yield f"{path}: {body!r} became {known!r}"


@dataclass
class Container:
    spec: dict[str, Any]
    process: "subprocess.Popen[bytes] | None" = None
    lines: list[bytes] = field(default_factory=list)
    reason: str = ""

    def start(self, pod: "Pod", root: Path) -> None:
        folders = {mount["mountPath"]: str(root / mount["name"]) for mount in self.spec["volumeMounts"]}
        for folder in folders.values():
            Path(folder).mkdir(parents=True, exist_ok=True)

        def placed(text: str) -> str:
            return re.sub("^(" + "|".join(map(re.escape, folders)) + ")(?=/|$)", lambda found: folders[found[1]], text)

        environment = {"PATH": os.environ["PATH"]}
        for one in self.spec["env"]:
            secret = one.get("valueFrom", {}).get("secretKeyRef")
            environment[one["name"]] = pod.secret[secret["key"]] if secret else placed(one["value"])
        self.environment = environment | {"PYTHONPATH": str(pod.images)}
        self.process = self.run(self.spec["command"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, daemon=True).start()

    def run(self, command: list[str], **more: Any) -> "subprocess.Popen[bytes]":
        found = [sys.executable if word == "python" else word for word in command]
        return subprocess.Popen(found, env=self.environment, start_new_session=True, **more)

    def _read(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(f"{now()} ".encode() + line)

    @property
    def code(self) -> int | None:
        found = self.process.poll() if self.process else None
        return found if found is None or found >= 0 else 128 - found

    def end(self, number: int) -> None:
        """A kubelet's TERM goes to the first process, its KILL to all of the container."""
        if self.process is None or self.process.poll() is not None:
            return
        try:
            family = psutil.Process(self.process.pid).children(recursive=True) if number == signal.SIGKILL else []
            self.process.send_signal(number)
            for process in family:
                process.kill()
        except psutil.NoSuchProcess:  # it has just ended
            return

    def status(self) -> dict[str, Any]:
        state: dict[str, Any]
        if self.process is None:
            state = {"waiting": {"reason": "CreateContainerConfigError", "message": "its secret was not found"}}
        elif self.code is None:
            state = {"running": {"startedAt": now()}}
        else:
            reason = self.reason or ("Completed" if self.code == 0 else "Error")
            state = {"terminated": {"exitCode": self.code, "reason": reason, "finishedAt": now()}}
        return {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": "",
            "restartCount": 0,
            "state": state,
        } | {"ready": self.process is not None}


class Pod:
    def __init__(self, job: dict[str, Any], root: Path, images: Path) -> None:
        template = job["spec"]["template"]
        self.job, self.root, self.images = job["metadata"]["name"], root, images
        self.name = f"{self.job}-{uuid.uuid4().hex[:5]}"
        self.labels = template["metadata"]["labels"] | {"job-name": self.job}
        self.spec = template["spec"]
        self.containers = [Container(one) for one in self.spec["containers"]]
        self.secret: dict[str, str] = {}
        self.deadline: float | None = None  # of its end, once that is asked
        self.conditions: list[dict[str, str]] = []
        self.blocked = ""  # why it is not scheduled
        self.waiting = ""  # why its containers are not made

    @property
    def ended(self) -> bool:
        return all(one.code is not None for one in self.containers)

    def begin(self) -> None:
        for one in self.containers:
            one.start(self, self.root / self.name)

    def stop(self, seconds: float) -> None:
        self.deadline = min(self.deadline or 1e18, time.monotonic() + seconds)
        for one in self.containers:
            one.end(signal.SIGTERM)

    def told(self) -> dict[str, Any]:
        codes = [one.code for one in self.containers]
        phase = "Running" if any(one.process for one in self.containers) else "Pending"
        if self.ended:
            phase = "Failed" if any(codes) else "Succeeded"
        conditions = list(self.conditions)
        if self.blocked:
            conditions.append(
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": self.blocked}
            )
        metadata: dict[str, Any] = {"name": self.name, "labels": self.labels}
        statuses = [] if self.blocked else [one.status() for one in self.containers]
        if self.waiting and statuses:
            statuses[0]["state"] = {"waiting": {"reason": self.waiting, "message": "it can't be had"}}
        status = {"phase": phase, "conditions": conditions, "containerStatuses": statuses}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.spec, "status": status}


class Cluster:
    """`blocked` keeps new pods from a node, `waiting` their containers from being made; `away` answers 503 to all."""

    def __init__(self, folder: Path, images: Path) -> None:
        self.folder, self.images = folder, images
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, Pod] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.blocked = self.waiting = ""
        self.away = False
        self.break_logs_after: int | None = None
        self.lock = threading.RLock()
        self._over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"cluster": self}))
        self.threads = [
            threading.Thread(target=target, daemon=True) for target in (self.server.serve_forever, self._kubelet)
        ]
        for thread in self.threads:
            thread.start()

    def kubeconfig(self) -> Path:
        server = {"server": f"http://127.0.0.1:{self.server.server_port}"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "one",
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "worker"}}],
            "clusters": [{"name": "one", "cluster": server}],
            "users": [{"name": "worker", "user": {"token": TOKEN}}],
        }
        path = self.folder / "kubeconfig.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def close(self) -> None:
        self._over.set()
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            for pod in self.pods.values():
                for one in pod.containers:
                    one.end(signal.SIGKILL)

    def _kubelet(self) -> None:
        probed: dict[str, float] = {}
        while not self._over.wait(0.05):
            with self.lock:
                for pod in list(self.pods.values()):
                    self._tend(pod, probed)

    def _tend(self, pod: Pod, probed: dict[str, float]) -> None:
        pod.blocked, pod.waiting = self.blocked, self.waiting
        secret = self.secrets.get(pod.job)
        if not pod.secret and secret and not (self.blocked or self.waiting):
            pod.secret = secret["stringData"]
            pod.begin()
        if pod.deadline is not None and time.monotonic() > pod.deadline:
            for one in pod.containers:
                one.end(signal.SIGKILL)
        if pod.deadline is not None and (pod.ended or not pod.secret):
            del self.pods[pod.name]
        trainer = pod.containers[0]
        if trainer.process is None or trainer.code is not None:
            return
        if (limit := trainer.spec["resources"]["limits"].get("memory")) and self._used(trainer) > int(limit):
            trainer.reason = "OOMKilled"
            trainer.end(signal.SIGKILL)
        probe = trainer.spec["livenessProbe"]
        if time.monotonic() - probed.setdefault(pod.name, time.monotonic()) >= probe["periodSeconds"]:
            probed[pod.name] = time.monotonic()
            if trainer.run(probe["exec"]["command"]).wait(10):
                about = {
                    "involvedObject": {"name": pod.name},
                    "reason": "Unhealthy",
                    "message": "Liveness probe failed: ",
                }
                self.events.append(about | {"metadata": {"name": uuid.uuid4().hex}})
                trainer.end(signal.SIGTERM)
                timer = threading.Timer(probe["terminationGracePeriodSeconds"], trainer.end, [signal.SIGKILL])
                timer.daemon = True
                timer.start()

    @staticmethod
    def _used(container: Container) -> int:
        assert container.process is not None
        try:
            family = psutil.Process(container.process.pid).children(recursive=True)
            return sum(one.memory_info().rss for one in family)
        except psutil.Error:
            return 0

    # --- the API ---------------------------------------------------------------

    def job_create(self, body: dict[str, Any]) -> dict[str, Any]:
        body = checked(client.V1Job, body)
        body["metadata"]["uid"] = str(uuid.uuid4())
        self.jobs[body["metadata"]["name"]] = body
        pod = Pod(body, self.folder, self.images)
        self.pods[pod.name] = pod
        return body

    def secret_create(self, body: dict[str, Any]) -> dict[str, Any]:
        body = checked(client.V1Secret, body)
        owner = body["metadata"]["ownerReferences"][0]
        assert self.jobs[owner["name"]]["metadata"]["uid"] == owner["uid"]
        self.secrets[body["metadata"]["name"]] = body
        return body

    def job_delete(self, name: str) -> dict[str, Any]:
        del self.jobs[name]  # KeyError: 404
        self.secrets.pop(name, None)
        for pod in self.pods.values():
            if pod.job == name:
                pod.stop(pod.spec["terminationGracePeriodSeconds"])
        return {"kind": "Status", "status": "Success"}

    def pod_delete(self, name: str, seconds: float) -> dict[str, Any]:
        pod = self.pods[name]
        pod.stop(seconds)
        return pod.told()


class Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def _answer(self, work: Callable[[str, dict[str, str], dict[str, Any]], dict[str, Any] | None]) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if self.cluster.away or self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(503 if self.cluster.away else 401, {"kind": "Status", "reason": "Unavailable"})
            return
        try:
            path = parts.path.split("/namespaces/training/")[1]
            answer = work(path, query, body)
        except (KeyError, IndexError):
            self._send(404, {"kind": "Status", "reason": "NotFound"})
        except ValueError as error:
            self.cluster.refused.append(str(error))
            self._send(422, {"kind": "Status", "reason": "Invalid", "message": str(error)})
        else:
            if answer is not None:
                self._send(200, answer)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _get(self, path: str, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any] | None:
        cluster = self.cluster
        if path.endswith("/log"):
            self._log(cluster.pods[path.split("/")[1]], query)
            return None
        with cluster.lock:
            if path == "pods":
                found = [pod.told() for pod in cluster.pods.values() if chosen(pod.labels, query)]
                return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found}
            if path == "jobs":
                jobs = [job for job in cluster.jobs.values() if chosen(job["metadata"]["labels"], query)]
                return {"kind": "JobList", "apiVersion": "batch/v1", "metadata": {}, "items": jobs}
            if path == "events":
                fields = dict(pair.split("=") for pair in query["fieldSelector"].split(","))
                events = [
                    event
                    for event in cluster.events
                    if (event["involvedObject"]["name"], event["reason"])
                    == (fields["involvedObject.name"], fields["reason"])
                ]
                return {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": events}
        raise KeyError(path)

    def _post(self, path: str, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        with self.cluster.lock:
            return {"jobs": self.cluster.job_create, "secrets": self.cluster.secret_create}[path](body)

    def _delete(self, path: str, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        with self.cluster.lock:
            if path == "jobs":
                for name, job in list(self.cluster.jobs.items()):
                    if chosen(job["metadata"]["labels"], query):
                        self.cluster.job_delete(name)
                return {"kind": "Status", "status": "Success"}
            kind, name = path.split("/")
            if kind == "jobs":
                return self.cluster.job_delete(name)
            return self.cluster.pod_delete(name, float(query["gracePeriodSeconds"]))

    def _log(self, pod: Pod, query: dict[str, str]) -> None:
        container = next(one for one in pod.containers if one.spec["name"] == query["container"])
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        since = datetime.now(UTC).timestamp() - float(query.get("sinceSeconds", 1e9))
        sent = 0
        while True:
            over = container.code is not None
            while sent < len(container.lines):
                line = container.lines[sent]
                sent += 1
                if datetime.fromisoformat(line.split(b" ")[0].decode()).timestamp() >= since:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                    if self.cluster.break_logs_after is not None:
                        self.cluster.break_logs_after -= 1
                        if self.cluster.break_logs_after < 0:
                            self.cluster.break_logs_after = None
                            self.close_connection = True
                            return
            if over:
                time.sleep(0.2)  # its reader may have a last line
                if sent == len(container.lines):
                    break
            time.sleep(0.02)
        self.wfile.write(b"0\r\n\r\n")


def chosen(labels: dict[str, str], query: dict[str, str]) -> bool:
    wanted = dict(pair.split("=") for pair in query["labelSelector"].split(","))
    return all(labels.get(key) == value for key, value in wanted.items())
