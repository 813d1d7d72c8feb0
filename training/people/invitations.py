"""Invitations by e-mail: sent, sent again, revoked, accepted once."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from training.models import Invitation, Organization, Role, User
from training.people.accounts import LinkGone, NewAccount, account_make, account_of
from training.people.audit import audit
from training.people.mails import MailError, link, mail_send
from training.people.members import member_add
from training.people.roles import roles_to_give


def invitations_pending(organization: Organization) -> QuerySet[Invitation]:
    """Those that were neither accepted nor revoked, newest first; some may be too old."""
    pending = organization.invitations.filter(accepted_at=None, revoked_at=None)
    return pending.select_related("created_by").order_by("-id")


def invitation_create(
    organization: Organization, email: str, role: Role, by: User | None = None
) -> tuple[Invitation, str]:
    """A new invitation in place of any older one to the same address, and the address of its page, for the letter only.

    Without `by` it is the operator's own. Raises ValidationError with a message
    per field, and PermissionDenied for a role that `by` may not give.
    """
    email = _email_checked(organization, email)
    if by is not None and role not in roles_to_give(by, organization):
        raise PermissionDenied(
            gettext("Your role does not allow you to invite somebody as %(label)s.") % {"label": role.label.lower()}
        )
    secret = secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            for older in invitations_pending(organization).filter(email__iexact=email):
                invitation_revoke(older, by)
            made = Invitation.objects.create(
                organization=organization,
                email=email,
                role=role,
                digest=_digest(secret),
                created_by=by,
                expires_at=_expiry(),
            )
            audit("invitation.create", made, by=by, new={"email": email, "role": role, "expires_at": made.expires_at})
    except IntegrityError as error:
        raise ValidationError({"email": gettext("Somebody else has just invited this address.")}) from error
    return made, _page(secret)


def invitation_send(invitation: Invitation, page: str) -> None:
    """Mail the invitation. Raises MailError; the invitation stays, and can be sent again."""
    by = invitation.created_by
    mail_send(
        invitation.email,
        "invitation",
        account_of(invitation.email) or by,
        organization=invitation.organization.name,
        who=by.get_full_name() or by.get_username() if by else "",
        role=invitation.get_role_display(),
        link=link(page),
        until=invitation.expires_at,
    )
    Invitation.objects.filter(pk=invitation.pk).update(sent_at=timezone.now())


def invite(organization: Organization, email: str, role: Role, by: User | None = None) -> tuple[Invitation, str, str]:
    """Make an invitation and mail it: the invitation, its page, and what was wrong with the mail if it was not sent."""
    made, page = invitation_create(organization, email, role, by)
    return made, page, _sent(made, page)


def invitation_resend(invitation: Invitation, by: User | None = None) -> str:
    """Send a new link, good for the whole time again; the old link ends. What was wrong with the mail, or nothing.

    Raises LinkGone once it was accepted or revoked.
    """
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        locked = _locked(invitation.pk)
        if locked.accepted_at or locked.revoked_at:
            raise LinkGone
        old, locked.digest, locked.expires_at = locked.expires_at, _digest(secret), _expiry()
        locked.save(update_fields=["digest", "expires_at"])
        new = {"expires_at": locked.expires_at}
        audit("invitation.resend", locked, by=by, old={"expires_at": old}, new=new)
    return _sent(locked, _page(secret))


def invitation_revoke(invitation: Invitation, by: User | None = None) -> None:
    """Its link opens nothing any more; a second time, and after it was accepted, nothing changes."""
    with transaction.atomic():
        pending = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
        if pending.update(revoked_at=timezone.now()):
            audit("invitation.revoke", invitation, by=by, old={"role": invitation.role})


def invitation_find(secret: str) -> Invitation:
    """The invitation that a link opens now. Raises LinkGone for whatever reason there is."""
    found = Invitation.objects.select_related("organization", "created_by").filter(digest=_digest(secret)).first()
    if found is None or not found.good(timezone.now()) or not _still_allowed(found):
        raise LinkGone
    return found


def invitation_accept(secret: str, user: User) -> Organization:
    """Make `user` a member as invited, once; somebody who is a member already stays what they are. Raises LinkGone."""
    with transaction.atomic():
        locked = _locked(invitation_find(secret).pk)
        if not locked.good(timezone.now()):  # somebody else used it meanwhile
            raise LinkGone
        locked.accepted_at, locked.accepted_by = timezone.now(), user
        locked.save(update_fields=["accepted_at", "accepted_by"])
        audit("invitation.accept", locked, by=user, new={"role": locked.role})
        member_add(locked.organization, user, Role(locked.role), by=user)
    return locked.organization


def invitation_sign_up(secret: str, username: str, password: str) -> tuple[User, Organization]:
    """Make the account of somebody who was invited: the link proves the address. Raises LinkGone, ValidationError."""
    with transaction.atomic():
        user = account_make(NewAccount(invitation_find(secret).email, username, password))
        return user, invitation_accept(secret, user)


def _still_allowed(invitation: Invitation) -> bool:
    """Whether whoever invited could still do so: a link of somebody who was removed opens nothing."""
    by = invitation.created_by
    return by is None or Role(invitation.role) in roles_to_give(by, invitation.organization)


def _sent(invitation: Invitation, page: str) -> str:
    try:
        invitation_send(invitation, page)
    except MailError as error:
        return str(error)
    return ""


def _locked(pk: int) -> Invitation:
    return Invitation.objects.select_for_update(no_key=True, of=("self",)).select_related("organization").get(pk=pk)


def _page(secret: str) -> str:
    return reverse("invitation-page", args=[secret])


def _expiry() -> datetime:
    return timezone.now() + timedelta(days=settings.INVITATION_DAYS)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _email_checked(organization: Organization, email: str) -> str:
    email = User.objects.normalize_email(email.strip())
    try:
        validate_email(email)
    except ValidationError as error:
        raise ValidationError({"email": error.messages}) from error
    if organization.members.filter(email__iexact=email).exists():
        raise ValidationError({"email": gettext("Somebody with this address is a member already.")})
    return email
