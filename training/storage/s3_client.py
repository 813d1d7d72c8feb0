"""The one connection to an S3-compatible server: made when it is needed, patient, and its failures are OSErrors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from training.storage.store import StoreAway

TRIES = 5
CONNECT_SECONDS = 5
READ_SECONDS = 60
HURRIED_TRIES, HURRIED_CONNECT_SECONDS, HURRIED_READ_SECONDS = 2, 2, 5  # where a person waits
MISSING = {"404", "NoSuchKey", "NotFound"}


class NoSuchObject(Exception):
    """The server has no object (or no upload) of this name."""


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, and the prefix below which a store keeps everything: empty, or ending in a slash."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """The place of `s3://bucket/prefix`. Raises ImproperlyConfigured."""
        parts = urlsplit(url)
        prefix = unquote(parts.path).strip("/")
        if not 3 <= len(parts.netloc) <= 63:
            raise ImproperlyConfigured(
                "A store's address is s3://bucket/prefix; a bucket's name has 3 to 63 characters."
            )
        return cls(parts.netloc, f"{prefix}/" if prefix else "")


def client_make(name: str, patient: bool = True) -> Any:
    """A client of the store called `name` (internal, external); boto3 is loaded here and nowhere earlier.

    One that is not `patient` gives up after some seconds. Raises ImproperlyConfigured where its keys are not set.
    """
    import boto3
    from botocore.config import Config

    own = name.upper()
    access, secret = (getattr(settings, f"{own}_STORAGE_{part}_KEY") for part in ("ACCESS", "SECRET"))
    if not access or not secret:
        raise ImproperlyConfigured(f"{own}_STORAGE_ACCESS_KEY and {own}_STORAGE_SECRET_KEY must be set for s3://.")
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path", "payload_signing_enabled": True},
        retries={"mode": "standard", "max_attempts": TRIES if patient else HURRIED_TRIES},
        connect_timeout=CONNECT_SECONDS if patient else HURRIED_CONNECT_SECONDS,
        read_timeout=READ_SECONDS if patient else HURRIED_READ_SECONDS,
        max_pool_connections=32,
        request_checksum_calculation="when_required",  # many servers know no newer checksums
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session(
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name=getattr(settings, f"{own}_STORAGE_REGION"),
    )
    return session.client("s3", endpoint_url=getattr(settings, f"{own}_STORAGE_ENDPOINT") or None, config=config)


@contextmanager
def failures_told(what: str) -> Iterator[None]:
    """Raise NoSuchObject for what is missing and StoreAway for every other failure, with a message for people."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in MISSING or code == "NoSuchUpload":
            raise NoSuchObject(what) from error
        raise StoreAway(f"The object store refused {what}: {code or error}.") from error
    except BotoCoreError as error:
        raise StoreAway(f"The object store could not be reached for {what}: {type(error).__name__}.") from error
