"""An alert is made once: its row and a message for each target, in the transaction that found the reason."""

from django.conf import settings
from django.db.models.functions import Now

from training.models import Alert, AlertMessage, AlertRule, TrainingJob

MOST = 50  # alerts of one rule about one job: a value that swings around a threshold is known by then


def alert_raise(rule: AlertRule, job: TrainingJob, key: str, title: str, text: str = "") -> Alert | None:
    """Make the alert, if it has not been made; `key` tells what happened from what else may happen in this job."""
    made = Alert.objects.filter(rule=rule, job=job).count()
    if made >= MOST:
        return None
    last = f"{text} There will be no more alerts of this rule about this job.".strip()
    words = {"title": f"{title}: {job.name} (#{job.pk})"[:300], "text": last if made == MOST - 1 else text}
    alert, new = Alert.objects.get_or_create(rule=rule, job=job, key=key[:40], defaults=words)
    if not new:
        return None
    AlertMessage.objects.bulk_create(
        AlertMessage(alert=alert, target=target, due_at=Now()) for target in rule.targets.all()
    )
    return alert


def alert_lines(alert: Alert) -> str:
    """An alert as part of a message."""
    lines = [alert.title, alert.text, f"{settings.SITE_URL}/jobs/{alert.job_id}/"]
    return "\n".join(line for line in lines if line)
