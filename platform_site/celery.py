"""The Celery application. Its messages are hints; the database is the truth."""

import os

from celery import Celery

from platform_site import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")

broker.install()
app = Celery("platform_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
