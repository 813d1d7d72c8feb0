"""The spool keeps what was said, in order, and notices what was torn."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from trainers.sdk.errors import SpoolInUse
from trainers.sdk.records import ROW
from trainers.sdk.spool import Spool


def filled(folder: Path, count: int, **options: int) -> Spool:
    spool = Spool(folder, **options)
    for number in range(count):
        spool.append(ROW, b"body %d" % number)
    return spool


def numbers(spool: Spool, after: int = 0) -> list[int]:
    found: list[int] = []
    while records := spool.read(found[-1] if found else after):
        found += [record.number for record in records]
    return found


def test_it_numbers_records_from_one_and_reads_them_in_order(tmp_path):
    spool = filled(tmp_path, 25)
    assert numbers(spool) == list(range(1, 26))
    assert [record.body for record in spool.read(23)] == [b"body 23", b"body 24"]


def test_it_goes_on_with_its_numbers_when_opened_again(tmp_path):
    filled(tmp_path, 3).close()
    spool = Spool(tmp_path)
    assert spool.append(ROW, b"next") == 4
    assert numbers(spool) == [1, 2, 3, 4]


@pytest.mark.parametrize("cut", [1, 5, 17])
def test_it_drops_a_torn_last_record(tmp_path, cut):
    filled(tmp_path, 3).close()
    segment = next(tmp_path.glob("*.spool"))
    os.truncate(segment, segment.stat().st_size - cut)
    spool = Spool(tmp_path)
    assert spool.append(ROW, b"instead") == 3
    assert spool.read(0)[-1].body == b"instead"


def test_it_drops_everything_from_a_damaged_record_on(tmp_path):
    filled(tmp_path, 10).close()
    segment = next(tmp_path.glob("*.spool"))
    segment.write_bytes(segment.read_bytes().replace(b"body 5", b"bodi 5"))
    assert numbers(Spool(tmp_path)) == [1, 2, 3, 4, 5]


def test_it_deletes_segments_that_are_wholly_acknowledged(tmp_path):
    spool = filled(tmp_path, 500, segment_bytes=1000)
    before = len(list(tmp_path.glob("*.spool")))
    spool.acknowledge(490)
    assert before > 10 > len(list(tmp_path.glob("*.spool")))
    assert numbers(spool, 490) == list(range(491, 501))


def test_it_remembers_what_was_acknowledged(tmp_path):
    spool = filled(tmp_path, 500, segment_bytes=1000)
    spool.acknowledge(500)
    spool.close()
    again = Spool(tmp_path)
    assert (again.pending, again.append(ROW, b"more")) == (0, 501)


def test_it_reads_across_many_segments_from_any_number(tmp_path):
    spool = filled(tmp_path, 300, segment_bytes=500)
    assert all(numbers(spool, after) == list(range(after + 1, 301)) for after in (0, 1, 77, 250, 299, 300))


def test_it_counts_what_a_full_disk_loses_and_goes_on_afterwards(tmp_path, capfd):
    spool = filled(tmp_path, 5)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, limits[1]))
    try:
        lost = [spool.append(ROW, b"x" * 100) for _ in range(3)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (lost, spool.lost, spool.append(ROW, b"after")) == ([0, 0, 0], 3, 6)
    assert numbers(spool) == [1, 2, 3, 4, 5, 6]
    assert capfd.readouterr().err.count("takes nothing more") == 1


def test_it_is_bounded_by_its_limit(tmp_path):
    spool = filled(tmp_path, 1000, segment_bytes=1000, limit_bytes=5000)
    assert spool.lost > 0
    assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) < 6500


def test_it_has_one_writer(tmp_path):
    spool = Spool(tmp_path)
    with pytest.raises(SpoolInUse):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


def test_a_forked_child_adds_nothing(tmp_path):
    spool = filled(tmp_path, 1)
    child = os.fork()
    if child == 0:
        os._exit(spool.append(ROW, b"from the child"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert numbers(spool) == [1]
