"""How requests travel: connections kept and dropped, TLS, proxies, unix sockets, forks, threads."""

import base64
import gzip
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy.client import Client, connections
from quanopy.client.connections import KEPT, PIECE_BYTES
from quanopy.domain import errors
from quanopy.domain.ids import new_id
from quanopy.domain.programs import OPENQASM3, Program
from tests.servers import Authority
from tests.unit.client.stub import Answer, Stub, document

RESOURCES = document({"resources": []})
JOB = document(
    {
        "id": new_id("job"),
        "kind": "sample",
        "resource": "aer",
        "state": "queued",
        "account": "ada",
        "created_at": "2026-01-01T00:00:00Z",
    }
)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are, however long it is until the next request."""
    monkeypatch.setattr(connections, "KEPT_S", 3600.0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue())
    return context


# -- connections kept ---------------------------------------------------------------------------
def test_a_connection_serves_one_request_after_another() -> None:
    with Stub(RESOURCES) as stub, Client(stub.url, "t") as client:
        for _ in range(3):
            client.resources()
    assert stub.connections == 1


def test_a_connection_that_was_closed_while_unused_costs_nothing(tmp_path: Path) -> None:
    """Not even to what cannot be repeated: nothing was sent on it."""
    cut = Answer(RESOURCES.status, RESOURCES.body, closes=True)
    path = tmp_path / "S.ock"  # its other end is told at once
    with Stub(cut, JOB, socket_path=path) as stub, Client(stub.url, "t") as client:
        client.resources()
        stub.await_closed()
        client.job(new_id("job")).retry()
    assert stub.connections == 2
    assert len(stub.seen) == 2


def test_a_connection_left_alone_for_long_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "KEPT_S", 0.05)
    with Stub(RESOURCES) as stub, Client(stub.url, "t") as client:
        client.resources()
        time.sleep(0.1)
        client.resources()
    assert stub.connections == 2


def test_more_threads_than_connections_are_kept_get_their_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    together = threading.Barrier(KEPT + 8)

    def held(_: object) -> Answer:
        together.wait(60)
        return RESOURCES

    with Stub(held) as stub, Client(stub.url, "t") as client:
        threads = [threading.Thread(target=client.resources) for _ in range(KEPT + 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(stub.seen) == KEPT + 8
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_forked_child_has_connections_of_its_own() -> None:
    with Stub(RESOURCES) as stub, Client(stub.url, "t") as client:
        client.resources()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = len(client.resources())
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.resources()
    assert stub.connections == 2


def test_a_closed_client_says_so_at_once() -> None:
    with Stub(RESOURCES) as stub, Client(stub.url, "t") as client:
        client.close()
        with pytest.raises(RuntimeError, match="closed"):
            client.resources()


# -- what is sent -------------------------------------------------------------------------------
def test_a_large_body_arrives_whole() -> None:
    program = Program(
        format=OPENQASM3, data=b"OPENQASM 3.0;" + os.urandom(PIECE_BYTES).hex().encode()
    )
    with Stub(JOB) as stub, Client(stub.url, "t") as client:
        client.submit(program)
    assert len(stub.seen[0].body) > 2 * PIECE_BYTES
    assert program.data in stub.seen[0].body


def test_the_path_of_an_address_stands_before_all_others() -> None:
    with Stub(RESOURCES) as stub, Client(f"{stub.url}/base/", "t") as client:
        client.resources()
    assert stub.seen[0].path == "/base/v1/resources"


def test_parameters_are_repeated_for_lists_and_left_out_for_none() -> None:
    page = document({"jobs": [], "next": None})
    with Stub(page, document({"jobs": []})) as stub, Client(stub.url, "t") as client:
        list(client.listing(state=["queued", "running"], name="a b&c", kind=None))
        client.states([new_id("job")], 2.5)
        client.states([new_id("job")])
    paths = [seen.path for seen in stub.seen]
    assert paths[0] == "/v1/jobs?state=queued&state=running&name=a+b%26c&limit=100"
    assert paths[1:] == ["/v1/jobs/wait?wait=2.5", "/v1/jobs/wait"]


def test_every_request_says_which_client_asks() -> None:
    with Stub(RESOURCES) as stub, Client(stub.url, "t") as client:
        client.resources()
    assert stub.seen[0].headers["User-Agent"].startswith("quanopy/")


@pytest.mark.parametrize("token", ["two\nlines", "jetón"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(errors.Invalid, match="Authorization") as caught:
        Client("http://127.0.0.1:1", token)
    assert token not in str(caught.value)


# -- what comes back ----------------------------------------------------------------------------
def test_compressed_answers_are_read() -> None:
    packed = Answer(200, gzip.compress(RESOURCES.body), {"Content-Encoding": "gzip"})
    with Stub(packed) as stub, Client(stub.url, "t") as client:
        assert client.resources() == []


def test_redirections_are_not_followed() -> None:
    away = Answer(302, b"", {"Location": "/v1/elsewhere"})
    with (
        Stub(away) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(errors.QuanopyError, match="302"),
    ):
        client.resources()
    assert len(stub.seen) == 1


# -- unix sockets, TLS, proxies -----------------------------------------------------------------
def test_a_unix_socket_leads_to_a_broker(tmp_path: Path) -> None:
    with Stub(RESOURCES, socket_path=tmp_path / "S.ock") as stub, Client(stub.url, "t") as client:
        client.resources()
        client.resources()
    assert stub.connections == 1
    assert stub.seen[0].path == "/v1/resources"


@pytest.mark.usefixtures("impatient")
def test_a_unix_socket_that_is_not_there_was_sent_nothing(tmp_path: Path) -> None:
    with (
        Client(f"unix://{tmp_path}/none", "t") as client,
        pytest.raises(errors.Unavailable, match="No such file"),
    ):
        client.job(new_id("job")).retry()


def test_a_broker_is_known_by_the_certificate_that_is_named(
    tls: ssl.SSLContext, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANOPY_CA", str(authority.ca))
    with Stub(RESOURCES, tls=tls) as stub, Client(stub.url, "t") as client:
        client.resources()
        client.resources()
    assert stub.connections == 1


def test_a_stranger_is_sent_nothing(tls: ssl.SSLContext) -> None:
    with (
        Stub(JOB, tls=tls) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(errors.Unavailable, match=r"not trusted: .*certificate.*QUANOPY_CA"),
    ):
        client.job(new_id("job")).retry()
    assert stub.seen == []


def test_a_stranger_is_not_tried_again(tls: ssl.SSLContext) -> None:
    with (
        Stub(RESOURCES, tls=tls) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(errors.Unavailable),
    ):
        client.resources()
    assert stub.connections == 1


@pytest.mark.usefixtures("impatient")
def test_what_speaks_no_tls_was_sent_nothing() -> None:
    with (
        Stub(JOB) as stub,
        Client(stub.url.replace("http:", "https:"), "t") as client,
        pytest.raises(errors.Unavailable, match=r"SSL.*http://"),
    ):
        client.job(new_id("job")).retry()
    assert stub.seen == []


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with Stub(RESOURCES) as stub:
        at = stub.url.removeprefix("http://")
        monkeypatch.setenv("http_proxy", f"http://ada:p%20w@{at}")
        monkeypatch.setenv("https_proxy", at)
        yield stub


def test_the_proxy_of_the_environment_is_used(proxy: Stub) -> None:
    with Client("http://broker.example:81/base", "t") as client:
        client.resources()
    (seen,) = proxy.seen
    assert seen.path == "http://broker.example:81/base/v1/resources"
    assert seen.headers["Host"] == "broker.example:81"
    assert seen.headers["Authorization"] == "Bearer t"
    basic = base64.b64encode(b"ada:p w").decode()
    assert seen.headers["proxy-authorization"] == f"Basic {basic}"


@pytest.mark.usefixtures("impatient")
def test_a_proxy_that_opens_no_tunnel_was_sent_nothing(proxy: Stub) -> None:
    with Client("https://broker.example", "t") as client, pytest.raises(errors.Unavailable):
        client.job(new_id("job")).retry()
    assert proxy.seen == []


@pytest.mark.usefixtures("impatient")
def test_no_proxy_stands_before_this_machine_or_where_none_shall(
    proxy: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stub(RESOURCES) as stub, Client(stub.url, "t") as client:
        client.resources()
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.2", 0))
        monkeypatch.setenv("no_proxy", "127.0.0.2")
        url = f"http://127.0.0.2:{elsewhere.getsockname()[1]}"
        with Client(url, "t") as client, pytest.raises(errors.Unavailable, match="refused"):
            client.resources()
    assert proxy.seen == []


def test_a_proxy_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1")
    with pytest.raises(errors.Invalid, match="proxy"):
        Client("http://broker.example", "t")
