"""Weights & Biases online: the SDK's run, resumed and finished around each batch.

Only `finish` waits until everything is uploaded, so only then may a call
return. W&B itself ignores rows whose `_step` is not beyond its last one, which
is why a repeated batch doubles nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from observability.base import JobFacts, State

QUIET: dict[str, Any] = {
    "console": "off",
    "silent": True,
    "init_timeout": 30,
    "disable_git": True,
    "save_code": False,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
}


class Online:
    """Runs on a W&B server."""

    def __init__(self, root: Path, config: Mapping[str, str], mode: Any = "online") -> None:
        import wandb

        self._wandb, self._root, self._mode = wandb, root, mode
        self._entity = config.get("WANDB_ENTITY") or None
        server = {"base_url": config.get("WANDB_BASE_URL"), "api_key": config.get("WANDB_API_KEY")}
        self._settings = QUIET | {key: value for key, value in server.items() if value}

    def open(self, project: str, run_id: str, job: JobFacts, state: State) -> None:
        facts: dict[str, Any] = {"tags": [tag[:64] for tag in job.tags]}
        facts |= {"name": job.name, "group": job.experiment, "job_type": job.trainer, "notes": job.url}
        with self._run(project, run_id, **facts) as run:
            run.define_metric("*", step_metric="step")

    def settings(self, project: str, run_id: str, parameters: Mapping[str, Any], state: State) -> None:
        with self._run(project, run_id) as run:
            run.config.update(dict(parameters), allow_val_change=True)

    def rows(self, project: str, run_id: str, rows: Sequence[Mapping[str, Any]], state: State) -> None:
        with self._run(project, run_id) as run:
            for row in rows:
                run.log({key: value for key, value in row.items() if key != "_step"}, step=row["_step"])

    def summary(self, project: str, run_id: str, values: Mapping[str, Any], state: State) -> None:
        with self._run(project, run_id) as run:
            run.summary.update(dict(values))

    def end(self, project: str, run_id: str, exit_code: int, error: str, state: State) -> None:
        with self._run(project, run_id, exit_code) as run:
            run.summary["platform.error"] = error

    @contextmanager
    def _run(self, project: str, run_id: str, exit_code: int = 0, **facts: Any) -> Iterator[Any]:
        try:
            run = self._wandb.init(
                entity=self._entity,
                project=project,
                id=run_id,
                resume="allow",
                mode=self._mode,
                dir=str(self._root),
                settings=self._wandb.Settings(**self._settings),
                **facts,
            )
        except Exception:
            self._wandb.teardown()  # else its service takes the run for one that is open
            raise
        try:
            yield run
        finally:
            run.finish(exit_code=exit_code)
