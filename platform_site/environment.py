"""Typed reading of environment variables: a wrong value stops the start with a message that names it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

Value = TypeVar("Value")


class Environment:
    """Reads variables once each, remembers which were read, and refuses what does not parse.

    Every reader raises ImproperlyConfigured with the variable's name, what it
    held (never for secrets) and what would be right.
    """

    def __init__(self, dotenv: Path) -> None:
        self._env = environ.Env()
        if dotenv.is_file():
            self._env.read_env(str(dotenv))
        self.known: list[str] = []

    def _read(self, name: str, parse: Callable[[str], Value], default: Value, expected: str) -> Value:
        self.known.append(name)
        raw = self._env.ENVIRON.get(name, "").strip()
        if not raw:
            return default
        try:
            return parse(raw)
        except (ValueError, KeyError, ImproperlyConfigured) as error:
            raise ImproperlyConfigured(f"{name}={raw!r} is not valid: expected {expected}.") from error

    def text(self, name: str, default: str = "") -> str:
        return self._read(name, str, default, "text")

    def flag(self, name: str, default: bool = False) -> bool:
        words = {"true": True, "1": True, "yes": True, "on": True}
        words |= {"false": False, "0": False, "no": False, "off": False}
        return self._read(name, lambda raw: words[raw.lower()], default, "true or false")

    def number(self, name: str, default: float, at_least: float = 0) -> float:
        def parse(raw: str) -> float:
            value = float(raw)
            if not value >= at_least or value == float("inf"):
                raise ValueError
            return value

        return self._read(name, parse, default, f"a number of at least {at_least:g}")

    def whole(self, name: str, default: int, at_least: int = 0) -> int:
        def parse(raw: str) -> int:
            value = int(raw)
            if value < at_least:
                raise ValueError
            return value

        return self._read(name, parse, default, f"a whole number of at least {at_least}")

    def words(self, name: str, default: Sequence[str] = ()) -> list[str]:
        def parse(raw: str) -> list[str]:
            return [word.strip() for word in raw.split(",") if word.strip()]

        return self._read(name, parse, list(default), "words separated by commas")

    def places(self, name: str) -> list[str]:
        """Addresses of object stores, each perhaps after the slug of the organization that it is for."""

        def parse(raw: str) -> list[str]:
            found = [word.strip() for word in raw.split(",") if word.strip()]
            if not all(re.fullmatch(r"([\w-]+=)?s3://[^/=\s]{3,63}(/[^=?#]*)?", place) for place in found):
                raise ValueError
            return found

        return self._read(name, parse, [], "s3://bucket/prefix or slug=s3://bucket/prefix, separated by commas")

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        return self._read(name, lambda raw: {c: c for c in choices}[raw], default, " or ".join(choices))

    def path(self, name: str, default: Path) -> Path:
        return self._read(name, lambda raw: Path(raw).expanduser().resolve(), default, "a path")

    def url(self, name: str, default: str = "", schemes: Sequence[str] = ("http", "https")) -> str:
        def parse(raw: str) -> str:
            parts = urlsplit(raw)
            names_a_place = parts.netloc or parts.path or parts.scheme == "filesystem"
            if parts.scheme not in schemes or not names_a_place:
                raise ValueError
            return raw.rstrip("/")

        self.known.append(name)
        raw = self._env.ENVIRON.get(name, "").strip()
        if not raw:
            return default
        try:
            return parse(raw)
        except ValueError as error:  # an address may hold a password: it is not repeated
            raise ImproperlyConfigured(
                f"{name} is not valid: expected an address with {' or '.join(schemes)}://."
            ) from error

    def database(self, name: str, default: str) -> dict[str, Any]:
        self.known.append(name)
        raw = self._env.ENVIRON.get(name, "").strip() or default
        if urlsplit(raw).scheme not in ("sqlite", "postgres", "postgresql"):
            raise ImproperlyConfigured(f"{name} is not valid: expected sqlite:///… or postgres://….")
        return dict(self._env.db_url_config(raw))

    def mail(self, name: str, default: str) -> dict[str, Any]:
        """Django's EMAIL_… settings of an address such as smtp+tls://user:password@host:587."""
        self.known.append(name)
        raw = self._env.ENVIRON.get(name, "").strip() or default
        try:
            found = dict(self._env.email_url_config(raw))
            assert not found["EMAIL_BACKEND"].endswith("smtp.EmailBackend") or found["EMAIL_HOST"]
        except (AssertionError, KeyError, ValueError, ImproperlyConfigured) as error:  # it may hold a password
            schemes = ", ".join(f"{scheme}://" for scheme in sorted(self._env.EMAIL_SCHEMES))
            raise ImproperlyConfigured(f"{name} is not valid: expected an address with one of {schemes}.") from error
        return found
