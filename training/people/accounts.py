"""People's own accounts: made once their e-mail address is proved, recovered by it, changed by themselves.

No account exists before its address is proved, so nobody can take an address
that is somebody else's; and no answer tells whether an address has an account.
"""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext

from training.models import Organization, Role, User
from training.people.audit import audit
from training.people.mails import link, mail_later
from training.people.members import member_add, organization_make

LINK_HOURS = 24
SIGN_UP, EMAIL = "training.sign-up", "training.email"


class LinkGone(Exception):
    """The link is too old, was used, or was never ours; the answer is the same."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What somebody with a proved address says about the account to be made."""

    email: str
    username: str
    password: str


def account_of(email: str) -> User | None:
    """Whose e-mail address this is."""
    return User.objects.filter(email__iexact=email).first() if email else None


def sign_up_ask(email: str) -> None:
    """Send a letter to this address: how to go on, or that it has an account. PermissionDenied if sign-up is closed."""
    if not settings.SIGN_UP_OPEN:
        raise PermissionDenied(gettext("Accounts are made by invitation only."))
    if reader := account_of(email):
        addresses = {"sign_in": link(reverse("sign-in")), "reset": link(reverse("password-reset"))}
        mail_later(email, "account_exists", reader, **addresses)
        return
    token = signing.dumps(email, salt=SIGN_UP, compress=True)
    mail_later(email, "sign_up", link=link(reverse("sign-up-finish", args=[token])), hours=LINK_HOURS)


def sign_up_email(token: str) -> str:
    """The address that a link of `sign_up_ask` proves. Raises LinkGone once an account has it."""
    email = _read(token, SIGN_UP)
    if not settings.SIGN_UP_OPEN or not isinstance(email, str) or account_of(email):
        raise LinkGone
    return email


def sign_up(new: NewAccount, organization: str) -> tuple[User, Organization]:
    """The account and its own organization. Raises ValidationError with a message per field."""
    with transaction.atomic():
        user = account_make(new)
        made = organization_make(organization, by=user)
        member_add(made, user, Role.ADMIN, by=user)
    return user, made


def account_make(new: NewAccount) -> User:
    """The account itself; its address was proved by a letter. Raises ValidationError with a message per field."""
    user = User(username=new.username, email=User.objects.normalize_email(new.email))
    problems = _problems(user, new.password)
    if problems:
        raise ValidationError(problems)
    user.set_password(new.password)
    try:
        with transaction.atomic():
            user.save()
            audit("account.create", user, by=user, new={"name": user.username, "email": user.email})
    except IntegrityError as error:  # the same name, or the same link, at the same time
        raise ValidationError({"username": gettext("This name is not free. Take another.")}) from error
    return user


def password_reset_ask(email: str) -> None:
    """Send a letter with a link to whoever has this address; the answer is the same if nobody has."""
    user = account_of(email)
    if user is None or not user.is_active:  # written down as well, so that the answer takes as long
        audit("account.reset_asked", name="an account that is not there, or is switched off")
        return
    parts = [urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)]
    hours = settings.PASSWORD_RESET_TIMEOUT // 3600
    audit("account.reset_asked", user, by=user)
    address = link(reverse("password-reset-confirm", args=parts))
    mail_later(user.email, "password_reset", user, link=address, name=user.get_username(), hours=hours)


def password_reset(user: User, password: str) -> None:
    """The new password of somebody who came by a letter's link. Raises ValidationError for one that is too weak."""
    _password_checked(user, password)
    password_set(user, password, "reset")


def password_change(user: User, old: str, password: str) -> None:
    """A new password by its owner, who knows the old one. Raises ValidationError with a message per field."""
    if not user.check_password(old):
        raise ValidationError({"old_password": gettext("That is not the present password.")})
    _password_checked(user, password)
    password_set(user, password, "change")


def password_set(user: User, password: str, how: str) -> None:
    """A new password; every session of the account ends by it, and its owner is told by mail."""
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        audit(f"account.password_{how}", user, by=user)
    if user.email:
        reset = link(reverse("password-reset"))
        mail_later(user.email, "password_changed", user, name=user.get_username(), reset=reset)


def email_change_ask(user: User, email: str) -> None:
    """Send a link to the new address; the old one counts until it is used. Same answer if somebody has the address."""
    if reader := account_of(email):
        addresses = {"sign_in": link(reverse("sign-in")), "reset": link(reverse("password-reset"))}
        mail_later(email, "account_exists", reader, **addresses)
        return
    token = signing.dumps([user.pk, user.email, email], salt=EMAIL, compress=True)
    mail_later(email, "email_change", user, link=link(reverse("email-confirm", args=[token])), hours=LINK_HOURS)


def email_change(user: User, token: str) -> None:
    """The link was used by the account that asked: the new address counts. Raises LinkGone."""
    new = email_wanted(user, token)
    old = user.email
    try:
        with transaction.atomic():
            user.email = new
            user.save(update_fields=["email"])
            audit("account.email", user, by=user, old={"email": old}, new={"email": new})
    except IntegrityError as error:  # somebody has it since
        raise LinkGone from error
    if old:
        mail_later(old, "email_changed", user, name=user.get_username(), email=new)


def email_wanted(user: User, token: str) -> str:
    """The new address that a link of `email_change_ask` proves, for the account that asked. Raises LinkGone."""
    said = _read(token, EMAIL)
    if not isinstance(said, list) or said[:2] != [user.pk, user.email]:
        raise LinkGone
    return str(said[2])


def language_choose(user: User, language: str) -> None:
    """The language of this person's pages and letters; empty is the browser's."""
    user.language = language
    user.save(update_fields=["language"])


def name_change(user: User, username: str, first_name: str, last_name: str) -> None:
    """Another user name, or another real name. Raises ValidationError with a message per field."""
    names = ("username", "first_name", "last_name")
    old = {name: getattr(user, name) for name in names}
    new = dict(zip(names, (username, first_name, last_name), strict=True))
    if old == new:
        return
    for name, value in new.items():
        setattr(user, name, value)
    if problems := _name_problems(user):
        raise ValidationError(problems)
    try:
        with transaction.atomic():
            user.save(update_fields=names)
            audit("account.name", user, by=user, old=old, new=new)
    except IntegrityError as error:
        raise ValidationError({"username": gettext("This name is not free. Take another.")}) from error


def _read(token: str, salt: str) -> object:
    try:
        said: object = signing.loads(token, salt=salt, max_age=LINK_HOURS * 3600)
    except (signing.BadSignature, ValueError) as error:
        raise LinkGone from error
    return said


def _name_problems(user: User) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    if "@" in user.username:
        problems["username"] = [gettext("A name without @, so that nobody's e-mail address becomes a name.")]
    try:
        user.clean_fields(exclude=["password", "email"])
    except ValidationError as error:
        problems |= error.message_dict
    if User.objects.filter(username=user.username).exclude(pk=user.pk).exists():
        problems["username"] = [gettext("This name is not free. Take another.")]
    return problems


def _password_checked(user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationError({"password": error.messages}) from error


def _problems(user: User, password: str) -> dict[str, list[str]]:
    problems = _name_problems(user)
    try:
        validate_password(password, user)
    except ValidationError as error:
        problems["password"] = error.messages
    return problems
