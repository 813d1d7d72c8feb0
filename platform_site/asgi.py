"""The ASGI application: HTTP through Django, WebSockets through Channels."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import CookieMiddleware
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
http = get_asgi_application()

from training.routing import websocket_urlpatterns  # noqa: E402  (needs the apps to be ready)

application = ProtocolTypeRouter({"http": http, "websocket": CookieMiddleware(URLRouter(websocket_urlpatterns))})
