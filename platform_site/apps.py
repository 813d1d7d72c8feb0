from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps

from platform_site.privacy import process_hide


class PlatformSiteConfig(AppConfig):
    name = "platform_site"
    default = True

    def ready(self) -> None:
        """Every process that reads the settings, web or worker or command, hides them from trainers beside it."""
        process_hide()


class PlatformAdminConfig(admin_apps.AdminConfig):
    default_site = "platform_site.admin.PlatformAdminSite"
    default = False
