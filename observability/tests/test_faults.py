"""Backends that hang, raise, exit or refuse: each delays itself alone, and says why."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from observability import breaker, ledger
from observability.lanes import Lanes
from observability.models import Breaker, Delivery, DeliveryState
from observability.runner import GIVE_WAY
from observability.tests.conftest import Configure
from observability.tests.faulty import TROUBLE, calls, drain, end, points, write
from training.models import TrainingJob
from training.tests.journal_entries import metrics, tell

Told = Callable[..., TrainingJob]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.DELIVERY_CALL_SECONDS = 3
    monkeypatch.setenv("CALLS_DIR", str(tmp_path))
    return tmp_path


def runners() -> list[psutil.Process]:
    """The processes of backends; other children of this one are servers of other tests."""
    alive = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in alive if "observability.runner" in one.cmdline()]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("trouble", "state", "said"),
    [
        ("sleeps", "waiting", "create_experiment did not end within 1 s; its process was ended"),
        ("raises", "waiting", "RuntimeError: no luck with create_experiment"),
        ("imports", "waiting", "faulty.py: RuntimeError: this SDK is broken"),
        ("exits", "waiting", "the backend's process ended during create_experiment: exit code 3. last words"),
        ("killed", "waiting", "the backend's process ended during create_experiment: signal 9."),
        ("refuses", "paused", "the quota is used up"),
    ],
)
def test_a_fault_is_recorded_and_the_call_given_up(
    folder: Path, settings: Any, told_job: Told, configure: Configure, lane: Any, trouble: str, state: str, said: str
) -> None:
    if trouble == "sleeps":
        settings.DELIVERY_CALL_SECONDS = 1
    configure("faulty", places=(write(folder, "faulty", trouble),))
    tell(told_job("faulty"), metrics(1, loss=1.0))
    ledger.deliveries_open()
    assert lane("faulty").serve()
    delivery = Delivery.objects.get(backend="faulty")
    assert (delivery.state, delivery.last_error, delivery.seq) == (state, said, 0)
    assert delivery.lease_until is None and (delivery.next_try_at is None) == (state == "paused")
    assert trouble not in ("sleeps", "exits", "killed") or not runners()


@pytest.mark.django_db
def test_a_backends_process_gives_way_to_the_web_process(
    folder: Path, told_job: Told, configure: Configure, lane: Any
) -> None:
    configure("quiet", places=(write(folder, "quiet"),))
    tell(told_job("quiet"), metrics(1, loss=1.0))
    ledger.deliveries_open()
    assert lane("quiet").serve()
    (running,) = runners()
    assert running.nice() >= GIVE_WAY
    shares = Path(f"/proc/{running.pid}/autogroup")
    told = shares.read_text() if shares.exists() else ""  # empty where Linux does not share among sessions
    assert not told or told.split()[-1] == str(GIVE_WAY)


@pytest.mark.django_db
def test_five_failures_in_a_row_open_the_breaker_and_one_success_closes_it(
    folder: Path, told_job: Told, configure: Configure, lane: Any
) -> None:
    configure("switch", places=(write(folder, "switch", "switch"),))
    (folder / "away").touch()
    jobs = [told_job("switch") for _ in range(6)]
    for job in jobs:
        tell(job, metrics(1, loss=1.0))
    ledger.deliveries_open()
    assert [lane("switch").serve() for _ in range(6)] == [True] * 5 + [False]
    assert Breaker.objects.get().opened_until is not None and "away" in Breaker.objects.get().last_error
    (folder / "away").unlink()
    wait_until(lambda: drain(lane("switch")) or points_of(folder, "switch") == len(jobs))
    assert not Breaker.objects.filter(opened_until__isnull=False).exists()
    assert set(Delivery.objects.filter(backend="switch").values_list("state", flat=True)) == {"caught_up"}


@pytest.mark.django_db
def test_after_its_pause_an_open_breaker_lets_one_worker_through(settings: Any) -> None:
    settings.DELIVERY_RETRY_SECONDS = 0.1
    for _ in range(breaker.OPENS_AFTER):
        assert breaker.allows("some")
        breaker.failed("some", "away")
    wait_until(lambda: breaker.allows("some"))
    assert not breaker.allows("some")
    breaker.close("some")
    assert breaker.allows("some") and breaker.allows("some")


@pytest.mark.django_db
def test_a_permanent_error_pauses_one_job_and_no_other(
    folder: Path, told_job: Told, configure: Configure, lane: Any
) -> None:
    first, second = told_job("picky", name="bad"), told_job("picky")
    trouble = f"if Path(self.file.parent, 'strict').exists() and call == 'log_metrics': {REFUSE}"
    configure("picky", places=(write(folder, "picky", trouble),))
    ledger.deliveries_open()
    tell(first, metrics(1, loss=1.0))
    (folder / "strict").touch()
    drain(lane("picky"))
    (folder / "strict").unlink()
    tell(second, metrics(1, loss=1.0))
    drain(lane("picky"))
    states = dict(Delivery.objects.filter(backend="picky").values_list("job_id", "state"))
    assert states == {first.pk: "paused", second.pk: "caught_up"}
    assert breaker.allows("picky")
    ledger.retry(Delivery.objects.filter(job=first))
    drain(lane("picky"))
    assert points_of(folder, "picky") == 2


@pytest.mark.django_db
def test_a_secret_in_an_error_is_not_shown(
    folder: Path, told_job: Told, configure: Configure, lane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAKY_KEY", "hunter2hunter2")
    configure("leaky", places=(write(folder, "leaky", "raise RuntimeError('401 for key=' + os.environ['LEAKY_KEY'])"),))
    tell(told_job("leaky"), metrics(1, loss=1.0))
    ledger.deliveries_open()
    lane("leaky").serve()
    assert Delivery.objects.get(backend="leaky").last_error == "RuntimeError: 401 for key=•••"


@pytest.mark.django_db
def test_odd_words_and_too_long_names_are_recorded_not_fatal(
    folder: Path, told_job: Told, configure: Configure, lane: Any
) -> None:
    odd = "raise RuntimeError('a' + chr(0) + chr(0xD800) + 'b')"
    configure("odd", "long", places=(write(folder, "odd", odd), write(folder, "long", "pass")))
    path = folder / "long.py"
    path.write_text(path.read_text().replace('return f"experiment-{job.job_id}"', "return 3 * ['not a name']"))
    tell(told_job("odd", "long"), metrics(1, loss=1.0))
    ledger.deliveries_open()
    assert lane("odd").serve() and lane("long").serve()
    assert Delivery.objects.get(backend="odd").last_error == "RuntimeError: a\ufffd?b"
    assert Delivery.objects.get(backend="long").state == "waiting"


@pytest.mark.django_db
def test_a_backend_that_asks_for_patience_gets_it(
    folder: Path, told_job: Told, configure: Configure, lane: Any
) -> None:
    configure("busy", places=(write(folder, "busy", "raise AdapterError('429', retry_after=600)"),))
    tell(told_job("busy"), metrics(1, loss=1.0))
    ledger.deliveries_open()
    lane("busy").serve()
    delivery = Delivery.objects.get(backend="busy")
    assert delivery.next_try_at is not None and delivery.turn_at is not None
    assert 590 < (delivery.next_try_at - delivery.turn_at).total_seconds() < 660


@pytest.mark.django_db(transaction=True)
def test_four_bad_backends_delay_no_other(folder: Path, settings: Any, told_job: Told, configure: Configure) -> None:
    bad = ("sleeps", "raises", "imports", "exits")
    places = tuple(write(folder, name, name) for name in bad)
    configure("plain", *bad, places=(*places, write(folder, "plain")))
    settings.DELIVERY_CALL_SECONDS = 30
    job = told_job("plain", *bad)
    tell(job, metrics(0, loss=0.0))
    ledger.deliveries_open()
    lanes = Lanes()
    try:
        lanes.wake()
        for step in range(1, 40):
            tell(job, metrics(step, loss=float(step)))
            lanes.wake()
            time.sleep(0.05)
        good = Delivery.objects.filter(backend__in=["plain", "database"], seq=40)
        wait_until(lambda: good.count() == 2)
        states = dict(Delivery.objects.values_list("backend", "seq"))
        assert states == {"database": 40, "plain": 40, "sleeps": 0, "raises": 0, "imports": 0, "exits": 0}
        assert [row[2] for row in points(folder)] == list(range(40))
        assert Delivery.objects.get(backend="sleeps").lease_until is not None  # still in its first call
    finally:
        lanes.stop()
    assert not runners()
    assert Delivery.objects.get(backend="sleeps").lease_until is None


@pytest.mark.django_db(transaction=True)
def test_a_server_that_was_away_gets_everything_in_order(folder: Path, told_job: Told, configure: Configure) -> None:
    configure("switch", places=(write(folder, "switch", "switch"),))
    job = told_job("switch")
    tell(job, *[metrics(step, loss=1.0) for step in range(25)])
    ledger.deliveries_open()
    (folder / "away").touch()
    lanes = Lanes()
    try:
        lanes.wake()
        wait_until(lambda: Delivery.objects.get(backend="switch").error_count > 2)
        tell(job, *[metrics(step, loss=1.0) for step in range(25, 50)])
        (folder / "away").unlink()
        wait_until(lambda: Delivery.objects.get(backend="switch").state == DeliveryState.CAUGHT_UP)
    finally:
        lanes.stop()
    assert [row[2] for row in points(folder, "switch")] == list(range(50))
    assert Delivery.objects.get(backend="switch").state == DeliveryState.CAUGHT_UP


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["sleeps", "raises", "exits", "killed"])
def test_a_fault_in_the_middle_of_a_run_hurts_nobody_and_everything_is_there_after_it(
    folder: Path, told_job: Told, configure: Configure, fault: str
) -> None:
    trouble = f"if Path(self.file.parent, 'away').exists(): {TROUBLE[fault]}"
    configure("faulty", "plain", places=(write(folder, "faulty", trouble), write(folder, "plain")))
    job = told_job("faulty", "plain")
    tell(job, *[metrics(step, loss=1.0) for step in range(25)])
    ledger.deliveries_open()
    faulty, plain = Delivery.objects.filter(backend="faulty"), Delivery.objects.filter(backend="plain")
    lanes = Lanes()
    try:
        lanes.wake()
        wait_until(lambda: faulty.get().seq == plain.get().seq == 25, 60)
        (folder / "away").touch()
        tell(job, *[metrics(step, loss=1.0) for step in range(25, 60)])
        end(job)
        lanes.wake()
        wait_until(lambda: plain.get().state == DeliveryState.FINISHED and faulty.get().error_count, 60)
        assert (faulty.get().seq, faulty.get().state) == (25, DeliveryState.WAITING)
        (folder / "away").unlink()
        wait_until(lambda: faulty.get().state == DeliveryState.FINISHED, 60)
    finally:
        lanes.stop()
    for name in ("faulty", "plain"):
        assert [row[2] for row in points(folder, name)] == list(range(60))
        assert [call[0] for call in calls(folder, name)].count("finalize") == 1
    assert (faulty.get().last_error, faulty.get().points) == ("", 60)


@pytest.mark.django_db(transaction=True)
def test_an_adapter_that_could_not_be_imported_gets_everything_once_it_is_mended(
    folder: Path, told_job: Told, configure: Configure
) -> None:
    broken, good = write(folder, "broken", "imports"), write(folder, "plain")
    configure("broken", "plain", places=(broken, good))
    job = told_job("broken", "plain")
    tell(job, *[metrics(step, loss=1.0) for step in range(25)])
    ledger.deliveries_open()
    lanes = Lanes()
    try:
        lanes.wake()
        finished = Delivery.objects.filter(backend="plain", state=DeliveryState.CAUGHT_UP)
        wait_until(lambda: finished.exists() and Delivery.objects.get(backend="broken").error_count, 60)
    finally:
        lanes.stop()
    write(folder, "broken")
    configure("broken", "plain", places=(broken, good))
    end(job)
    lanes = Lanes()
    try:
        lanes.wake()
        wait_until(lambda: set(Delivery.objects.values_list("state", flat=True)) == {"finished"}, 60)
    finally:
        lanes.stop()
    for name in ("broken", "plain"):
        assert [row[2] for row in points(folder, name)] == list(range(25))


REFUSE = "raise AdapterError('no', permanent=True)"


def points_of(folder: Path, name: str = "plain") -> int:
    return len(points(folder, name))


def wait_until(truth: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
