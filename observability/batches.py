"""How much one call of a backend holds: less where that was too much, more again where its calls are quick.

A batch that took too long is slower still when it is repeated (a server looks
for the points that it has already), so the same batch could be sent for ever.
It is halved after a call that was given up or refused, and already when a call
took more than half of its time; it doubles when a full one took less than a quarter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from observability.base import LogLine, Report
from training.journal.reader import Record

LINES = 1000  # in one call, unless halved
LONGEST_MESSAGE = 80


@dataclass
class BatchSize:
    """The sizes of a delivery's batches. `halvings` is stored with it; `refused_at` holds for one turn."""

    most_points: int
    seconds: float
    halvings: int = 0
    refused_at: int = -1  # the halvings at which the backend has refused a batch: not grown back to in this turn

    @property
    def points(self) -> int:
        return max(1, self.most_points >> self.halvings)

    @property
    def lines(self) -> int:
        return max(1, LINES >> self.halvings)

    def answered(self, held: int, full: int, seconds: float) -> None:
        """A call with `held` of at most `full` items took so long."""
        if seconds > self.seconds / 2:
            self.halve(held, full)
        elif seconds < self.seconds / 4 and held > full // 2 and self.halvings > self.refused_at + 1:
            self.halvings -= 1

    def halve(self, held: int, full: int) -> None:
        """Make the next batch at most half of `held` items, where now at most `full` are taken."""
        while held > 1 and full > held // 2:
            self.halvings, full = self.halvings + 1, full // 2

    def refuse(self, held: int, full: int) -> None:
        """Halve, and do not grow back to this size before the next turn."""
        self.halve(held, full)
        self.refused_at = self.halvings - 1


def stretch(records: Sequence[Record], limit: int) -> Sequence[Record]:
    """The first records, with at most `limit` points; a report that is wider is one by itself."""
    points = 0
    for index, record in enumerate(records):
        if points and points + len(record.values) > limit:
            return records[:index]
        points += len(record.values)
    return records


def batches(records: Sequence[Record], limit: int) -> Iterator[list[Report]]:
    """The reports of a stretch as one batch; a single one that is wider than `limit` in several."""
    reports = [Report(r.seq, r.attempt, r.time, r.step, r.epoch, r.names, r.values) for r in records]
    if len(reports) == 1 and len(reports[0].values) > limit:
        whole = reports[0]
        for at in range(0, len(whole.values), limit):
            yield [replace(whole, names=whole.names[at : at + limit], values=whole.values[at : at + limit])]
    elif reports:
        yield reports


def item_text(item: Report | LogLine) -> str:
    """What the only item of a batch was, for the person who reads why it is refused."""
    if isinstance(item, LogLine):
        message = item.message[:LONGEST_MESSAGE]
        return f"a line of record {item.seq} ({item.level}, {item.source}: {message!r})"
    point = f"{item.names[0]} = {item.values[0]}" if item.names else "no point"
    return f"record {item.seq} (attempt {item.attempt}, step {item.step}: {point})"
