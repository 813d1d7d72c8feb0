"""All addresses of the site."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from observability.metrics_page import metrics
from observability.rest import router as deliveries
from platform_site.health import healthz, readyz
from training.api.rest import api
from training.pages.people import admin_sign_in

api.add_router("/v1/training", deliveries)  # here, since `training` knows no tracking tool

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/login/", admin_sign_in),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password-change")),
    path("admin/", admin.site.urls),
    path("", include("training.urls")),
    path("", include("observability.urls")),
]
