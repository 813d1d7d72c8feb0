"""The addresses of the ledger."""

from django.urls import path

from observability import pages

urlpatterns = [
    path("jobs/<int:job_id>/deliveries/", pages.deliveries, name="job-deliveries"),
    path("jobs/<int:job_id>/deliveries/<str:backend>/retry/", pages.delivery_retry, name="delivery-retry"),
    path("jobs/<int:job_id>/deliveries/<str:backend>/backfill/", pages.delivery_backfill, name="delivery-backfill"),
]
