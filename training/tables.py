"""Files to download that are made while they are sent, and CSV whose cells no spreadsheet takes for a formula."""

import csv
import io
import json
import math
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

FORMULA = tuple("=+-@\t\r|%＝＋－＠")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
ROWS = 500


def cell(value: Any) -> Any:
    """A value that a spreadsheet takes for what it is: a number, or text even where it looks like a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "'-Infinity"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.replace("\x00", "\ufffd")
    return f"'{text}" if text.lstrip(" \n").startswith(FORMULA) and not NUMBER.fullmatch(text) else text


def download(parts: Iterator[str] | Iterator[bytes], content_type: str, name: str) -> StreamingHttpResponse:
    """Stream through an async iterator: a plain one is gathered in memory first under ASGI."""

    async def stream() -> AsyncIterator[bytes]:
        step = sync_to_async(lambda: next(parts, None))
        while (part := await step()) is not None:
            yield part if isinstance(part, bytes) else part.encode("utf-8", "replace")

    text = content_type.startswith("text/")
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(
        stream(), content_type=f"{content_type}; charset=utf-8" if text else content_type, headers=headers
    )


def csv_parts(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table as CSV (RFC 4180), in parts of some hundred lines."""
    yield csv_lines([header])
    left = iter(rows)
    while some := list(islice(left, ROWS)):
        yield csv_lines(some)


def csv_download(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> StreamingHttpResponse:
    return download(csv_parts(header, rows), "text/csv", name)


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()
