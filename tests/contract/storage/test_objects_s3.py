"""A bucket keeps the contract, through faults of the service too."""

import itertools
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from quanopy.domain.errors import Invalid, NotFound, Unavailable
from quanopy.domain.jobs import Extent
from quanopy.ports.objects import Objects
from quanopy.storage.objects import S3Access, open_objects
from quanopy.testing.objects_contract import ObjectsContract
from tests.servers import FaultyS3Server, S3Server

pytestmark = pytest.mark.s3
_numbers = itertools.count()


def _access(server: S3Server | FaultyS3Server, **changes: str | float) -> S3Access:
    settings: dict[str, str | float] = {
        "endpoint": server.endpoint,
        "region": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
        "timeout_s": 30.0,
    }
    return S3Access(**{**settings, **changes})  # type: ignore[arg-type]


@pytest.fixture
def url(s3_server: S3Server) -> str:
    return f"s3://{s3_server.bucket}/test/{next(_numbers)}"


class TestBucket(ObjectsContract):
    @pytest.fixture
    def objects(self, s3_server: S3Server, url: str) -> Objects:
        return open_objects(url, s3=_access(s3_server))

    @pytest.fixture
    def again(self, s3_server: S3Server, url: str) -> Objects:
        return open_objects(url, s3=_access(s3_server))


def test_a_bucket_without_a_prefix(s3_server: S3Server) -> None:
    s3_server.create_bucket("whole")
    objects = open_objects("s3://whole", s3=_access(s3_server))
    objects.put({"k/a": b"1"})
    assert [info.key for info in objects.list("")] == ["k/a"]


@pytest.mark.parametrize("wrong", [{"secret_access_key": "wrong"}, {"access_key_id": "wrong"}])
def test_wrong_keys_are_said_but_not_shown(
    s3_server: S3Server, url: str, wrong: dict[str, str]
) -> None:
    access = _access(s3_server, **wrong)
    objects = open_objects(url, s3=access)
    for ask in (
        lambda: objects.put({"k/a": b"1"}),
        lambda: objects.get(["k/a"]),
        lambda: objects.read([Extent(key="k/a", offset=0, length=1)]),
        lambda: list(objects.list("k")),
        objects.check,
    ):
        with pytest.raises(Unavailable, match="credentials") as caught:
            ask()
        assert s3_server.secret_key not in str(caught.value)
    for text in (repr(objects), repr(access), str(access)):
        assert s3_server.secret_key not in text
        assert s3_server.access_key not in text


def test_a_missing_bucket_is_no_missing_object(s3_server: S3Server) -> None:
    objects = open_objects("s3://nowhere", s3=_access(s3_server))
    with pytest.raises(Unavailable, match="nowhere"):
        objects.put({"k/a": b"1"})
    with pytest.raises(Unavailable, match="nowhere"):
        objects.get(["k/a"])
    with pytest.raises(Unavailable, match="nowhere"):
        objects.check()


def test_half_a_key_is_refused() -> None:
    with pytest.raises(Invalid, match="id and its secret"):
        open_objects("s3://bucket", s3=S3Access(access_key_id="id"))


@pytest.mark.parametrize(
    "endpoint", ["", "nonsense", "http://[bad", "http://127.0.0.1:99999", "ftp://host", "http://"]
)
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(Invalid, match="endpoint is no URL"):
        open_objects("s3://bucket", s3=S3Access(endpoint=endpoint))


def test_a_password_in_an_endpoint_is_not_shown() -> None:
    access = S3Access(endpoint="http://me:hunter2@127.0.0.1:1", region="x")
    assert "hunter2" not in repr(open_objects("s3://bucket", s3=access))
    assert "hunter2" not in repr(access)


@pytest.mark.parametrize("url", ["s3://b/a/../c", "s3://b..x/y", "s3://b/ä", "s3://.b/a"])
def test_a_strange_prefix_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="no bucket and prefix"):
        open_objects(url, s3=S3Access(region="x"))


def test_a_busy_service_is_asked_again(faulty_s3_server: FaultyS3Server) -> None:
    objects = open_objects(
        f"s3://{faulty_s3_server.bucket}", s3=_access(faulty_s3_server), cache_bytes=0
    )
    faulty_s3_server.refuse(2)
    objects.put({"k/a": b"0123"})
    faulty_s3_server.refuse(2)
    assert objects.read([Extent(key="k/a", offset=1, length=2)]) == [b"12"]


def test_a_lost_reply_to_a_put_does_no_harm(faulty_s3_server: FaultyS3Server) -> None:
    objects = open_objects(
        f"s3://{faulty_s3_server.bucket}", s3=_access(faulty_s3_server), cache_bytes=0
    )
    faulty_s3_server.lose_replies(1)
    objects.put({"k/a": b"0123"})
    assert objects.get(["k/a"]) == [b"0123"]


def test_a_service_that_stays_away_is_unavailable_and_welcome_back(
    faulty_s3_server: FaultyS3Server,
) -> None:
    objects = open_objects(f"s3://{faulty_s3_server.bucket}", s3=_access(faulty_s3_server))
    objects.put({"k/a": b"1"})
    for ask in (lambda: objects.put({"k/b": b"2"}), lambda: objects.get(["k/a"]), objects.check):
        faulty_s3_server.refuse(4)  # at first and at three more tries
        with pytest.raises(Unavailable, match="cannot be reached"):
            ask()
    objects.put({"k/b": b"2"})
    assert objects.get(["k/a", "k/b"]) == [b"1", b"2"]
    with pytest.raises(NotFound):
        objects.get(["k/c"])


def test_nobody_there_is_unavailable() -> None:
    access = S3Access(
        endpoint="http://127.0.0.1:1",
        region="us-east-1",
        access_key_id="id",
        secret_access_key="secret",
    )
    with pytest.raises(Unavailable, match=r"bucket at 127.0.0.1:1 cannot be reached"):
        open_objects("s3://bucket", s3=access).put({"k/a": b"1"})


def test_a_service_that_never_answers_holds_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        access = S3Access(
            endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}",
            region="us-east-1",
            access_key_id="id",
            secret_access_key="secret",
            timeout_s=0.1,
        )
        objects = open_objects("s3://bucket", s3=access)
        for ask in (lambda: objects.put({"k/a": b"1"}), lambda: objects.get(["k/a"])):
            with pytest.raises(Unavailable, match="cannot be reached"):
                ask()


def test_many_threads_share_a_store(s3_server: S3Server, url: str) -> None:
    objects = open_objects(url, s3=_access(s3_server), cache_bytes=0)

    def round_trip(number: int) -> bool:
        objects.put({f"k/{number}/{part}": b"%d" % part for part in range(3)})
        keys = [f"k/{number}/{part}" for part in range(3)]
        return objects.get(keys) == [b"0", b"1", b"2"]

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(round_trip, range(48)))
