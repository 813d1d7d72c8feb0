"""The sources that this installation has: every module in `sources/` that holds one."""

import importlib
import pkgutil

from observability.imports import sources
from observability.imports.base import Source


def sources_all() -> dict[str, type[Source]]:
    """Each source by its name."""
    for module in pkgutil.iter_modules(sources.__path__):
        importlib.import_module(f"{sources.__name__}.{module.name}")
    return {one.name: one for one in sorted(Source.__subclasses__(), key=lambda one: one.name)}
