"""The follower that watches runs: NaN, patience, and the conditions of alert rules, each committed with its cursor.

A sweep looks at every job that runs or has just ended. Reading is done outside of the transaction: it is short, and
those who commit reports do not wait for it.
"""

import logging
import random
import time as clock
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from django.db.models import Q
from django.utils import timezone

from training.alerts.conditions import condition_said, event_meets, metric_meets
from training.alerts.raising import alert_raise
from training.jobs.progress import ACTIVE
from training.jobs.transition import job_locked
from training.jobs.watching import SYSTEM, nan_place, watch_act, watch_begin, watch_counted, watch_see
from training.journal.reader import Columns, Record, heads, metric_columns, records_after
from training.journal.rows import write_turn
from training.models import AlertRule, JobAttempt, JobState, JobWatch, RecordKind, TrainingJob

logger = logging.getLogger(__name__)
RECORDS = 2000  # of one job in one transaction
SECONDS = 3.0  # of one sweep; what is left waits for the next
ENDED_LATELY = timedelta(hours=1)


def jobs_watch() -> int:
    """Look at every job that has said something new; how many turns that took."""
    recent = Q(state__in=ACTIVE) | Q(ended_at__gte=timezone.now() - ENDED_LATELY)
    jobs = TrainingJob.objects.filter(recent, deleted_at=None, imported=None).values_list("id", flat=True)
    found = list(jobs)
    reached = {job_id: head.seq for job_id, head in heads(found).items()} if found else {}
    seen = {job_id: min(places) for job_id, *places in _cursors(found)}
    behind = [job_id for job_id, seq in reached.items() if seq > seen.get(job_id, 0)]
    random.shuffle(behind)  # where time runs out, nobody is always the last
    until, turns = clock.monotonic() + SECONDS, 0
    for job_id in behind:
        more = True
        while more and clock.monotonic() < until:
            turns += 1
            try:
                more = job_watch(job_id)
            except Exception:
                logger.exception("Job %s could not be watched; the others are", job_id)
                more = False
    stalled_watch()
    return turns


def job_watch(job_id: int) -> bool:
    """One turn: look at the next records of a job, and act on what they mean; whether there may be more."""
    head = heads([job_id]).get(job_id)
    if head is None:
        return False
    watch, _ = JobWatch.objects.get_or_create(job_id=job_id)
    begun = (watch.seq, watch.event_seq, watch.resumed, watch.after_attempt)
    job = TrainingJob.objects.select_related("experiment").get(pk=job_id)
    attempts = list(JobAttempt.objects.filter(job_id=job_id).order_by("number"))
    watch_begin(watch, attempts)
    rules = _rules(job)
    start, until = watch.seq, min(watch.seq + RECORDS, head.seq)
    blocks = metric_columns(job_id, after=start, until=until) if until > start else []
    counted = watch_counted(watch, attempts, blocks)
    watch_see(watch, job, counted)
    _points_note(watch, blocks, until == head.seq)
    crossings = [found for rule in rules if rule.kind == "metric" for found in _crossings(rule, watch, counted)]
    events = records_after(job_id, watch.event_seq, RECORDS, [RecordKind.EVENT])
    watch.seq = until
    watch.event_seq = events[-1].seq if len(events) == RECORDS else head.seq
    with write_turn(), job_locked(job_id) as locked:
        now = JobWatch.objects.select_for_update().get(pk=watch.pk)
        if (now.seq, now.event_seq, now.resumed, now.after_attempt) != begun:
            return True  # another was quicker; what it did is not to be done again
        acted = watch_act(watch, locked)
        for rule, key, title, text in crossings:
            alert_raise(rule, locked, key, title, text)
        _events_raise(rules, locked, watch, events)
        watch.save()
    return acted or until < head.seq or len(events) == RECORDS


