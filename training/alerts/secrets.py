"""Addresses of alert targets at rest: encrypted with a key of ALERT_SECRET_KEY, or of the platform's secret key."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.translation import gettext


class SecretLost(Exception):
    """It was encrypted with another key; the message is for people."""


def seal(text: str) -> str:
    """`text` encrypted, as text."""
    return _keys().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What was sealed, with the present key or one of DJANGO_SECRET_KEY_FALLBACKS. Raises SecretLost."""
    try:
        return _keys().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise SecretLost(
            gettext("The address can't be read any more: the platform's key has changed. Enter it anew.")
        ) from error


def _keys() -> MultiFernet:
    secrets = [settings.ALERT_SECRET_KEY, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_key(secret)) for secret in secrets if secret])


def _key(secret: str | bytes) -> bytes:
    """32 bytes that nothing else that is derived from the same secret has."""
    known = secret.encode() if isinstance(secret, str) else secret
    return base64.urlsafe_b64encode(hashlib.blake2b(known, digest_size=32, person=b"training.alerts").digest())
