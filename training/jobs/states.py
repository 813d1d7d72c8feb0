"""The state machine of a job, as one table: who may move it from where to where."""

from dataclasses import dataclass

from training.models.job import JobState as S


@dataclass(frozen=True, slots=True)
class Transition:
    source: S
    target: S
    by: frozenset[str]
    when: str


def _row(sources: tuple[S, ...], target: S, by: str, when: str) -> list[Transition]:
    return [Transition(source, target, frozenset(by.split()), when) for source in sources]


LIVE = (S.CLAIMED, S.RUNNING, S.FINALIZING)
ENDED = (S.COMPLETED, S.FAILED, S.CANCELLED)

TRANSITIONS: list[Transition] = [
    *_row((S.DRAFT,), S.QUEUED, "user", "settings valid, snapshot taken"),
    *_row((S.QUEUED,), S.CLAIMED, "worker", "one atomic update; opens the next attempt"),
    *_row((S.CLAIMED,), S.RUNNING, "trainer", "`started` with the token of that attempt"),
    *_row((S.RUNNING,), S.FINALIZING, "trainer", "`completed`"),
    *_row((S.RUNNING,), S.FINALIZING, "supervisor", "it was asked to stop early, and its process is gone"),
    *_row((S.FINALIZING,), S.COMPLETED, "server", "checkpoints verified, late points drained"),
    *_row(LIVE, S.FAILED, "trainer supervisor server", "the trainer says so, or its exit code does; first wins"),
    *_row(LIVE, S.LOST, "reaper supervisor", "the lease is over, by the database's clock; or it hangs, or is gone"),
    *_row((S.LOST,), S.RUNNING, "trainer", "heartbeat of the same attempt, no newer one exists"),
    *_row((S.LOST,), S.QUEUED, "reaper worker", "attempts are left"),
    *_row((S.LOST,), S.FAILED, "reaper worker", "no attempt is left"),
    *_row((S.CLAIMED, S.RUNNING), S.QUEUED, "worker", "handed back; the process is gone"),
    *_row((S.QUEUED,), S.FAILED, "server", "dataset or settings are no longer valid"),
    *_row((S.QUEUED,), S.CANCELLED, "user", "at once"),
    *_row((*LIVE, S.LOST), S.CANCELLING, "user", "asked for"),
    *_row((S.CANCELLING,), S.CANCELLED, "trainer supervisor reaper", "the process is gone, or the deadline is over"),
    *_row((S.DRAFT,), S.COMPLETED, "import", "a run of another tool that completed there"),
    *_row((S.DRAFT,), S.FAILED, "import", "a run of another tool that failed there"),
    *_row((S.DRAFT,), S.CANCELLED, "import", "a run of another tool that was stopped there"),
    *_row(ENDED, S.QUEUED, "user", "restart or resume"),
]

_TABLE: dict[tuple[S, S], frozenset[str]] = {}
for _one in TRANSITIONS:
    _TABLE[_one.source, _one.target] = _TABLE.get((_one.source, _one.target), frozenset()) | _one.by


def allowed(source: str, target: str, by: str) -> bool:
    """Whether `by` (user, worker, trainer, supervisor, server, reaper or import) may make this change."""
    return by in _TABLE.get((S(source), S(target)), frozenset())
