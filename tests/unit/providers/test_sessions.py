"""Under a vendor's client: bounds, addresses and errors, before a server told what to say."""

import contextlib
import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

import pytest

from quanopy.domain.errors import (
    Denied,
    NotFound,
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
)
from quanopy.providers.sessions import VendorSession, asking, sending
from tests.servers.process import KeptPort

Say = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Answers every request as it is told."""

    daemon_threads = True
    say: Say

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.say(self)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.say(self)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def answer(status: int, body: bytes = b"{}", **headers: str) -> Say:
    def say(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return say


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte at a time, each well within any time-out between two of them, while anybody reads."""
    answer(200, b"")(handler)
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.05)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def session(server: Server) -> Iterator[VendorSession]:
    with VendorSession("Acme", home=server.url, timeout_s=20.0, most_bytes=1000) as session:
        yield session


def met(session: VendorSession, url: str) -> QuanopyError:
    with pytest.raises(QuanopyError) as caught:
        session.get(url)
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, Denied),
        (404, NotFound),
        (429, Transient),
        (500, OutcomeUnknown),
        (503, Transient),
    ],
)
def test_a_refusal_is_an_error_of_ours_with_the_vendor_s_words(
    server: Server, session: VendorSession, status: int, kind: type[QuanopyError]
) -> None:
    body = b'{"message": "outer", "data": {"description": "too many atoms"}}'
    server.say = answer(status, body, Retry_After="7", Location="http://169.254.169.254/")
    error = met(session, server.url)
    assert type(error) is kind
    assert "too many atoms" in error.message
    assert getattr(error, "retry_after_s", None) == (7.0 if status in (429, 500, 503) else None)


def test_what_points_elsewhere_is_not_asked_there(server: Server, session: VendorSession) -> None:
    server.say = answer(307, Location="http://169.254.169.254/")
    error = met(session, server.url)
    assert type(error) is Unavailable
    assert "points elsewhere" in error.message


def test_a_vendor_s_words_are_repeated_without_the_credentials_in_them(
    server: Server, session: VendorSession
) -> None:
    server.say = answer(401, b'{"message": "no such key: top-secret, or hunter+2"}')
    headers = {"Authorization": "Bearer top-secret"}
    with pytest.raises(Denied) as caught:
        session.get(server.url, headers=headers)
    assert "no such key: …, or" in caught.value.message
    with pytest.raises(Denied) as caught:
        session.post(server.url, data={"password": "hunter+2"})
    assert "hunter" not in caught.value.message


def test_a_machine_s_netrc_is_no_credential_of_a_vendor(
    server: Server, session: VendorSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password of-another-service")
    monkeypatch.setenv("NETRC", str(netrc))
    asked = []

    def say(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["Authorization"])
        answer(200)(handler)

    server.say = say
    session.get(server.url, headers={"Authorization": "Bearer ours"})
    session.get(server.url)
    assert asked == ["Bearer ours", None]


@pytest.mark.parametrize("body", [b"<html>", b"[" * 900, b'["message"]', b'{"message": 1}'])
def test_a_refusal_without_words_is_one_all_the_same(
    server: Server, session: VendorSession, body: bytes
) -> None:
    server.say = answer(400, body)
    assert met(session, server.url).message == "Acme answered 400"


def test_an_answer_that_is_too_long_is_not_read(server: Server, session: VendorSession) -> None:
    server.say = answer(200, b"x" * 1001)
    assert isinstance(met(session, server.url), OutcomeUnknown)
    server.say = answer(200, b"x" * 1000)
    assert len(session.get(server.url).content) == 1000


def test_a_packed_answer_is_bounded_as_it_is_unpacked(
    server: Server, session: VendorSession
) -> None:
    server.say = answer(200, gzip.compress(b"x" * 1_000_000), Content_Encoding="gzip")
    assert isinstance(met(session, server.url), OutcomeUnknown)
    server.say = answer(200, gzip.compress(b"x" * 900), Content_Encoding="gzip")
    assert session.get(server.url).content == b"x" * 900


def test_an_answer_that_drips_ends_in_time(server: Server) -> None:
    server.say = drip
    with VendorSession("Acme", home=server.url, timeout_s=0.2) as hasty:
        assert isinstance(met(hasty, server.url), OutcomeUnknown)


def test_who_cannot_be_reached_got_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(host: object, *how: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with KeptPort() as closed:
        home = f"http://127.0.0.1:{closed.number}"
        with VendorSession("Acme", home=home, timeout_s=20.0) as session:
            assert isinstance(met(session, f"{home}/jobs"), Unavailable)
            monkeypatch.setattr(socket, "getaddrinfo", unknown)
            assert isinstance(met(session, "https://no-such-host.invalid"), Unavailable)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "ftp://acme.example/", "no address"])
def test_an_address_elsewhere_has_to_be_https(session: VendorSession, url: str) -> None:
    assert isinstance(met(session, url), Rejected)


@pytest.mark.parametrize("url", ["https://[::1/a", "https://acme.example:port/", "https:///a"])
def test_what_is_no_address_is_an_error_of_ours(session: VendorSession, url: str) -> None:
    with pytest.raises(Unavailable, match="no usable address"):
        session.get(url)


def test_the_environment_is_read_once_for_the_vendor_and_not_for_others(
    server: Server, session: VendorSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    server.say = answer(200)
    session.get(server.url)
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    assert session.get(server.url).status_code == 200
    assert "ProxyError" in met(session, "https://elsewhere.example").message
    with VendorSession("Acme", home=server.url, timeout_s=0.5) as later:
        assert "ProxyError" in met(later, server.url).message


def test_what_a_client_wants_of_a_request_goes_before_what_was_read(
    server: Server, session: VendorSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.say = answer(200)
    session.get(server.url)
    wanted = session.merge_environment_settings(server.url, {}, True, False, None)
    assert wanted["verify"] is False
    with pytest.raises(OutcomeUnknown, match="ProxyError"):
        session.get(server.url, proxies={"http": "http://127.0.0.1:9"})
    assert session.get(server.url).status_code == 200


def test_a_signed_address_is_not_logged(
    server: Server, session: VendorSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.say = answer(200)
    session.get(f"{server.url}/results?signature=planted")
    assert "/results" in caplog.text
    assert "planted" not in caplog.text


@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError, AssertionError, RecursionError])
def test_an_answer_that_nobody_can_read_leaves_open_what_was_done(error: type[Exception]) -> None:
    with pytest.raises(OutcomeUnknown), sending("Acme"):
        raise error
    with pytest.raises(Transient), asking("Acme"):
        raise error


def test_an_error_of_ours_stays_what_it_is() -> None:
    for around in (sending, asking):
        with pytest.raises(Denied), around("Acme"):
            raise Denied("no")
