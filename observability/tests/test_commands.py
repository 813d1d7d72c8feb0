"""Commands: asking the backends, and telling one of what it has missed."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from observability.examples import jsonlines
from observability.models import Delivery
from observability.tests.conftest import Configure
from observability.tests.faulty import end, points, write
from training.models import TrainingJob
from training.tests.journal_entries import metrics, tell

Told = Callable[..., TrainingJob]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALLS_DIR", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_check_backends_writes_to_each_and_names_those_that_fail(folder: Path, configure: Configure) -> None:
    configure("plain", "raises", places=(write(folder, "plain"), write(folder, "raises", "raises")))
    out = StringIO()
    with pytest.raises(CommandError, match="do not work: raises"):
        call_command("check_backends", stdout=out)
    rows = {line.split("│")[1].strip(): line for line in out.getvalue().splitlines() if line.startswith("│")}
    assert "yes" in rows["Database"] and ("SQLite" in rows["Database"] or "PostgreSQL" in rows["Database"])
    assert rows["plain"].count("yes") == 2 and "can't be read" in rows["plain"]
    assert "no luck with create_experiment" in " ".join(out.getvalue().split())
    assert len(points(folder)) == 1


def test_check_backends_tells_which_variable_is_missing(configure: Configure) -> None:
    configure("jsonlines", places=(Path(jsonlines.__file__),))
    with pytest.raises(CommandError, match="jsonlines"):
        run("check_backends", "--backend", "jsonlines")
    with pytest.raises(CommandError, match=r"Unknown: nothing; known are: .*database, jsonlines"):
        run("check_backends", "--backend", "nothing")


def test_a_backfill_sends_past_jobs_and_a_second_one_nothing(
    folder: Path, configure: Configure, told_job: Told
) -> None:
    configure("plain", places=(write(folder, "plain"),))
    jobs = [told_job() for _ in range(3)]
    for job in jobs:
        tell(job, *[metrics(step, loss=1.0) for step in range(20)])
    end(jobs[0])
    assert "61 records of 3 jobs would be sent" in run(
        "backfill_observability", "--backend", "plain", "--all", "--dry-run"
    )
    assert not Delivery.objects.exists()
    assert "all 61 records of 3 jobs" in run("backfill_observability", "--backend", "plain", "--all")
    assert "all 61 records of 3 jobs" in run("backfill_observability", "--backend", "plain", "--since", "2020-01-01")
    assert len(points(folder)) == 60
    states = dict(Delivery.objects.values_list("job_id", "state"))
    assert states == {jobs[0].pk: "finished", jobs[1].pk: "caught_up", jobs[2].pk: "caught_up"}


def test_an_interrupted_backfill_goes_on_where_it_stands(folder: Path, configure: Configure, told_job: Told) -> None:
    places = (write(folder, "switch", "switch"),)
    configure("switch", places=places)
    job = told_job()
    tell(job, *[metrics(step, loss=1.0) for step in range(30)])
    (folder / "away").touch()
    with pytest.raises(CommandError, match="fails again and again: ConnectionError: away"):
        run("backfill_observability", "--backend", "switch", "--job", str(job.pk))
    (folder / "away").unlink()
    run("backfill_observability", "--backend", "switch", "--job", str(job.pk))
    assert [row[2] for row in points(folder, "switch")] == list(range(30))


def test_a_backfill_that_is_refused_says_so(folder: Path, configure: Configure, told_job: Told) -> None:
    configure("refuses", places=(write(folder, "refuses", "refuses"),))
    tell(told_job(), metrics(1, loss=1.0))
    with pytest.raises(CommandError, match="refuses 1 of 1 jobs"):
        run("backfill_observability", "--backend", "refuses", "--all")


def test_a_backfill_asks_for_what_exists(configure: Configure) -> None:
    with pytest.raises(CommandError, match="configured are: database"):
        run("backfill_observability", "--backend", "nothing", "--all")
    with pytest.raises(CommandError, match="There is no job 4711"):
        run("backfill_observability", "--backend", "database", "--job", "4711")
