"""A home-made adapter: a file of JSON lines for each job. To use it, set OBSERVABILITY_ADAPTERS to this file."""

import json
from pathlib import Path

from observability.base import Adapter, Variable


class JsonLines(Adapter):
    name, label, repeats_harmless = "jsonlines", "JSON lines", True
    variables = (Variable("JSONLINES_DIR", "The folder that gets one file a job.", required=True),)

    def initialize(self, config):
        self.folder = Path(config["JSONLINES_DIR"])

    def create_experiment(self, job, state):
        return f"job-{job.job_id}-{job.created:.0f}"

    def log_parameters(self, experiment_id, parameters, state):
        self.append(experiment_id, state, [{"parameters": dict(parameters)}])

    def log_metrics(self, experiment_id, reports, state):
        points = [dict(zip(report.names, report.values, strict=True)) for report in reports]
        rows = [{"step": r.step, "time": r.time, "metrics": p} for r, p in zip(reports, points, strict=True)]
        self.append(experiment_id, state, rows)

    def finalize(self, experiment_id, ending, state):
        self.append(experiment_id, state, [{"status": ending.status, "error": ending.error}])

    def append(self, experiment_id, state, rows):
        with open(self.folder / f"{experiment_id}.jsonl", "ab") as file:
            file.seek(file.truncate(state.get("length", 0)))  # cuts what a call that was never recorded has left
            file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
            state["length"] = file.tell()
