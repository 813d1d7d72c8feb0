"""Celery's file-system broker, safe between processes.

kombu's transport lets a reader find a message, or an exchange's table, before
its writer has written it: the reader then dies of a JSON error (seen). Here a
message appears under its name when it is whole, and tables have one lock.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from kombu import transport
from kombu.transport import filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps

ALIAS = "platform_site.broker:Transport"


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        path = os.path.join(self.data_folder_out, name)
        with open(f"{path}.part", "wb") as part:
            part.write(str_to_bytes(dumps(payload)))
        os.replace(f"{path}.part", path)

    def _queue_bind(self, *args: Any) -> None:
        with self._table_lock():
            super()._queue_bind(*args)

    def get_table(self, exchange: str) -> list[Any]:
        with self._table_lock():
            table: list[Any] = super().get_table(exchange)
            return table

    def _delete(self, *args: Any, **kwargs: Any) -> None:
        with self._table_lock():
            super()._delete(*args, **kwargs)

    @contextmanager
    def _table_lock(self) -> Iterator[None]:
        self.control_folder.mkdir(parents=True, exist_ok=True)
        with open(self.control_folder / "tables.lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class Transport(filesystem.Transport):
    Channel = Channel

    def driver_version(self) -> str:
        return "N/A"


def install() -> None:
    """Let `filesystem://` mean this transport, in this process."""
    transport.TRANSPORT_ALIASES["filesystem"] = ALIAS
