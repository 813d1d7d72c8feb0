"""The addresses of the sockets."""

from django.urls import URLPattern, path, re_path

from training.live.consumers import EventsConsumer, NowhereConsumer, PageConsumer

websocket_urlpatterns: list[URLPattern] = [
    path("ws/training/<int:job_id>/", PageConsumer.as_asgi()),
    path("ws/training/<int:job_id>/events/", EventsConsumer.as_asgi()),
    re_path("", NowhereConsumer.as_asgi()),
]
