"""The folders on the server from which people may import: looked through, never outside of IMPORT_ROOTS."""

import os
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext

from training.datasets.formats.registry import format_list
from training.datasets.scan import DatasetError, plain
from training.datasets.services import folder_checked

SHOWN = 300


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder to choose: its name, where it is, and whether it looks like a dataset."""

    name: str
    path: str
    recognised: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in a folder; at the top, the roots. `parent` is empty where one can go no further up."""

    path: str
    parent: str
    folders: list[Folder]
    more: int
    recognised: bool


def folders_in(path: str) -> Listing:
    """The folders in `path`; if it is empty, the roots, or what is in the only one.

    Raises DatasetError for what is not below a root.
    """
    if not path:
        roots = [root for root in settings.IMPORT_ROOTS if root.is_dir()]
        if len(roots) == 1:  # nothing to choose
            return folders_in(str(roots[0]))
        return Listing("", "", [_folder(root, str(root)) for root in roots], 0, False)
    folder = folder_checked(Path(path))
    names = _names(folder)
    inside = [_folder(folder / name, name) for name in names[:SHOWN]]
    above = "" if folder in settings.IMPORT_ROOTS else str(folder.parent)  # and then the roots
    return Listing(str(folder), above, inside, max(0, len(names) - SHOWN), _recognised(folder))


def _names(folder: Path) -> list[str]:
    """The folders in it by name: no links, none that is hidden, none whose name can't be shown."""
    try:
        with os.scandir(folder) as entries:
            found = [one.name for one in entries if one.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise DatasetError(
            gettext("%(name)s can't be read: %(strerror)s.")
            % {"name": folder.name, "strerror": error.strerror or error}
        ) from error
    return sorted(name for name in found if not name.startswith(".") and plain(name) == name)


def _folder(path: Path, name: str) -> Folder:
    return Folder(name, str(path), _recognised(path))


def _recognised(folder: Path) -> bool:
    try:
        return any(one.recognise(folder) for one in format_list().values())
    except OSError:  # not ours to read: the import will say so
        return False
