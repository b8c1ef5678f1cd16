"""Requests to a real server that hangs, drips, floods, lies, redirects and breaks."""

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread

import pytest

from quanopy.domain.errors import Invalid
from quanopy.outbound import sender as outbound_sender
from quanopy.outbound.connecting import Resolve, resolve
from quanopy.outbound.sender import HttpSender
from quanopy.outbound.trust import trusting
from quanopy.ports.sender import Answer, Refused
from quanopy.services.egress import Egress
from tests.servers.certificates import Authority
from tests.servers.receiver import Behaviour, Call, Receiver, cut, says

LOOPBACK = "127.0.0.0/8"
SHORT_S = 0.2
ENOUGH_S = 60.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that nobody speaks to but the test."""
    with Receiver() as receiver:
        yield receiver


def sender(
    *allowed: str, total_s: float = ENOUGH_S, resolve: Resolve = resolve, ca: Path | None = None
) -> HttpSender:
    """One that may speak to these networks, or to this machine."""
    egress = Egress(allowed or [LOOPBACK])
    return HttpSender(egress, total_s=total_s, resolve=resolve, authorities=ca)


def post(one: HttpSender, url: str, body: bytes = b"{}") -> Answer:
    """One request over a line of its own."""
    with one.line(url) as line:
        return line.post({"webhook-id": "x"}, body)


def named(receiver: Receiver, name: str = "lab.example") -> str:
    """The receiver's url, by a name."""
    return receiver.url.replace("127.0.0.1", name)


def test_a_request_arrives_as_it_was_made(receiver: Receiver) -> None:
    assert post(sender(), receiver.url, b'{"a":1}') == Answer(status=204)
    (request,) = receiver.requests
    assert request.line == "POST /hooks?key=sesame HTTP/1.1"
    assert request.body == b'{"a":1}'
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["webhook-id"] == "x"


def test_a_connection_is_kept_for_the_next_request(receiver: Receiver) -> None:
    with sender().line(receiver.url) as line:
        for _ in range(3):
            line.post({"webhook-id": "x"}, b"{}")
    assert [request.connection for request in receiver.requests] == [0, 0, 0]


def test_one_that_was_closed_meanwhile_is_made_anew(receiver: Receiver) -> None:
    def answer_and_close(call: Call) -> None:
        says(200)(call)

    receiver.usual = answer_and_close
    with sender().line(receiver.url) as line:
        for _ in range(3):
            # It says that it closes only by doing so, which may come too late to be seen.
            while True:
                try:
                    assert line.post({"webhook-id": "x"}, b"{}").status == 200
                    break
                except Refused:
                    continue
    assert len({request.connection for request in receiver.requests}) == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver, status: int) -> None:
    with Receiver() as inside:
        receiver.behaviours.append(says(status, f"Location: {inside.url}"))
        assert post(sender(), receiver.url).status == status
        assert inside.connections == 0
    assert len(receiver.requests) == 1


def test_no_proxy_of_the_environment_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        assert post(sender(), receiver.url).status == 204
        assert proxy.connections == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("Retry-After: 120", 120.0), ("Retry-After: soon", None), ("X: y", None)],
)
def test_retry_after_is_read(receiver: Receiver, header: str, seconds: float | None) -> None:
    receiver.behaviours.append(says(503, header))
    assert post(sender(), receiver.url) == Answer(status=503, retry_after_s=seconds)


# -- what the other side does -----------------------------------------------------------------
def refused(one: HttpSender, url: str) -> str:
    """What is said of a request that was refused."""
    with pytest.raises(Refused) as caught:
        post(one, url)
    assert "sesame" not in str(caught.value)
    return str(caught.value)


def drip(data: bytes) -> Behaviour:
    """Send this a byte at a time, over and over."""
    return lambda call: call.drip(data)


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda call: call.hang(),
        drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000),
        drip(b"X"),
        drip(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["hangs", "drips its head", "drips nothing", "goes on and on"],
)
def test_what_does_not_answer_in_time_is_given_up(receiver: Receiver, behaviour: Behaviour) -> None:
    receiver.usual = behaviour
    said = refused(sender(total_s=SHORT_S), receiver.url)
    assert said == "it did not answer in time"


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01" * 100,
    ],
    ids=["words", "status", "flood of head", "length", "tls"],
)
def test_what_is_no_answer_is_none(receiver: Receiver, answer: bytes) -> None:
    receiver.usual = lambda call: call.send(answer)
    assert refused(sender(), receiver.url) == "it does not answer as HTTP servers do"


def test_a_connection_that_is_cut_is_no_answer(receiver: Receiver) -> None:
    receiver.usual = cut
    assert refused(sender(), receiver.url) == "the connection broke before it answered"
    assert len(receiver.requests) == 1


