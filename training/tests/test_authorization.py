"""Who is answered what: every route and socket × who asks × whose it is, against real objects.

One line per route and method; the answers stand in the order of ACTORS, first
for people of the organization that owns the objects, then for those of another.
A route that is not in the table fails the tests.
"""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.testing import WebsocketCommunicator
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from platform_site.asgi import application
from training.alerts.secrets import seal
from training.api.rest import api
from training.jobs.attempts import token_make
from training.live.watcher import watcher
from training.models import (
    AlertRule,
    AlertTarget,
    Artifact,
    Checkpoint,
    Dataset,
    DatasetImport,
    DatasetSnapshot,
    DatasetUpload,
    Experiment,
    InferenceJob,
    JobAttempt,
    JobPreset,
    JobState,
    LogLevel,
    Organization,
    PretrainedWeights,
    Project,
    ProjectMembership,
    Role,
    TrainingJob,
    TrainingLog,
    User,
)
from training.people.invitations import invitation_create
from training.people.keys import key_create
from training.routing import websocket_urlpatterns
from training.storage.store import internal_store
from training.tests.conftest import job_make, person
from training.tests.journal_entries import metrics, tell

pytestmark = pytest.mark.django_db
ACTORS = ["anonymous", *Role.values, "attempt token", "API key"]
NOT_OURS = {
    "admin": "the admin site has its own rule: superusers only",
    "static": "files that anybody may have",
}

#            anonymous · guest · standard · advanced · manager · admin · attempt token · API key
PAGE = "      302         200     200        200        200       200     302             302"
PAGE_HID = "  302         404     404        404        404       404     302             302"
DATA = "      401         200     200        200        200       200     401             401"
DATA_HID = "  401         404     404        404        404       404     401             401"
ANY_JOB = "   302         403     403        302        302       302     302             302"
ENGINEERS = " 302         403     200        200        200       200     302             302"
NEW_JOB = "   302         403     422        422        422       422     302             302"
REST = "      401         200     200        200        200       200     401             200"
REST_HID = "  401         404     404        404        404       404     401             404"
REST_ANY = "  401         403     403        200        200       200     401             200"
REST_OWN = "  401         403     200        200        200       200     401             200"
REST_BOSS = " 401         403     403        403        200       200     401             403"
REST_MAKER = "401         403     403        200        200       200     401             403"
REST_MADE = " 401         403     201        201        201       201     401             201"
REST_SENT = " 401         302     302        302        302       302     401             302"
REST_GONE = " 401         403     403        403        204       204     401             403"
REST_GONE_OWN = "401      403     403        204        204       204     401             403"
REST_MANAGER = "401       403     403        403        200       200     401             403"
REST_MANAGERS = "401     403     403        403        200       200     401             403"
REST_DONE = " 401         403     403        403        204       204     401             403"
REST_ADMINS = "401       403     403        403        403       200     401             403"
OWN_JOB = "   302         403     302        302        302       302     302             302"
IMPORTERS = " 302         403     302        302        302       302     302             302"
REST_MINE = " 401         403     403        204        204       204     401             403"
# 400: it came past the door, without a picture
TESTERS = "   302         403     403        400        400       400     302             302"
TESTERS_OWN = " 302       403     400        400        400       400     302             302"
REST_TEST = " 401         403     403        422        422       422     401             422"  # 422: it is none
REST_TEST_OWN = " 401     403     422        422        422       422     401             422"
REDIRECT = "  302         302     302        302        302       302     302             302"
LIST = PAGE
LAYOUT = "    302         204     204        204        204       204     302             302"
OPEN = "      200         200     200        200        200       200     200             200"
TOKEN = "     401         401     401        401        401       401     400             401"
TOKEN_HID = " 401         401     401        401        401       401     404             401"
PICTURES = " 401         404     404        404        404       404     401             401"
MANAGERS = " 302         403     403        403        302       302     302             302"
MAKERS = "   302         403     403        302        302       302     302             302"
MANAGER_FORM = "302       403     403        403        200       200     302             302"
MANAGER_SENT = "302       403     403        403        422       422     302             302"
ADVANCED_FORM = "302      403     403        200        200       200     302             302"
ADVANCED_SENT = "302      403     403        422        422       422     302             302"
REST_TOLD = " 401         400     400        400        400       400     401             400"
REST_UNSEEN = "401        400     400        400        400       400     401             400"
REST_ANY_GONE = "401      403     403        204        204       204     401             204"
REST_OWN_GONE = "401      403     204        204        204       204     401             204"
REST_STAR = " 401         204     204        204        204       204     401             204"
KEYS = "      302         403     403        200        200       200     302             302"
ADMINS = "    302         403     403        403        403       200     302             302"
ADMINS_DO = " 302         403     403        403        403       302     302             302"
MANAGED = "   302         403     403        403        200       200     302             302"
INVITING = "  302         403     403        403        400       400     302             302"
UNFILLED = "  302         400     400        400        400       400     302             302"
GONE = "      404         404     404        404        404       404     404             404"
GONE_SIGNED = "302        404     404        404        404       404     302             302"
STRANGERS = " 200         302     302        302        302       302     200             200"
SITE_ADMINS = "302         403     403        403        403       403     302             302"
FORBIDDEN = " 403         403     403        403        403       403     403             403"


