"""A broker whose objects could not be kept does not start, and says why."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from socket import create_server
from time import monotonic
from typing import Any

import pytest

from quanopy.domain.errors import Unavailable
from quanopy.server import wiring
from quanopy.server.settings import Settings
from quanopy.server.wiring import build
from tests.servers import S3Server

pytestmark = pytest.mark.s3
LONGEST_S = 30.0
TRIES = 4
Make = Callable[..., Settings]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try has less time than it usually has, of which there is enough for all of them."""
    assert TRIES * wiring.CHECK_S < LONGEST_S
    monkeypatch.setattr(wiring, "CHECK_S", 0.5)


@pytest.fixture
def settings(s3_server: S3Server, tmp_path: Path) -> Make:
    """Settings of a broker whose objects go to the real bucket, unless told otherwise."""

    def make(bucket: str = s3_server.bucket, **changes: str | None) -> Settings:
        access: dict[str, Any] = {
            "s3_endpoint": s3_server.endpoint,
            "s3_region": s3_server.region,
            "s3_access_key": s3_server.access_key,
            "s3_secret_key": s3_server.secret_key,
        }
        return Settings(data=tmp_path, objects=f"s3://{bucket}/start", **access | changes)

    return make


def test_a_bucket_that_takes_objects_is_started_with(settings: Make) -> None:
    for _ in range(2):
        with closing(build(settings())) as broker:
            broker.parts.objects.check()


def test_a_wrong_key_is_said_at_start(settings: Make) -> None:
    with pytest.raises(Unavailable, match="refuses these credentials"):
        build(settings(s3_secret_key="wrong"))


def test_a_missing_bucket_is_said_at_start(settings: Make) -> None:
    with pytest.raises(Unavailable, match=r"nowhere .* does not exist"):
        build(settings("nowhere"))


@pytest.mark.usefixtures("hurried")
def test_no_key_at_all_is_said_at_start(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    began = monotonic()
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        build(settings(s3_access_key=None, s3_secret_key=None))
    assert "No key is set" in str(caught.value.hint)
    assert monotonic() - began < LONGEST_S


@pytest.mark.usefixtures("hurried")
def test_a_service_that_never_answers_is_not_waited_for_long(settings: Make) -> None:
    with create_server(("127.0.0.1", 0)) as silent:
        began = monotonic()
        with pytest.raises(Unavailable, match="cannot be reached"):
            build(settings(s3_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert monotonic() - began < LONGEST_S
