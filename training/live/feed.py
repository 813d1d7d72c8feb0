"""One job's feed in one process: its cursor, what is due, and who is subscribed."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from training.jobs.news import Parts
from training.live.bulletin import ENGLISH, Bulletin

QUEUE = 16  # bulletins that wait for one subscriber; when there are more it catches up by itself


class Subscriber:
    """One open connection. `offer` and `next` run on its event loop; a slow one loses its queue, not others' time."""

    def __init__(self, job_id: int, language: str = ENGLISH) -> None:
        self.job_id = job_id
        self.language = language
        self.loop = asyncio.get_running_loop()
        self._queue: deque[Bulletin] = deque()
        self._news = asyncio.Event()
        self.behind = False

    def offer(self, bulletin: Bulletin) -> None:
        if len(self._queue) >= QUEUE:
            self._queue.clear()
            self.behind = True
        self._queue.append(bulletin)
        self._news.set()

    async def next(self) -> Bulletin:
        """The oldest bulletin that waits; when `behind` is set, some before it are gone."""
        while not self._queue:
            self._news.clear()
            await self._news.wait()
        return self._queue.popleft()


@dataclass(eq=False)
class Feed:
    """Changed by the watcher's thread only, but for `subscribers`, which its lock guards."""

    job_id: int
    subscribers: set[Subscriber] = field(default_factory=set)
    seq: int = -1  # not begun
    next_push: float = 0.0
    cost: float = 0.0  # seconds that a push has taken lately
    next_fragments: float = 0.0
    next_look: float = 0.0
    pending: Parts = field(default_factory=Parts)
    contact: object = None
    html: Mapping[str, str] = field(default_factory=dict)

    @property
    def languages(self) -> set[str]:
        """Those of all who watch; a bulletin is made in each of them once."""
        return {subscriber.language for subscriber in self.subscribers}

    def publish(self, bulletin: Bulletin) -> None:
        """Hand the bulletin to all subscribers, once for each event loop."""
        loops: dict[asyncio.AbstractEventLoop, list[Subscriber]] = {}
        for subscriber in self.subscribers:
            loops.setdefault(subscriber.loop, []).append(subscriber)
        for loop, subscribers in loops.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_offer_all, subscribers, bulletin)


def _offer_all(subscribers: list[Subscriber], bulletin: Bulletin) -> None:
    for subscriber in subscribers:
        subscriber.offer(bulletin)
