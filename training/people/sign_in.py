"""Signing in by name or e-mail, and what the audit log says of it."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Q
from django.dispatch import receiver
from django.http import HttpRequest

from training.models import User
from training.people.audit import audit


def accounts_called(name: str) -> list[User]:
    """The accounts of that user name or e-mail address, the name's first: two where one's name is another's address."""
    if not name or "\x00" in name:
        return []
    found = User.objects.filter(Q(username=name) | Q(email__iexact=name)).order_by("id")[:2]
    return sorted(found, key=lambda user: user.username != name)


def target_of(name: str) -> str:
    """What tries to sign in as `name` are counted for: the account, by whichever of its names it is tried."""
    found = accounts_called(name)
    return f"account {found[0].pk}" if found else f"name {name}"


class NameOrEmail(ModelBackend):
    """Takes the user name or the e-mail address; an account that is not there takes as long as a wrong password."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        accounts = accounts_called(username)
        for user in accounts:
            if user.check_password(password) and self.user_can_authenticate(user):
                return user
        if not accounts:
            User().set_password(password)
        return None


@receiver(user_logged_in, dispatch_uid="audit sign-in")
def _signed_in(sender: Any, user: User, **kwargs: Any) -> None:
    audit("account.sign_in", user, by=user)


@receiver(user_logged_out, dispatch_uid="audit sign-out")
def _signed_out(sender: Any, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        audit("account.sign_out", user, by=user)


@receiver(user_login_failed, dispatch_uid="audit refused sign-in")
def _refused(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    """Only an account's own name is kept: people type passwords into the wrong field."""
    found = accounts_called(str(credentials.get("username", ""))[:254])
    if found:
        audit("account.sign_in_refused", found[0], by=found[0])
    else:
        audit("account.sign_in_refused", name="an account that is not there")
