"""`/metrics`: the platform in Prometheus' text format, read from the database at each scrape.

So it is right with any number of processes on any number of machines, and
every web server gives the same answer. Totals of jobs come from the journal
and the ledger and never fall while their jobs exist; requests and calls are
counted where they happen and added to the database every few seconds (`tallies`).
"""

import ipaddress
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate

from django.conf import settings
from django.db.models import Count, Sum
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from observability.models import Breaker, Delivery, DeliveryState, Tally
from observability.tallies import BUCKETS, SUM
from training.journal.reader import Head, heads, records_after
from training.models import JobState, TrainingJob
from training.models.journal import RecordKind

ACTIVE = (JobState.CLAIMED, JobState.RUNNING, JobState.FINALIZING, JobState.CANCELLING, JobState.LOST)
COUNTERS = {
    "platform_requests": ("HTTP requests, by kind of address and status of the answer.", ["kind", "status"]),
    "platform_delivery_calls": ("Calls of backends, by what became of them.", ["backend", "call", "outcome"]),
    "platform_delivery_sent_points": ("Metric points in calls that were answered.", ["backend"]),
    "platform_delivery_failed_points": ("Metric points in calls that failed; they are sent again.", ["backend"]),
}
HISTOGRAMS: dict[str, tuple[str, list[str]]] = {
    "platform_callback_seconds": ("How long requests of trainers take.", []),
    "platform_delivery_call_seconds": ("How long calls of backends take.", ["backend"]),
}
LOOK_BACK = 50  # records in which to look for a job's last values


def metrics(request: HttpRequest) -> HttpResponse:
    """With METRICS_TOKEN: 401 without `Authorization: Bearer <token>`. Without one: 403 but from this machine."""
    token = settings.METRICS_TOKEN
    said = request.headers.get("Authorization", "")
    if token and not constant_time_compare(said, f"Bearer {token}"):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    if not token and not _from_here(request):
        return HttpResponse("Set METRICS_TOKEN to read this from elsewhere.", status=403, content_type="text/plain")
    registry = CollectorRegistry()
    registry.register(Platform())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Platform(Collector):
    """Jobs and deliveries as they are in the database now."""

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield self._jobs_by_state()
        active = list(TrainingJob.objects.filter(state__in=ACTIVE).select_related("experiment__project"))
        newest = heads([job.pk for job in active])
        yield from self._active_jobs(active, newest)
        yield self._last_values(newest)
        yield from self._deliveries()
        yield self._breakers()
        yield from self._tallies()

    def _jobs_by_state(self) -> Metric:
        family = GaugeMetricFamily("platform_jobs", "Jobs in each state.", labels=["state"])
        counts = dict(TrainingJob.objects.values_list("state").annotate(Count("pk")))
        for state in JobState.values:
            family.add_metric([state], counts.get(state, 0))
        return family

    def _active_jobs(self, active: Collection[TrainingJob], newest: dict[int, Head]) -> Iterator[Metric]:
        names = ["job", "name", "trainer", "project", "state"]
        facts = GaugeMetricFamily("platform_job", "1 for each job that is under way, with its facts.", labels=names)
        epoch = GaugeMetricFamily("platform_job_epoch", "The newest epoch that the job told of.", labels=["job"])
        step = GaugeMetricFamily("platform_job_step", "The newest step that the job told of.", labels=["job"])
        records = CounterMetricFamily("platform_job_records", "Records committed to the job's journal.", labels=["job"])
        for job in active:
            facts.add_metric([str(job.pk), job.name, job.trainer, job.experiment.project.name, job.state], 1)
        for job_id, head in newest.items():
            records.add_metric([str(job_id)], head.seq)
            for family, value in ((epoch, head.epoch), (step, head.step)):
                if value is not None:
                    family.add_metric([str(job_id)], value)
        yield from (facts, epoch, step, records)

    def _last_values(self, newest: dict[int, Head]) -> Metric:
        """Of the metrics that METRICS_NAMES lists, among each job's newest records."""
        wanted = set(settings.METRICS_NAMES)
        family = GaugeMetricFamily("platform_job_metric", "Last value of a chosen metric.", labels=["job", "metric"])
        for job_id, head in newest.items() if wanted else ():
            last: dict[str, float] = {}
            for record in records_after(job_id, head.seq - LOOK_BACK, LOOK_BACK, [RecordKind.METRICS]):
                last |= {name: value for name, value in zip(record.names, record.values, strict=True) if name in wanted}
            for name, value in last.items():
                family.add_metric([str(job_id), name], value)
        return family

    def _deliveries(self) -> Iterator[Metric]:
        by_state = GaugeMetricFamily("platform_deliveries", "Deliveries in each state.", labels=["backend", "state"])
        points = CounterMetricFamily("platform_delivered_points", "Metric points delivered.", labels=["backend"])
        lag = GaugeMetricFamily("platform_delivery_lag_records", "Records not yet delivered.", labels=["backend"])
        for backend, state, count in Delivery.objects.values_list("backend", "state").annotate(Count("pk")):
            by_state.add_metric([backend, state], count)
        for backend, total in Delivery.objects.values_list("backend").annotate(Sum("points")):
            points.add_metric([backend], total)
        for backend, total in self._lags().items():
            lag.add_metric([backend], total)
        yield from (by_state, points, lag)

    def _lags(self) -> dict[str, int]:
        open_ones = Delivery.objects.exclude(state=DeliveryState.FINISHED).values_list("backend", "job_id", "seq")
        rows = list(open_ones)
        newest = heads(sorted({job_id for _, job_id, _ in rows}))
        lags = dict.fromkeys(Delivery.objects.values_list("backend", flat=True).distinct(), 0)
        for backend, job_id, seq in rows:
            lags[backend] += newest[job_id].seq - seq if job_id in newest else 0
        return lags

    def _breakers(self) -> Metric:
        family = GaugeMetricFamily("platform_backend_left_alone", "1 while a breaker is open.", labels=["backend"])
        open_ones = set(Breaker.objects.filter(opened_until__gt=Now()).values_list("backend", flat=True))
        for backend in Breaker.objects.values_list("backend", flat=True):
            family.add_metric([backend], backend in open_ones)
        return family

    def _tallies(self) -> Iterator[Metric]:
        counted: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
        for name, labels, value in Tally.objects.order_by("name", "labels").values_list("name", "labels", "value"):
            counted[name][tuple(json.loads(labels))] = value
        for name, (text, label_names) in COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=label_names)
            for values, count in counted[name].items():
                counter.add_metric(values, count)
            yield counter
        for name, (text, label_names) in HISTOGRAMS.items():
            histogram = HistogramMetricFamily(name, text, labels=label_names)
            for series in sorted({values[:-1] for values in counted[name]}):
                histogram.add_metric(series, *_histogram(series, counted[name]))
            yield histogram


def _histogram(
    series: tuple[str, ...], counted: Mapping[tuple[str, ...], float]
) -> tuple[list[tuple[str, float]], float]:
    """The buckets as Prometheus wants them, each with all below it; and the sum."""
    counts = accumulate(counted.get((*series, bucket), 0.0) for bucket in BUCKETS)
    return list(zip(BUCKETS, counts, strict=True)), counted.get((*series, SUM), 0.0)


def _from_here(request: HttpRequest) -> bool:
    """Whether it comes from this machine itself: a proxy here speaks for others."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
