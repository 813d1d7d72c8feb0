"""Sending what waits, at least once: a target at a time is claimed, all that waits for it goes as one message.

Nothing that is sent can hold this process up: e-mail has the mail server's timeout, everything else is done by a
program of its own (`courier.py`) that is ended when its time is over. What fails is tried again, later each time.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.db.models import Q
from django.db.models.functions import Now

from training.alerts.addresses import address_clean, apprise_address
from training.alerts.raising import alert_lines
from training.alerts.secrets import SecretLost, unseal
from training.jobs.clock import now_plus
from training.models import AlertMessage, AlertTarget
from training.models.visibility import OrganizationQuerySet
from training.templatetags.text import plain_text

SHOWN = 10  # alerts that one message tells in full
TRIES = 8
FIRST_PAUSE = 15.0  # doubled with each try
SENDERS = 4
COURIER = "training.alerts.courier"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message to one target, and the rows that it stands for."""

    target: AlertTarget
    rows: Sequence[AlertMessage]
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Outcome:
    error: str = ""
    permanent: bool = False


def alerts_due() -> bool:
    """Whether something waits that may be sent now."""
    return _due().exists()


def alerts_send() -> int:
    """Send what is due, several targets at once; how many messages arrived."""
    sent = 0
    with ThreadPoolExecutor(SENDERS) as senders:
        parcels = [parcel for target in _targets() if (parcel := _claimed(target))]
        for parcel, outcome in zip(parcels, senders.map(_deliver, parcels), strict=True):
            _note(parcel, outcome)
            sent += not outcome.error
    return sent


def _due() -> OrganizationQuerySet:
    """What may be sent: a target hears at most once in ALERT_INTERVAL_SECONDS, but for tests."""
    free = Q(target__claimed_until=None) | Q(target__claimed_until__lt=Now())
    rested = Q(target__sent_at=None) | Q(target__sent_at__lte=now_plus(-settings.ALERT_INTERVAL_SECONDS))
    return AlertMessage.objects.filter(free, rested | Q(alert=None), state="waiting", due_at__lte=Now())


def _targets() -> list[AlertTarget]:
    ids = _due().order_by().values_list("target", flat=True).distinct()
    return list(AlertTarget.objects.filter(pk__in=ids).select_related("project")[:200])


def _claimed(target: AlertTarget) -> Parcel | None:
    """All that waits for a target, if no other worker sends to it now."""
    lease = now_plus(2 * settings.ALERT_SEND_SECONDS + 60)
    free = AlertTarget.objects.filter(Q(claimed_until=None) | Q(claimed_until__lt=Now()), pk=target.pk)
    if not free.update(claimed_until=lease):
        return None
    waiting = AlertMessage.objects.filter(target=target, state="waiting", due_at__lte=Now()).select_related("alert")
    rows = list(waiting.order_by("-id")[:1000])
    if not rows:
        AlertTarget.objects.filter(pk=target.pk).update(claimed_until=None)
        return None
    return Parcel(target, rows, *_words(target, rows))


def _words(target: AlertTarget, rows: Sequence[AlertMessage]) -> tuple[str, str]:
    """Title and body. Of many alerts the newest are told, and how many more were held back."""
    alerts = [row.alert for row in rows if row.alert is not None]
    project = plain_text(target.project.name)
    if not alerts:
        return f"[{project}] This is a test", f"Alerts of the project {project} arrive here.\n{settings.SITE_URL}"
    if len(alerts) == 1:
        return plain_text(f"[{project}] {alerts[0].title}")[:200], _plain(alert_lines(alerts[0]))
    parts = [alert_lines(alert) for alert in alerts[:SHOWN]]
    held = len(alerts) - len(parts)
    if held:
        log = f"{settings.SITE_URL}/projects/{target.project_id}/alerts/"
        parts.append(f"{held} more were held back: {log}")
    return f"[{project}] {len(alerts)} alerts", _plain("\n\n".join(parts))


def _plain(text: str) -> str:
    return "\n".join(plain_text(line) for line in text.splitlines())


def _deliver(parcel: Parcel) -> Outcome:
    """Try once. Touches no database: it runs in a thread of its own."""
    target = parcel.target
    try:
        address = address_clean(target.kind, unseal(target.secret))
    except SecretLost as error:
        return Outcome(str(error), permanent=True)
    except ValidationError as error:
        return Outcome(f"The address is not allowed any more: {' '.join(error.messages)}", permanent=True)
    if target.kind == "email":
        return _mail(address, parcel)
    return _courier(apprise_address(target.kind, address), parcel)


def _mail(address: str, parcel: Parcel) -> Outcome:
    try:
        EmailMessage(parcel.title, parcel.body, to=address.split(",")).send()
    except (OSError, ValueError) as error:
        return Outcome(f"The mail server did not take it: {type(error).__name__}")
    return Outcome()


def _courier(address: str, parcel: Parcel) -> Outcome:
    said = {"address": address, "title": parcel.title, "body": parcel.body, "private": settings.ALERT_ALLOW_PRIVATE}
    places = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(settings.BASE_DIR), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", COURIER],
            input=json.dumps(said),
            capture_output=True,
            text=True,
            timeout=settings.ALERT_SEND_SECONDS,
            cwd="/",
            env=places,
            check=False,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Outcome(f"It did not answer within {settings.ALERT_SEND_SECONDS:g} s.")
    except (OSError, ValueError) as error:
        return Outcome(f"The sender ended without an answer: {type(error).__name__}")
    return Outcome() if answer["ok"] else Outcome(_without(address, answer["error"]), answer["permanent"])


def _without(address: str, error: str) -> str:
    """An error without the address, should the other side have repeated it."""
    secrets = [
        part for part in address.replace("?", "/").replace("@", "/").replace("&", "/").split("/") if len(part) > 5
    ]
    for part in [address, *secrets]:
        error = error.replace(part, "…")
    return plain_text(error) or "it was not taken"


def _note(parcel: Parcel, outcome: Outcome) -> None:
    ids = [row.pk for row in parcel.rows]
    rows = AlertMessage.objects.filter(pk__in=ids)
    if not outcome.error:
        rows.update(state="sent", sent_at=Now(), error="", together=len(ids))
        AlertTarget.objects.filter(pk=parcel.target.pk).update(sent_at=Now(), claimed_until=None)
        return
    for row in parcel.rows:
        tries = row.tries + 1
        over = outcome.permanent or tries >= TRIES
        pause = now_plus(FIRST_PAUSE * 2 ** min(tries - 1, 10))
        state = "failed" if over else "waiting"
        AlertMessage.objects.filter(pk=row.pk).update(
            state=state, tries=tries, error=outcome.error[:300], due_at=pause, together=len(ids)
        )
    AlertTarget.objects.filter(pk=parcel.target.pk).update(claimed_until=None)
