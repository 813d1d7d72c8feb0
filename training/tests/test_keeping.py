"""Jobs put away, deleted and brought back: marks first, and gone for good after some days."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from training.checkpoints import checkpoint_prefix
from training.jobs import keeping
from training.jobs.attempts import token_make
from training.jobs.bulk import Bulk, jobs_bulk
from training.jobs.keeping import job_archive, job_delete, job_unarchive, job_undelete, jobs_purge
from training.jobs.selectors import job_status, jobs_kept, jobs_visible
from training.jobs.services import job_restart
from training.jobs.tags import job_tag, job_tags_set, job_untag, tags_known
from training.jobs.transition import NotAllowed
from training.models import Checkpoint, JobAttempt, JobState, JobTag, JournalRecord, Role, TrainingJob, TrainingLog
from training.projects.selectors import project_experiments, project_list
from training.projects.services import experiment_archive, project_archive
from training.storage.store import internal_store
from training.tests.conftest import job_make, person
from training.tests.journal_entries import lines, metrics, tell
from training.tests.rest_program import JOBS, Program
from training.tests.test_pages import browser

pytestmark = pytest.mark.django_db
CALLS = ["started", "progress", "log", "heartbeat", "urls", "checkpoint", "artifact", "completion"]


@pytest.fixture
def ended(cast: SimpleNamespace) -> TrainingJob:
    """A completed job with an attempt, a checkpoint in the store, points and log lines."""
    job = job_make(cast, JobState.COMPLETED)
    now = timezone.now()
    attempt = JobAttempt.objects.create(job=job, number=1, opened_at=now, ended_at=now, lease_until=now)
    TrainingJob.objects.filter(pk=job.pk).update(attempt=1)
    stored = internal_store().put(f"{checkpoint_prefix(attempt)}best-1.pt", b"abc")
    sha = hashlib.sha256(b"abc").hexdigest()
    Checkpoint.objects.create(job=job, attempt=attempt, kind="best", key=stored.key, size=3, sha256=sha)
    tell(job, metrics(step=1, train__loss=1.0), lines("one", "two"))
    return job


def long_ago(job: TrainingJob) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(deleted_at=timezone.now() - timedelta(days=8))


def test_a_deleted_job_is_seen_by_nobody_and_comes_back_as_it_was(cast: SimpleNamespace, ended: TrainingJob) -> None:
    job_delete(ended, cast.owner)
    assert not jobs_visible(cast.owner).exists() and job_status(ended.pk) is None
    assert not Checkpoint.objects.visible_to(cast.owner).exists()
    assert [job.deleted_by for job in jobs_kept(cast.owner)] == [cast.owner]
    job_undelete(ended)
    assert list(jobs_visible(cast.owner)) == [ended] and Checkpoint.objects.visible_to(cast.owner).exists()


def test_a_deleted_job_is_not_counted(cast: SimpleNamespace, ended: TrainingJob) -> None:
    job_delete(ended, cast.owner)
    (project,) = project_list(cast.owner)
    assert (project.job_count, project.newest_job) == (0, None)
    assert [one.job_count for one in project_experiments(project, cast.owner)] == [0]


def test_a_stranger_does_not_see_what_is_deleted_either(cast: SimpleNamespace, ended: TrainingJob) -> None:
    job_delete(ended, cast.owner)
    assert not jobs_kept(cast.stranger).exists()


@pytest.mark.parametrize(
    "state", [JobState.QUEUED, JobState.CLAIMED, JobState.RUNNING, JobState.FINALIZING, JobState.LOST]
)
def test_what_waits_or_runs_is_neither_deleted_nor_archived(cast: SimpleNamespace, state: JobState) -> None:
    job = job_make(cast, state)
    with pytest.raises(NotAllowed, match="cancel it first"):
        job_delete(job, cast.owner)
    with pytest.raises(NotAllowed, match="when it has ended"):
        job_archive(job)


def test_deleting_and_undoing_twice_changes_nothing(cast: SimpleNamespace, ended: TrainingJob) -> None:
    first = job_delete(ended, cast.owner).deleted_at
    assert job_delete(ended, cast.teammate).deleted_at == first
    assert job_undelete(ended).deleted_at is None
    assert job_undelete(ended).deleted_at is None


def test_a_deleted_job_can_be_neither_restarted_nor_tagged_nor_archived(
    cast: SimpleNamespace, ended: TrainingJob
) -> None:
    job_delete(ended, cast.owner)
    changes: list[Callable[[], Any]] = [
        lambda: job_restart(ended, cast.owner),
        lambda: job_tag(ended, ["late"]),
        lambda: job_archive(ended),
        lambda: job_unarchive(ended),
    ]
    for change in changes:
        with pytest.raises(NotAllowed, match="has been deleted"):
            change()


def test_archiving_twice_keeps_the_first_time(ended: TrainingJob) -> None:
    first = job_archive(ended).archived_at
    assert first is not None and job_archive(ended).archived_at == first
    assert job_unarchive(ended).archived_at is None


def test_what_was_deleted_lately_is_not_purged(cast: SimpleNamespace, ended: TrainingJob) -> None:
    job_delete(ended, cast.owner)
    assert jobs_purge() == 0 and TrainingJob.objects.filter(pk=ended.pk).exists()


def test_a_purge_removes_the_job_with_its_journal_and_its_files(
    cast: SimpleNamespace, ended: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PURGE_ROWS", 1)
    other = job_make(cast, JobState.COMPLETED)
    kept = internal_store().put(f"jobs/{ended.pk}0/attempts/1/checkpoints/best-2.pt", b"another job's").key
    tell(other, metrics(step=1, train__loss=1.0))
    job_delete(ended, cast.owner)
    long_ago(ended)
    assert jobs_purge() == 1 and jobs_purge() == 0
    assert not any(model.objects.filter(job_id=ended.pk).exists() for model in (JournalRecord, TrainingLog, JobAttempt))
    assert [stored.key for stored in internal_store().list("jobs")] == [kept]
    assert JournalRecord.objects.filter(job=other).count() == 1


def test_a_purge_goes_on_where_its_time_ended(cast: SimpleNamespace, ended: TrainingJob) -> None:
    job_delete(ended, cast.owner)
    long_ago(ended)
    assert jobs_purge(seconds=-1) == 0
    assert jobs_purge() == 1


def test_a_job_whose_files_can_not_be_removed_is_tried_again(
    cast: SimpleNamespace, ended: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_delete(ended, cast.owner)
    long_ago(ended)
    with monkeypatch.context() as broken:
        broken.setattr("training.storage.local.LocalStore.delete", lambda *_: (_ for _ in ()).throw(OSError("away")))
        assert jobs_purge() == 0 and TrainingJob.objects.filter(pk=ended.pk).exists()
    assert jobs_purge() == 1


def test_what_is_being_purged_can_not_be_brought_back(cast: SimpleNamespace, ended: TrainingJob) -> None:
    job_delete(ended, cast.owner)
    long_ago(ended)
    with pytest.raises(NotAllowed, match="too long ago"):
        job_undelete(ended)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("purged", [False, True], ids=["deleted", "purged"])
def test_a_trainer_of_a_deleted_job_is_told_so(
    cast: SimpleNamespace, ended: TrainingJob, call: str, purged: bool
) -> None:
    job_delete(ended, cast.owner)
    if purged:
        long_ago(ended)
        assert jobs_purge() == 1
    bodies: dict[str, dict[str, Any]] = {
        "progress": {"no": 1, "epoch": 1, "step": 1, "metrics": {"train/loss": 1.0}},
        "log": {"no": 1, "level": "info", "message": "late"},
        "checkpoint": {"kind": "best", "key": "x", "size": 1, "sha256": "0" * 64},
        "artifact": {"kind": "curve", "name": "a.png", "key": "x", "size": 1, "sha256": "0" * 64},
        "completion": {"status": "failed", "message": "late"},
    }
    header = {"Authorization": f"Bearer {token_make(ended.pk, 1)}"}
    address = f"/api/v1/training/jobs/{ended.pk}/callback/{call}"
    answer = Client().post(address, bodies.get(call, {}), content_type="application/json", headers=header)
    # an ended attempt that repeats how it ended is told the state, deleted or not
    assert answer.status_code in ((404, 409) if purged or call != "completion" else (200, 409)), answer.content


def test_tags_are_put_on_once_and_taken_off(cast: SimpleNamespace, job: TrainingJob) -> None:
    assert job_tag(job, ["night  shift", "기준선"]) == ["night shift", "기준선"]
    assert job_tag(job, ["기준선"]) == ["night shift", "기준선"]
    assert job_untag(job, ["night shift", "never there"]) == ["기준선"]
    assert job_tags_set(job, ["a", "b"]) == ["a", "b"]
    assert tags_known(cast.owner) == ["a", "b"] and tags_known(cast.stranger) == []


@pytest.mark.parametrize("name", ["", "  ", "x" * 51, "a,b", "a\x00b", "a\u202eb"])
def test_a_tag_that_is_none_is_refused(job: TrainingJob, name: str) -> None:
    with pytest.raises(ValidationError):
        job_tag(job, [name])


def test_a_job_has_at_most_twenty_tags(job: TrainingJob) -> None:
    with pytest.raises(ValidationError, match="at most 20"):
        job_tag(job, [f"tag {number}" for number in range(21)])
    assert not JobTag.objects.exists()


def test_in_bulk_each_job_is_done_or_refused_by_itself(cast: SimpleNamespace) -> None:
    member = person("member", cast.organization, Role.STANDARD_ENGINEER)
    own, others, over = job_make(cast, created_by=member), job_make(cast), job_make(cast, JobState.FAILED)
    TrainingJob.objects.filter(pk=over.pk).update(created_by=member)
    jobs = list(jobs_visible(member).order_by("pk"))
    said = [one.refusal for one in jobs_bulk(member, Bulk.CANCEL, jobs)]
    assert said == ["", "Your role does not allow you to cancel this job.", "It is failed: there is nothing to cancel."]
    states = [TrainingJob.objects.get(pk=job.pk).state for job in (own, others)]
    assert states == [JobState.CANCELLED, JobState.QUEUED]


def test_in_bulk_what_changed_since_it_was_looked_at_is_refused(cast: SimpleNamespace, job: TrainingJob) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(state=JobState.COMPLETED)  # `job` still says queued
    (outcome,) = jobs_bulk(cast.owner, Bulk.CANCEL, [job])
    assert "has completed already" in outcome.refusal


def test_lists_leave_archived_jobs_out_unless_they_are_asked_for(cast: SimpleNamespace, program: Program) -> None:
    kept, put_away = (job_make(cast, JobState.COMPLETED, name=name) for name in ("kept one", "put away"))
    job_archive(put_away)
    for query, names in (({}, [kept]), ({"archived": "true"}, [put_away]), ({"archived": "all"}, [put_away, kept])):
        told = program.get(JOBS, **query).json()["items"]
        assert [one["id"] for one in told] == [job.pk for job in names]
        assert all((one["archived_at"] is not None) is (one["id"] == put_away.pk) for one in told)
    assert program.get(JOBS, archived="maybe").status_code == 400
    owner, experiment = browser(cast.owner), f"/experiments/{cast.experiment.pk}/"
    for address in (experiment, f"/projects/{cast.experiment.project_id}/"):
        page = owner.get(address).content.decode()
        assert "kept one" in page and "put away" not in page
    assert "1 archived" in owner.get(experiment).content.decode()
    page = owner.get(experiment, {"archived": "1"}).content.decode()
    assert "put away" in page and "kept one" not in page


@pytest.mark.parametrize("kind", ["projects", "experiments"])
def test_archived_projects_and_experiments_are_told_on_wish(cast: SimpleNamespace, program: Program, kind: str) -> None:
    what = cast.experiment.project if kind == "projects" else cast.experiment
    (project_archive if kind == "projects" else experiment_archive)(what, True)
    place = f"/api/v1/training/{kind}"
    assert program.get(place).json()["items"] == []
    assert [one["id"] for one in program.get(place, archived="true").json()["items"]] == [what.pk]


def test_the_command_leaves_out_what_is_archived_or_deleted(cast: SimpleNamespace) -> None:
    job_archive(job_make(cast, JobState.COMPLETED, name="put away"))
    job_delete(job_make(cast, JobState.COMPLETED, name="gone"), cast.owner)
    for words, names in (([], []), (["--archived", "true"], ["put away"]), (["--archived", "all"], ["put away"])):
        out = StringIO()
        call_command("jobs", "list", *words, "--json", stdout=out)
        assert [json.loads(row)["name"] for row in out.getvalue().splitlines()] == names