def test_nobody_there_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/hooks?key=sesame"
        assert refused(sender(), url) == "nobody accepts connections there"


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda call: call.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50_000_000),
        lambda call: call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"),
        lambda call: (call.send(b"HTTP/1.1 200 OK\r\n\r\n"), call.drip(b"x"))[1],
        lambda call: (call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), call.hang())[1],
    ],
    ids=["floods", "breaks off", "drips", "hangs"],
)
def test_of_an_answer_its_head_counts(
    receiver: Receiver, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound_sender, "_REST_S", 0.05)
    receiver.usual = behaviour
    assert post(sender(), receiver.url).status == 200


def test_who_waits_for_an_answer_is_let_go_when_it_ends(receiver: Receiver) -> None:
    come = Event()

    def hang(call: Call) -> None:
        come.set()
        call.hang()

    receiver.usual = hang
    one = sender(total_s=3600)
    said: list[str] = []

    def wait() -> None:
        with pytest.raises(Refused) as caught:
            post(one, receiver.url)
        said.append(str(caught.value))

    thread = Thread(target=wait)
    thread.start()
    assert come.wait(ENOUGH_S)
    one.close()
    thread.join(ENOUGH_S)
    assert len(said) == 1
    with pytest.raises(Refused, match="stops"):
        post(one, receiver.url)
    one.close()


# -- where to ---------------------------------------------------------------------------------
def test_a_name_is_looked_up_and_its_address_connected_to(receiver: Receiver) -> None:
    asked: list[str] = []

    def look_up(name: str) -> Sequence[str]:
        asked.append(name)
        return ["127.0.0.1"]

    assert post(sender(resolve=look_up), named(receiver)).status == 204
    assert asked == ["lab.example"]
    (request,) = receiver.requests
    assert request.headers["host"] == f"lab.example:{receiver.port}"


def test_a_name_is_judged_at_every_connection(receiver: Receiver) -> None:
    """One that is public when it is judged first, and leads inside a moment later."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    one = sender(resolve=lambda _: answers.pop(0))
    assert post(one, named(receiver)).status == 204
    with pytest.raises(Refused, match="may not reach"):
        post(one, named(receiver))
    assert answers == []
    assert receiver.connections == 1


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["127.0.0.1", "10.0.0.1"],
        ["10.0.0.1", "127.0.0.1"],
        ["127.0.0.1", "::ffff:169.254.169.254"],
        ["127.0.0.1", "fe80::1%lo"],
    ],
)
def test_all_addresses_of_a_name_must_be_allowed(
    receiver: Receiver, addresses: Sequence[str]
) -> None:
    with pytest.raises(Refused, match="may not reach"):
        post(sender(resolve=lambda _: addresses), named(receiver))
    assert receiver.connections == 0


def test_this_machine_is_not_reached_unless_it_is_allowed(receiver: Receiver) -> None:
    for url in (receiver.url, named(receiver, "localhost"), named(receiver, "2130706433")):
        with pytest.raises(Refused):
            post(sender("10.1.0.0/16"), url)
    assert receiver.connections == 0


def test_the_next_address_is_tried_where_one_does_not_answer(receiver: Receiver) -> None:
    one = sender(resolve=lambda _: ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    assert post(one, named(receiver)).status == 204


def test_a_name_without_an_address_is_said(receiver: Receiver) -> None:
    def nothing(_: str) -> Sequence[str]:
        raise OSError("a secret of the resolver")

    def none(_: str) -> Sequence[str]:
        return []

    for look_up in (nothing, none):
        with pytest.raises(Refused, match="its name has no address"):
            post(sender(resolve=look_up), named(receiver))


def test_a_resolver_that_hangs_is_not_waited_for(receiver: Receiver) -> None:
    answering = Event()

    def hang(_: str) -> Sequence[str]:
        answering.wait(60)
        return ["127.0.0.1"]

    one = sender(total_s=0.005, resolve=hang)
    try:
        for _ in range(32):
            with pytest.raises(Refused, match="in time"):
                post(one, named(receiver))
        with pytest.raises(Refused, match="too many"):
            post(one, named(receiver))
    finally:
        answering.set()
    assert receiver.connections == 0


# -- whom it trusts ---------------------------------------------------------------------------
def test_a_certificate_of_an_authority_that_is_trusted_will_do(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Receiver(certificate=authority.issue()) as receiver:
        assert post(sender(ca=authority.ca), receiver.url).status == 204
        with pytest.raises(Refused, match="certificate is not trusted"):
            post(sender(), receiver.url)
        one = sender(ca=authority.ca, resolve=lambda _: ["127.0.0.1"])
        with pytest.raises(Refused, match="certificate is not trusted"):
            post(one, named(receiver))
    assert len(receiver.requests) == 1


def test_a_server_without_tls_gets_nothing_that_was_to_be_encrypted(receiver: Receiver) -> None:
    receiver.usual = lambda call: call.send(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(Refused):
        post(sender(total_s=SHORT_S), receiver.url.replace("http:", "https:"))
    assert all(b"hooks" not in request.line.encode() for request in receiver.requests)


def test_a_handshake_that_never_ends_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert refused(sender(total_s=SHORT_S), url) == "it did not answer in time"


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_cannot_be_read_are_said(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Invalid) as caught:
        trusting(file)
    assert caught.value.where == "webhook_ca"
