"""The audit log: every change of a person's leaves one entry, in its own transaction, and entries stay as they are."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from training.imports.services import import_ask, import_cancel
from training.jobs.draining import worker_drain, worker_undrain
from training.jobs.keeping import job_archive, job_delete, job_unarchive, job_undelete
from training.jobs.presets import preset_delete, preset_save, preset_update
from training.jobs.services import job_cancel, job_prioritize, job_restart
from training.jobs.tags import job_tags_set
from training.models import AppendOnly, AuditEntry, JobState, Priority, User, Worker
from training.people.audit import HIDDEN, audit, audit_changes
from training.people.keys import key_create, key_revoke
from training.tests.conftest import job_make
from training.tests.datasets_folder import folder_write
from training.tests.test_pages import browser

pytestmark = pytest.mark.django_db


def entries(action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


def test_a_cancel_says_who_what_and_what_changed(cast: SimpleNamespace) -> None:
    job = job_make(cast)
    job_cancel(job, cast.owner, "wrong data")
    (entry,) = entries("job.cancel")
    assert (entry.user, entry.who, entry.organization_id) == (cast.owner, "owner", cast.organization.pk)
    assert (entry.object_type, entry.object_id, entry.object_name) == ("job", str(job.pk), "A job")
    assert entry.old == {"state": "queued"} and entry.new == {"state": "cancelled", "reason": "wrong data"}


def test_what_a_page_did_has_the_address_and_the_requests_id(cast: SimpleNamespace) -> None:
    job = job_make(cast)
    browser(cast.owner).post(reverse("job-cancel", args=[job.pk]), headers={"X-Request-ID": "a-request-1"})
    (entry,) = entries("job.cancel")
    assert (entry.by, entry.address, entry.request_id) == ("pages", "127.0.0.1", "a-request-1")


def test_what_a_program_did_names_its_key(cast: SimpleNamespace) -> None:
    job = job_make(cast)
    key, token = key_create(cast.owner, cast.organization, "nightly", write=True)
    address = reverse("api:job-cancel", args=[job.pk])
    assert Client().post(address, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    (entry,) = entries("job.cancel")
    assert (entry.who, entry.by) == ("owner", f"key vtk_{key.prefix}")


def test_without_a_request_the_program_is_named(cast: SimpleNamespace) -> None:
    audit("organization.create", cast.organization)
    (entry,) = entries("organization.create")
    assert entry.user is None and entry.who == entry.by != "pages" and entry.address == ""


def test_a_change_that_is_rolled_back_leaves_no_entry(cast: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="no"), transaction.atomic():
        key_create(cast.owner, cast.organization, "nightly", write=True)
        raise ValueError("no")
    assert not entries("key.create")


def test_a_repeat_that_changes_nothing_leaves_no_entry(cast: SimpleNamespace) -> None:
    key, _ = key_create(cast.owner, cast.organization, "nightly", write=True)
    key_revoke(key)
    key_revoke(key)
    assert len(entries("key.revoke")) == 1


def test_secrets_never_get_in(cast: SimpleNamespace) -> None:
    _, token = key_create(cast.owner, cast.organization, "nightly", write=True)
    audit("settings.change", cast.organization, new={"Api_Key": "s3cret", "deep": {"password": "s3cret"}, "n": "\x00"})
    text = repr(list(AuditEntry.objects.values()))
    assert "s3cret" not in text and token.split("_", 2)[2] not in text
    assert entries("settings.change")[0].new == {"Api_Key": HIDDEN, "deep": {"password": HIDDEN}, "n": "�"}


def test_only_what_differs_is_told(cast: SimpleNamespace) -> None:
    audit_changes("organization.rename", cast.organization, {"name": "a", "size": 1}, {"name": "b", "size": 1})
    audit_changes("organization.rename", cast.organization, {"name": "b"}, {"name": "b"})
    (entry,) = entries("organization.rename")
    assert (entry.old, entry.new) == ({"name": "a"}, {"name": "b"})


def test_entries_are_never_changed_or_removed(cast: SimpleNamespace) -> None:
    audit("organization.create", cast.organization)
    (entry,) = entries("organization.create")
    for attempt in (entry.save, entry.delete, AuditEntry.objects.all().delete, AuditEntry.objects.all().update):
        with pytest.raises(AppendOnly):
            attempt()


def test_the_database_refuses_to_change_an_entry_too(cast: SimpleNamespace) -> None:
    audit("organization.create", cast.organization)
    statements = ["UPDATE training_auditentry SET who = 'nobody'"]
    if connection.vendor == "postgresql":
        statements.append("DELETE FROM training_auditentry")
    for statement in statements:
        with pytest.raises(DatabaseError, match="never"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_an_entry_outlives_whom_and_what_it_names(cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.FAILED, created_by=cast.teammate)
    job_restart(job, cast.teammate)
    job.delete()
    User.objects.filter(pk=cast.teammate.pk).delete()
    cast.organization.delete()
    (entry,) = entries("job.restart")
    assert (entry.who, entry.object_name, entry.organization_id) == ("teammate", "A job", entry.organization_id)


@pytest.mark.parametrize(("trusted", "expected"), [(False, "127.0.0.1"), (True, "203.0.113.7")])
def test_forwarded_addresses_count_only_from_a_trusted_proxy(
    cast: SimpleNamespace, settings: object, trusted: bool, expected: str
) -> None:
    settings.TRUST_PROXY_HEADERS = trusted  # type: ignore[attr-defined]
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
    browser(cast.owner).post(reverse("job-cancel", args=[job_make(cast).pk]), headers=headers)
    assert entries("job.cancel")[0].address == expected


def test_what_people_do_with_jobs_is_told_once_each(cast: SimpleNamespace) -> None:
    job = job_make(cast, JobState.FAILED)
    for _ in range(2):  # a repeat changes nothing, and is not told
        job_prioritize(job, cast.owner, Priority.HIGH)
        job_tags_set(job, ["one", "two"])
        job_archive(job)
    job_unarchive(job)
    job_delete(job, cast.owner)
    job_undelete(job)
    told = list(AuditEntry.objects.order_by("id").values_list("action", "old", "new"))
    assert told == [
        ("job.prioritize", {"priority": 0}, {"priority": 1}),
        ("job.tag", {"tags": []}, {"tags": ["one", "two"]}),
        ("job.archive", None, None),
        ("job.unarchive", None, None),
        ("job.delete", None, None),
        ("job.undelete", None, None),
    ]


def test_presets_and_imports_and_workers_are_told(cast: SimpleNamespace, worker: Worker, tmp_path: Path) -> None:
    preset = preset_save(cast.organization, "example", "detection", "night", {"epochs": 2}, cast.owner)
    preset_update(preset, {"epochs": 3})
    preset_update(preset, {"epochs": 3})
    preset_delete(preset)
    asked = import_ask(cast.organization, "pets", str(folder_write(tmp_path / "pets")), cast.owner)
    import_cancel(asked)
    for _ in range(2):
        worker_drain(worker)
    worker_undrain(worker)
    assert list(AuditEntry.objects.order_by("id").values_list("action", "organization_id")) == [
        ("preset.save", cast.organization.pk),
        ("preset.update", cast.organization.pk),
        ("preset.delete", cast.organization.pk),
        ("dataset_import.ask", cast.organization.pk),
        ("dataset_import.cancel", cast.organization.pk),
        ("worker.drain", None),
        ("worker.undrain", None),
    ]
    assert entries("preset.update")[0].new == {"settings": {"epochs": 3}}
