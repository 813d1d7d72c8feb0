"""What a table of jobs shows, as its address says it: filters, columns, order and page.

Nothing in an address becomes the name of a field: each parameter has its own
meaning here, and whatever else stands in the address is refused.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlencode

from django.utils.translation import gettext

from training.models import JobState

KINDS = ("metric", "setting")
SHOWN = ("", "archived", "all", "deleted")
SORTS = ("created", "name", "state", "project", "trainer", "dataset", "person", "started", "ended", "duration")
PARAMETERS = (
    *("state", "trainer", "project", "experiment", "person", "tag", "text", "shown"),
    *("where", "column", "sort", "page"),
)
MOST_COLUMNS = 8
MOST_CONDITIONS = 4
LARGEST_ID = 2**63 - 1
LARGEST_PAGE = 1_000_000
CONDITION = re.compile(r"(metric|setting):(.+?)\s*(>=|<=|=|>|<)\s*(.+)")
COMPARISONS = {">=": "gte", "<=": "lte", "=": "exact", ">": "gt", "<": "lt"}
SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class QueryRefused(ValueError):
    """The address says something that a table of jobs does not know; the message is for people."""


class Params(Protocol):
    """A QueryDict, or what is like one."""

    def __iter__(self) -> Iterator[str]: ...

    def getlist(self, key: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Column:
    """A column of choice: a metric's best value (or its latest, where none is best), or a setting."""

    kind: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Condition:
    """`metric:val/loss<0.5`: a column, one of COMPARISONS, and what it is compared with."""

    column: Column
    sign: str
    value: Any

    @property
    def text(self) -> str:
        shown = self.value if isinstance(self.value, str) else json.dumps(self.value)
        return f"{self.column.key}{self.sign}{shown}"


@dataclass(frozen=True, slots=True)
class TableQuery:
    """One address of the table. `sort` is one of SORTS or a column's key, with a minus for the other way round."""

    states: tuple[str, ...] = ()
    trainer: str = ""
    project: int | None = None
    experiment: int | None = None
    person: str = ""
    tag: str = ""
    text: str = ""
    shown: str = ""
    conditions: tuple[Condition, ...] = ()
    columns: tuple[Column, ...] = ()
    sort: str = "-created"
    page: int = 1

    @property
    def filtered(self) -> bool:
        """Whether anything is left out that a plain list would show."""
        return replace(self, columns=(), sort="-created", page=1) != TableQuery()

    @property
    def address(self) -> str:
        """The query part of the address, without what is as by default."""
        single = ("trainer", "project", "experiment", "person", "tag", "text", "shown")
        pairs: list[tuple[str, Any]] = [("state", state) for state in self.states]
        pairs += [(name, value) for name in single if (value := getattr(self, name))]
        pairs += [("where", condition.text) for condition in self.conditions]
        pairs += [("column", column.key) for column in self.columns]
        pairs += [("sort", self.sort)] if self.sort != "-created" else []
        pairs += [("page", self.page)] if self.page != 1 else []
        return urlencode(pairs)

    def sorted_by(self, key: str) -> "TableQuery":
        """The same, in the order of this column; the other way round if it is so already."""
        return replace(self, sort=f"-{key}" if self.sort == key else key, page=1)

    @classmethod
    def read(cls, params: Params, beside: tuple[str, ...] = ()) -> "TableQuery":
        """The query in an address, in which `beside` may stand too. Raises QueryRefused."""
        for name in params:
            if name not in PARAMETERS and name not in beside:
                raise QueryRefused(
                    gettext("%(name)s is no filter of this table; there are %(parameters)s.")
                    % {"name": repr(name[:60]), "parameters": ", ".join(PARAMETERS)}
                )
        said = {name: [value for value in params.getlist(name) if value.strip()] for name in PARAMETERS}
        columns = _columns(said["column"])
        fields: dict[str, Any] = {
            "states": tuple(_one_of("state", value, JobState.values) for value in dict.fromkeys(said["state"])),
            "conditions": tuple(_condition(text) for text in dict.fromkeys(said["where"])),
            "columns": columns,
            "sort": _sort(_last(said["sort"]) or "-created", columns),
            "page": _number("page", _last(said["page"]), LARGEST_PAGE) or 1,
            "shown": _one_of("shown", _last(said["shown"]), SHOWN),
            "project": _number("project", _last(said["project"])),
            "experiment": _number("experiment", _last(said["experiment"])),
        }
        if len(fields["conditions"]) > MOST_CONDITIONS:
            raise QueryRefused(gettext("There may be %(most)s conditions.") % {"most": MOST_CONDITIONS})
        fields |= {name: _text(name, _last(said[name])) for name in ("trainer", "person", "tag", "text")}
        return cls(**fields)


