"""Wake-ups between processes, where there is a Redis: "these jobs have news".

Each process that records tells it from a thread and an event loop of its own;
each that has pages open listens there. Coalesced, and dropped when Redis is
away: the watcher's own look once a second makes up for it. By Redis's own
publish and subscribe: a channel layer's `receive` polls, and is cut off by the
client's time limit while nothing happens.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import redis.asyncio as redis
from django.conf import settings

from training import signals

logger = logging.getLogger(__name__)
CHANNEL = "training.journal"
SECONDS = 5.0  # to wait for Redis, and between two tries
PACE = 0.05  # seconds between two messages of this process


class Announcer:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._work: list[Future[None]] = []  # held here: a loop alone does not keep a waiting task from being collected
        self._news: asyncio.Event | None = None
        self._hear: Callable[[list[int]], None] | None = None

    def connect(self) -> None:
        """Tell other processes what this one records. Costs nothing without Redis; starts nothing before the first."""
        if settings.REDIS_URL:
            signals.recorded.connect(self._recorded, dispatch_uid="live-announcer")

    def listen(self, hear: Callable[[list[int]], None]) -> None:
        """Call `hear` with the jobs that other processes record something of."""
        if not settings.REDIS_URL:
            return
        with self._lock:
            started, self._hear = self._hear is not None, hear
        if not started:
            self._begin(self._listen, self._started())

    def stop(self) -> None:
        """Leave Redis and end the thread; what is recorded later starts a new one."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = self._hear = None
            self._work = []
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(SECONDS)

    def _recorded(self, sender: Any, heads: Mapping[int, int], **kwargs: Any) -> None:
        loop = self._started()
        with self._lock:
            self._pending.update(heads)
        assert self._news is not None
        loop.call_soon_threadsafe(self._news.set)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop, self._news = asyncio.new_event_loop(), asyncio.Event()
                self._thread = threading.Thread(target=_run, args=[self._loop], name="live-announcer", daemon=True)
                self._thread.start()
                self._begin(self._tell, self._loop)
            return self._loop

    def _begin(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self._work.append(asyncio.run_coroutine_threadsafe(self._repeat(work), loop))

    async def _repeat(self, work: Callable[[], Any]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # whatever Redis answers or does not: wake-ups may be lost
                logger.warning("Wake-ups between processes are interrupted: %s", error)
                await asyncio.sleep(SECONDS)

    async def _tell(self) -> None:
        news = self._news
        assert news is not None
        async with redis.from_url(settings.REDIS_URL, socket_timeout=SECONDS) as client:
            while True:
                await news.wait()
                news.clear()
                with self._lock:
                    reached, self._pending = self._pending, set()
                await client.publish(CHANNEL, json.dumps(sorted(reached)))
                await asyncio.sleep(PACE)

    async def _listen(self) -> None:
        assert self._hear is not None
        async with redis.from_url(settings.REDIS_URL, socket_timeout=None) as client, client.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            async for message in channel.listen():
                if message["type"] == "message":
                    self._hear(json.loads(message["data"]))


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """The thread: until it is told to stop, and then until every connection is closed."""
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


announcer = Announcer()
