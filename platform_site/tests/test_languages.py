"""Nothing is left in English: every sentence for people is in its catalog, and is translated there."""

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.template.base import DebugLexer, Token, TokenType
from django.utils.formats import get_format
from django.utils.translation import override
from django.utils.translation.template import templatize

from platform_site.management.commands.messages import words_script

pytestmark = pytest.mark.once

BASE: Path = settings.BASE_DIR
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
HOUSES = ["platform_site", "training", "observability"]
CATALOGS = [
    ("platform_site", "django"),
    ("platform_site", "djangojs"),
    ("training", "django"),
    ("observability", "django"),
]
NOT_FOR_PEOPLE = {"tests", "benchmarks", "migrations", "standins"}
KEYWORDS = DEFAULT_KEYWORDS | {
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
}
PLACES = re.compile(r"%\(\w+\)[a-z]|<[^>]*>")

# What stands in pages and is the same in every language: names, units, formats, keys.
SAME = """
    AP API CPU CSV Ctrl DICE GPU GiB H200 HTTP ID IoU JSON MB MiB MLflow NaN ONNX OK PNG Python REST SDK SHA TensorBoard
    URL UTC VOC WebSocket YAML YOLO Zip ZIP epoch mAP min px curl tar vtk__ zip gz
"""
WORD = re.compile(r"[A-Za-z]{2,}_*")
SAID_BY = {"aria-label", "alt", "data-asks", "data-label", "label", "placeholder", "title"}
CURRENT = re.compile(r'aria-current="(true|page)"')
SILENT = {"code", "kbd", "pre", "script", "style"}
LITERAL = re.compile(r"""(?P<before>[\w.]*[:=(]|\s)(?P<quote>["'])(?P<text>.*?)(?P=quote)""")


def sources(house: str, domain: str) -> Iterator[Path]:
    """The files whose sentences a catalog holds."""
    if domain == "djangojs":
        yield from (path for path in (BASE / "static" / "js").glob("*.js") if not path.name.startswith("words-"))
        return
    for path in (BASE / house).rglob("*.py"):
        if not NOT_FOR_PEOPLE & set(path.relative_to(BASE).parts):
            yield path
    if house == HOUSES[0]:
        yield from templates()


def templates() -> list[Path]:
    return sorted(path for path in (BASE / "templates").rglob("*") if path.suffix in (".html", ".txt"))


def sentences(path: Path) -> Iterator[tuple[str, ...]]:
    """(sentence,) or (singular, plural) of everything that a file marks for translation."""
    text = path.read_text()
    if path.suffix in (".html", ".txt"):  # becomes Python, in which all but the sentences is X
        text = "\n".join(line.lstrip() for line in templatize(text, origin=str(path)).splitlines())
    method = "javascript" if path.suffix == ".js" else "python"
    options = {"parse_template_string": True, "encoding": "utf-8"}
    for _, said, _, context in extract(method, BytesIO(text.encode()), KEYWORDS, options=options):
        assert context is None, f"{path}: the tests know no contexts yet"
        yield said if isinstance(said, tuple) else (said,)


@cache
def catalog_of(language: str, house: str, domain: str) -> Catalog:
    place = BASE / house / "locale" / language / "LC_MESSAGES" / f"{domain}.po"
    with place.open("rb") as file:
        return read_po(file, locale=language, domain=domain)


def key(message: Message) -> tuple[str, ...]:
    return tuple(message.id) if isinstance(message.id, list | tuple) else (message.id,)


def translated(message: Message) -> tuple[str, ...]:
    return tuple(message.string) if isinstance(message.string, list | tuple) else (message.string or "",)


