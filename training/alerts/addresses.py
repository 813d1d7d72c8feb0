"""Where alerts may be sent: what an address must look like, and as much of it as people are shown again.

Names are resolved by whoever connects (`courier.py`), so that no answer of a name server can change in between; here
only what is plain from the text is refused.
"""

import ipaddress
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

KINDS = {"email": _("E-mail"), "webhook": _("Webhook"), "apprise": _("Slack and others")}
MAX_LENGTH = 1000
MAX_RECEIVERS = 20
# parameters by which an address could have a file of the worker read and sent
OF_FILES = {"attach", "attachment", "template", "keyfile", "subfile", "pgp", "pgpkey", "pgp_key", "cert", "key_file"}


def address_clean(kind: str, address: str) -> str:
    """The address in its normal form. Raises ValidationError with what is wrong at `address`."""
    address = address.strip()
    if kind not in KINDS:
        raise ValidationError({"kind": gettext("A target is one of %(kinds)s.") % {"kinds": ", ".join(KINDS)}})
    if not address or len(address) > MAX_LENGTH or not address.isprintable():
        raise ValidationError({"address": gettext("An address has 1 to %(most)s characters.") % {"most": MAX_LENGTH}})
    if kind == "email":
        return _receivers_clean(address)
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        parts.port  # noqa: B018  raises where it is none
    except ValueError as error:
        raise ValidationError({"address": gettext("This is not an address.")}) from error
    if kind == "webhook" and (parts.scheme not in ("https", "http") or not host):
        raise ValidationError({"address": gettext("A webhook begins with https:// or http://.")})
    if kind == "apprise" and parts.scheme not in settings.ALERT_SCHEMES:
        known = ", ".join(settings.ALERT_SCHEMES)
        raise ValidationError(
            {
                "address": gettext("It must begin with one of: %(known)s (as in slack://…, see apprise).")
                % {"known": known}
            }
        )
    if OF_FILES & {name.lower().lstrip("+-:") for name, _ in parse_qsl(parts.query, keep_blank_values=True)}:
        raise ValidationError({"address": gettext("An address may not name files.")})
    if not settings.ALERT_ALLOW_PRIVATE and is_private(host):
        raise ValidationError({"address": gettext("This host is in a private network: alerts may not be sent there.")})
    return address


def address_shown(kind: str, address: str) -> str:
    """What people are shown of an address: no user, no password, no path, which are secrets in most of them."""
    if kind == "email":
        first, *others = address.split(",")
        name, _, host = first.partition("@")
        more = f" and {len(others)} more" if others else ""
        return f"{name[:2]}…@{host}{more}"[:120]
    parts = urlsplit(address)
    # in most of apprise's addresses the place of the host holds a token
    host = parts.hostname or ""
    told = host if kind == "webhook" or "." in host else ""
    return f"{parts.scheme}://{told}{'/' if told else ''}…"[:120]


def apprise_address(kind: str, address: str) -> str:
    """The same for apprise: a webhook is one that takes JSON, with its query kept."""
    if kind != "webhook":
        return address
    parts = urlsplit(address)
    query = urlencode(
        [(f"-{name}", value) for name, value in parse_qsl(parts.query, keep_blank_values=True)], quote_via=quote
    )
    scheme = "jsons" if parts.scheme == "https" else "json"
    return parts._replace(scheme=scheme, query=query, fragment="").geturl()


def is_private(host: str) -> bool:
    """Whether a host is plainly one of a private network; a name may still turn out to be."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _receivers_clean(address: str) -> str:
    receivers = [part.strip() for part in address.split(",") if part.strip()]
    if len(receivers) > MAX_RECEIVERS:
        raise ValidationError({"address": gettext("At most %(most)s receivers.") % {"most": MAX_RECEIVERS}})
    for receiver in receivers:
        try:
            validate_email(receiver)
        except ValidationError as error:
            raise ValidationError(
                {"address": gettext("%(receiver)s is not an e-mail address.") % {"receiver": receiver}}
            ) from error
    return ",".join(receivers)
