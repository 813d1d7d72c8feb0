"""Finds the format of a folder by asking every module in this folder that can recognise one."""

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from training.datasets import formats
from training.datasets.scan import DatasetError, Progress, Scan


class Format(Protocol):
    """What a module of this folder offers; dropping such a file in is all it takes."""

    LABEL: str  # for people: what a folder of this format looks like
    TASK: str  # what such a folder can train

    def recognise(self, folder: Path) -> bool:
        """Is the folder of this format, as far as its names and some of its small files tell?"""

    def possible(self, folder: Path) -> bool:
        """May it be of this format if a person says so? Reads names, not contents."""

    def scan(self, folder: Path, progress: Progress | None = None) -> Scan:
        """Read everything; what is wrong with one file is a problem in the scan.

        Raises DatasetError where nothing can be made of the whole folder.
        """


@cache
def format_list() -> dict[str, Format]:
    """Every format by its module's name, in order of the names."""
    names = sorted(module.name for module in pkgutil.iter_modules(formats.__path__))
    modules = {name: import_module(f"{formats.__name__}.{name}") for name in names}
    return {name: cast(Format, module) for name, module in modules.items() if hasattr(module, "recognise")}


def format_find(folder: Path, wanted: str = "", task: str = "") -> Format:
    """The format that recognises `folder`; `wanted` and `task` are what a person said it is.

    Raises DatasetError: with what is looked for where none does, and with what to say where several do, who are
    also the `choices` of its report.
    """
    known = _known(wanted, task)
    found = {name: one for name, one in known.items() if one.recognise(folder)}
    if not found and (wanted or task):
        found = {name: one for name, one in known.items() if one.possible(folder)}
    if len(found) > 1:
        choices = [{"format": name, "label": one.LABEL, "task": one.TASK} for name, one in found.items()]
        told = " or ".join(f"{one['label']}: --task {one['task']}" for one in choices)
        problem = f"{folder.name}: its labels can be read in several ways; say which it is. {told}."
        raise DatasetError(problem, {"choices": choices})
    if not found:
        labels = "; ".join(one.LABEL for one in known.values())
        raise DatasetError(f"{folder.name}: no known dataset format was recognised. Known: {labels}.")
    return next(iter(found.values()))


def _known(wanted: str, task: str) -> dict[str, Format]:
    """The formats that fit what was said. Raises DatasetError where none does."""
    formats_all = format_list()
    if wanted and wanted not in formats_all:
        raise DatasetError(f"There is no format {wanted}; there are {', '.join(formats_all)}.")
    known = {name: one for name, one in formats_all.items() if wanted in ("", name) and task in ("", one.TASK)}
    if not known:
        tasks = ", ".join(dict.fromkeys(one.TASK for name, one in formats_all.items() if wanted in ("", name)))
        raise DatasetError(f"{wanted or 'No format'} is not for {task}; known: {tasks}.")
    return known
