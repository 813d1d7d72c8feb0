"""The machines and what waits for them: workers with their slots, and why a waiting job is not running yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import gettext, ngettext

from training.jobs.selectors import WORKER_SEEN_SECONDS, jobs_visible
from training.jobs.slot_load import Reading, jobs_load, slot_readings
from training.jobs.slots import Wanted, slots_wanted
from training.jobs.turns import in_turn, place_of_job
from training.models import JobState, Slot, TrainingJob, User, Worker

WORKERS_FOR = timedelta(days=1)
SHOWN = 100


@dataclass(frozen=True, slots=True)
class SlotSeen:
    """A slot, and the job that holds it: None where it is free, or the job is another organization's."""

    slot: Slot
    job: TrainingJob | None = None
    link: bool = False
    readings: Sequence[Reading] = ()

    @property
    def taken(self) -> bool:
        return self.slot.attempt_id is not None


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker with its slots; alive if it was seen in the last minute."""

    worker: Worker
    slots: list[Slot]
    alive: bool
    shown: list[SlotSeen]

    @property
    def free(self) -> int:
        return sum(slot.attempt_id is None for slot in self.slots)

    @property
    def draining(self) -> bool:
        return self.worker.draining_at is not None

    @property
    def state(self) -> str:
        """`away`, `draining`, `drained` (nothing runs on it any more), `busy` or `free`."""
        if not self.alive:
            return "away"
        if self.draining:
            return "drained" if self.free == len(self.slots) else "draining"
        return "free" if self.free else "busy"

    def serves(self, queue: str) -> bool:
        return not self.worker.queues or queue in self.worker.queues.split(",")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a queued job is not running yet: its place in its queue, and a sentence."""

    place: int
    workers: int
    reason: str


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job in a queue as a person may see it; `job` is None where it is another organization's."""

    place: int
    queue: str
    job: TrainingJob | None
    reason: str
    link: bool


def workers_seen(user: User | AnonymousUser | None = None, away: timedelta = WORKERS_FOR) -> list[WorkerSeen]:
    """The workers of the last day, those that live first; with what runs on them as far as `user` may know it."""
    now = timezone.now()
    rows = Worker.objects.exclude(queues="inference")  # those try pictures, and take no jobs
    workers = rows.filter(seen_at__gte=now - away).prefetch_related("slots__attempt__job")
    lately = now - timedelta(seconds=WORKER_SEEN_SECONDS)
    found = list(workers.order_by("name")[:SHOWN])
    held = {slot.attempt.job_id for one in found for slot in one.slots.all() if slot.attempt}
    visible = _visible(user, held)
    # the load of a shared machine is everybody's to know, whose job makes it is not
    load = jobs_load(held) if user is not None else {}
    seen = [_worker_seen(one, one.seen_at >= lately, user, visible, load) for one in found]
    return sorted(seen, key=lambda one: (not one.alive, one.worker.name))


def _worker_seen(
    worker: Worker,
    alive: bool,
    user: User | AnonymousUser | None,
    visible: set[int],
    load: Mapping[int, dict[str, float]],
) -> WorkerSeen:
    slots = sorted(worker.slots.all(), key=lambda slot: (len(slot.device), slot.device))
    return WorkerSeen(worker, slots, alive, [_slot_seen(slot, user, visible, load) for slot in slots])


def _slot_seen(
    slot: Slot, user: User | AnonymousUser | None, visible: set[int], load: Mapping[int, dict[str, float]]
) -> SlotSeen:
    job = slot.attempt.job if slot.attempt else None
    readings = slot_readings(slot.device, load.get(job.pk, {}), slot.memory_total) if job else ()
    if job is None or not (job.pk in visible or sees_everything(user)):
        return SlotSeen(slot, readings=readings)
    return SlotSeen(slot, job, job.pk in visible, readings)


def sees_everything(user: User | AnonymousUser | None) -> bool:
    """Whoever looks after the machines sees whose job holds them; the job's own page stays its organization's."""
    return user is not None and user.is_active and user.is_superuser


