"""Delivery: sends what the spool holds in order of its numbers, one request at a time, and acts on each answer."""

from __future__ import annotations

from collections import deque

from trainers.sdk.batches import LOG_BATCHES_A_REQUEST, Batch, batch_of, filler, leading
from trainers.sdk.connection import Answer, BackOff, Connection, Verdict
from trainers.sdk.errors import NetworkError
from trainers.sdk.letters import AFTER, BEFORE, Letters
from trainers.sdk.records import Record
from trainers.sdk.spool import Spool
from trainers.sdk.stderr import remark
from trainers.sdk.stopping import CANCEL, REFUSED, StopSignal

REPORTS_A_REQUEST = 1000


class Delivery:
    """Takes no decision about time: `try_once` makes one request and says how long to wait before the next."""

    def __init__(self, spool: Spool, letters: Letters, connection: Connection, stop: StopSignal) -> None:
        self.spool, self.letters, self.connection, self.stop = spool, letters, connection, stop
        self.refused = ""
        self.trouble = ""
        self._back_off = BackOff()
        self._ahead: deque[Record] = deque()
        self._most = REPORTS_A_REQUEST
        self._replacement: Batch | None = None

    @property
    def done(self) -> bool:
        """Nothing waits, or nothing will ever be taken again."""
        return bool(self.refused) or not (self.spool.pending or self.letters.waiting(BEFORE + AFTER))

    @property
    def may_gather(self) -> bool:
        """Whether a moment's wait would save requests: few records wait, and none was read for a request yet."""
        return not self._ahead and self.spool.pending < REPORTS_A_REQUEST

    def try_once(self) -> float:
        """Send the next letter or batch; seconds to wait before the next call, 0 after a success."""
        letter = self.letters.waiting(BEFORE) or (None if self.spool.pending else self.letters.waiting(AFTER))
        try:
            if letter:
                return self._after_letter(letter, self.connection.post(letter, self.letters.read(letter)))
            batch = self._next_batch()
            return self._after_batch(batch, self.connection.post(batch.call, batch.content)) if batch else 0.0
        except NetworkError as error:
            return self._later(str(error), None)

    def _next_batch(self) -> Batch | None:
        if self._replacement:
            return self._replacement
        after = self.spool.acknowledged
        if not self._ahead:
            self._ahead.extend(self.spool.read(after))
        if not self._ahead or self._ahead[0].number > after + 1:
            last = self._ahead[0].number - 1 if self._ahead else self.spool.last_number
            return filler(
                after + 1, min(last, after + LOG_BATCHES_A_REQUEST), "a report was lost: the spool no longer has it"
            )
        return batch_of(leading(list(self._ahead), self._most) if self._most > 1 else [self._ahead[0]])

    def _after_batch(self, batch: Batch, answer: Answer) -> float:
        match answer.verdict:
            case Verdict.TAKEN:
                self._taken(batch, answer)
            case Verdict.GAP:
                return self._rewind(batch, int(answer.data["expected"]))
            case Verdict.UNREADABLE:
                return self._make_smaller(batch, answer)
            case Verdict.OVER:
                self._over(answer)
            case Verdict.LATER:
                return self._later(answer.reason, answer.retry_after)
        return 0.0

    def _taken(self, batch: Batch, answer: Answer) -> None:
        for refusal in answer.data.get("errors") or []:
            remark(f"the platform refused report {refusal}")
        self._advance(batch.last)
        self._reached()
        self._replacement = None
        self._most = min(REPORTS_A_REQUEST, self._most * 2)
        if answer.data.get("cancel"):
            self.stop.ask(CANCEL)

    def _advance(self, number: int) -> None:
        self.spool.acknowledge(number)
        while self._ahead and self._ahead[0].number <= number:
            self._ahead.popleft()

    def _rewind(self, batch: Batch, expected: int) -> float:
        """Send again from the number expected; an answer that expects no earlier one is asked for again."""
        self._ahead.clear()
        self._replacement = None
        if expected >= batch.first:
            return self._later(f"409 gap: {expected} expected after {batch.first} to {batch.last} was sent", None)
        self.spool.go_back(expected - 1)
        return 0.0

    def _make_smaller(self, batch: Batch, answer: Answer) -> float:
        """Halve what is too large or unreadable; one record that is so alone gives its number to a log line."""
        if batch is self._replacement:
            return self._later(f"not even a log line is readable: {answer.reason}", answer.retry_after)
        if batch.first == batch.last or self._most == 1:
            reason = f"the platform could not read this report: {answer.reason}"
            self._replacement = filler(batch.first, batch.first, reason)
            remark(reason)
        else:
            self._most = max(1, min(self._most, batch.last - batch.first + 1) // 2)
        return 0.0

    def _after_letter(self, call: str, answer: Answer) -> float:
        if answer.verdict is Verdict.LATER or answer.verdict is Verdict.GAP:
            return self._later(answer.reason, answer.retry_after)
        if answer.verdict is Verdict.OVER:
            self._over(answer)
        elif answer.status != 200:
            remark(f"the platform refused {call}: {answer.reason}")
        self.letters.answered(call)
        self._reached()
        return 0.0

    def _reached(self) -> None:
        if self.trouble:
            remark("the platform answers again")
        self.trouble = ""
        self._back_off.reset()

    def _over(self, answer: Answer) -> None:
        self.refused = answer.reason
        remark(f"the platform takes no more reports of this attempt: {answer.reason}")
        self.stop.ask(REFUSED, answer.reason)

    def _later(self, trouble: str, retry_after: float | None) -> float:
        if not self.trouble:
            remark(f"the platform is away, reports wait in the spool: {trouble}")
        self.trouble = trouble
        return self._back_off.next(retry_after)
