"""Letters to people: plain text from templates/mail; links are made of SITE_URL, never of what a request says."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils.translation import get_language, gettext, override

from training.models import User
from training.templatetags.text import plain_text

logger = logging.getLogger(__name__)
# How long an answer takes must not tell whether a letter was sent, and a slow mail server must delay no page.
_postman = ThreadPoolExecutor(1, thread_name_prefix="mail")


class MailError(Exception):
    """The mail server did not take the letter; the message is for people."""


def mail_send(to: str, letter: str, reader: User | None = None, **context: Any) -> None:
    """Send templates/mail/`letter`.txt, whose first line is the subject. Raises MailError.

    In the language that the reader has chosen, or else of the page on which somebody caused it.
    """
    _send(_message(to, letter, reader, context))


def mail_later(to: str, letter: str, reader: User | None = None, **context: Any) -> None:
    """Send it from another thread, soon; a failure is logged."""
    message = _message(to, letter, reader, context)

    def send() -> None:
        try:
            _send(message)
        except MailError as error:
            logger.error("A letter (%s) was not sent: %s", letter, error)

    _postman.submit(send)


def mails_flush() -> None:
    """Wait until what was to be sent later has been sent."""
    _postman.submit(int).result(60)


def link(path: str) -> str:
    """The address of a page for a letter."""
    return f"{settings.SITE_URL}{path}"


def _message(to: str, letter: str, reader: User | None, context: dict[str, Any]) -> EmailMessage:
    safe = {name: plain_text(value) if isinstance(value, str) else value for name, value in context.items()}
    with override((reader.language if reader else "") or get_language()):
        subject, _, body = render_to_string(f"mail/{letter}.txt", {**safe, "site": settings.SITE_URL}).partition("\n")
    return EmailMessage(subject[:200], body.strip() + "\n", to=[to])


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; a bad header is a ValueError
        logger.warning("The mail server refused: %s", error)
        raise MailError(
            gettext("The mail could not be sent. The operator finds the reason in the server's log.")
        ) from error
