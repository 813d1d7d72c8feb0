"""A program that reads every run of an MLflow server through MLflow's own API, and compares it with what was sent."""

import json
import sys
from collections import Counter
from typing import Any

from mlflow import MlflowClient

from observability.benchmarks.rig.points import names, rows

PAGE = 1000


def main() -> None:
    """Prints, as JSON, how many runs and points there are, and what is wrong with them."""
    address, reports, metrics = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    client = MlflowClient(address)
    runs = runs_all(client)
    told = rows(reports, metrics)
    points, wrong = 0, [f"{count} runs of job {job}" for job, count in Counter(map(job_of, runs)).items() if count > 1]
    for run in runs:
        if run.info.status != "FINISHED":
            wrong.append(f"run {run.info.run_id} is {run.info.status}")
        for index, name in enumerate(names(metrics)):
            found = [(one.step, one.timestamp, one.value) for one in client.get_metric_history(run.info.run_id, name)]
            points += len(found)
            if found != [(row.step, round(row.time * 1000), row.values[index]) for row in told]:
                wrong.append(f"{name} of run {run.info.run_id}: {len(found)} points, or others than were sent")
    sys.stdout.write(json.dumps({"runs": len(runs), "points": points, "wrong": wrong}))


def job_of(run: Any) -> str:
    return str(run.data.tags.get("platform.job_id"))


def runs_all(client: MlflowClient) -> list[Any]:
    experiments = [one.experiment_id for one in client.search_experiments()]
    found: list[Any] = []
    token: str | None = None
    while True:
        page = client.search_runs(experiments, max_results=PAGE, page_token=token)
        found += page
        if not (token := page.token):
            return found


if __name__ == "__main__":
    main()
