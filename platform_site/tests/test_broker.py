"""The file-system broker between processes: no message is read before it is whole."""

import multiprocessing
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from platform_site import broker

MESSAGES = 400


def connection(folder: Path) -> Connection:
    broker.install()
    places = {"data_folder_in": str(folder), "data_folder_out": str(folder), "control_folder": str(folder / "control")}
    return Connection("filesystem://", transport_options=places)


def put(folder: Path, sender: int) -> None:
    with connection(folder) as opened:
        queue = opened.SimpleQueue("news")
        for number in range(MESSAGES):
            queue.put({"sender": sender, "number": number, "text": "x" * 20_000})


def take(folder: Path) -> list[tuple[int, int]]:
    with connection(folder) as opened:
        queue, found = opened.SimpleQueue("news"), []
        while len(found) < 2 * MESSAGES:
            message = queue.get(timeout=20)
            message.ack()
            found.append((message.payload["sender"], message.payload["number"]))
        with pytest.raises(Empty):
            queue.get(block=False)
        return found


def test_readers_and_writers_in_several_processes_lose_and_break_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=put, args=(tmp_path, sender)) for sender in (1, 2)]
    for writer in writers:
        writer.start()
    found = take(tmp_path)
    for writer in writers:
        writer.join(20)
    assert sorted(found) == [(sender, number) for sender in (1, 2) for number in range(MESSAGES)]
