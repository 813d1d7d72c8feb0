"""Ultralytics: a folder with `results.csv`, and beside it the `args.yaml` of the run."""

import csv
import math
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from observability.imports.base import COMPLETED, Artifact, Reading, RunFacts, Source, SourceError

TASKS = {"detect": "detection", "segment": "segmentation", "classify": "classification"}
WEIGHTS = ("weights/best.pt", "weights/last.pt")
LONGEST_CELL = 200


class Ultralytics(Source):
    """A row an epoch: the epoch is the step, `time` the seconds since the run began.

    `results.csv` was written last when the run ended; from there its times are counted back.
    """

    name = "ultralytics"
    label = "Ultralytics"

    @staticmethod
    def arguments(parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="a run's folder, or one that holds many, such as runs/")

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._root = Path(options["folder"]).expanduser().resolve()
        if not self._root.is_dir():
            raise SourceError(f"{self._root} is not a folder.")

    def runs(self) -> list[str]:
        return sorted(str(path.parent) for path in self._root.rglob("results.csv"))

    def read(self, run: str, reading: Reading) -> RunFacts:
        folder = Path(run)
        arguments = _arguments(folder / "args.yaml", reading)
        path = folder / "results.csv"
        ended = path.stat().st_mtime
        rows = list(_rows(path, reading))
        times = _times(rows, ended, reading)
        for (epoch, cells), time in zip(rows, times, strict=True):
            for name, value in cells.items():
                if name != "time":
                    reading.point(name, epoch, time, value, epoch)
        if not rows:
            raise SourceError("results.csv holds no row that can be read")
        epochs = arguments.get("epochs")
        total = epochs if isinstance(epochs, int) and not isinstance(epochs, bool) and epochs > 0 else None
        return RunFacts(
            name=folder.name,
            project=folder.parent.name,
            status=COMPLETED,
            reason=_reason(rows[-1][0], total),
            address=run,
            started=times[0] - (rows[0][1].get("time") or 0.0),
            ended=ended,
            trainer="ultralytics",
            task_type=TASKS.get(str(arguments.get("task")), str(arguments.get("task") or "detection")),
            model_name=str(arguments.get("model") or ""),
            total_epochs=total,
            config=arguments,
            artifacts=[
                Artifact(name, str(folder / name), (folder / name).stat().st_size)
                for name in WEIGHTS
                if (folder / name).is_file()
            ],
        )


def _arguments(path: Path, reading: Reading) -> dict[str, Any]:
    """The run's settings; none where the file is missing or damaged."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, yaml.YAMLError) as error:
        reading.trouble(f"args.yaml can't be read, so the job has no settings: {' '.join(str(error).split())[:300]}")
        return {}
    if not isinstance(found, dict):
        reading.trouble("args.yaml holds no settings")
        return {}
    return {str(key): value for key, value in found.items() if value is not None}


def _rows(path: Path, reading: Reading) -> Iterator[tuple[int, dict[str, float]]]:
    """(epoch, numbers by their column) of each row that can be read; columns are padded with spaces."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = csv.reader(_whole(file, reading))
        columns = [cell.strip() for cell in next(lines, [])]
        if "epoch" not in columns:
            raise SourceError("results.csv has no column `epoch`")
        for cells in _safe(lines, reading):
            at = f"results.csv, line {lines.line_num}"
            if len(cells) != len(columns):
                if cells:
                    reading.trouble(f"{at}: {len(cells)} of {len(columns)} columns; the line was left out")
                continue
            row = dict(zip(columns, cells, strict=True))
            epoch = row.pop("epoch").strip().removesuffix(".0")
            if not (epoch.isascii() and epoch.isdigit() and len(epoch) < 10):
                reading.trouble(f"{at}: {epoch[:LONGEST_CELL]!r} is no epoch; the line was left out")
                continue
            yield int(epoch), _numbers(row, at, reading)


def _whole(file: Iterable[str], reading: Reading) -> Iterator[str]:
    """The lines that were written to their end: half a number would be another number."""
    for line in file:
        if line.endswith("\n"):
            yield line.replace("\x00", "")
        else:
            reading.trouble("results.csv: its last line is half-written and was left out")


def _safe(lines: Any, reading: Reading) -> Iterator[list[str]]:
    while True:
        try:
            yield next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            reading.trouble(f"results.csv, line {lines.line_num}: {error}; the line was left out")


def _numbers(cells: Mapping[str, str], at: str, reading: Reading) -> dict[str, float]:
    numbers = {}
    for name, cell in cells.items():
        text = cell.strip()
        if not text or not name:
            continue
        try:
            numbers[name] = float(text)
        except ValueError:
            reading.trouble(f"{at}: {name} is {text[:LONGEST_CELL]!r}, which is no number; it was left out")
    return numbers


def _times(rows: list[tuple[int, dict[str, float]]], ended: float, reading: Reading) -> list[float]:
    """When each row was written. A run that was resumed counts its seconds anew: they go on from the row before."""
    seconds: list[float] = []
    before = passed = 0.0
    for _, cells in rows:
        told = cells.get("time", math.nan)
        if not (math.isfinite(told) and 0 <= told < 1e9):
            told = before + 1.0
        passed, before = passed + (told - before if told >= before else told), told
        seconds.append(passed)
    if rows and not any("time" in cells for _, cells in rows):
        reading.trouble("results.csv has no column `time`: its rows lie one second apart")
    return [ended - seconds[-1] + passed for passed in seconds]


def _reason(last: int, total: int | None) -> str:
    if total is None or last >= total:
        return f"ended with epoch {last}"
    return f"ended with epoch {last} of {total}: stopped early, or interrupted; Ultralytics does not tell which"
