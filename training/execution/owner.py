"""The user that trainers run as, where the worker may switch: it then reads none of the platform's files either."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Owner:
    """A user by its numbers, with the groups that give access to devices."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    def __str__(self) -> str:
        """As the shim reads it."""
        return f"{self.uid}:{self.gid}:{','.join(map(str, self.groups))}"

    def take(self, folder: Path) -> None:
        """Make a folder this user's, and nobody else's."""
        folder.chmod(0o700)
        os.chown(folder, self.uid, self.gid)


def trainer_owner() -> Owner | None:
    """The user of TRAINER_USER; None to run trainers as the worker's own. Raises OSError if that can't be."""
    name = settings.TRAINER_USER
    if not name:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise OSError(f"TRAINER_USER={name}: there is no such user on this machine.") from None
    if found.pw_uid == os.getuid():
        return None
    if os.getuid() != 0:
        raise OSError(f"TRAINER_USER={name}: only a worker that runs as root may start trainers as another user.")
    return Owner(name, found.pw_uid, found.pw_gid, tuple(os.getgrouplist(name, found.pw_gid)))
