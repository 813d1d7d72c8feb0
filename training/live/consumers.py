"""The sockets: pages are sent fragments and chart points, programs one JSON message per change."""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from training.journal.reader import heads
from training.live.access import (
    NO_RIGHT,
    NO_SUCH_JOB,
    Credentials,
    authorization_of,
    in_reader,
    origin_allowed,
    watch_refusal,
)
from training.live.bulletin import ENGLISH, Bulletin, bulletin_leap, bulletin_next
from training.live.feed import Subscriber
from training.live.watcher import watcher

CHECK_SECONDS = 30.0  # between two looks whether the person may still see the job
UNANSWERED = 8  # bulletins on their way to a page that acknowledges
HELLO_SECONDS = 2.0  # after which a program that says nothing is sent what comes from now on
LANGUAGES = dict(settings.LANGUAGES)
LARGEST = 2**63 - 1
BROKEN = 1011  # browsers come back after this one
logger = logging.getLogger(__name__)


class JobConsumer(AsyncWebsocketConsumer, ABC):
    """Says hello, catches up from the other side's cursor, then passes on the feed of the job."""

    channel_layer_alias = "none"  # the watcher brings the news: no connection to Redis for each socket

    async def connect(self) -> None:
        self.job_id: int = self.scope["url_route"]["kwargs"]["job_id"]
        self.shown = self.credentials(self.scope.get("cookies", {}).get(settings.SESSION_COOKIE_NAME))
        self.cursor = 0
        self.language = ENGLISH
        self.hello: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.tasks: list[asyncio.Task[None]] = []
        await self.accept()  # a refusal before this would be tried again for ever
        if not origin_allowed(self.scope["headers"]):
            await self.close(NO_RIGHT)
        elif code := await in_reader(watch_refusal, self.shown, self.job_id):
            await self.close(code)
        else:
            self.tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._guard())]

    def credentials(self, session_key: str | None) -> Credentials:
        """What of the handshake counts: a session."""
        return Credentials(session_key)

    async def disconnect(self, code: int) -> None:
        for task in self.tasks:
            task.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """`{"after": N}`: the first says where to begin, later ones how far the page has come."""
        message = _object(text_data)
        after = message.get("after")
        if isinstance(after, int) and not isinstance(after, bool) and 0 <= after <= LARGEST:
            await self.told(after, message)

    async def told(self, after: int, message: dict[str, Any]) -> None:
        if not self.hello.done():
            self.hello.set_result(after)

    async def started(self) -> int:
        """Where the other side stands."""
        return await self.hello

    @abstractmethod
    async def deliver(self, bulletin: Bulletin) -> None:
        """Send what the other side understands of a bulletin."""

    async def leap(self) -> Bulletin | None:
        """A shorter way for who is very far behind, if there is one."""
        return None

    async def _run(self) -> None:
        self.cursor = await self.started()
        subscriber = Subscriber(self.job_id, self.language)
        watcher.subscribe(subscriber)
        try:
            await self._catch_up()
            while True:
                bulletin = await subscriber.next()
                if bulletin.gone:
                    raise LookupError(f"job {self.job_id} is gone")
                unheard = bool(bulletin.html) and self.language not in bulletin.html  # made before this one came
                if subscriber.behind or unheard or bulletin.after > self.cursor:
                    subscriber.behind = False
                    await self._catch_up()
                if bulletin.seq > self.cursor or (bulletin.seq == self.cursor and bulletin.html):
                    await self._pass_on(bulletin)
        except LookupError:
            await self.close(NO_SUCH_JOB)
        except Exception:  # whatever it is: the other side comes back after a while and goes on from its cursor
            logger.exception("A socket of job %d broke", self.job_id)
            await self.close(BROKEN)
        finally:
            watcher.unsubscribe(subscriber)

    async def _catch_up(self) -> None:
        """Read past the own cursor until nothing is left; ends with every fragment as it is now."""
        if (bulletin := await self.leap()) is not None:
            await self._pass_on(bulletin)
        while True:
            bulletin = await in_reader(bulletin_next, self.job_id, self.cursor, self.language)
            await self._pass_on(bulletin)
            if bulletin.html or bulletin.seq == bulletin.after:
                return

    async def _pass_on(self, bulletin: Bulletin) -> None:
        await self.deliver(bulletin)
        self.cursor = max(self.cursor, bulletin.seq)

    async def _guard(self) -> None:
        """Close when the session has ended or the person has left the organization."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if await in_reader(watch_refusal, self.shown, self.job_id):
                await self.close(NO_RIGHT)
                return


class NowhereConsumer(AsyncWebsocketConsumer):
    """Any other address: said once, and not tried again."""

    async def connect(self) -> None:
        await self.accept()
        await self.close(NO_SUCH_JOB)


class PageConsumer(JobConsumer):
    """A page begins by telling its language; one that says `"acks": true` too is never sent more than it takes.

    Daphne would hold the rest in memory.
    """

    async def connect(self) -> None:
        self.acks = False
        self.unanswered: list[int] = []
        self.room = asyncio.Event()
        await super().connect()

    async def told(self, after: int, message: dict[str, Any]) -> None:
        if self.hello.done():
            self.unanswered = [seq for seq in self.unanswered if seq > after]
            self.room.set()
        else:
            self.acks = message.get("acks") is True
            language = message.get("language")
            self.language = language if isinstance(language, str) and language in LANGUAGES else ENGLISH
        await super().told(after, message)

    async def leap(self) -> Bulletin | None:
        return await in_reader(bulletin_leap, self.job_id, self.cursor, self.language)

    async def deliver(self, bulletin: Bulletin) -> None:
        while len(self.unanswered) >= UNANSWERED:
            self.room.clear()
            await self.room.wait()
        if html := bulletin.html.get(self.language):
            await self.send(html)
        await self.send(bulletin.points)
        if self.acks and bulletin.seq > bulletin.after:
            self.unanswered.append(bulletin.seq)


class EventsConsumer(JobConsumer):
    """For programs: they may also show an API key, and then it alone counts."""

    def credentials(self, session_key: str | None) -> Credentials:
        return Credentials(session_key, authorization_of(self.scope["headers"]))

    async def started(self) -> int:
        """A program may say where it stands; if it does not, it gets what comes after it connected."""
        head = (await in_reader(heads, [self.job_id])).get(self.job_id)
        try:
            return await asyncio.wait_for(self.hello, HELLO_SECONDS)
        except TimeoutError:
            return head.seq if head else 0

    async def deliver(self, bulletin: Bulletin) -> None:
        for seq, message in await in_reader(lambda: bulletin.messages):
            if seq > self.cursor:
                await self.send(message)


def _object(text: str | None) -> dict[str, Any]:
    try:
        message = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}