def stalled_watch() -> int:
    """Make the alerts about running jobs that have reported nothing for as long as a rule allows; how many."""
    made, now = 0, clock.time()
    for rule in AlertRule.objects.filter(kind="stalled", enabled=True).prefetch_related("targets"):
        allowed = rule.condition["minutes"] * 60
        jobs = TrainingJob.objects.filter(experiment__project=rule.project_id, state=JobState.RUNNING, deleted_at=None)
        for job in jobs.select_related("watch"):
            watch = getattr(job, "watch", None)
            last = max(watch.last_point or 0 if watch else 0, job.started_at.timestamp() if job.started_at else now)
            if now - last > allowed:
                text = f"No metrics for {int((now - last) / 60)} min."
                made += alert_raise(rule, job, f"stalled {job.attempt} {int(last)}", "Stalled", text) is not None
    return made


def _cursors(job_ids: Sequence[int]) -> list[tuple[int, int, int]]:
    return list(JobWatch.objects.filter(job_id__in=job_ids).values_list("job_id", "seq", "event_seq"))


def _rules(job: TrainingJob) -> list[AlertRule]:
    rules = AlertRule.objects.filter(project=job.experiment.project_id, enabled=True)
    return list(rules.exclude(kind="stalled").prefetch_related("targets"))


def _points_note(watch: JobWatch, blocks: Sequence[Columns], newest: bool) -> None:
    """When the trainer was last heard to report: by our clock, where these are the newest points there are."""
    times = [float(block.time[-1]) for block in blocks if not all(name.startswith(SYSTEM) for name in block.names)]
    if times:
        watch.last_point = clock.time() if newest else max(*times, watch.last_point or 0.0)


def _crossings(rule: AlertRule, watch: JobWatch, blocks: Sequence[Columns]) -> list[tuple[AlertRule, str, str, str]]:
    """(rule, key, title, text) wherever a metric has been beyond the threshold for as many reports as it takes."""
    found = []
    condition, since = rule.condition, rule.created_at.timestamp()
    for name in sorted({name for block in blocks for name in block.names if metric_meets(condition, name)}):
        place = f"{rule.pk} {name}"
        streak = int(watch.streaks.get(place, 0))
        for seq, value, epoch, step in _values(blocks, name, since):
            beyond = value > condition["threshold"] if condition["side"] == "above" else value < condition["threshold"]
            streak = streak + 1 if beyond else 0
            if streak == condition["reports"]:
                at = f"epoch {epoch}" if epoch >= 0 else f"step {step}" if step >= 0 else ""
                rule_said = condition_said("metric", condition)
                text = f"{name} is {value:.6g} at {at}: {rule_said}." if at else f"{name} is {value:.6g}: {rule_said}."
                found.append((rule, f"metric {seq}", f"{name} is {condition['side']} {condition['threshold']:g}", text))
        watch.streaks[place] = streak
    return found


def _values(blocks: Sequence[Columns], name: str, since: float) -> list[tuple[int, float, int, int]]:
    """(seq, value, epoch, step) of a metric's finite values since a moment, in the journal's order."""
    rows: list[tuple[int, float, int, int]] = []
    for block in blocks:
        if name in block.names:
            values = block.values[:, block.names.index(name)]
            kept = np.isfinite(values) & (block.time >= since)
            columns = (block.seq[kept], values[kept], block.epoch[kept], block.step[kept])
            rows += list(zip(*(column.tolist() for column in columns), strict=True))
    return sorted(rows)


def _events_raise(rules: Sequence[AlertRule], job: TrainingJob, watch: JobWatch, events: Sequence[Record]) -> None:
    for record in events:
        for rule in rules:
            if record.event is None or record.time < rule.created_at.timestamp():
                continue
            title = event_meets(rule.kind, rule.condition, record.event)
            if title:
                text = nan_place(watch) if rule.kind == "nan" else str(record.event.get("reason") or "")
                alert_raise(rule, job, f"event {record.seq}", title, text)
