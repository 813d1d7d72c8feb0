"""The watcher: one thread and one database connection of a process that look at all jobs with open pages.

It looks once a second, and at once when the writer in this process (or, over
Redis, in another) says that something was recorded. So what a worker writes is
seen even where no message reaches this process.
"""

import logging
import threading
import time as clock
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Max

from training import signals
from training.jobs.news import Parts
from training.jobs.states import ENDED
from training.journal.reader import heads, records_after
from training.live.announcer import announcer
from training.live.bulletin import RECORDS, Bulletin, bulletin_make
from training.live.feed import Feed, Subscriber
from training.models import Checkpoint, JobAttempt, TrainingJob

logger = logging.getLogger(__name__)
TICK = 1.0
PACE = 0.05  # seconds between two pushes of one job, or more if those of all jobs would take too much
PUSHES = 0.5  # of one core for all pushes together
SLOWEST = 0.15
FRAGMENTS = 1.0  # seconds between two renderings of figures and progress, or more if they would take
SHARE = 0.1  # of one core for all jobs together
LOOK = 5.0  # seconds between two renderings of what changes without a record
GONE = ("gone",)  # the contact of a job that is deleted
LINGER = 5.0  # seconds that the thread stays when nobody watches


class Watcher:
    """Feeds of this process, and the thread that fills them."""

    def __init__(self) -> None:
        self._feeds: dict[int, Feed] = {}
        self._woken: set[int] = set()
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def subscribe(self, subscriber: Subscriber) -> None:
        """Everything past the feed's present number will be offered; what was before, one reads by oneself."""
        with self._news:
            feed = self._feeds.setdefault(subscriber.job_id, Feed(subscriber.job_id))
            feed.subscribers = feed.subscribers | {subscriber}
            self._woken.add(subscriber.job_id)
            if self._thread is None:
                self._stopping = False
                signals.recorded.connect(self._recorded, dispatch_uid="live-watcher")
                announcer.listen(self.wake)
                self._thread = threading.Thread(target=self._run, name="live-watcher", daemon=True)
                self._thread.start()
            self._news.notify()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        with self._news:
            feed = self._feeds.get(subscriber.job_id)
            if feed is not None:
                feed.subscribers = feed.subscribers - {subscriber}
                if not feed.subscribers:
                    del self._feeds[subscriber.job_id]

    def wake(self, job_ids: Iterable[int]) -> None:
        """These jobs have news. Costs nothing where nobody watches them."""
        with self._news:
            watched = self._feeds.keys() & set(job_ids)
            if watched:
                self._woken |= watched
                self._news.notify()

    def stop(self) -> None:
        """End the thread, and wait for it; a later subscriber starts a new one."""
        with self._news:
            self._stopping = True
            thread = self._thread
            self._news.notify()
        if thread is not None:
            thread.join(10)

    def _recorded(self, sender: Any, heads: Mapping[int, int], **kwargs: Any) -> None:
        self.wake(heads)

    def _run(self) -> None:
        next_tick = last_watched = clock.monotonic()
        try:
            while not self._stopping:
                due = self._wait(next_tick)
                now = clock.monotonic()
                if now >= next_tick:
                    next_tick = now + TICK
                    self._look_at_all()
                else:
                    self._look_safely(dict.fromkeys(due), {})
                last_watched = now if self._feeds else last_watched
                if now - last_watched > LINGER and self._retire():
                    return
        finally:
            self._retire(even_if_watched=True)
            connection.close()

    def _retire(self, even_if_watched: bool = False) -> bool:
        """Give up the watch, unless someone has come; the next subscriber then starts a new thread."""
        with self._news:
            if self._feeds and not even_if_watched:
                return False
            if self._thread is threading.current_thread():
                self._thread = None
                signals.recorded.disconnect(dispatch_uid="live-watcher")
            return True

    def _wait(self, until: float) -> list[Feed]:
        """Sleep until a woken feed may be pushed, or a tick is due; the feeds that may."""
        with self._news:
            while not self._stopping:
                now = clock.monotonic()
                ready = [feed for job_id in self._woken if (feed := self._feeds.get(job_id)) and feed.next_push <= now]
                if ready or now >= until:
                    self._woken -= {feed.job_id for feed in ready}
                    self._woken &= self._feeds.keys()
                    return ready
                waking = [feed.next_push for job_id in self._woken if (feed := self._feeds.get(job_id))]
                self._news.wait(max(0.001, min([until, *waking]) - now))
        return []

    def _look_at_all(self) -> None:
        """Ask the database itself how far all watched jobs are; a database that is away is asked again."""
        with self._news:
            feeds = {feed.job_id: feed for feed in self._feeds.values()}
        try:
            reached, contacts = heads(list(feeds)), dict.fromkeys(feeds, GONE) | _contacts(list(feeds))
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The watcher can't read the database: %s", error)
            connection.close()
            return
        due = {feed: reached[job_id].seq if job_id in reached else 0 for job_id, feed in feeds.items()}
        self._look_safely(due, contacts)

    def _look_safely(self, feeds: Mapping[Feed, int | None], contacts: Mapping[int, object]) -> None:
        """One job that can't be read ends neither the thread nor other feeds."""
        for feed, reached in feeds.items():
            try:
                self._look(feed, reached, contacts.get(feed.job_id, feed.contact))
            except LookupError:
                logger.info("Job %d is gone", feed.job_id)
            except Exception:
                logger.exception("The feed of job %d could not be read", feed.job_id)
                connection.close()

    def _look(self, feed: Feed, reached: int | None, contact: object) -> None:
        """Publish what is new past the feed's cursor, and the fragments that are due; `reached` None is unknown."""
        now = clock.monotonic()
        feed.next_push = now + min(SLOWEST, max(PACE, feed.cost * len(self._feeds) / PUSHES))
        if contact == GONE:  # said at every look, until nobody is left who has not heard it
            feed.publish(Bulletin(feed.job_id, feed.seq, feed.seq, gone=True))
            return
        if feed.seq < 0:  # whoever subscribed meanwhile learns where it begins, and fills the gap by itself
            head = heads([feed.job_id]).get(feed.job_id)
            feed.seq, feed.contact = head.seq if head else 0, contact
            feed.publish(bulletin_make(feed.job_id, feed.seq, [], Parts()))
            return
        news = reached is None or reached > feed.seq
        records = records_after(feed.job_id, feed.seq, RECORDS) if news else []
        told = Parts.told_by(records)
        feed.pending |= told
        if contact != feed.contact or (now >= feed.next_look and not _ended(contact)):
            feed.pending |= Parts(status=True, checkpoints=contact != feed.contact)
            feed.contact, feed.next_look = contact, now + LOOK
        parts = Parts()
        if feed.pending and (told.events or now >= feed.next_fragments):
            parts, feed.pending = feed.pending, Parts()
        if not (records or parts):
            return
        bulletin = bulletin_make(feed.job_id, feed.seq, records, parts, feed.languages)
        if parts:
            cost = clock.monotonic() - now
            feed.next_fragments = now + max(FRAGMENTS, cost * len(self._feeds) / SHARE)
        elif records:
            feed.cost += (clock.monotonic() - now - feed.cost) / 8  # of the last pushes
        if records or bulletin.html != feed.html:
            feed.seq, feed.html = bulletin.seq, bulletin.html
            feed.publish(bulletin)
        if len(records) == RECORDS:
            self.wake([feed.job_id])


def _contacts(job_ids: list[int]) -> dict[int, tuple[object, ...]]:
    """What may change without a record: state, last heartbeat, device, newest checkpoint."""
    states = dict(TrainingJob.objects.filter(pk__in=job_ids, deleted_at=None).values_list("pk", "state"))
    attempts = JobAttempt.objects.filter(job__in=job_ids).order_by("number")
    newest = {row[0]: row[1:] for row in attempts.values_list("job_id", "heartbeat_at", "device")}
    checkpoints = Checkpoint.objects.filter(job__in=job_ids).order_by().values_list("job_id")
    stored = dict(checkpoints.annotate(newest=Max("created_at")))
    return {job_id: (state, stored.get(job_id), *newest.get(job_id, ())) for job_id, state in states.items()}


def _ended(contact: object) -> bool:
    return isinstance(contact, tuple) and contact[0] in ENDED


watcher = Watcher()