def jobs_waiting(user: User, workers: Sequence[WorkerSeen]) -> list[WaitingJob]:
    """The queues, in the order in which workers take jobs; another organization's is a place and nothing else."""
    waiting = list(in_turn()[:SHOWN])
    visible = _visible(user, {job.pk for job in waiting})
    lengths: dict[str, int] = {}
    found = []
    for job in waiting:
        place = lengths[job.queue] = lengths.get(job.queue, 0) + 1
        shown, link = job.pk in visible or sees_everything(user), job.pk in visible
        reason = waiting_reason(job, workers) if shown else ""
        found.append(WaitingJob(place, job.queue, job if shown else None, reason, link))
    return found


def job_waiting(job: TrainingJob) -> Waiting | None:
    """A queued job's place in its queue and why it waits; None for one that does not."""
    if job.state != JobState.QUEUED:
        return None
    workers = workers_seen()
    alive = sum(one.alive for one in workers)
    return Waiting(place_of_job(job), alive, _reason_lazily(job, workers))


def waiting_reason(job: TrainingJob, workers: Sequence[WorkerSeen]) -> str:
    """One sentence: what a queued job waits for."""
    alive = [one for one in workers if one.alive]
    if not alive:
        return gettext("No worker is running.")
    if job.validated_at is None:
        if job.validation_tries > 1:
            return gettext("Its data are being checked. They could not be at first; it is tried again.")
        return gettext("Its data are being checked.")
    serving = [one for one in alive if one.serves(job.queue)]
    if not serving:
        return gettext("No worker serves the queue %(queue)s.") % {"queue": job.queue}
    return _slots_reason(job, serving)


_reason_lazily = lazy(waiting_reason, str)  # one reading of a job is rendered for several languages


def _slots_reason(job: TrainingJob, serving: list[WorkerSeen]) -> str:
    wanted = slots_wanted(job.config)
    fitting = {one.worker.pk: sum(wanted.fits(slot) for slot in one.slots) for one in serving}
    if max(fitting.values()) < wanted.count:
        return _too_large(wanted, max(fitting.values()))
    able = [one for one in serving if fitting[one.worker.pk] >= wanted.count]
    taking = [one for one in able if not one.draining]
    if not taking:
        return gettext("Every worker that could run it is draining and takes no more jobs.")
    free = max(sum(wanted.fits(slot) and slot.attempt_id is None for slot in one.slots) for one in taking)
    if free < wanted.count:
        return _taken(wanted.count, free, sum(fitting[one.worker.pk] for one in taking))
    return gettext("It starts as soon as its turn has come: jobs before it hold their places.")


def _taken(count: int, free: int, slots: int) -> str:
    if count > 1:
        some = gettext("It asks for %(count)s GPUs of one worker at once; %(free)s free so far. It holds its place.")
        none = gettext("It asks for %(count)s GPUs of one worker at once; none free so far. It holds its place.")
        return some % {"count": count, "free": free} if free else none % {"count": count}
    if slots == 1:
        return gettext("The only slot is taken.")
    return gettext("All %(slots)s slots are taken.") % {"slots": slots}


def _too_large(wanted: Wanted, most: int) -> str:
    if not wanted.gpus:
        return gettext("It asks for a slot of one worker; the largest worker has none.")
    counts = {"count": wanted.count, "most": most}
    if most:
        return gettext("It asks for %(count)s GPUs of one worker; the largest worker has %(most)s.") % counts
    return (
        ngettext(
            "It asks for %(count)s GPU of one worker; the largest worker has none.",
            "It asks for %(count)s GPUs of one worker; the largest worker has none.",
            wanted.count,
        )
        % counts
    )


def _visible(user: User | AnonymousUser | None, ids: set[int]) -> set[int]:
    if user is None or not ids:
        return set()
    return set(jobs_visible(user).filter(pk__in=ids).order_by().values_list("pk", flat=True))