@dataclass(frozen=True)
class Line:
    """One route and method: the answers to the objects' own organization, and to another's."""

    method: str
    name: str
    own: str
    other: str
    mine: bool = False  # whether the objects are the asker's own
    data: str = ""  # the name of the form to send
    state: JobState = JobState.QUEUED

    def __str__(self) -> str:
        return f"{self.method} {self.name}{' of mine' if self.mine else ''}"

    def answers(self, ours: bool) -> dict[str, int]:
        numbers = [int(text) for text in (self.own if ours else self.other).split()]
        return dict(zip(ACTORS, numbers, strict=True))


TABLE = [
    Line("GET", "healthz", OPEN, OPEN),
    Line("GET", "readyz", OPEN, OPEN),
    Line("GET", "metrics", OPEN, OPEN),  # from this machine; from elsewhere with METRICS_TOKEN
    Line("GET", "home", LIST, LIST),
    Line("GET", "go", LIST, LIST),
    Line("GET", "sign-in", "200 302 302 302 302 302 200 200", "200 302 302 302 302 302 200 200"),
    Line("POST", "sign-out", REDIRECT, REDIRECT),
    Line("POST", "language", REDIRECT, REDIRECT),  # everybody may choose one
    Line("GET", "sign-up", STRANGERS, STRANGERS),
    Line("POST", "sign-up", STRANGERS.replace("200", "400"), STRANGERS.replace("200", "400")),
    Line("GET", "sign-up-finish", GONE, GONE),  # its token is the only right
    Line("POST", "sign-up-finish", GONE, GONE),
    Line("GET", "password-reset", OPEN, OPEN),
    Line("POST", "password-reset", OPEN.replace("200", "400"), OPEN.replace("200", "400")),
    Line("GET", "password-reset-confirm", GONE, GONE),
    Line("GET", "invitation-page", GONE, GONE),
    Line("POST", "invitation-page", GONE, GONE),
    Line("GET", "account-page", PAGE, PAGE),
    Line("POST", "account-page", UNFILLED, UNFILLED),  # 400: they came past the door
    Line("GET", "password-change", PAGE, PAGE),
    Line("POST", "password-change", UNFILLED, UNFILLED),
    Line("POST", "email-change", UNFILLED, UNFILLED),
    Line("POST", "email-confirm", PAGE_HID, PAGE_HID),
    Line("POST", "password-reset-confirm", GONE, GONE),
    Line("POST", "organization-list", UNFILLED, UNFILLED),
    Line("GET", "email-change", PAGE, PAGE),
    Line("GET", "email-confirm", PAGE_HID, PAGE_HID),
    Line("GET", "organization-list", LIST, LIST),
    Line("GET", "organization-page", PAGE, PAGE_HID),
    Line("POST", "organization-rename", ADMINS_DO, PAGE_HID),
    Line("POST", "organization-keeping", ADMINS_DO, PAGE_HID),
    Line("POST", "member-role", ADMINS_DO, PAGE_HID),
    Line("POST", "member-remove", MANAGERS, PAGE_HID),
    Line("POST", "invitation-create", INVITING, PAGE_HID),  # 400: it came past the door
    Line("POST", "invitation-resend", MANAGERS, PAGE_HID),
    Line("POST", "invitation-revoke", MANAGERS, PAGE_HID),
    Line("GET", "organization-keys", ADMINS, PAGE_HID),
    Line("POST", "organization-key-revoke", ADMINS_DO, PAGE_HID),
    Line("GET", "audit-page", ADMINS, PAGE_HID),
    Line("GET", "audit-csv", ADMINS, PAGE_HID),
    Line("POST", "project-archive", MANAGERS, PAGE_HID),
    Line("GET", "alerts", PAGE, PAGE_HID),
    Line("GET", "alert-target-new", MANAGER_FORM, PAGE_HID),
    Line("POST", "alert-target-new", MANAGER_SENT, PAGE_HID, data="unfilled"),
    Line("POST", "alert-target-test", MANAGERS, PAGE_HID),
    Line("POST", "alert-target-remove", MANAGERS, PAGE_HID),
    Line("GET", "alert-rule-new", MANAGER_FORM, PAGE_HID),
    Line("POST", "alert-rule-new", MANAGER_SENT, PAGE_HID, data="unfilled"),
    Line("GET", "alert-rule-edit", MANAGER_FORM, PAGE_HID),
    Line("POST", "alert-rule-edit", MANAGER_SENT, PAGE_HID, data="unfilled"),
    Line("POST", "alert-rule-remove", MANAGERS, PAGE_HID),
    Line("POST", "project-member-add", MANAGERS, PAGE_HID),
    Line("POST", "project-member-remove", MANAGERS, PAGE_HID),
    Line("GET", "job-list", LIST, LIST),
    Line("GET", "job-rows", LIST, LIST),
    Line("GET", "job-csv", LIST, LIST),
    Line("POST", "job-bulk", REDIRECT, REDIRECT, data="bulk form"),  # each is done or refused by itself, and told
    Line("POST", "job-archive", MANAGERS, PAGE_HID, state=JobState.FAILED),
    Line("POST", "job-unarchive", MANAGERS, PAGE_HID, state=JobState.FAILED),
    Line("POST", "job-delete", MANAGERS, PAGE_HID, state=JobState.FAILED),
    Line("POST", "job-delete", MAKERS, PAGE_HID, mine=True, state=JobState.FAILED),
    Line("POST", "job-tags", ANY_JOB, PAGE_HID),
    Line("POST", "job-tags", OWN_JOB, PAGE_HID, mine=True),
    Line("GET", "job-page", PAGE, PAGE_HID),
    Line("GET", "job-news", PAGE, PAGE_HID),
    Line("GET", "job-actions", PAGE, PAGE_HID),
    Line("GET", "job-log", PAGE, PAGE_HID),
    Line("GET", "job-log-rows", PAGE, PAGE_HID),
    Line("GET", "job-log-hits", PAGE, PAGE_HID, data="search"),
    Line("GET", "job-log-line", PAGE, PAGE_HID),
    Line("POST", "job-cancel", ANY_JOB, PAGE_HID),
    Line("POST", "job-cancel", OWN_JOB, PAGE_HID, mine=True),
    Line("GET", "job-new", ENGINEERS, PAGE_HID, data="copy"),
    Line("POST", "job-new", NEW_JOB, PAGE_HID, data="new job"),
    Line("GET", "job-new-yaml", ENGINEERS, ENGINEERS),
    Line("POST", "job-new-yaml", NEW_JOB, NEW_JOB, data="unfilled"),
    Line("POST", "preset-save", NEW_JOB, PAGE_HID, data="new job"),
    Line("POST", "preset-update", MANAGERS, PAGE_HID, data="preset"),
    Line("POST", "preset-update", OWN_JOB, PAGE_HID, data="preset", mine=True),
    Line("POST", "preset-delete", MANAGERS, PAGE_HID),
    Line("POST", "preset-delete", OWN_JOB, PAGE_HID, mine=True),
    Line("GET", "job-deliveries", PAGE, PAGE_HID),
    Line("POST", "delivery-retry", ANY_JOB, PAGE_HID),
    Line("POST", "delivery-retry", OWN_JOB, PAGE_HID, mine=True),
    Line("POST", "delivery-backfill", ANY_JOB, PAGE_HID),
    Line("POST", "delivery-backfill", OWN_JOB, PAGE_HID, mine=True),
    Line("POST", "job-restart", ANY_JOB, PAGE_HID, state=JobState.FAILED),
    Line("POST", "job-restart", OWN_JOB, PAGE_HID, mine=True, state=JobState.FAILED),
    Line("GET", "job-test", PAGE, PAGE_HID),
    Line("POST", "job-test", TESTERS, PAGE_HID),
    Line("POST", "job-test", TESTERS_OWN, PAGE_HID, mine=True),
    Line("GET", "inference-page", PAGE, PAGE_HID),
    Line("GET", "inference-picture", PAGE, PAGE_HID),
    Line("GET", "job-log-text", DATA, DATA_HID),
    Line("GET", "job-metrics", DATA, DATA_HID),
    Line("GET", "job-metrics-csv", DATA, DATA_HID),
    Line("GET", "checkpoint-download", REDIRECT, PAGE_HID),
    Line("POST", "checkpoint-keep", IMPORTERS, PAGE_HID),
    Line("GET", "job-checkpoints", PAGE, PAGE_HID),
    Line("POST", "checkpoint-delete", MANAGERS, PAGE_HID, state=JobState.FAILED),
    Line("POST", "checkpoint-delete", MAKERS, PAGE_HID, mine=True, state=JobState.FAILED),
    Line("GET", "artifact", PAGE, PAGE_HID),
    Line("GET", "weights-list", LIST, LIST),
    Line("POST", "weights-delete", MANAGERS, PAGE_HID),
    Line("POST", "weights-delete", MAKERS, PAGE_HID, mine=True),
    Line("GET", "compare", PAGE, PAGE_HID, data="compare"),
    Line("GET", "compare-csv", PAGE, PAGE_HID, data="compare"),
    Line("GET", "dataset-list", LIST, LIST),
    Line("GET", "dataset-page", PAGE, PAGE_HID),
    Line("GET", "dataset-offender", GONE_SIGNED, PAGE_HID),  # the import left nothing out
    Line("GET", "snapshot-compare", PAGE, PAGE_HID),
    Line("GET", "dataset-picture", PICTURES, PICTURES),  # 404: there is none of that number
    Line("POST", "dataset-delete", MANAGERS, PAGE_HID),
    Line("POST", "dataset-delete", MAKERS, PAGE_HID, mine=True),
    Line("GET", "dataset-edit", ADVANCED_FORM, PAGE_HID),
    Line("GET", "dataset-edit", ENGINEERS, PAGE_HID, mine=True),
    Line("POST", "dataset-edit", ADVANCED_SENT, PAGE_HID, data="unfilled"),
    Line("POST", "dataset-edit", NEW_JOB, PAGE_HID, data="unfilled", mine=True),
    Line("GET", "labeler-datasets", PAGE_HID, PAGE_HID),  # 404: none is configured
    Line("POST", "labeler-import", PAGE_HID, PAGE_HID),
    Line("GET", "import-new", ENGINEERS, ENGINEERS),
    Line("POST", "import-new", NEW_JOB, PAGE_HID, data="organization"),
    Line("GET", "import-list", LIST, LIST),
    Line("GET", "import-page", PAGE, PAGE_HID),
    Line("POST", "import-cancel", ANY_JOB, PAGE_HID),
    Line("POST", "import-cancel", OWN_JOB, PAGE_HID, mine=True),
    Line("POST", "import-again", IMPORTERS, PAGE_HID),  # past the door: there is no such folder
    Line("GET", "project-list", LIST, LIST),
    Line("GET", "project-page", PAGE, PAGE_HID),
    Line("GET", "worker-list", LIST, LIST),
    Line("POST", "worker-drain", SITE_ADMINS, SITE_ADMINS),
    Line("POST", "worker-undrain", SITE_ADMINS, SITE_ADMINS),
    Line("GET", "project-new", "302 403 403 403 200 200 302 302", "302 403 403 403 200 200 302 302"),
    Line("POST", "project-new", "302 403 403 403 422 422 302 302", PAGE_HID, data="organization"),
    Line("GET", "project-edit", MANAGER_FORM, PAGE_HID),
    Line("POST", "project-edit", MANAGER_SENT, PAGE_HID, data="unfilled"),
    Line("GET", "experiment-new", ENGINEERS, PAGE_HID),
    Line("POST", "experiment-new", NEW_JOB, PAGE_HID, data="unfilled"),
    Line("GET", "experiment-page", PAGE, PAGE_HID),
    Line("GET", "experiment-edit", ADVANCED_FORM, PAGE_HID),
    Line("GET", "experiment-edit", ENGINEERS, PAGE_HID, mine=True),
    Line("POST", "experiment-edit", ADVANCED_SENT, PAGE_HID, data="unfilled"),
    Line("GET", "experiment-notes", ADVANCED_FORM, PAGE_HID),
    Line("POST", "experiment-notes", ADVANCED_SENT, PAGE_HID, data="unfilled"),
    Line("POST", "experiment-notes", NEW_JOB, PAGE_HID, data="unfilled", mine=True),
    Line("GET", "job-notes", ADVANCED_FORM, PAGE_HID),
    Line("POST", "job-notes", ADVANCED_SENT, PAGE_HID, data="unfilled"),
    Line("POST", "job-notes", NEW_JOB, PAGE_HID, data="unfilled", mine=True),
    Line("POST", "experiment-archive", MANAGERS, PAGE_HID),
    Line("POST", "experiment-archive", MANAGERS, PAGE_HID, mine=True),
    Line("POST", "experiment-star", REDIRECT, PAGE_HID),
    Line("POST", "job-star", REDIRECT, PAGE_HID),
    Line("POST", "chart-layout", LAYOUT, PAGE_HID, data="layout"),  # one's own way to look at what one may see
    Line("GET", "key-list", LIST, LIST),
    Line("POST", "key-list", KEYS, PAGE_HID, data="key"),
    Line("POST", "key-revoke", PAGE_HID, PAGE_HID),
    Line("POST", "key-revoke", REDIRECT, PAGE_HID, mine=True),
    Line("GET", "api:job-list", REST, REST),
    Line("POST", "api:job-create", REST_MADE, REST_HID, data="job"),
    Line("GET", "api:job", REST, REST_HID),
    Line("PATCH", "api:job", REST_ANY, REST_HID, data="priority"),
    Line("PATCH", "api:job", REST_OWN, REST_HID, mine=True, data="priority"),
    Line("GET", "api:job-metrics", REST, REST_HID),
    Line("GET", "api:job-logs", REST, REST_HID),
    Line("POST", "api:job-start", REST_ANY, REST_HID),
    Line("POST", "api:job-start", REST_OWN, REST_HID, mine=True),
    Line("POST", "api:job-cancel", REST_ANY, REST_HID),
    Line("POST", "api:job-cancel", REST_OWN, REST_HID, mine=True),
    Line("POST", "api:job-restart", REST_ANY, REST_HID, data="nothing", state=JobState.FAILED),
    Line("POST", "api:job-restart", REST_OWN, REST_HID, mine=True, data="nothing", state=JobState.FAILED),
    Line("POST", "api:job-clone", REST_TEST_OWN, REST_HID, data="nothing"),  # 422: it has no data to train on
    Line("GET", "api:job-metrics-table", REST, REST_HID),
    Line("GET", "api:job-checkpoints", REST, REST_HID),
    Line("GET", "api:checkpoint", REST, REST_HID),
    Line("GET", "api:checkpoint-download", REST_SENT, REST_HID),
    Line("DELETE", "api:checkpoint-remove", REST_GONE, REST_HID, state=JobState.FAILED),
    Line("DELETE", "api:checkpoint-remove", REST_GONE_OWN, REST_HID, mine=True, state=JobState.FAILED),
    Line("POST", "api:job-archive", REST_BOSS, REST_HID, state=JobState.FAILED),
    Line("POST", "api:job-unarchive", REST_BOSS, REST_HID, state=JobState.FAILED),
    Line("POST", "api:job-delete", REST_BOSS, REST_HID, state=JobState.FAILED),
    Line("POST", "api:job-delete", REST_MAKER, REST_HID, mine=True, state=JobState.FAILED),
    Line("POST", "api:job-undelete", REST_BOSS, REST_HID, state=JobState.FAILED),
    Line("POST", "api:job-undelete", REST_MAKER, REST_HID, mine=True, state=JobState.FAILED),
    Line("GET", "api:job-tags", REST, REST_HID),
    Line("PUT", "api:job-tags", REST_ANY, REST_HID, data="tags"),
    Line("PUT", "api:job-tags", REST_OWN, REST_HID, mine=True, data="tags"),
    Line("POST", "api:job-bulk", REST, REST, data="bulk"),  # each job is done or refused by itself, in the answer
    Line("GET", "api:project-list", REST, REST),
    Line("POST", "api:project-create", REST_MANAGERS.replace("200", "201"), REST_HID, data="project"),
    Line("GET", "api:project", REST, REST_HID),
    Line("PATCH", "api:project-change", REST_MANAGER, REST_HID, data="change"),
    Line("GET", "api:organization-list", REST, REST),
    Line("GET", "api:member-list", REST, REST_HID),
    Line("PATCH", "api:member", REST_ADMINS, REST_HID, data="role"),
    Line("DELETE", "api:member", REST_DONE, REST_HID),
    Line("GET", "api:invitation-list", REST_MANAGERS, REST_HID),
    Line("POST", "api:invitation-list", REST_MANAGERS.replace("200", "201"), REST_HID, data="invitation"),
    Line("POST", "api:invitation-resend", REST_MANAGERS, REST_HID),
    Line("DELETE", "api:invitation", REST_DONE, REST_HID),
    Line("GET", "api:organization-keys", REST_ADMINS, REST_HID),
    Line("DELETE", "api:organization-key", REST_ADMINS.replace("200", "204"), REST_HID),
    Line("GET", "api:audit-list", REST_ADMINS, REST_HID),
    Line("GET", "api:alert-target-list", REST, REST_HID),
    Line("POST", "api:alert-target-create", REST_MANAGERS.replace("200", "201"), REST_HID, data="alert target"),
    Line("DELETE", "api:alert-target", REST_DONE, REST_HID),
    Line("POST", "api:alert-target-test", REST_MANAGERS.replace("200", "202"), REST_HID),
    Line("GET", "api:alert-rule-list", REST, REST_HID),
    Line("POST", "api:alert-rule-create", REST_MANAGERS.replace("200", "201"), REST_HID, data="alert rule"),
    Line("PATCH", "api:alert-rule", REST_MANAGERS, REST_HID, data="not enabled"),
    Line("DELETE", "api:alert-rule", REST_DONE, REST_HID),
    Line("GET", "api:alert-list", REST, REST_HID),
    Line("GET", "api:project-members", REST, REST_HID),
    Line("POST", "api:project-members", REST_MANAGERS.replace("200", "201"), REST_HID, data="member"),
    Line("DELETE", "api:project-member", REST_DONE, REST_HID),
    Line("GET", "api:experiment-list", REST, REST),
    Line("POST", "api:experiment-create", REST_MADE, REST_HID, data="experiment"),
    Line("GET", "api:experiment", REST, REST_HID),
    Line("GET", "api:dataset-list", REST, REST),
    Line("GET", "api:dataset", REST, REST_HID),
    Line("DELETE", "api:dataset-delete", REST_GONE, REST_HID),
    Line("DELETE", "api:dataset-delete", REST_GONE_OWN, REST_HID, mine=True),
    Line("GET", "api:dataset-pictures", REST, REST_HID),
    Line("GET", "api:dataset-picture", REST_HID, REST_HID),  # 404: there is none of that number
    Line("GET", "api:job-deliveries", REST, REST_HID),
    Line("POST", "api:delivery-retry", REST_ANY, REST_HID),
    Line("POST", "api:delivery-retry", REST_OWN, REST_HID, mine=True),
    Line("POST", "api:delivery-backfill", REST_ANY, REST_HID),
    Line("POST", "api:delivery-backfill", REST_OWN, REST_HID, mine=True),
    Line("GET", "api:trainer-list", REST, REST),
    Line("GET", "api:trainer", REST, REST),
    Line("GET", "api:job-artifacts", REST, REST_HID),
    Line("GET", "api:job-inferences", REST, REST_HID),
    Line("POST", "api:inference-create", REST_TEST, REST_HID, data="picture"),
    Line("POST", "api:inference-create", REST_TEST_OWN, REST_HID, mine=True, data="picture"),
    Line("GET", "api:inference", REST, REST_HID),
    Line("GET", "api:weights-list", REST, REST),
    Line("POST", "api:weights-create", REST_MADE, REST_HID, data="weights"),
    Line("GET", "api:weights", REST, REST_HID),
    Line("POST", "api:weights-finish", REST_OWN, REST_HID),
    Line("DELETE", "api:weights-remove", REST_GONE, REST_HID),
    Line("DELETE", "api:weights-remove", REST_MINE, REST_HID, mine=True),
    Line("GET", "api:worker-list", REST, REST),
    Line("PATCH", "api:experiment-change", REST_ANY, REST_HID, data="name"),
    Line("PATCH", "api:experiment-change", REST_OWN, REST_HID, data="name", mine=True),
    Line("PATCH", "api:experiment-change", REST_BOSS, REST_HID, data="archive", mine=True),
    Line("GET", "api:job-notes", REST, REST_HID),
    Line("PUT", "api:job-notes", REST_ANY, REST_HID, data="notes"),
    Line("PUT", "api:job-notes", REST_OWN, REST_HID, data="notes", mine=True),
    Line("PUT", "api:experiment-notes", REST_ANY, REST_HID, data="notes"),
    Line("PUT", "api:experiment-star", REST_STAR, REST_HID),
    Line("DELETE", "api:experiment-star", REST_STAR, REST_HID),
    Line("PUT", "api:job-star", REST_STAR, REST_HID),
    Line("DELETE", "api:job-star", REST_STAR, REST_HID),
    Line("PATCH", "api:dataset-change", REST_ANY, REST_HID, data="change"),
    Line("PATCH", "api:dataset-change", REST_OWN, REST_HID, data="change", mine=True),
    Line("GET", "api:preset-list", REST, REST),
    Line("POST", "api:preset-create", REST_MADE, REST_HID, data="preset"),
    Line("PATCH", "api:preset", "401 403 403 403 200 200 401 403", REST_HID, data="settings"),
    Line("PATCH", "api:preset", "401 403 200 200 200 200 401 403", REST_HID, data="settings", mine=True),
    Line("DELETE", "api:preset", "401 403 403 403 204 204 401 403", REST_HID),
    Line("DELETE", "api:preset", "401 403 204 204 204 204 401 403", REST_HID, mine=True),
    Line("POST", "api:job-described", REST_MADE, "401 422 422 422 422 422 401 422", data="document"),
    Line("GET", "api:import-list", REST, REST),
    Line("POST", "api:import-ask", "401 403 422 422 422 422 401 422", REST_HID, data="import"),  # 422: no such folder
    Line("GET", "api:import", REST, REST_HID),
    Line("GET", "api:labeler-datasets", REST_HID, REST_HID),  # 404: none is configured
    Line("POST", "api:labeler-import", REST_HID, REST_HID, data="labeler"),
    Line("GET", "api:upload-list", REST, REST),
    Line("POST", "api:upload-begin", REST_MADE, REST_HID, data="upload"),
    Line("GET", "api:upload", REST, REST_HID),
    Line("PUT", "api:upload-part", REST_TOLD, REST_UNSEEN),  # 400: it has no checksum
    Line("DELETE", "api:upload-delete", REST_ANY_GONE, REST_HID),
    Line("DELETE", "api:upload-delete", REST_OWN_GONE, REST_HID, mine=True),
    Line("POST", "api:import-cancel", REST_ANY, REST_HID),
    Line("POST", "api:import-cancel", REST_OWN, REST_HID, mine=True),
    Line("GET", "api:openapi-json", OPEN, OPEN),  # how to ask, nothing of what there is
    Line("GET", "api:openapi-view", OPEN, OPEN),
    Line("GET", "api:api-root", "404 " * 8, "404 " * 8),
    *(
        Line("POST", f"callback-{call}", TOKEN, TOKEN_HID, data="not an object")  # 400: it came past the door
        for call in ("started", "progress", "log", "heartbeat", "urls", "checkpoint", "artifact", "completion")
    ),
    Line("GET", "storage", FORBIDDEN, FORBIDDEN),  # its token, signed for minutes, is the only right
]

