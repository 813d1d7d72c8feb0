"""`make messages`: gather every sentence for people into the catalogs, and compile them."""

import gettext
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

LEFT_OUT = [
    *("data", "deploy", "docs", "staticfiles", "static/vendor", "static/js/words-*.js", "test-output", "trainers"),
    *("*/tests/*", "*/migrations/*", "*/benchmarks/*", "*/standins/*"),
]
WORDS = "// Made by `make messages` of platform_site/locale/{}/LC_MESSAGES/djangojs.po.\nglobalThis.words = {};\n"


class Command(BaseCommand):
    help = "Gather all sentences into the catalogs, compile them, and write the scripts' words. Needs GNU gettext."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--compile", action="store_true", help="only compile what the catalogs hold")

    def handle(self, *args: Any, **options: Any) -> None:
        languages = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
        if not options["compile"]:
            for domain, endings in (("django", ["html", "txt", "py"]), ("djangojs", ["js"])):
                call_command(
                    "makemessages",
                    locale=languages,
                    domain=domain,
                    extensions=endings,
                    ignore_patterns=LEFT_OUT,
                    no_obsolete=True,
                    add_location="file",
                    verbosity=options["verbosity"],
                )
        call_command("compilemessages", locale=languages, ignore_patterns=[".venv"], verbosity=options["verbosity"])
        for code in languages:
            place = settings.BASE_DIR / "static" / "js" / f"words-{code}.js"
            place.write_text(words_script(code, settings.LOCALE_PATHS[0] / code / "LC_MESSAGES" / "djangojs.mo"))


def words_script(code: str, catalog: Path) -> str:
    """The catalog of the scripts as a script: sentence → translation, or → the list of its plural forms."""
    with catalog.open("rb") as file:
        known: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    words: dict[str, Any] = {}
    for sentence, translation in sorted(
        known.items(), key=lambda one: one[0] if isinstance(one[0], tuple) else (one[0],)
    ):
        if isinstance(sentence, tuple):
            words.setdefault(sentence[0], []).append(translation)
        elif sentence:
            words[sentence] = translation
    return WORDS.format(code, json.dumps(words, ensure_ascii=False, indent=1))
