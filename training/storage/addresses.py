"""Signed addresses of local stores: the address itself is the right to one object, for some time."""

import time
from dataclasses import dataclass

from django.conf import settings
from django.core import signing

SIGNER_SALT = "training.storage.addresses"


class AddressRefused(Exception):
    """The token is not ours, was changed, or has expired."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a token allows: one method on one object. `size` and `sha256` bind a PUT."""

    store: str
    method: str
    key: str
    expires: float  # seconds since 1970
    size: int = 0
    sha256: str = ""
    filename: str = ""


def address_sign(address: Address) -> str:
    """The absolute URL that carries `address`, signed with the site's secret."""
    fields = [address.store, address.method, address.key, int(address.expires)]
    fields += [address.size, address.sha256, address.filename]
    token = signing.Signer(salt=SIGNER_SALT).sign_object(fields)
    return f"{settings.SITE_URL}/storage/{token}"


def address_read(token: str) -> Address:
    """The address in `token`, or AddressRefused; the caller checks method and size."""
    try:
        store, method, key, expires, size, sha256, filename = signing.Signer(salt=SIGNER_SALT).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise AddressRefused("This address was not signed here.") from error
    if expires < time.time():
        raise AddressRefused("This address has expired.")
    return Address(store, method, key, expires, size, sha256, filename)
