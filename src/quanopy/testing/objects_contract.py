"""What an object store must do, as a test class to subclass."""

import os
import threading
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quanopy.domain.errors import Invalid, NotFound
from quanopy.domain.jobs import Extent
from quanopy.ports.objects import Objects


def _extent(key: str, offset: int, length: int) -> Extent:
    return Extent(key=key, offset=offset, length=length)


class ObjectsContract(ABC):
    """Subclass it, and make an empty store, and a way to open the same one again.

    Both fixtures must give the same objects: ``again`` is what another process would see.
    """

    @abstractmethod
    @pytest.fixture
    def objects(self) -> Any:
        """An empty store."""

    @abstractmethod
    @pytest.fixture
    def again(self) -> Any:
        """The same store opened a second time, with no memory of the first."""

    def test_what_was_put_is_there_for_everybody(self, objects: Objects, again: Objects) -> None:
        data = os.urandom(100_000)
        objects.put({"pending/2026/01/02/a.tar": data, "pending/2026/01/02/b.tar": b"b"})
        assert again.get(["pending/2026/01/02/b.tar", "pending/2026/01/02/a.tar"]) == [b"b", data]

    def test_an_object_is_created_once(self, objects: Objects, again: Objects) -> None:
        objects.put({"k/once": b"first"})
        again.put({"k/once": b"second", "k/other": b"third"})
        for store in (objects, again):
            assert store.get(["k/once", "k/other"]) == [b"first", b"third"]
            assert store.read([_extent("k/once", 0, 5)]) == [b"first"]

    def test_of_many_who_put_one_key_one_wins(self, objects: Objects, again: Objects) -> None:
        start = threading.Barrier(8)

        def put(number: int) -> None:
            start.wait()
            (objects if number % 2 else again).put({"k/contested": bytes([number]) * 1000})

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(put, range(8)))
        (kept,) = objects.get(["k/contested"])
        assert len(kept) == 1000
        assert len(set(kept)) == 1

    def test_an_empty_object_is_an_object(self, objects: Objects, again: Objects) -> None:
        objects.put({"k/empty": b""})
        assert again.get(["k/empty"]) == [b""]
        assert again.read([_extent("k/empty", 0, 0)]) == [b""]

    def test_nothing_asked_nothing_given(self, objects: Objects) -> None:
        objects.put({})
        objects.delete([])
        assert objects.get([]) == []
        assert objects.read([]) == []

    def test_parts_come_in_the_order_asked(self, objects: Objects, again: Objects) -> None:
        objects.put({"k/a": b"0123456789", "k/b": b"abcdefghij"})
        extents = [
            _extent("k/b", 2, 3),
            _extent("k/a", 9, 1),
            _extent("k/a", 0, 10),
            _extent("k/b", 2, 3),
            _extent("k/a", 4, 0),
        ]
        expected = [b"cde", b"9", b"0123456789", b"cde", b""]
        assert objects.read(extents) == expected
        assert again.read(extents) == expected

    def test_many_parts_of_many_objects(self, objects: Objects, again: Objects) -> None:
        datas = {f"k/{number}": os.urandom(3000) for number in range(20)}
        objects.put(datas)
        extents = [_extent(key, 7 * i, 7) for i in range(100) for key in datas]
        assert again.read(extents) == [datas[e.key][e.offset : e.offset + 7] for e in extents]

    def test_a_missing_object_is_named(self, objects: Objects) -> None:
        with pytest.raises(NotFound, match="k/none"):
            objects.get(["k/none"])
        with pytest.raises(NotFound, match="k/none"):
            objects.read([_extent("k/none", 0, 1)])

    @pytest.mark.parametrize("offset", [3, 30])
    def test_a_part_beyond_the_end_is_not_found(
        self, objects: Objects, again: Objects, offset: int
    ) -> None:
        objects.put({"k/short": b"01234"})
        for store in (objects, again):
            with pytest.raises(NotFound, match=r"k/short.*damaged"):
                store.read([_extent("k/short", offset, 4)])

    def test_a_listing_shows_what_lies_under_a_prefix(
        self, objects: Objects, again: Objects
    ) -> None:
        objects.put({"pending/1/a": b"12", "pending/2/b": b"123", "completed/1/a": b"1"})
        found = {info.key: info for info in again.list("pending")}
        assert {key: info.size for key, info in found.items()} == {
            "pending/1/a": 2,
            "pending/2/b": 3,
        }
        age = datetime.now(UTC) - found["pending/1/a"].modified_at
        assert abs(age) < timedelta(minutes=5)
        assert list(again.list("elsewhere")) == []

    def test_deleted_is_gone(self, objects: Objects, again: Objects) -> None:
        objects.put({"k/a": b"1", "k/b": b"2"})
        objects.delete(["k/a", "k/never"])
        objects.delete(["k/a"])
        for store in (objects, again):
            with pytest.raises(NotFound):
                store.get(["k/a"])
        with pytest.raises(NotFound):
            objects.read([_extent("k/a", 0, 1)])
        assert [info.key for info in again.list("k")] == ["k/b"]

    def test_get_shows_what_is_kept_now(self, objects: Objects, again: Objects) -> None:
        """Not what is remembered: it serves to verify."""
        objects.put({"k/a": b"1"})
        again.delete(["k/a"])
        with pytest.raises(NotFound):
            objects.get(["k/a"])

    def test_a_check_leaves_no_object_of_ours(self, objects: Objects) -> None:
        objects.check()
        objects.check()
        assert list(objects.list("pending")) == []

    @pytest.mark.parametrize(
        "key", ["../out", "/etc/x", "a//b", "a/../../b", "", "a\n", "a/.b", "ä"]
    )
    def test_a_strange_key_goes_nowhere(self, objects: Objects, key: str) -> None:
        with pytest.raises(Invalid):
            objects.put({key: b""})
        with pytest.raises(Invalid):
            objects.get([key])
        with pytest.raises(Invalid):
            objects.read([_extent(key, 0, 1)])
        with pytest.raises(Invalid):
            objects.delete([key])
