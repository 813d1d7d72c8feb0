"""Stores keep bytes whole, under safe keys, and never outside their folder."""

import hashlib
import os
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from training.storage.local import LocalStore
from training.storage.store import InvalidKey, ObjectMissing, internal_store, key_validate

SEGMENTS = st.text(st.characters(exclude_characters="/"), max_size=8) | st.sampled_from(["", ".", "..", ".store"])


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore("internal", f"file://{tmp_path / 'store'}")


def test_it_gives_back_what_was_put(store):
    assert store.put("a/b.bin", b"hello").size == 5
    assert (store.get("a/b.bin"), store.stat("a/b.bin").size) == (b"hello", 5)


def test_it_puts_a_file_in_place_of_the_object(store, tmp_path):
    (tmp_path / "new.bin").write_bytes(b"x" * 300_000)
    store.put("a.bin", b"old")
    store.put("a.bin", tmp_path / "new.bin")
    assert store.get("a.bin") == b"x" * 300_000


def test_it_reads_a_range_with_both_ends_included(store):
    store.put("a", b"0123456789")
    assert b"".join(store.read("a", 2, 4)) == b"234"
    assert b"".join(store.read("a", 7)) == b"789"


def test_it_says_that_an_object_is_missing(store):
    assert store.stat("nothing") is None
    store.delete("nothing")
    with pytest.raises(ObjectMissing, match="no nothing in the internal store"):
        store.get("nothing")
    with pytest.raises(ObjectMissing):
        store.sha256("nothing")


def test_a_put_that_fails_leaves_the_old_object_and_no_temporary_file(store, tmp_path):
    store.put("a", b"old")
    with pytest.raises(OSError):
        store.put("a", tmp_path / "missing")
    assert store.get("a") == b"old"
    assert list(store.own_folder("new").iterdir()) == []


def test_it_lists_a_prefix_in_order_of_keys_and_nothing_of_its_own(store):
    for key in ("d/a/b", "d/a.txt", "d/a-b", "e/a"):
        store.put(key, b"1")
    store.sha256("d/a.txt")
    assert [found.key for found in store.list("d")] == sorted(["d/a/b", "d/a.txt", "d/a-b"])
    assert list(store.list("nothing")) == []


def test_deleting_removes_empty_folders_too(store):
    store.put("a/b/c", b"1")
    store.put("a/d", b"1")
    store.delete("a/b/c")
    assert sorted(path.name for path in (store.root / "a").iterdir()) == ["d"]
    store.delete_all("a")
    assert not (store.root / "a").exists()


def test_a_checksum_is_remembered_until_the_file_changes(store):
    store.put("a", b"one")
    assert store.stat("a").sha256 is None
    assert store.sha256("a") == store.stat("a").sha256 == hashlib.sha256(b"one").hexdigest()
    path = store.root / "a"
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert store.stat("a").sha256 is None
    assert store.sha256("a") == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/", ".", "a\\b", "a\0b", "a\nb"])
def test_it_refuses_keys_that_lead_elsewhere(store, key):
    for call in (store.stat, store.get, store.delete, store.sha256, store.presign_get):
        with pytest.raises(InvalidKey):
            call(key)
    with pytest.raises(InvalidKey):
        store.put(key, b"")


@pytest.mark.parametrize("key", [".store/sha256/a", "\ud800", "a\u202eb", "x" * 241, "a/" * 600 + "b"])
def test_it_refuses_reserved_unwritable_and_overlong_keys(key):
    with pytest.raises(InvalidKey):
        key_validate(key)


def test_it_takes_names_as_people_write_them():
    for key in ("datasets/한국어 사진.png", "Screenshot 3.00\u202fPM.png", "a/.hidden", "a/..b", "a/b..", "🙂.jpg"):
        assert key_validate(key) == key


@given(st.lists(SEGMENTS, max_size=5))
def test_a_valid_key_always_stays_below_the_root(segments):
    key = "/".join(segments)
    try:
        key_validate(key)
    except InvalidKey:
        return
    path = Path(os.path.normpath(f"/store/{key}"))
    assert path.is_relative_to("/store/")
    assert str(path) == f"/store/{key}"
    assert not key.startswith(".store/")


def test_a_link_is_never_followed_out_of_the_store(store, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    store.put("a/b", b"1")
    (store.root / "a" / "link").symlink_to(tmp_path / "secret")
    (store.root / "up").symlink_to(tmp_path)
    for key in ("a/link", "up/secret"):
        with pytest.raises(InvalidKey, match="leads out of the store"):
            store.get(key)
    with pytest.raises(InvalidKey):
        store.put("up/new", b"1")
    assert [found.key for found in store.list("a")] == ["a/b"]


def test_a_store_is_made_from_the_settings(settings, tmp_path):
    settings.INTERNAL_STORAGE_URL = f"file://{tmp_path}/with%20space"
    internal_store().put("a", b"1")
    assert (tmp_path / "with space" / "a").read_bytes() == b"1"


def test_an_unknown_scheme_is_refused_with_the_known_ones(settings):
    settings.INTERNAL_STORAGE_URL = "ftp://somewhere"
    with pytest.raises(ImproperlyConfigured, match="No internal store for ftp://: known are file"):
        internal_store()
