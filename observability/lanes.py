"""One lane a backend: a thread that gives turns to the deliveries of its backend, and to no other.

So a backend that hangs in every call delays only itself. A lane looks at the
ledger when it is woken, and once a second by itself.
"""

import logging
import threading
from collections.abc import Collection

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from observability import breaker, ledger
from observability.base import Adapter, AdapterError
from observability.calls import Caller, Unreachable, caller_of
from observability.delivery import Turn
from observability.discovery import Found
from observability.ledger import LeaseLost
from observability.models import Delivery
from observability.registry import configured
from observability.tallies import tallies

logger = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
AWAY_SECONDS = 2.0  # before the database is asked again


class Stopping(Exception):
    """The worker ends: the call in progress is given up."""


class Lane:
    """The deliveries of one backend, one turn at a time."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.last_error = ""
        self._caller: Caller | None = None
        self._news = threading.Event()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopping.is_set():
            self._news.clear()
            if not self._look():
                self._news.wait(LOOK_SECONDS)
        self.close()

    def wake(self) -> None:
        self._news.set()

    def stop(self) -> None:
        """Give up the call in progress and let go of its delivery."""
        self._stopping.set()
        self._news.set()

    def serve(self, among: Collection[int] | None = None) -> bool:
        """Give one turn to the delivery that has waited longest; False if none is due or the backend rests."""
        if not ledger.due(self.found.name).exists() or not breaker.allows(self.found.name):
            return False
        delivery = ledger.claim(self.found.name, among)
        if delivery is None:
            return False
        try:
            self._turn(delivery)
        except LeaseLost:
            logger.info("The lease of %s was lost; another worker goes on", delivery)
            self.close()
        except Stopping:
            ledger.give_up(delivery)
        except (OperationalError, InterfaceError):
            self.close()  # the database is away; the lease will end by itself
            raise
        return True

    def close(self) -> None:
        if self._caller is not None:
            self._caller.close()
            self._caller = None

    def _look(self) -> bool:
        try:
            served = self.serve()
            tallies.flush_due()
            return served
        except (OperationalError, InterfaceError) as error:
            logger.warning("The lane of %s waits for the database: %s", self.found.name, error)
        except Exception:
            logger.exception("The lane of %s goes on after an error of our own", self.found.name)
        finally:
            close_old_connections()
        self._stopping.wait(AWAY_SECONDS)
        return False

    def _turn(self, delivery: Delivery) -> None:
        try:
            adapter, caller = self._opened(delivery)
            state = Turn(delivery, adapter, caller, self._tick).run()
        except AdapterError as error:
            self._failed(delivery, error)
        except (LeaseLost, Stopping, OperationalError, InterfaceError):
            raise
        except Exception as error:  # a fault of ours with one job must not hold up the others
            logger.exception("%s failed by an error of our own", delivery)
            self.close()
            self._failed(delivery, AdapterError(f"An error of the platform: {type(error).__name__}: {error}"))
        else:
            self.last_error = ""
            breaker.succeeded(self.found.name)
            ledger.release(delivery, state)

    def _opened(self, delivery: Delivery) -> tuple[type[Adapter], Caller]:
        def tick() -> None:
            ledger.renew(delivery)
            self._tick()

        if self.found.adapter is None:
            raise Unreachable(self.found.error)
        if self._caller is None:
            self._caller = caller_of(self.found)
        self._caller.open(tick)
        return self.found.adapter, self._caller

    def _failed(self, delivery: Delivery, error: AdapterError) -> None:
        self.last_error = ledger.storable(str(error))
        logger.warning("%s failed: %s", delivery, self.last_error)
        ledger.fail(delivery, error)
        if error.permanent:
            breaker.succeeded(self.found.name)  # the backend has answered
        else:
            breaker.failed(self.found.name, self.last_error)

    def _tick(self) -> None:
        if self._stopping.is_set():
            raise Stopping


class Lanes:
    """The lanes of this process, each in a thread of its own; started when first woken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lanes: dict[str, tuple[Lane, threading.Thread]] = {}
        self._stopped = False

    def wake(self) -> None:
        """Start the lanes that this worker serves, where they do not run, and have all look."""
        with self._lock:
            for name in () if self._stopped else served():
                if name not in self._lanes or not self._lanes[name][1].is_alive():
                    lane = Lane(configured()[name])
                    thread = threading.Thread(target=lane.run, name=f"lane-{name}", daemon=True)
                    self._lanes[name] = lane, thread
                    thread.start()
                self._lanes[name][0].wake()

    def stop(self, seconds: float = 5.0) -> None:
        """End the lanes and the processes of their backends."""
        with self._lock:
            self._stopped = True
            running = list(self._lanes.values())
        for lane, _ in running:
            lane.stop()
        for _, thread in running:
            thread.join(seconds)
        tallies.flush()


def served() -> list[str]:
    """The backends of this worker: all that are configured, or those of them that DELIVERY_BACKENDS names."""
    chosen = settings.DELIVERY_BACKENDS
    return [name for name in configured() if not chosen or name in chosen]
