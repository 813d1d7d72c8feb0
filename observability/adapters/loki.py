"""Loki: a job's log lines, over its push API; metrics and settings are not sent."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from observability.base import (
    REFUSED,
    Adapter,
    AdapterError,
    Ending,
    JobFacts,
    LogLine,
    Losses,
    Report,
    State,
    Variable,
)
from observability.failures import Failures

SECONDS = 30
TOO_OLD = re.compile(r"too far behind|timestamp too old|greater than max age")
OLDEST = re.compile(r"oldest acceptable timestamp is: ([\d\-]+T[\d:]+Z)")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
PERMANENT = {400, 401, 403, 404, 405, 415}


class Loki(Adapter):
    """One stream for each job, source and level. Loki ignores a line that its stream already has at that time."""

    name = "loki"
    label = "Loki"
    variables = (
        Variable("LOKI_URL", "Loki's address, without /loki/api/v1/push", required=True),
        Variable("LOKI_USERNAME", "User, where Loki (or a proxy before it) asks for one"),
        Variable("LOKI_PASSWORD", "That user's password", secret=True),
        Variable("LOKI_TENANT", "Tenant, sent as X-Scope-OrgID"),
        Variable("LOKI_LABELS", "Labels for all streams: site=seoul,team=vision"),
    )
    losses = Losses(
        no_points=True,
        notes="Log lines only; two equal lines at the same time are one. Lines that are too old for Loki "
        "(reject_old_samples_max_age, a week; or an hour behind their stream's newest) are left out; the ledger says "
        "how many.",
    )
    repeats_harmless = True
    takes_lines = True

    def initialize(self, config: Mapping[str, str]) -> None:
        import httpx

        self._failures = Failures(self.variables, config, lambda error: isinstance(error, httpx.InvalidURL))
        self._labels = _labels(config.get("LOKI_LABELS", ""))
        user = config.get("LOKI_USERNAME")
        self._client = httpx.Client(
            base_url=config["LOKI_URL"].rstrip("/"),
            auth=(user, config.get("LOKI_PASSWORD", "")) if user else None,
            headers={"X-Scope-OrgID": config["LOKI_TENANT"]} if config.get("LOKI_TENANT") else {},
            timeout=SECONDS,
        )

    def check(self) -> str:
        return str(self._request("GET", "/loki/api/v1/status/buildinfo").json().get("version", ""))

    def create_experiment(self, job: JobFacts, state: State) -> str:
        state["labels"] = {"organization": job.organization, "project": job.project, "trainer": job.trainer}
        return f"job-{job.job_id}"

    def log_parameters(self, experiment_id: str, parameters: Mapping[str, Any], state: State) -> None:
        """Nothing: Loki holds lines."""

    def log_metrics(self, experiment_id: str, reports: Sequence[Report], state: State) -> None:
        """Nothing: Loki holds lines."""

    def log_lines(self, experiment_id: str, lines: Sequence[LogLine], state: State) -> None:
        streams: dict[tuple[str, str], list[list[str]]] = {}
        for line in lines:
            nanoseconds = str(round(line.time * 1_000_000) * 1000)
            streams.setdefault((line.source, line.level), []).append([nanoseconds, line.message])
        common = {**self._labels, **state.get("labels", {}), "job": experiment_id}
        body = [
            {"stream": {**common, "source": source, "level": level}, "values": values}
            for (source, level), values in streams.items()
        ]
        if self._too_old(body) and (refused := sum(map(self._left_out, body))):
            state[REFUSED] = state.get(REFUSED, 0) + refused

    def _left_out(self, stream: Mapping[str, Any]) -> int:
        """Send what Loki takes of a stream; how many lines it does not. It says how old they may be, to the second."""
        values = stream["values"]
        if not values or not (said := self._too_old([stream])):
            return 0
        if len(values) == 1:
            return 1
        oldest = min((datetime.fromisoformat(found).timestamp() for found in OLDEST.findall(said)), default=0.0)
        young = [value for value in values if int(value[0]) >= oldest * 1e9]
        if len(young) < len(values):
            return len(values) - len(young) + self._left_out({**stream, "values": young})
        halves = values[: len(values) // 2], values[len(values) // 2 :]
        return sum(self._left_out({**stream, "values": half}) for half in halves)

    def _too_old(self, body: Sequence[Mapping[str, Any]]) -> str:
        """Push streams; what Loki says of lines that are too old for it. It keeps the others of the same push."""
        answer = self._request("POST", "/loki/api/v1/push", {"streams": body}, refusable=True)
        return "" if answer.is_success else str(answer.text)

    def finalize(self, experiment_id: str, ending: Ending, state: State) -> None:
        """Nothing: a stream has no end."""

    def _request(self, method: str, path: str, body: Any = None, refusable: bool = False) -> Any:
        """The answer; one that says that lines are too old only where that is expected. Raises AdapterError."""
        with self._failures.translated("speaking to Loki"):
            answer = self._client.request(method, path, json=body)
        status = answer.status_code
        if answer.is_success or (refusable and status == 400 and TOO_OLD.search(answer.text)):
            return answer
        said = self._failures.hidden(f"Loki answered {status}: {answer.text}")
        wait = answer.headers.get("Retry-After", "")
        facts = {"permanent": status in PERMANENT, "batch": body is not None and status in (400, 413)}
        raise AdapterError(said, retry_after=float(wait) if wait.isdigit() else None, **facts)


def _labels(text: str) -> dict[str, str]:
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    for name, equals, _ in pairs:
        if not equals or not LABEL.fullmatch(name):
            raise AdapterError(f"LOKI_LABELS must look like site=seoul,team=vision; {name!r} does not.", permanent=True)
    return {name: value for name, _, value in pairs}
