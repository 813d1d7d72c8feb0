"""A program that puts a user and running jobs into a fresh database, and prints what opens them as JSON."""

import json
import os
import sys
from datetime import timedelta
from typing import Any

import django


def cast_make(jobs: int) -> dict[str, Any]:
    """`clients`, each with the path, headers and run that the load generator needs, and a session's `cookie`."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from training.models import Experiment, Membership, Organization, Project, Role, User

    user = User.objects.create_user("benchmark", "benchmark@example.com")
    organization = Organization.objects.create(name="Benchmark", slug="benchmark")
    Membership.objects.create(user=user, organization=organization, role=Role.ADMIN)
    project = Project.objects.create(organization=organization, name="Benchmark")
    experiment = Experiment.objects.create(project=project, name="Benchmark")
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session.create()
    return {
        "clients": [client_make(experiment, user, number) for number in range(jobs)],
        "cookie": f"{settings.SESSION_COOKIE_NAME}={session.session_key}",
    }


def client_make(experiment: Any, user: Any, number: int) -> dict[str, Any]:
    """A job whose first attempt runs, and the way to report to it."""
    from django.conf import settings
    from django.urls import reverse
    from django.utils import timezone

    from training.jobs.attempts import token_make
    from training.models import JobAttempt, JobState, TrainingJob

    now = timezone.now()
    job = TrainingJob.objects.create(
        experiment=experiment,
        name=f"Benchmark {number}",
        trainer="example",
        task_type="detection",
        model_name="none",
        state=JobState.RUNNING,
        attempt=1,
        created_by=user,
        started_at=now,
        observability_backends=settings.OBSERVABILITY_BACKENDS,
    )
    lease = now + timedelta(days=1)  # no worker renews it, and none shall find it lost
    JobAttempt.objects.create(job=job, number=1, opened_at=now, started_at=now, lease_until=lease)
    path = reverse("callback-progress", args=[job.pk])
    return {"path": path, "headers": {"Authorization": f"Bearer {token_make(job.pk, 1)}"}, "run": str(job.pk)}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
    django.setup()
    sys.stdout.write(json.dumps(cast_make(int(sys.argv[1]))))
