"""API keys: made and shown once, found again in constant time, revoked for good."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from training.models import ApiKey, Organization, User
from training.people.audit import audit
from training.people.roles import Action, allowed

SCHEME = "vtk"  # so that a key that leaked is found by those who search for keys
READ, WRITE = "read", "write"
USED_EVERY = timedelta(minutes=1)  # no row is written on each call
NOBODYS = "0" * 64


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a person, either signed in or by a key, which is good for one organization and for its scopes."""

    user: User
    key: ApiKey | None = None

    @property
    def organization_id(self) -> int | None:
        return self.key.organization_id if self.key else None

    def may(self, scope: str) -> bool:
        return self.key is None or scope in self.key.scopes


def key_create(
    user: User, organization: Organization, name: str, *, write: bool, days: int | None = None
) -> tuple[ApiKey, str]:
    """A new key and the secret text to be shown once. The caller has checked the person's right to have keys."""
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    with transaction.atomic():
        key = ApiKey.objects.create(
            user=user,
            organization=organization,
            name=name,
            prefix=prefix,
            digest=_digest(secret),
            scopes=[READ, WRITE] if write else [READ],
            expires_at=timezone.now() + timedelta(days=days) if days else None,
        )
        audit("key.create", key, by=user, new={"name": name, "scopes": key.scopes, "expires_at": key.expires_at})
    return key, f"{SCHEME}_{prefix}_{secret}"


def key_revoke(key: ApiKey, by: User | None = None) -> None:
    """Never to be used again; a second time changes nothing."""
    with transaction.atomic():
        if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
            audit("key.revoke", key, by=by, old={"owner": key.user.get_username(), "last_used_at": key.last_used_at})


def keys_of(user: User) -> QuerySet[ApiKey]:
    """A person's own keys, those in use first."""
    return (
        ApiKey.objects.filter(user=user)
        .select_related("organization")
        .order_by(F("revoked_at").desc(nulls_first=True), "-created_at", "-id")
    )


def key_caller(authorization: str) -> Caller | None:
    """Whose key an Authorization header holds; None unless it is good now, for whatever reason."""
    scheme, _, token = authorization.partition(" ")
    name, _, rest = token.strip().partition("_")
    prefix, _, secret = rest.partition("_")
    if scheme.lower() != "bearer" or name != SCHEME or len(token) > 200 or "\x00" in token:
        return None
    key = ApiKey.objects.select_related("user").filter(prefix=prefix).first()
    same = secrets.compare_digest(key.digest if key else NOBODYS, _digest(secret))
    now = timezone.now()
    if key is None or not same or not key_good(key, now):
        return None
    if key.last_used_at is None or now - key.last_used_at >= USED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return Caller(key.user, key)


def key_good(key: ApiKey, now: datetime) -> bool:
    """Whether a key opens anything: not revoked, not expired, its owner's role still high enough to have one."""
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        return False
    return allowed(key.user, Action.USE_API_KEYS, key)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
