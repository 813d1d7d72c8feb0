"""Alerts: what is told, once; to whom; how it is sent, tried again, held back; and what no address may reach."""

import json
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from training.alerts import courier, sending, services
from training.alerts.addresses import address_clean, address_shown, apprise_address
from training.alerts.conditions import condition_clean, condition_said
from training.alerts.follow import job_watch, stalled_watch
from training.alerts.secrets import SecretLost, seal, unseal
from training.alerts.sending import alerts_due, alerts_send
from training.jobs.transition import job_locked, job_move
from training.models import Alert, AlertMessage, AlertRule, AlertTarget, AuditEntry, JobState, JobWatch, TrainingJob
from training.tests.conftest import job_make
from training.tests.journal_entries import metrics, tell
from training.tests.rest_program import Program

pytestmark = pytest.mark.django_db
NAN = float("nan")


class Listener(ThreadingHTTPServer):
    """A webhook on this machine that keeps what it is sent."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.silent = threading.Event()
        super().__init__(("127.0.0.1", 0), Hook)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class Hook(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((self.path, body))
        if self.server.silent.is_set():
            threading.Event().wait(5)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def hook(settings: Any) -> Iterator[Listener]:
    settings.ALERT_ALLOW_PRIVATE = True
    server = Listener()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def target_make(cast: SimpleNamespace, kind: str = "email", address: str = "a@example.com") -> AlertTarget:
    return services.target_create(
        cast.experiment.project, cast.owner, f"{kind} {AlertTarget.objects.count()}", kind, address
    )


def rule_make(cast: SimpleNamespace, kind: str, target: AlertTarget | None = None, **condition: Any) -> AlertRule:
    target = target or AlertTarget.objects.first() or target_make(cast)
    made = services.rule_create(cast.experiment.project, cast.owner, kind, kind, condition, [target.pk])
    AlertRule.objects.filter(pk=made.pk).update(
        created_at=timezone.now() - timedelta(days=900)
    )  # reports of tests are old
    return made


def alerts_of(job: TrainingJob) -> list[str]:
    while job_watch(job.pk):
        continue
    return list(Alert.objects.filter(job=job).order_by("id").values_list("title", flat=True))


def rested() -> None:
    """As if the target had heard nothing for long, and every pause was over."""
    past = timezone.now() - timedelta(hours=9)
    AlertTarget.objects.update(sent_at=past, claimed_until=None)
    AlertMessage.objects.update(due_at=past)


def test_a_state_that_is_reached_is_told_once(cast: SimpleNamespace, job: TrainingJob) -> None:
    rule_make(cast, "state", states=["failed"])
    with job_locked(job.pk) as locked:
        job_move(locked, JobState.FAILED, "server", "no data")
    assert alerts_of(job) == alerts_of(job) == [f"Failed: A job (#{job.pk})"]
    assert Alert.objects.get().text == "no data"


def test_a_threshold_is_told_after_so_many_reports_and_again_after_a_pause(cast: Any, job: TrainingJob) -> None:
    rule_make(cast, "metric", metric="train/*", side="above", threshold=2, reports=3)
    tell(job, *(metrics(step, 1, train__loss=value) for step, value in enumerate([3, 3, 1, 3, 3, 3, 3, NAN, 3])))
    assert alerts_of(job) == [f"train/loss is above 2: A job (#{job.pk})"]
    tell(job, *(metrics(step, 1, train__loss=value) for step, value in enumerate([1, 3, 3, 3])))
    assert len(alerts_of(job)) == 2


def test_another_read_of_the_same_points_tells_nothing_new(cast: Any, job: TrainingJob) -> None:
    rule_make(cast, "metric", metric="loss", threshold=2)
    tell(job, metrics(1, 1, loss=3.0))
    alerts_of(job)
    JobWatch.objects.update(seq=0, event_seq=0, streaks={})
    assert len(alerts_of(job)) == 1 and AlertMessage.objects.count() == 1


def test_a_nan_and_a_worker_that_is_gone_are_told(cast: Any, job: TrainingJob) -> None:
    rule_make(cast, "nan")
    rule_make(cast, "worker")
    TrainingJob.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
    tell(job, metrics(5, 2, loss=NAN))
    with job_locked(job.pk) as locked:
        job_move(locked, JobState.LOST, "reaper", "no word from w1")
    assert sorted(alerts_of(job)) == [f"Its worker is gone: A job (#{job.pk})", f"loss became NaN: A job (#{job.pk})"]


def test_what_happened_before_a_rule_and_in_other_projects_is_not_told(cast: Any, job: TrainingJob) -> None:
    with job_locked(job.pk) as locked:
        job_move(locked, JobState.FAILED, "server", "")
    target = target_make(cast)
    services.rule_create(cast.experiment.project, cast.owner, "r", "state", {"states": ["failed"]}, [target.pk])
    assert alerts_of(job) == []


def test_a_run_that_reports_nothing_is_told_until_it_goes_on(cast: Any, job: TrainingJob) -> None:
    rule_make(cast, "stalled", minutes=5)
    long_ago = timezone.now() - timedelta(minutes=6)
    TrainingJob.objects.filter(pk=job.pk).update(state=JobState.RUNNING, started_at=long_ago)
    tell(job, metrics(5, 2, **{"system/cpu": 1.0}))  # the machine's load is no word of the trainer
    job_watch(job.pk)
    assert stalled_watch() == 1 and stalled_watch() == 0
    tell(job, metrics(6, 2, loss=1.0))
    job_watch(job.pk)
    assert stalled_watch() == 0
    JobWatch.objects.update(last_point=long_ago.timestamp() + 5)
    assert stalled_watch() == 1


def test_a_rule_that_is_off_tells_nothing_then_or_later(cast: Any, job: TrainingJob) -> None:
    rule = rule_make(cast, "nan")
    services.rule_change(rule, cast.owner, enabled=False)
    tell(job, metrics(5, 2, loss=NAN))
    assert alerts_of(job) == []
    services.rule_change(rule, cast.owner, enabled=True)
    assert alerts_of(job) == []


def test_mail_is_sent_and_logged(cast: Any, job: TrainingJob) -> None:
    rule_make(cast, "nan", target_make(cast, address="a@example.com, b@example.com"))
    tell(job, metrics(5, 2, loss=NAN))
    alerts_of(job)
    assert alerts_send() == 1 and not alerts_due()
    assert mail.outbox[0].to == ["a@example.com", "b@example.com"]
    assert mail.outbox[0].subject == f"[Bottles] loss became NaN: A job (#{job.pk})"
    assert f"/jobs/{job.pk}/" in str(mail.outbox[0].body)
    assert AlertMessage.objects.get().state == "sent" and AlertTarget.objects.get().sent_at


def test_many_alerts_are_one_message_that_says_how_many_were_held_back(cast: Any) -> None:
    rule_make(cast, "nan")
    for number in range(14):
        job = job_make(cast, name=f"Job {number}")
        tell(job, metrics(5, 2, loss=NAN))
        alerts_of(job)
        if number == 0:
            assert alerts_send() == 1
    assert not alerts_due() and alerts_send() == 0  # it has heard something a moment ago
    rested()
    assert alerts_send() == 1 and len(mail.outbox) == 2
    assert mail.outbox[1].subject == "[Bottles] 13 alerts" and "3 more were held back" in str(mail.outbox[1].body)
    assert set(AlertMessage.objects.values_list("state", flat=True)) == {"sent"}


def test_a_webhook_gets_json_with_its_own_query(cast: Any, hook: Listener) -> None:
    services.target_test(target_make(cast, "webhook", f"{hook.url}?token=a%20b"), cast.owner)
    assert alerts_send() == 1
    path, body = hook.heard[0]
    assert path == "/hook?token=a+b" and body["title"] == "[Bottles] This is a test"


def test_what_fails_is_tried_again_and_given_up_in_the_end(cast: Any, hook: Listener) -> None:
    services.target_test(target_make(cast, "webhook", hook.url), cast.owner)
    hook.status = 500
    assert alerts_send() == 0 and not alerts_due()
    message = AlertMessage.objects.get()
    assert message.state == "waiting" and message.tries == 1 and message.due_at > timezone.now()
    assert message.error and "127.0.0.1" not in message.error
    AlertMessage.objects.update(tries=sending.TRIES - 1)
    rested()
    alerts_send()
    assert AlertMessage.objects.get().state == "failed" and not alerts_due()


def test_a_target_that_hangs_is_given_up_in_time(cast: Any, hook: Listener, settings: Any) -> None:
    settings.ALERT_SEND_SECONDS = 0.3
    hook.silent.set()
    services.target_test(target_make(cast, "webhook", hook.url), cast.owner)
    services.target_test(target_make(cast), cast.owner)
    assert alerts_send() == 1 and len(mail.outbox) == 1
    assert AlertMessage.objects.get(state="waiting").error == "It did not answer within 0.3 s."


def test_a_worker_that_died_while_it_sent_leaves_the_message_to_the_next(cast: Any) -> None:
    target = target_make(cast)
    services.target_test(target, cast.owner)
    AlertTarget.objects.update(claimed_until=timezone.now() + timedelta(seconds=60))
    assert alerts_send() == 0
    AlertTarget.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert alerts_send() == 1


def test_a_test_is_sent_once_in_a_while(cast: Any) -> None:
    target = target_make(cast)
    services.target_test(target, cast.owner)
    alerts_send()
    with pytest.raises(ValidationError, match="a moment ago"):
        services.target_test(target, cast.owner)


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("email", "nobody"),
        ("email", "a@example.com\nBcc: b@example.com"),
        ("webhook", "ftp://example.com/"),
        ("webhook", "https://[::1]/"),
        ("webhook", "http://169.254.169.254/latest/meta-data"),
        ("webhook", "http://localhost:8000/"),
        ("webhook", "http://10.0.0.1/"),
        ("webhook", "https://"),
        ("webhook", "http://[bad"),
        ("apprise", "syslog://"),
        ("apprise", "jsons://127.0.0.1/x"),
        ("apprise", "msteams://example.com/?template=/etc/passwd"),
        ("apprise", "mailto://a:b@example.com?PGPKEY=/etc/passwd"),
        ("apprise", "file:///etc/passwd"),
        ("pigeon", "x"),
    ],
)
def test_an_address_that_may_not_be_used_is_refused(cast: Any, kind: str, address: str) -> None:
    with pytest.raises(ValidationError):
        target_make(cast, kind, address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "0.0.0.0", "::1", "::ffff:127.0.0.1"])
def test_the_courier_reaches_no_private_host_whatever_it_is_called(host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as used, pytest.raises(courier.Refused):
        courier.check(used, (host, 80))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("224.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert courier.is_public(address) is public


def test_the_guard_holds_for_real_connections(cast: Any, hook: Listener, settings: Any) -> None:
    """A name that looks public may stand for this machine: the courier looks when it connects."""
    services.target_test(target_make(cast, "webhook", hook.url), cast.owner)
    settings.ALERT_ALLOW_PRIVATE = False
    AlertTarget.objects.update(secret=seal(hook.url.replace("127.0.0.1", "ip6-localhost.example")))
    AlertTarget.objects.update(secret=seal(hook.url.replace("127.0.0.1", "0x7f.1")))
    assert alerts_send() == 0 and hook.heard == []


def test_addresses_are_encrypted_and_shown_in_part_only(cast: Any, client: Client, program: Program) -> None:
    target = target_make(cast, "apprise", "slack://TokenA/TokenB/TokenC/#general")
    assert "Token" not in target.secret and unseal(target.secret).endswith("TokenC/#general")
    client.force_login(cast.owner)
    pages = client.get(f"/projects/{target.project_id}/alerts/").content.decode()
    pages += program.get(f"/api/v1/training/projects/{target.project_id}/alert-targets").content.decode()
    pages += str(list(AuditEntry.objects.values()))
    assert "slack://" in pages and "Token" not in pages and target.secret not in pages


def test_a_secret_survives_a_change_of_keys_that_is_announced(settings: Any) -> None:
    sealed = seal("slack://a")
    settings.ALERT_SECRET_KEY = "another key"
    assert unseal(sealed) == "slack://a"
    old, settings.SECRET_KEY = settings.SECRET_KEY, "n" * 50
    with pytest.raises(SecretLost):
        unseal(sealed)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert unseal(sealed) == "slack://a"


@pytest.mark.parametrize(
    ("kind", "address", "shown"),
    [
        ("email", "mina@example.com,b@example.com", "mi…@example.com and 1 more"),
        ("webhook", "https://user:secret@example.com/token?k=v", "https://example.com/…"),
        ("apprise", "slack://TokenA/TokenB", "slack://…"),
        ("apprise", "mailto://me:secret@example.com", "mailto://example.com/…"),
    ],
)
def test_what_is_shown_of_an_address(kind: str, address: str, shown: str) -> None:
    assert address_shown(kind, address_clean(kind, address)) == shown
    assert apprise_address("webhook", "https://h/p?a=b") == "jsons://h/p?-a=b"


@pytest.mark.parametrize(
    ("kind", "condition", "said"),
    [
        ("state", {"states": ["lost", "failed"]}, "a job becomes failed or lost"),
        ("metric", {"metric": "loss", "threshold": 2}, "loss is above 2"),
        ("metric", {"metric": "loss", "threshold": 2, "reports": 3}, "loss is above 2 in 3 reports in a row"),
        ("stalled", {}, "a running job reports no metrics for 10 min"),
        ("nan", {"states": "x"}, "a value is not a number"),
    ],
)
def test_conditions_in_words(kind: str, condition: dict[str, Any], said: str) -> None:
    assert condition_said(kind, condition_clean(kind, condition)) == said


@pytest.mark.parametrize(
    ("kind", "condition", "field"),
    [
        ("state", {}, "states"),
        ("state", {"states": ["asleep"]}, "states"),
        ("metric", {"metric": "loss"}, "threshold"),
        ("metric", {"metric": "loss", "threshold": NAN}, "threshold"),
        ("metric", {"metric": "", "threshold": 1}, "metric"),
        ("metric", {"metric": "loss", "threshold": 1, "reports": 0}, "reports"),
        ("stalled", {"minutes": -1}, "minutes"),
        ("weather", {}, "kind"),
    ],
)
def test_a_condition_that_is_none_is_refused_at_its_field(kind: str, condition: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        condition_clean(kind, condition)
    assert field in refusal.value.message_dict


def test_pages_make_change_and_remove(cast: Any, client: Client) -> None:
    client.force_login(cast.owner)
    place = f"/projects/{cast.experiment.project_id}/alerts"
    assert "Add a target below first" in client.get(f"{place}/").content.decode()
    client.post(f"{place}/targets/new/", {"name": "Me", "kind": "email", "address": "me@example.com"})
    target = AlertTarget.objects.get()
    told = {
        "name": "Odd",
        "kind": "metric",
        "metric": "loss",
        "side": "above",
        "threshold": "x",
        "targets": [target.pk],
    }
    assert client.post(f"{place}/rules/new/", told).status_code == 422
    assert client.post(f"{place}/rules/new/", told | {"threshold": "2.5"}).status_code == 302
    rule = AlertRule.objects.get()
    page = client.get(f"{place}/rules/{rule.pk}/").content.decode()
    assert 'value="2.5"' in page and "Minutes" not in page
    changed = {"name": "Odd", "metric": "loss", "side": "below", "threshold": "1", "targets": [target.pk]}
    client.post(f"{place}/rules/{rule.pk}/", changed)
    assert "loss is below 1" in client.get(f"{place}/").content.decode()
    rule.refresh_from_db()
    assert not rule.enabled
    client.post(f"{place}/targets/{target.pk}/test/")
    alerts_send()
    assert "A test" not in client.get(f"{place}/").content.decode() or mail.outbox
    client.post(f"{place}/rules/{rule.pk}/remove/")
    client.post(f"{place}/targets/{target.pk}/remove/")
    assert not AlertRule.objects.exists() and not AlertTarget.objects.exists()
    kinds = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"alert_target.create", "alert_target.test", "alert_rule.change", "alert_rule.remove"} <= kinds


def test_a_rule_tells_only_targets_of_its_own_project(cast: Any, program: Program) -> None:
    from training.models import Project

    other = Project.objects.create(organization=cast.organization, name="Other")
    target = services.target_create(other, cast.owner, "t", "email", "a@example.com")
    body = {"name": "r", "kind": "nan", "targets": [target.pk]}
    answer = program.post(f"/api/v1/training/projects/{cast.experiment.project_id}/alert-rules", body)
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "targets"
