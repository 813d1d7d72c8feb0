"""Finding adapters: every module in a folder of adapters. Knows no Django, so the process of a backend may use it."""

import importlib.util
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from observability.base import Adapter

BUILT_IN = Path(__file__).resolve().parent / "adapters"


@dataclass(frozen=True, slots=True)
class Found:
    """An adapter's file, and its class; or why there is none, and then the name is the file's."""

    name: str
    path: Path
    adapter: type[Adapter] | None
    error: str = ""

    @property
    def label(self) -> str:
        return self.adapter.label if self.adapter else self.name


def find(places: Iterable[Path]) -> dict[str, Found]:
    """What lies in our own folder and in these folders or files, by name; broken ones are listed with their error."""
    found: dict[str, Found] = {}
    for path in _files([BUILT_IN, *places]):
        one = _look(path)
        if one.name in found:
            error = f"{path.name}: the name {one.name} is already taken by {found[one.name].path.name}"
            one = Found(path.stem if path.stem not in found else str(path), path, None, error)
        found[one.name] = one
    return found


def load(path: Path) -> type[Adapter]:
    """The one adapter that a file defines. Raises whatever the file raises, or ValueError if it is not one adapter."""
    name = f"observability.adapters.{path.stem}" if path.parent == BUILT_IN else f"observability_adapter_{path.stem}"
    module = sys.modules.get(name)
    if module is None or getattr(module, "__file__", None) != str(path):
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path} can't be imported")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    classes = [one for one in vars(module).values() if inspect.isclass(one) and issubclass(one, Adapter)]
    own = [one for one in classes if one.__module__ == name]
    if len(own) != 1:
        raise ValueError(f"{path.name} defines {len(own)} adapters instead of one")
    return own[0]


def _files(places: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for place in places:
        files += sorted(place.glob("*.py")) if place.is_dir() else [place]
    return [path.resolve() for path in files if not path.name.startswith("_")]


def _look(path: Path) -> Found:
    try:
        adapter = load(path)
        return Found(adapter.name, path, adapter)
    except (Exception, SystemExit) as error:  # whatever a foreign file does when it is imported
        return Found(path.stem, path, None, f"{path.name}: {type(error).__name__}: {error}"[:2000])