def _last(values: list[str]) -> str:
    return values[-1].strip() if values else ""


def _text(name: str, value: str) -> str:
    if len(value) > 200 or "\x00" in value or _unencodable(value):
        raise QueryRefused(gettext("%(name)s: at most 200 characters of text.") % {"name": name})
    return value


def _unencodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _one_of(name: str, value: str, known: Any) -> str:
    if value not in known:
        raise QueryRefused(
            gettext("%(name)s: %(value)s is none of %(known)s.")
            % {"name": name, "value": repr(value[:60]), "known": ", ".join(filter(None, known))}
        )
    return value


def _number(name: str, value: str, most: int = LARGEST_ID) -> int | None:
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value[:20]) <= most):
        raise QueryRefused(
            gettext("%(name)s: %(value)s is no number that it can have.") % {"name": name, "value": repr(value[:60])}
        )
    return int(value)


def _column(key: str) -> Column:
    kind, colon, name = key.partition(":")
    if not colon or kind not in KINDS or not 0 < len(name) <= 255 or "\x00" in name or _unencodable(name):
        raise QueryRefused(
            gettext("column: %(key)s is neither metric:NAME nor setting:NAME.") % {"key": repr(key[:60])}
        )
    if kind == "setting" and not SETTING.fullmatch(name):
        raise QueryRefused(gettext("column: %(name)s is no name of a setting.") % {"name": repr(name[:60])})
    return Column(kind, name)


def _columns(keys: list[str]) -> tuple[Column, ...]:
    columns = tuple(_column(key.strip()) for key in dict.fromkeys(keys))
    if len(columns) > MOST_COLUMNS:
        raise QueryRefused(gettext("There may be %(most)s columns of choice.") % {"most": MOST_COLUMNS})
    return columns


def _sort(text: str, columns: tuple[Column, ...]) -> str:
    known = (*SORTS, *(column.key for column in columns))
    if text.removeprefix("-") not in known:
        raise QueryRefused(
            gettext("sort: %(text)s is none of %(sorts)s, nor a column that is shown.")
            % {"text": repr(text[:60]), "sorts": ", ".join(SORTS)}
        )
    return text


def _condition(text: str) -> Condition:
    match = CONDITION.fullmatch(text.strip()[:600])
    if match is None:
        raise QueryRefused(
            gettext("where: %(text)s is not like metric:NAME>=0.5 or setting:NAME=50.") % {"text": repr(text[:60])}
        )
    column, value = _column(f"{match[1]}:{match[2]}"), _value(match[4])
    if isinstance(value, str) and (column.kind == "metric" or match[3] != "="):
        raise QueryRefused(gettext("where: %(value)s is no number to compare with.") % {"value": repr(value[:60])})
    return Condition(column, match[3], value)


def _value(text: str) -> Any:
    """A number, true or false as JSON has them; else the text itself."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, float) and not math.isfinite(value):
        value = text
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_ID:
        value = float(value) if abs(value) < 10**300 else text
    return value if isinstance(value, bool | int | float) else _text("where", text)
