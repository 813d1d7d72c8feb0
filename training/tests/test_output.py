"""What a trainer prints becomes lines, whatever it prints."""

import io
import itertools
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.execution.output import LineSplitter, Output, level_of
from training.models import LogLevel


def split(*pieces: bytes) -> list[str]:
    splitter = LineSplitter()
    found = [line for piece in pieces for line in splitter.feed(piece)]
    return found + splitter.feed(b"", final=True)


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ((b"one\ntwo",), ["one", "two"]),
        ((b"10%\r50%\r100%\n",), ["100%"]),
        ((b"10%\r", b"50%\r", b"100%\n"), ["100%"]),
        ((b"windows\r\nlines\r\n",), ["windows", "lines"]),
        ((b"windows\r", b"\nlines"), ["windows", "lines"]),
        ((b"100%\r   \n",), ["100%"]),
        (("Gr\u00fc\u00dfe".encode()[:3], "Gr\u00fc\u00dfe".encode()[3:]), ["Gr\u00fc\u00dfe"]),
        ((b"\xff\xfe\n",), ["\ufffd\ufffd"]),
        ((b"\n\n\n",), []),
    ],
)
def test_bytes_become_the_lines_that_a_terminal_would_show(pieces: tuple[bytes, ...], lines: list[str]) -> None:
    assert split(*pieces) == lines


@given(st.text(alphabet="ab\r\n \u00e9"), st.lists(st.integers(0, 40), max_size=5))
def test_where_the_pieces_break_changes_nothing(text: str, cuts: list[int]) -> None:
    content = text.encode()
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    pieces = [content[first:last] for first, last in itertools.pairwise(edges)]
    assert split(*pieces) == split(content)


def test_an_endless_line_is_bounded_and_marked() -> None:
    output = Output({"stdout": io.BufferedReader(io.BytesIO(b"x" * 5_000_000))})  # type: ignore[arg-type]
    output.wait(5)
    (line,) = output.take()
    assert len(line.message) == 64 * 1024 and line.message.endswith("[cut]")


def test_lines_that_come_too_fast_are_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.execution.output.MAX_WAITING", 10)
    output = Output({"stdout": io.BufferedReader(io.BytesIO(b"line\n" * 25))})  # type: ignore[arg-type]
    output.wait(5)
    lines = output.take()
    assert len(lines) == 11 and "15 lines were cut" in lines[-1].message


def test_a_reader_never_waits_for_the_store() -> None:
    read, write = os.pipe()
    output = Output({"stdout": os.fdopen(read, "rb")})
    started = time.monotonic()
    with os.fdopen(write, "wb") as stream:
        stream.write(b"line\n" * 300_000)
    output.wait(20)
    assert time.monotonic() - started < 20 and len(output.take(400_000)) > 100_000


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Traceback (most recent call last):", LogLevel.ERROR),
        ("RuntimeError: CUDA out of memory", LogLevel.ERROR),
        ("torch.cuda.OutOfMemoryError: no", LogLevel.ERROR),
        ("WARNING ⚠️ no labels", LogLevel.WARNING),
        ("/x.py:3: UserWarning: careful", LogLevel.WARNING),
        ("error rate 0.3", LogLevel.INFO),
    ],
)
def test_a_line_has_the_level_that_it_claims(text: str, level: LogLevel) -> None:
    assert level_of(text) == level
