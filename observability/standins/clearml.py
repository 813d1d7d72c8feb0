"""A loopback ClearML API server: each request is checked against the schemas that the SDK ships, and kept.

As a program it serves without the checks: `python -m observability.standins.clearml PORT`.
The behaviour that matters (a scalar's identity, refused values, counted log
lines) follows clearml-server's apiserver/bll/event/event_bll.py.
"""

import base64
import hashlib
import importlib
import json
import re
import signal
import struct
import sys
import time
from collections.abc import Mapping
from functools import cache
from itertools import count
from typing import Any

from observability.standins.loopback import Answer, loopback

KEY, SECRET = "access-key-of-the-tests", "secret-key-of-the-tests"
API = "2.23"
PAGE = 20
EVENTS = {"training_stats_scalar": "MetricsScalarEvent", "log": "TaskLogEvent"}


class Server:
    """What a ClearML server knows. `refuse`: each call fails with that status. `loses`: calls whose answer is lost."""

    def __init__(self, checks: bool = True) -> None:
        self._checks, self._page = checks, PAGE if checks else 10_000
        self.tasks: dict[str, dict[str, Any]] = {}
        self.projects: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.scalars: dict[str, dict[str, Any]] = {}
        self.lines: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.refuse = 0
        self.loses: set[str] = set()
        self._numbers = count(1)

    def respond(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        action = path.split("?")[0].rpartition("/")[2]
        self.requests.append(action)
        if self.refuse:
            return self.refuse, _answer({}, self.refuse, "refused")
        if action == "debug.ping":
            return 200, _answer({"msg": "pong"})
        if action == "auth.login":
            return self._login(headers)
        if not (headers.get("Authorization") or "").startswith("Bearer "):
            return 401, _answer({}, 401, "no token")
        try:
            data = getattr(self, action.replace(".", "_"))(self._checked(action, body))
        except _refusals() as error:
            return 400, _answer({}, 400, f"{action}: {error}")
        if action in self.loses:
            self.loses.remove(action)
            return 500, _answer({}, 500, "the answer was lost")
        return 200, _answer(data)

    def _login(self, headers: Mapping[str, str]) -> Answer:
        expected = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
        if headers.get("Authorization") != expected:
            return 401, _answer({}, 401, "Invalid credentials")
        return 200, _answer({"token": _token()})

    def _checked(self, action: str, body: bytes) -> Any:
        service, _, verb = action.partition(".")
        if not self._checks:
            return (
                [json.loads(line) for line in body.splitlines()] if verb == "add_batch" else json.loads(body or b"{}")
            )
        import jsonschema

        module = importlib.import_module(f"clearml.backend_api.services.v{API.replace('.', '_')}.{service}")
        if verb == "add_batch":
            events = [json.loads(line, parse_constant=_strict) for line in body.splitlines()]
            for event in events:
                _event_checks(event["type"]).validate(event)
            return events
        request = json.loads(body or b"{}", parse_constant=_strict)
        name = "".join(part.capitalize() for part in verb.split("_")) + "Request"
        schema = getattr(module, name)._schema
        jsonschema.validate(request, schema)
        if unknown := set(request) - set(schema["properties"]) - {"method"}:  # the SDK always sends its own property
            raise ValueError(f"unknown fields {unknown}")
        return request

    def projects_get_all(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"projects": [one for one in self.projects.values() if re.search(request["name"], one["name"])]}

    def projects_create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._new(self.projects, request)

    def tasks_get_all(self, request: Mapping[str, Any]) -> dict[str, Any]:
        wanted = set(request.get("tags", []))
        found = [one for one in self.tasks.values() if not wanted or wanted & set(one.get("tags", []))]
        return {"tasks": [{field: one[field] for field in request["only_fields"]} for one in found]}

    def tasks_create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.projects[request["project"]]
        return self._new(self.tasks, {**request, "status": "created", "hyperparams": {}, "models": {}})

    def tasks_started(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self.tasks[request["task"]]["status"] != "created" and not request.get("force"):
            raise ValueError("invalid task status")
        return self._status(request, "in_progress")

    def tasks_completed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._status(request, "completed")

    def tasks_failed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._status(request, "failed")

    def tasks_stopped(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._status(request, "stopped")

    def _status(self, request: Mapping[str, Any], status: str) -> dict[str, Any]:
        self.tasks[request["task"]] |= {"status": status, "status_message": request.get("status_message")}
        self.tasks[request["task"]]["status_reason"] = request.get("status_reason")
        return {"updated": 1}

    def tasks_edit_hyper_params(self, request: Mapping[str, Any]) -> dict[str, Any]:
        for item in request["hyperparams"]:
            self.tasks[request["task"]]["hyperparams"][item["name"]] = item["value"]
        return {"updated": 1}

    def tasks_add_or_update_model(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.tasks[request["task"]]["models"][request["name"]] = self.models[request["model"]]
        return {"updated": 1}

    def models_get_all(self, request: Mapping[str, Any]) -> dict[str, Any]:
        of_task = (one for one in self.models.values() if one["task"] in request["task"])
        return {"models": [one for one in of_task if re.search(request["name"], one["name"])]}

    def models_create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._new(self.models, request), "created": True}

    def models_edit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        metadata = {item["key"]: item for item in request["metadata"]}  # asked for as a list, answered as a dict
        self.models[request["model"]] |= {"uri": request["uri"], "metadata": metadata}
        return {"updated": 1, "fields": {}}

    def events_add_batch(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        for event in events:
            self.tasks[event["task"]]
            if event["type"] == "log":
                self.lines.append(event)
                continue
            struct.pack("<f", event["value"])  # Elasticsearch's float
            stored = {**event, "value": struct.unpack("<f", struct.pack("<f", event["value"]))[0]}
            identity = "-".join(str(event[field]) for field in ("task", "iter", "metric", "variant"))
            self.scalars[hashlib.md5(identity.encode()).hexdigest()] = stored
        return {"added": len(events), "errors": 0, "errors_info": {}}

    def events_get_task_log(self, request: Mapping[str, Any]) -> dict[str, Any]:
        lines = [line for line in self.lines if line["task"] == request["task"]]
        return {"events": lines[: request["batch_size"]], "returned": 1, "total": len(lines)}

    def events_get_scalar_metric_data(self, request: Mapping[str, Any]) -> dict[str, Any]:
        wanted = (request["task"], request["metric"])
        found = [one for one in self.scalars.values() if (one["task"], one["metric"]) == wanted]
        start = int(request.get("scroll_id", 0))
        page = found[start : start + self._page]
        return {"events": page, "returned": len(page), "total": len(found), "scroll_id": str(start + self._page)}

    def _new(self, things: dict[str, dict[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
        number = f"{next(self._numbers):032x}"
        things[number] = {**request, "id": number}
        return {"id": number}


@cache
def _refusals() -> tuple[type[Exception], ...]:
    """What a request that is wrong raises; jsonschema is there where tests run."""
    try:
        from jsonschema import ValidationError
    except ImportError:
        return KeyError, ValueError
    return KeyError, ValueError, ValidationError


@cache
def _event_checks(kind: str) -> Any:
    import jsonschema

    module = importlib.import_module(f"clearml.backend_api.services.v{API.replace('.', '_')}.events")
    levels = {"enum": [level.value for level in module.LogLevelEnum]}
    return jsonschema.Draft7Validator(
        {**getattr(module, EVENTS[kind])._schema, "definitions": {"log_level_enum": levels}}
    )


def _strict(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _answer(data: Mapping[str, Any], code: int = 200, message: str = "OK") -> bytes:
    meta = {"id": "1", "trx": "1", "result_code": code, "result_subcode": 0, "result_msg": message}
    return json.dumps({"meta": meta, "data": data}).encode()


def _token() -> str:
    def part(content: Mapping[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    facts = {"exp": int(time.time()) + 86400, "api_version": API, "server_version": "2.3.0", "feature_set": "basic"}
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(facts)}.{part({'signature': 'of the tests'})}"


def main() -> None:
    """The program: serve on a port, without the checks, which take longer than all the rest."""
    with loopback(Server(checks=False).respond, int(sys.argv[1])):
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
