"""The token that the platform shows to the labeler: a JWT (RFC 7519) signed by HMAC-SHA-256, good for a minute."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from uuid import uuid4

from django.conf import settings

from training.models import User

AUDIENCE = "labeler"
SECONDS = 60


def token_make(user: User | None, seconds: int = SECONDS) -> str:
    """A token in the name of a person, or of the platform itself; the labeler decides by it what it shows.

    `iss` is the platform's address, `sub` the person's user name, `email` the person's address; `jti` makes each
    token another, so that the labeler may refuse one that comes twice.
    """
    now = int(time.time())
    claims: dict[str, Any] = {"iss": settings.SITE_URL, "aud": AUDIENCE, "iat": now, "exp": now + seconds}
    claims |= {"jti": uuid4().hex, "sub": user.get_username() if user else ""}
    if user and user.email:
        claims["email"] = user.email
    signed = f"{_packed({'alg': 'HS256', 'typ': 'JWT'})}.{_packed(claims)}"
    signature = hmac.new(settings.SERVICE_JWT_SECRET.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_text(signature)}"


def _packed(value: dict[str, Any]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
