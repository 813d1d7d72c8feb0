"""Group commit: what many requests bring while one transaction runs is stored by the next, together."""

import asyncio
import threading
from collections import deque
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, connection

from training.journal.writer import Append, Appended, commit

MAX_GROUP = 256  # appends in one transaction; more only make the first of them wait


class JournalUnavailable(Exception):
    """The database is away; nothing of this append was stored, try again later."""


@dataclass(slots=True)
class _Waiting:
    append: Append
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Appended]


class GroupCommitter:
    """One thread and one database connection that commit for a whole web process."""

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._queue: deque[_Waiting] = deque()
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    async def append(self, append: Append) -> Appended:
        """Store one append; returns once it is committed. Raises JournalUnavailable."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(append, loop, loop.create_future())
        with self._news:
            if len(self._queue) >= self._capacity:
                raise JournalUnavailable("too many reports are waiting")
            self._queue.append(waiting)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
                self._thread.start()
            self._news.notify()
        return await waiting.answer

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._queue)
                group = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_GROUP))]
            self._store(group)

    def _store(self, group: list[_Waiting]) -> None:
        try:
            answers: list[Appended | BaseException] = list(commit([waiting.append for waiting in group]))
        except (OperationalError, InterfaceError) as error:
            connection.close()  # the next group finds a fresh connection
            answers = [JournalUnavailable(str(error))] * len(group)
        except BaseException as error:  # whatever it is belongs to those who wait, not to this thread
            answers = [error] * len(group)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Appended], Appended | BaseException]]] = {}
        for waiting, answer in zip(group, answers, strict=True):
            by_loop.setdefault(waiting.loop, []).append((waiting.answer, answer))
        for loop, pairs in by_loop.items():
            loop.call_soon_threadsafe(_settle, pairs)


def _settle(pairs: list[tuple[asyncio.Future[Appended], Appended | BaseException]]) -> None:
    for future, answer in pairs:
        if future.done():  # its request went away
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)


committer = GroupCommitter()
