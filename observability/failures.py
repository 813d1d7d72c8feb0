"""What an SDK raises becomes an AdapterError, without the secrets that SDKs like to put into their messages."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import quote

from observability.base import AdapterError, Variable

USERINFO = re.compile(r"(?<=://)[^/\s@]+@")  # RFC 3986, 3.2.1: user:password@ in an address
LONGEST = 500
SHORTEST = 4  # what is shorter is in every other word, and no secret


class Failures:
    """Translates the exceptions of one adapter; knows the values that must not be shown."""

    def __init__(
        self,
        variables: Sequence[Variable],
        config: Mapping[str, str],
        is_permanent: Callable[[Exception], bool],
        refuses_batch: Callable[[Exception], bool] = lambda error: False,
    ) -> None:
        self._variables, self._config = variables, config
        self._is_permanent, self._refuses_batch = is_permanent, refuses_batch

    @contextmanager
    def translated(self, doing: str, batch: bool = False) -> Iterator[None]:
        """Raise AdapterError for any exception: what was being done, its kind and its message, no secrets.

        `batch`: what is being done is the sending of one, whose content may be what is refused.
        """
        try:
            yield
        except AdapterError:
            raise
        except Exception as error:
            said = self.hidden(f"{doing}: {type(error).__name__}: {error}")
            refused = batch and self._refuses_batch(error)
            raise AdapterError(said, permanent=self._is_permanent(error), batch=refused) from None

    def hidden(self, text: str) -> str:
        """The text, at most 500 characters, without secrets."""
        text = without_secrets(text, self._variables, self._config)
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def without_secrets(text: str, variables: Sequence[Variable], config: Mapping[str, str]) -> str:
    """The text with each secret variable's value, plain or quoted, and each address's user replaced."""
    secrets = [config[one.name] for one in variables if one.secret and len(config.get(one.name, "")) >= SHORTEST]
    for secret in sorted({*secrets, *map(quote, secrets)}, key=len, reverse=True):
        text = text.replace(secret, "•••")
    return USERINFO.sub("•••@", text)
