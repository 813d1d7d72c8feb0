"""The commands for jobs: what they print on a terminal, elsewhere and as JSON, and how they end."""

import functools
import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from training.jobs import following
from training.models import Dataset, JobState, LogLevel, Project, Role, TrainingJob
from training.tests.conftest import job_make, person
from training.tests.journal_entries import lines, tell

pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def said(*words: Any, out: io.StringIO | None = None, **options: Any) -> str:
    out = out or io.StringIO()
    call_command(*map(str, words), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


@pytest.fixture
def then(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let these things happen, one after another, while a command waits."""

    def happen(*steps: Callable[[], Any]) -> None:
        left = list(steps)
        follow = functools.partial(following.job_follow, sleep=lambda _: left.pop(0)())
        monkeypatch.setattr("training.management.commands.logs.job_follow", follow)
        monkeypatch.setattr("training.management.commands.train.job_follow", follow)

    return happen


def state_set(job: TrainingJob, state: JobState, **fields: Any) -> Callable[[], Any]:
    return lambda: TrainingJob.objects.filter(pk=job.pk).update(state=state, **fields)


# --- jobs


def test_jobs_are_listed_newest_first_without_lines_where_there_is_no_terminal(cast: SimpleNamespace) -> None:
    first, second = job_make(cast, name="one"), job_make(cast, JobState.FAILED, name="two")
    rows = said("jobs").splitlines()
    assert rows[1].split("\t") == [str(second.pk), "two", "Failed", "", "Bottles", "owner"]
    assert rows[2].startswith(f"{first.pk}\tone\tQueued")


def test_a_terminal_gets_a_table_in_which_names_do_not_act(cast: SimpleNamespace) -> None:
    job_make(cast, name="[red]n\x1b[2Jame")
    shown = said("jobs", out=Terminal())
    assert "[red]name" in shown and "\x1b[2J" not in shown and "│" in shown


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--state", "failed"], ["two"]),
        (["list", "--state", "failed", "--state", "queued"], ["two", "one"]),
        (["--name", "ON"], ["one"]),
        (["--project", "Cups"], []),
        (["--created-by", "teammate"], ["two"]),
        (["--limit", "1"], ["two"]),
        (["--user", "stranger"], []),
    ],
)
def test_jobs_are_filtered(cast: SimpleNamespace, words: list[str], names: list[str]) -> None:
    job_make(cast, name="one")
    job_make(cast, JobState.FAILED, name="two", created_by=cast.teammate)
    assert [json.loads(row)["name"] for row in said("jobs", *words, "--json").splitlines()] == names


def test_one_job_is_shown_with_its_settings(cast: SimpleNamespace) -> None:
    job = job_make(cast, name="one", config={"epochs": 7})
    assert "epochs=7" in said("jobs", "show", job.pk) and "No worker is running" in said("jobs", "show", job.pk)
    assert json.loads(said("jobs", "show", job.pk, "--json"))["config"] == {"epochs": 7}


def test_a_job_is_cancelled_and_run_again_in_a_persons_name(job: TrainingJob) -> None:
    assert said("jobs", "cancel", job.pk, "--user", "owner") == f"Job {job.pk} is cancelled.\n"
    assert json.loads(said("jobs", "restart", job.pk, "--user", "owner", "--json"))["state"] == "queued"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["cancel", "N", "--user", "teammate"], "Your role does not allow"),
        (["cancel", "N", "--user", "stranger"], "that stranger may see"),
        (["cancel", "N", "--user", "nobody"], "There is no user nobody. Known: owner, stranger, teammate"),
        (["restart", "N", "--user", "owner"], "Job "),
        (["show", str(10**30)], "There is no job"),
        (["cancel", "N"], "--user"),
        (["--state", "resting"], "invalid choice"),
    ],
)
def test_what_is_not_possible_is_said(job: TrainingJob, words: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        said("jobs", *(word.replace("N", str(job.pk)) if word == "N" else word for word in words))
    job.refresh_from_db()
    assert job.state == JobState.QUEUED


# --- logs


def test_a_log_is_printed_without_what_would_act_on_a_terminal(job: TrainingJob) -> None:
    tell(job, lines("one\x1b[2J", "10%\r20%"), lines("bad", level=LogLevel.ERROR))
    rows = said("logs", job.pk).splitlines()
    assert [row.split(": ", 1)[1] for row in rows] == ["one", "20%", "bad"] and " ERROR   trainer" in rows[2]
    assert "\x1b" not in said("logs", job.pk)


def test_only_a_terminal_gets_colours(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    tell(job, lines("[bold]bad", level=LogLevel.ERROR))
    shown = said("logs", job.pk, out=Terminal())
    assert "\x1b[31m" in shown and "[bold]bad" in shown
    assert "\x1b" not in said("logs", job.pk, "--json", out=Terminal())


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--level", "error"], ["bad"]),
        (["--source", "stdout"], ["three"]),
        (["--tail", "2"], ["bad", "three"]),
        (["--tail", "0"], []),
        (["--text", "TW"], ["two"]),
    ],
)
def test_a_log_is_filtered(job: TrainingJob, words: list[str], messages: list[str]) -> None:
    tell(job, lines("one", "two"), lines("bad", level=LogLevel.ERROR), lines("three", source="stdout"))
    assert [json.loads(row)["message"] for row in said("logs", job.pk, "--json", *words).splitlines()] == messages


@pytest.mark.parametrize("tail", [[], ["--tail", "0"]])
def test_a_followed_log_ends_with_the_job_and_misses_nothing(job: TrainingJob, then: Any, tail: list[str]) -> None:
    tell(job, lines("before"))
    then(
        lambda: tell(job, lines("during", "too")),
        lambda: (tell(job, lines("last")), state_set(job, JobState.COMPLETED)()),
    )
    rows = said("logs", job.pk, "--follow", "--json", *tail).splitlines()
    expected = ["during", "too", "last"]
    assert [json.loads(row)["message"] for row in rows] == (expected if tail else ["before", *expected])


def test_more_lines_than_one_look_takes_are_all_told(job: TrainingJob, then: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(following, "LINES", 3)
    then(lambda: (tell(job, lines(*map(str, range(10)))), state_set(job, JobState.FAILED)()))
    rows = said("logs", job.pk, "-f", "--json").splitlines()
    assert [json.loads(row)["message"] for row in rows] == list(map(str, range(10)))


def test_following_ends_when_the_job_is_deleted(job: TrainingJob, then: Any) -> None:
    then(lambda: TrainingJob.objects.filter(pk=job.pk).delete())
    assert said("logs", job.pk, "--follow") == ""


def test_an_interrupted_command_ends_without_a_traceback(job: TrainingJob, then: Any) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    then(interrupt)
    with pytest.raises(SystemExit) as ended:
        said("logs", job.pk, "--follow")
    assert ended.value.code == 130


# --- train


@pytest.fixture
def data(cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A dataset that needs no files: its snapshot is tested elsewhere."""
    monkeypatch.setattr("training.jobs.services.snapshot_take", lambda dataset: None)
    fields = {"name": "bottles", "format": "yolo", "task_type": "detection", "prefix": "datasets/none"}
    return Dataset.objects.create(organization=cast.organization, **fields)


TRAIN = ["train", "bottles", "--user", "owner", "--project", "Bottles"]


def newest() -> TrainingJob:
    return TrainingJob.objects.latest("pk")


def end(state: JobState, **fields: Any) -> Callable[[], Any]:
    return lambda: state_set(newest(), state, **fields)()


def test_a_job_is_queued_and_its_address_told(data: Dataset) -> None:
    told = said(*TRAIN, "--set", "epochs=3")
    assert told == f"Job {newest().pk} is queued: http://127.0.0.1:8000/jobs/{newest().pk}/\n"
    assert newest().config["epochs"] == 3


@pytest.mark.parametrize(("state", "code"), [(JobState.FAILED, 1), (JobState.CANCELLED, 3)])
def test_the_exit_code_tells_how_the_job_ended(data: Dataset, then: Any, state: JobState, code: int) -> None:
    then(end(JobState.RUNNING), end(state, error_message="no memory"))
    with pytest.raises(CommandError, match="no memory") as error:
        said(*TRAIN, "--wait")
    assert error.value.returncode == code


def test_a_job_that_completed_ends_the_command_well(data: Dataset, then: Any) -> None:
    then(end(JobState.RUNNING), end(JobState.COMPLETED))
    assert said(*TRAIN, "--wait").endswith(f"Job {newest().pk} is completed.\n")


def test_a_followed_job_prints_its_log(data: Dataset, then: Any) -> None:
    then(lambda: tell(newest(), lines("epoch 1 done")), end(JobState.COMPLETED))
    assert "trainer: epoch 1 done" in said(*TRAIN, "--follow")


def test_json_is_one_line_with_the_result(data: Dataset, then: Any) -> None:
    then(lambda: tell(newest(), lines("noise")), end(JobState.COMPLETED))
    (line,) = said(*TRAIN, "--follow", "--json").splitlines()
    assert json.loads(line)["state"] == "completed"


def test_waiting_shows_changes_where_there_is_no_terminal_and_a_bar_where_there_is(data: Dataset, then: Any) -> None:
    for err in (io.StringIO(), Terminal()):
        then(end(JobState.RUNNING), end(JobState.COMPLETED))
        call_command(*TRAIN, "--wait", stdout=io.StringIO(), stderr=err)
        assert "completed" in err.getvalue() and ("running\n" in err.getvalue()) != err.isatty()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--set", "epochs=many"], "epochs must be an integer"),
        (["--set", "epochs"], "expected NAME=VALUE"),
        (["--trainer", "magic"], "There is no trainer magic"),
        (["--model", "gpt"], "gpt is unknown"),
        (["--user", "guest"], "Your role does not allow you to create jobs"),
        (["--user", "standard", "--set", "mosaic=0.123"], "advanced settings"),
    ],
)
def test_a_job_that_cannot_be_is_refused_before_a_project_is_made(
    data: Dataset, cast: SimpleNamespace, words: list[str], reason: str
) -> None:
    person("guest", cast.organization, Role.GUEST)
    person("standard", cast.organization, Role.STANDARD_ENGINEER)
    with pytest.raises(CommandError, match=reason):
        said("train", "bottles", "--user", "owner", "--project", "New", *words)
    assert not Project.objects.filter(name="New").exists() and not TrainingJob.objects.exists()


# --- import_dataset


def test_an_import_that_fails_is_told_as_json_too(cast: SimpleNamespace, tmp_path: Any) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("import_dataset", tmp_path, name="empty", organization="ours", json=True, stdout=out)
    assert json.loads(out.getvalue())["error"] and not Dataset.objects.exists()


@pytest.mark.parametrize(("user", "reason"), [("teammate", "import datasets"), ("nobody", "There is no user nobody")])
def test_who_may_not_import_is_told_so(cast: SimpleNamespace, tmp_path: Any, user: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        call_command("import_dataset", tmp_path, name="data", organization="ours", user=user)
