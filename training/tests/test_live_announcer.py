"""Wake-ups between processes: told and heard over Redis, and no harm where it is away."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from training import signals
from training.live import announcer as module
from training.live.announcer import Announcer


class FakeRedis:
    """Publishing and subscribing of one process, with the messages of redis-py."""

    queues: list[asyncio.Queue[dict[str, Any]]] = []

    async def __aenter__(self) -> "FakeRedis":
        return self

    async def __aexit__(self, *error: object) -> None: ...

    async def publish(self, channel: str, data: str) -> None:
        for queue in self.queues:
            queue.put_nowait({"type": "message", "data": data})

    @asynccontextmanager
    async def pubsub(self) -> AsyncIterator["FakeRedis"]:
        yield self

    async def subscribe(self, channel: str) -> None:
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.queues.append(self.queue)

    async def listen(self) -> AsyncIterator[dict[str, Any]]:
        yield {"type": "subscribe", "data": 1}
        while True:
            yield await self.queue.get()


@pytest.fixture
def announcer(settings: Any) -> Any:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    signals.recorded.disconnect(dispatch_uid="live-announcer")  # the process's own, where it has a Redis
    announcer = Announcer()
    yield announcer
    announcer.stop()
    signals.recorded.disconnect(dispatch_uid="live-announcer")


def test_what_is_recorded_is_heard(announcer: Announcer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.redis, "from_url", lambda *args, **options: FakeRedis())
    heard: list[int] = []
    announcer.listen(heard.extend)
    announcer.connect()
    deadline = time.monotonic() + 15
    while not heard and time.monotonic() < deadline:
        signals.recorded.send(sender=None, heads={42: 913})
        time.sleep(0.05)
    assert heard and set(heard) == {42}


def test_a_redis_that_is_away_delays_nobody(announcer: Announcer) -> None:
    announcer.connect()
    began = time.monotonic()
    for seq in range(1000):
        signals.recorded.send(sender=None, heads={42: seq})
    assert time.monotonic() - began < 1
    assert len(announcer._pending) <= 1


def test_without_redis_nothing_is_started(settings: Any) -> None:
    settings.REDIS_URL = ""
    announcer = Announcer()
    announcer.connect()
    announcer.listen(lambda job_ids: None)
    signals.recorded.send(sender=None, heads={42: 1})
    assert announcer._loop is None


def test_after_a_stop_the_next_record_starts_it_again(announcer: Announcer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.redis, "from_url", lambda *args, **options: FakeRedis())
    for _ in range(2):
        announcer.listen(lambda job_ids: None)
        assert announcer._thread is not None
        thread = announcer._thread
        announcer.stop()
        assert not thread.is_alive() and announcer._loop is None


class SilentRedis(FakeRedis):
    """Nothing but the listener itself holds what it waits for, as with redis-py's streams."""

    waiting, ended = threading.Event(), threading.Event()

    async def subscribe(self, channel: str) -> None:
        try:
            self.waiting.set()
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()


def test_a_listener_that_waits_is_not_garbage(announcer: Announcer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.redis, "from_url", lambda *args, **options: SilentRedis())
    announcer.listen(lambda job_ids: None)
    assert SilentRedis.waiting.wait(15)
    for _ in range(20):  # the loop itself lets go of the task some moments after it began to wait
        gc.collect()
        assert not SilentRedis.ended.wait(0.02)
