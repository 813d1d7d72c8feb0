"""The site: how the platform is put together."""

from platform_site.celery import app as celery_app

__all__ = ["celery_app"]
