"""Adapters that fail, each written to a file as somebody would drop it in. What they are told lies in CALLS_DIR."""

import json
from pathlib import Path
from typing import Any

from observability.lanes import Lane
from training.jobs.transition import job_locked, job_move
from training.models import JobState, TrainingJob

HEAD = """
import json, os, signal, time
from pathlib import Path
from observability.base import Adapter, AdapterError, Losses, Variable

class Told(Adapter):
    name, label = "{name}", "{name}"
    variables = (Variable("CALLS_DIR", "where the calls are written"), Variable("{name}_KEY".upper(), "", secret=True))
    batch_points = 10
    {attributes}

    def initialize(self, config):
        self.file = Path(config["CALLS_DIR"]) / "{name}.jsonl"
        self.note("initialize", sorted(os.environ))

    def note(self, call, *said):
        with open(self.file, "a") as file:
            file.write(json.dumps([call, *said]) + "\\n")

    def trouble(self, call):
        {trouble}

    def create_experiment(self, job, state):
        self.trouble("create_experiment")
        self.note("create_experiment", job.job_id)
        return f"experiment-{{job.job_id}}"

    def log_parameters(self, experiment_id, parameters, state):
        self.trouble("log_parameters")
        self.note("log_parameters", experiment_id, dict(parameters))

    def log_metrics(self, experiment_id, reports, state):
        self.items, self.held = reports, sum(len(r.values) for r in reports)
        self.trouble("log_metrics")
        rows = [[r.seq, r.attempt, r.step, r.epoch, r.time, r.names, r.values] for r in reports]
        self.note("log_metrics", experiment_id, rows)
        state["calls"] = state.get("calls", 0) + 1

    def log_lines(self, experiment_id, lines, state):
        self.items, self.held = lines, len(lines)
        self.trouble("log_lines")
        self.note("log_lines", experiment_id, [[line.seq, line.message] for line in lines])

    def log_artifact(self, experiment_id, name, url, metadata, state):
        self.note("log_artifact", experiment_id, name, url, metadata)

    def finalize(self, experiment_id, ending, state):
        self.trouble("finalize")
        self.note("finalize", experiment_id, ending.status, dict(ending.final_metrics), ending.error)

    def get_experiment_url(self, experiment_id):
        return "http://tracking.example/" + experiment_id
"""
TROUBLE = {
    "plain": "pass",
    "sleeps": "time.sleep(60)",
    "raises": "raise RuntimeError('no luck with ' + call)",
    "exits": "print('last words', flush=True); os._exit(3)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "refuses": "raise AdapterError('the quota is used up', permanent=True)",
    "switch": "if Path(self.file.parent, 'away').exists(): raise ConnectionError('away')",
}


def write(folder: Path, name: str, trouble: str = "plain", attributes: str = "takes_lines = True") -> Path:
    """An adapter's file in `folder`; `imports` is one that can't even be imported."""
    path = folder / f"{name}.py"
    text = HEAD.format(name=name, trouble=TROUBLE.get(trouble, trouble), attributes=attributes)
    path.write_text("raise RuntimeError('this SDK is broken')\n" if trouble == "imports" else text)
    return path


def calls(folder: Path, name: str = "plain") -> list[list[Any]]:
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def points(folder: Path, name: str = "plain") -> list[list[Any]]:
    return [row for call in calls(folder, name) if call[0] == "log_metrics" for row in call[2]]


def drain(lane: Lane) -> None:
    while lane.serve():
        pass


def end(job: TrainingJob, state: JobState = JobState.FAILED) -> None:
    with job_locked(job.pk) as locked:
        job_move(locked, state, "supervisor", "it ended", error_message="it ended")
