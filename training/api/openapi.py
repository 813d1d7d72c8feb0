"""The OpenAPI document: what every operation has in common, said once for all of them, and an example for each."""

import re
from typing import Any

from training.api.problems import PROBLEM, TITLES

TAGS = {
    "jobs": "Training jobs: made, queued, followed, cancelled and run again.",
    "metrics": "What a job has measured: series for charts, and tables to keep.",
    "checkpoints": "The weights that jobs have saved.",
    "weights": "Pretrained weights: kept once, for jobs to begin from.",
    "inference": "Quick tests: a job's model tried on a picture.",
    "datasets": "Images with labels, as they were imported.",
    "projects": "Projects, and the experiments that group their jobs.",
    "presets": "Settings that an organization keeps under a name.",
    "imports": "Datasets on their way: from a folder of the server, an uploaded archive, an object store.",
    "alerts": "Who is told what happens in a project's jobs, where, and what was sent.",
    "people": "Organizations: members, invitations, API keys, and the audit log.",
    "deliveries": "What the tracking tools have heard of a job.",
    "workers": "The machines that train, their slots, and what runs there.",
    "trainers": "What can be trained, and with which settings.",
}
PROBLEM_SCHEMA = {
    "title": "Problem",
    "description": "An error, in the form of RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["about:blank"]},
        "title": {"type": "string", "description": "The kind of error, in a few words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What is wrong this time."},
        "request_id": {"type": "string", "description": "The log of the server knows the call by this id."},
        "errors": {
            "type": "array",
            "description": "Each field that won't do.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
IDEMPOTENCY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "schema": {"type": "string", "maxLength": 128, "pattern": r"^[\x21-\x7e]*$"},
    "description": "The same key within a day makes the call once: its repeats get the first answer, another call 409.",
}
HEADERS = {
    "X-Request-ID": ("string", "The id of this call; your own, if you sent a plain one."),
    "RateLimit-Limit": ("integer", "Calls a minute."),
    "RateLimit-Remaining": ("integer", "Calls that are left in this minute."),
    "RateLimit-Reset": ("integer", "Seconds until the next minute."),
}
SECURITY = {
    "KeyAuth": "An API key, from your key page: `Authorization: Bearer vtk_…`.",
    "SessionAuth": "The session of a signed-in browser; what changes anything needs its CSRF token too.",
}
DEPTH = 6


def described(document: dict[str, Any]) -> dict[str, Any]:
    """The document of django-ninja with the frame's parts: errors, headers, keys, tags and examples."""
    parts = document["components"]
    parts["schemas"]["Problem"] = PROBLEM_SCHEMA
    parts["responses"] = {f"Problem{status}": _problem_response(status) for status in TITLES}
    parts["headers"] = {name: _header(kind, text) for name, (kind, text) in HEADERS.items()}
    for name, text in SECURITY.items():
        parts.get("securitySchemes", {}).get(name, {})["description"] = text
    used: dict[str, None] = {}
    for address, methods in document["paths"].items():
        for method, operation in methods.items():
            _operation(parts, address, method, operation)
            used |= dict.fromkeys(operation.get("tags", []))
    document["tags"] = [{"name": tag, "description": TAGS.get(tag, "")} for tag in {**TAGS, **used} if tag in used]
    return document


def _operation(parts: dict[str, Any], address: str, method: str, operation: dict[str, Any]) -> None:
    operation["summary"] = sentence_of(operation.get("description", "")) or operation["summary"]
    operation["responses"] = {str(status): answer for status, answer in operation["responses"].items()}
    for status, answer in operation["responses"].items():
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}
        for content in answer.get("content", {}).values():
            if "schema" in content:
                content.setdefault("example", example_of(content["schema"], parts["schemas"]))
        if status == "200":
            answer["description"] = "Done"
    for status in _refusals(method, operation):
        operation["responses"].setdefault(str(status), {"$ref": f"#/components/responses/Problem{status}"})
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content.setdefault("example", example_of(content["schema"], parts["schemas"]))
    named = {one["name"] for one in operation["parameters"]}
    if method == "post" and IDEMPOTENCY["name"] not in named:
        operation["parameters"].append(IDEMPOTENCY)


def sentence_of(text: str) -> str:
    """The first sentence of a description, as a title: up to its full stop, colon or semicolon."""
    return re.split(r"[.:;](?=\s|$)", " ".join(text.split()), maxsplit=1)[0]


def _refusals(method: str, operation: dict[str, Any]) -> list[int]:
    """The statuses by which this operation may refuse."""
    common = [400, 401, 403, 404, 429, 500, 503]
    body = [413, 415, 422] if "requestBody" in operation else []
    return common + ([] if method == "get" else [409, 412]) + body


def _problem_response(status: int) -> dict[str, Any]:
    example = {"type": "about:blank", "title": TITLES[status], "status": status, "detail": "What is wrong this time."}
    example |= {"request_id": "4f1c2a9d8e7b4c6f9a0b1c2d3e4f5a6b"}
    if status in (400, 422):
        example["errors"] = [{"field": "limit", "message": "Input should be less than or equal to 100"}]
    headers = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
    if status in (429, 503):
        headers["Retry-After"] = _header("integer", "Seconds to wait.")
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return {"description": TITLES[status], "headers": headers, "content": content}


def _header(kind: str, text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": kind}}


def example_of(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """An example of what a schema takes: from its own examples and defaults, else by its type."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas, depth)
    for told in ("examples", "enum"):
        if schema.get(told):
            return schema[told][0]
    for given in ("example", "const", "default"):
        if schema.get(given) is not None:
            return schema[given]
    if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return example_of(choices[0], schemas, depth)
    return _by_type(schema, schemas, depth)


def _by_type(schema: dict[str, Any], schemas: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {}) if depth < DEPTH else {}
        return {name: example_of(field, schemas, depth + 1) for name, field in fields.items()}
    if kind == "array":
        return [example_of(schema["items"], schemas, depth + 1)] if schema.get("items") and depth < DEPTH else []
    if kind == "string":
        return {"date-time": "2026-11-21T08:17:26Z", "date": "2026-11-21"}.get(schema.get("format", ""), "text")
    numbers = {"integer": 1, "number": 0.5, "boolean": True}
    return max(schema.get("minimum", 0), numbers[kind]) if kind in ("integer", "number") else numbers.get(str(kind))