#            anonymous · guest · standard · advanced · manager · admin · attempt token · API key; 0: stays open
SOCKETS = {
    "ws/training/<int:job_id>/": ("4401 0 0 0 0 0 4401 4401", "4401 4404 4404 4404 4404 4404 4401 4401"),
    "ws/training/<int:job_id>/events/": ("4401 0 0 0 0 0 4401 0", "4401 4404 4404 4404 4404 4404 4401 4404"),
    "": ("4404 " * 8, "4404 " * 8),
}


def routes(resolver: URLResolver | None = None, within: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every route of the site but those of NOT_OURS, under the name that finds it."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            if entry.app_name not in NOT_OURS:
                yield from routes(entry, f"{within}{entry.namespace}:" if entry.namespace else within)
        elif not str(entry.pattern).startswith(tuple(NOT_OURS)):
            yield f"{within}{entry.name}", entry


def organization_make(name: str) -> SimpleNamespace:
    """An organization with somebody of each role, somebody else, and what belongs to it."""
    organization = Organization.objects.create(name=name, slug=name)
    title = f"Nobody but {name} may read this"
    maker = person(f"{name}-maker", organization)
    project = Project.objects.create(organization=organization, name=title)
    world = SimpleNamespace(organization=organization, owner=maker, project=project, title=title)
    world.people = {role.value: person(f"{name}-{role}", organization, role) for role in Role}
    world.experiment = Experiment.objects.create(project=project, name=title, created_by=maker)
    _, world.key = key_create(world.people[Role.ADVANCED_ENGINEER], organization, "a program", write=True)
    return world


def objects_make(world: SimpleNamespace, maker: User, state: JobState = JobState.QUEUED) -> SimpleNamespace:
    """A fresh job and all that hangs on it, made by `maker`."""
    second = job_make(world, state, name=world.title, created_by=maker)
    job = job_make(world, state, name=world.title, created_by=maker)
    attempt = JobAttempt.objects.create(job=job, number=1, opened_at=job.created_at, lease_until=job.created_at)
    file = {"key": f"jobs/{job.pk}/b.pt", "size": 3, "sha256": "0" * 64}
    stored = Checkpoint.objects.create(job=job, attempt=attempt, kind="best", **file)
    delivery = apps.get_model("observability", "Delivery")  # `training` itself never knows it
    delivery.objects.get_or_create(job=job, backend="database")
    prefix = f"datasets/{job.pk}"
    data = {"organization": world.organization, "name": f"{world.title} {job.pk}", "format": "yolo", "prefix": prefix}
    dataset = Dataset.objects.create(**data, task_type="detection", created_by=maker)
    artifact = {"kind": "curve", "name": "a.png", "key": f"jobs/{job.pk}/a.png", "content_type": "image/png"}
    internal_store().put(artifact["key"], b"a picture")
    shown = Artifact.objects.create(job=job, attempt=attempt, size=9, sha256="0" * 64, **artifact)
    manifest = {"version_hash": "0", "classes": [], "files": []}
    internal_store().put(f"snapshots/{dataset.pk}.json.gz", gzip.compress(json.dumps(manifest).encode()))
    listed = {"manifest_key": f"snapshots/{dataset.pk}.json.gz", "file_count": 0, "total_bytes": 0}
    snapshot = DatasetSnapshot.objects.create(dataset=dataset, version_hash="0", **listed)
    file["key"], kind = f"weights/{job.pk}.pt", {"framework": "ultralytics", "task_type": "detection"}
    whose = {"organization": world.organization, "name": f"{world.title} {job.pk}", "created_by": maker}
    weights = PretrainedWeights.objects.create(**whose, **kind, **file, stored_at=job.created_at)
    Experiment.objects.filter(pk=world.experiment.pk).update(created_by=maker)
    key, _ = key_create(maker, world.organization, world.title, write=False)
    member = person(f"{world.organization.slug}-member-{job.pk}", world.organization, Role.GUEST)
    invitation, _ = invitation_create(world.organization, f"guest-{job.pk}@example.com", Role.GUEST)
    ProjectMembership.objects.create(project=world.experiment.project, user=member)
    if world.people.get("advanced_engineer"):  # the project is hers as well
        ProjectMembership.objects.get_or_create(
            project=world.experiment.project, user=world.people["advanced_engineer"]
        )
    picture = {"picture_name": world.title, "picture_key": artifact["key"], "content_type": "image/png"}
    test = InferenceJob.objects.create(job=job, checkpoint=stored, **picture, width=20, height=20)
    TrainingLog.objects.create(job=job, seq=1, n=0, level=LogLevel.INFO, source="trainer", time=0, message=world.title)
    project, words = world.experiment.project, {"name": f"{world.title} {job.pk}"}
    target = AlertTarget.objects.create(project=project, kind="email", secret=seal("a@example.com"), **words)
    rule = AlertRule.objects.create(project=project, kind="nan", **words)
    return SimpleNamespace(
        target=target,
        rule=rule,
        job=job,
        second=second,
        checkpoint=stored,
        key=key,
        experiment=world.experiment,
        dataset=dataset,
        snapshot=snapshot,
        invitation=invitation,
        member=member,
        artifact=shown,
        weights=weights,
        inference=test,
        preset=JobPreset.objects.create(**whose, trainer="example", task_type="detection"),
        asked=DatasetImport.objects.create(**whose, source="/nowhere"),
        upload=DatasetUpload.objects.create(
            organization=world.organization,
            filename="a.zip",
            key=f"uploads/{job.pk}",
            size=8,
            part_size=8,
            created_by=maker,
        ),
    )


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observability.requests.wake", lambda: None)


@pytest.fixture
def worlds(db: None) -> tuple[SimpleNamespace, SimpleNamespace]:
    return organization_make("ours"), organization_make("theirs")


def address_of(line: Line, made: SimpleNamespace) -> str:
    ids = {
        "job_id": made.job.pk,
        "checkpoint_id": made.checkpoint.pk,
        "key_id": made.key.pk,
        "artifact_id": made.artifact.pk,
        "weights_id": made.weights.pk,
        "inference_id": made.inference.pk,
        "token": "made.up",
        "backend": "database",
        "dataset_id": made.dataset.pk,
        "import_id": made.asked.pk,
        "upload_id": made.upload.pk,
        "snapshot_id": made.snapshot.pk,
        "other_id": made.snapshot.pk,
        "preset_id": made.preset.pk,
        "target_id": made.target.pk,
        "rule_id": made.rule.pk,
        "project_id": made.experiment.project_id,
        "number": 0,
        "place": "1.0",
        "experiment_id": made.experiment.pk,
        "name": "ultralytics",
        "organization_id": made.dataset.organization_id,
        "user_id": made.member.pk,
        "invitation_id": made.invitation.pk,
        "secret": "made-up",
        "user_key": "MQ",
        "worker_id": 0,
    }
    pattern = dict(routes())[line.name]
    return reverse(line.name, kwargs={name: ids[name] for name in pattern.pattern.converters})


def credentials_of(world: SimpleNamespace, actor: str) -> str:
    """The Authorization header of a program; people have a session instead."""
    if actor == "API key":
        return f"Bearer {world.key}"
    if actor == "attempt token":
        job = TrainingJob.objects.filter(experiment=world.experiment).latest("pk")
        return f"Bearer {token_make(job.pk, 1)}"
    return ""


def ask(line: Line, world: SimpleNamespace, actor: str, made: SimpleNamespace) -> Any:
    client = Client(raise_request_exception=False)
    if actor in world.people:
        client.force_login(world.people[actor])
    authorization = credentials_of(world, actor)
    headers = {"Authorization": authorization} if authorization else {}
    forms: dict[str, Any] = {
        "picture": {"picture": SimpleUploadedFile("a.png", b"none")},
        "": {},
        "key": {"name": "new", "organization": made.job.experiment.project.organization_id, "scope": "read", "days": 0},
        "bulk form": {"action": "cancel", "job": made.job.pk, "confirmed": "yes"},
        "not an object": "7",
        "role": json.dumps({"role": "guest"}),
        "invitation": json.dumps({"email": f"one-{made.job.pk}@example.com", "role": "guest"}),
        "archive": json.dumps({"archived": True}),
        "alert target": json.dumps({"name": f"T {made.job.pk}", "kind": "email", "address": "a@example.com"}),
        "alert rule": json.dumps({"name": f"R {made.job.pk}", "kind": "nan", "targets": [made.target.pk]}),
        "not enabled": json.dumps({"enabled": False}),
        "member": json.dumps({"user": made.member.pk}),
        "priority": json.dumps({"priority": "low"}),
        "unfilled": {"name": "", "csrfmiddlewaretoken": "x"},  # 422: it came past the door
        "organization": {"organization": made.job.experiment.project.organization_id, "name": ""},
        "change": json.dumps({"archived": False}),
        "preset": json.dumps(
            {
                "organization": made.dataset.organization_id,
                "name": f"P {made.job.pk}",
                "trainer": "example",
                "task_type": "detection",
                "settings": {},
            }
        )
        if line.name.startswith("api:")
        else {"organization": made.dataset.organization_id, "trainer": "example", "settings_of": "example"},
        "settings": json.dumps({"settings": {"epochs": 3}}),
        "document": json.dumps(
            {
                "organization": made.dataset.organization.slug,
                "project": made.experiment.project.name,
                "trainer": "example",
                "model": "halving",
            }
        ),
        "import": json.dumps({"organization": made.dataset.organization_id, "folder": "/nowhere"}),
        "labeler": json.dumps({"organization": made.dataset.organization_id, "dataset": "7f"}),
        "upload": json.dumps({"organization": made.dataset.organization_id, "filename": "b.zip", "size": 9}),
        "notes": json.dumps({"notes": "", "version": 0}),
        "copy": {"from": made.job.pk},
        "new job": {"organization": made.job.experiment.project.organization_id},  # 422: it came past the door
        "nothing": "{}",
        "layout": "{}",
        "compare": {"jobs": f"{made.job.pk},{made.second.pk}"},
        "search": {"text": "anything"},
        "name": json.dumps({"name": f"name {token_hex(8)}"}),
        "project": json.dumps({"name": token_hex(8), "organization": made.job.experiment.project.organization_id}),
        "experiment": json.dumps({"name": token_hex(8), "project": made.experiment.project_id}),
        "tags": json.dumps({"tags": ["one"]}),
        "bulk": json.dumps({"action": "cancel", "jobs": [made.job.pk]}),
        "weights": json.dumps(
            {
                "organization": made.weights.organization_id,
                "name": f"new {made.weights.pk}",
                "framework": "ultralytics",
                "task_type": "detection",
                "filename": "a.pt",
                "size": 5,
                "sha256": "0" * 64,
            }
        ),
        "job": json.dumps({"experiment": made.experiment.pk, "trainer": "example", "model_name": "halving"}),
    }
    body = forms[line.data]
    kind = {"content_type": "application/json"} if isinstance(body, str) else {}
    return getattr(client, line.method.lower())(address_of(line, made), body, headers=headers, **kind)


@pytest.mark.parametrize("ours", [True, False], ids=["own", "other"])
@pytest.mark.parametrize("line", TABLE, ids=str)
def test_the_table(worlds: tuple[SimpleNamespace, SimpleNamespace], line: Line, ours: bool) -> None:
    owning, other = worlds
    asking = owning if ours else other
    got = {}
    for actor in ACTORS:
        maker = asking.people.get(actor, owning.owner) if line.mine and ours else owning.owner
        objects_make(other, other.owner)  # what the other's attempt token is for
        made = objects_make(owning, maker, line.state)
        response = ask(line, asking, actor, made)
        got[actor] = response.status_code
        if not ours:
            assert response.streaming or owning.title not in response.content.decode(), actor
    assert got == line.answers(ours)


def test_every_route_is_in_the_table() -> None:
    assert {name for name, _ in routes()} == {line.name for line in TABLE}


def test_every_operation_of_the_api_is_in_the_table() -> None:
    documented = api.get_openapi_schema()["paths"]
    operations = {(method.upper(), path) for path, methods in documented.items() for method in methods}
    lines = [line for line in TABLE if line.name.startswith("api:")]
    patterns = dict(routes())
    listed = {(line.method, re.sub(r"<\w+:(\w+)>", r"{\1}", f"/api/{patterns[line.name].pattern}")) for line in lines}
    assert operations <= listed


def test_every_socket_is_in_the_table() -> None:
    assert {route_text(route) for route in websocket_urlpatterns} == set(SOCKETS)


def route_text(route: URLPattern) -> str:
    return str(route.pattern)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ours", [True, False], ids=["own", "other"])
@pytest.mark.parametrize("route", list(SOCKETS), ids=lambda route: route or "anything else")
def test_the_sockets_table(worlds: tuple[SimpleNamespace, SimpleNamespace], route: str, ours: bool) -> None:
    owning, other = worlds
    made = objects_make(owning, owning.owner)
    tell(made.job, metrics(step=1, train__loss=1.0))
    objects_make(other, other.owner)
    asking = owning if ours else other
    address = f"/{route or 'ws/anything'}".replace("<int:job_id>", str(made.job.pk))
    headers = {actor: socket_headers(asking, actor) for actor in ACTORS}
    got = async_to_sync(codes_of)(address, headers)
    assert got == dict(zip(ACTORS, map(int, SOCKETS[route][0 if ours else 1].split()), strict=True))


def socket_headers(world: SimpleNamespace, actor: str) -> list[tuple[bytes, bytes]]:
    if actor in world.people:
        client = Client()
        client.force_login(world.people[actor])
        return [(b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode())]
    authorization = credentials_of(world, actor)
    return [(b"authorization", authorization.encode())] if authorization else []


async def codes_of(address: str, headers: dict[str, list[tuple[bytes, bytes]]]) -> dict[str, int]:
    """The code that each socket is closed with; 0 if it is told what the job has said."""
    got = {}
    for actor, shown in headers.items():
        connection = WebsocketCommunicator(application, address, shown)
        accepted, _ = await connection.connect(timeout=5)
        assert accepted
        await connection.send_to(json.dumps({"after": 0}))
        said = await connection.receive_output(timeout=10)
        got[actor] = 0 if said["type"] == "websocket.send" else said["code"]
        await connection.disconnect()
    await sync_to_async(watcher.stop)()
    return got
