"""The memory of packs is bounded and never changes what it was given."""

import threading

from quanopy.storage.pack_cache import PackCache


def test_the_least_recently_used_are_forgotten_first() -> None:
    cache = PackCache(40)
    for key in "abcd":
        cache.put(key, bytes(10))
    assert cache.get("a") is not None
    cache.put("e", bytes(10))
    assert cache.get("b") is None
    assert all(cache.get(key) is not None for key in "acde")


def test_what_is_too_large_is_not_kept() -> None:
    cache = PackCache(40)
    cache.put("small", bytes(10))
    cache.put("large", bytes(11))
    assert cache.get("large") is None
    assert cache.get("small") is not None


def test_putting_a_key_again_takes_no_more_room() -> None:
    cache = PackCache(40)
    cache.put("kept", bytes(10))
    for _ in range(10):
        cache.put("again", bytes(10))
    assert cache.get("kept") is not None


def test_nothing_is_kept_without_room() -> None:
    cache = PackCache(0)
    cache.put("a", b"1")
    assert cache.get("a") is None


def test_forgotten_is_forgotten() -> None:
    cache = PackCache(40)
    cache.put("a", b"1")
    cache.forget("a")
    cache.forget("a")
    assert cache.get("a") is None


def test_threads_share_it() -> None:
    cache = PackCache(1000)
    wrong = []

    def use(number: int) -> None:
        for step in range(500):
            key = str((number + step) % 20)
            cache.put(key, key.encode() * 50)
            found = cache.get(key)
            if found is not None and found != key.encode() * 50:
                wrong.append(key)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sum(len(cache.get(str(key)) or b"") for key in range(20)) <= 1000