@pytest.mark.parametrize("house,domain", CATALOGS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_has_its_translation(language: str, house: str, domain: str) -> None:
    known = {key(message): message for message in catalog_of(language, house, domain) if message.id}
    said = {one: path.relative_to(BASE) for path in sources(house, domain) for one in sentences(path)}
    missing = [f"{path}: {one[0]}" for one, path in said.items() if one not in known or not all(translated(known[one]))]
    assert not missing, f"{len(missing)} sentences are not translated; run `make messages`:\n" + "\n".join(missing)
    stale = [one[0] for one in known.keys() - said.keys()]
    assert not stale, "nobody says these any more; run `make messages`:\n" + "\n".join(stale)


@pytest.mark.parametrize("house,domain", CATALOGS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_fill_in_the_same_values(language: str, house: str, domain: str) -> None:
    wrong = []
    for message in catalog_of(language, house, domain):
        if not message.id:
            continue
        wanted = sorted(PLACES.findall(key(message)[-1]))
        if message.fuzzy or any(sorted(PLACES.findall(one)) != wanted for one in translated(message)):
            wrong.append(key(message)[0])
        elif '"' not in key(message)[-1] and any('"' in re.sub(r"<[^>]*>", "", one) for one in translated(message)):
            wrong.append(f"a quote, which would end an attribute: {key(message)[0]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("house,domain", CATALOGS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str, house: str, domain: str) -> None:
    compiled = BASE / house / "locale" / language / "LC_MESSAGES" / f"{domain}.mo"
    with compiled.open("rb") as file:
        found = {key(message): translated(message) for message in read_mo(file) if message.id}
    catalog = catalog_of(language, house, domain)
    assert found == {key(one): translated(one) for one in catalog if one.id and all(translated(one))}
    if domain == "djangojs":
        assert (BASE / "static" / "js" / f"words-{language}.js").read_text() == words_script(language, compiled)


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_are_written_alike(language: str) -> None:
    """Scripts read figures out of pages, and forms send them back."""
    names = ["DECIMAL_SEPARATOR", "THOUSAND_SEPARATOR", "NUMBER_GROUPING"]
    with override(settings.LANGUAGE_CODE):
        wanted = [get_format(name) for name in names]
    with override(language):
        assert [get_format(name) for name in names] == wanted


@pytest.mark.parametrize("path", templates(), ids=lambda path: path.stem)
def test_a_template_says_nothing_past_the_catalog(path: Path) -> None:
    assert left_over(path.read_text(), path.suffix == ".html") == []


@pytest.mark.parametrize(
    "text",
    [
        "<p>Forgotten</p>",
        '<a title="Forgotten">{{ name }}</a>',
        '{{ name|default:"nobody" }}',
        '{% include "training/_star.html" with title="Forgotten" %}',
        "<p>{{ count }} job{{ count|pluralize }}</p>",
        '<input placeholder="{% if x %}{% translate "Said" %}{% else %}Forgotten{% endif %}">',
    ],
)
def test_forgotten_words_are_found(text: str) -> None:
    assert left_over(text)


def test_what_is_translated_or_the_same_everywhere_is_not_complained_of() -> None:
    told = '{% translate "Said" %} <b class="Other words">{{ n|date:"Y-m-d H:i" }}</b> 12 MiB <kbd>Enter</kbd>'
    assert (
        left_over(f'{told} {{% blocktranslate trimmed with a="b c" %}}Said too {{{{ a }}}}{{% endblocktranslate %}}')
        == []
    )


def left_over(source: str, html: bool = True) -> list[str]:
    """The words of a template that a reader would see in English whatever the language."""
    texts, markup = [], ""
    inside = ""
    for token in DebugLexer(source).tokenize():
        if inside:
            inside = "" if token.contents.split()[:1] == [inside] else inside
        elif token.token_type == TokenType.BLOCK and token.split_contents()[0] in ("blocktranslate", "comment"):
            inside = f"end{token.split_contents()[0]}"
        elif token.token_type == TokenType.TEXT:
            markup += token.contents
        elif token.token_type in (TokenType.BLOCK, TokenType.VAR):
            texts += literals(token)
            markup += " " if token.contents.split()[0] in ("else", "elif") else ""
    if html:
        reader = Reader()
        reader.feed(CURRENT.sub("", markup))  # the attribute that a page gives its place in the menu
        reader.close()
        texts += reader.texts
    else:
        texts += markup.splitlines()
    return [text.strip() for text in texts if set(WORD.findall(text)) - set(SAME.split())]


def literals(token: Token) -> Iterator[str]:
    """What a tag or a variable holds as text for people."""
    if "|pluralize" in token.contents:
        yield token.contents
    name = token.contents.split()[0]
    if token.token_type == TokenType.BLOCK and name in ("extends", "icon", "load", "now", "static", "translate", "url"):
        return
    for match in LITERAL.finditer(token.contents):
        before, text = match["before"], match["text"]
        spoken = " " in text or text[:1].isupper()  # or else a class, a name, a key
        if before in ("default:", "default_if_none:") or (spoken and (before.endswith("=") or before == "yesno:")):
            yield text


class Reader(HTMLParser):
    """The texts of a page that people see or hear."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value or "" for name, value in attrs if name in SAID_BY]
        if tag == "input" and dict(attrs).get("type") in ("submit", "button"):
            self.texts.append(dict(attrs).get("value") or "")
        if tag in SILENT:
            self.silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.silent[-1:] == [tag]:
            self.silent.pop()

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.texts.append(data)
