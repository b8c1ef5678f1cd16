"""What a receiver is told of a request: whether the broker signed it, and lately."""

from email.message import Message
from typing import Any

import pytest

from quanopy import webhooks
from quanopy.domain.errors import Denied, Invalid

# The example of the Standard Webhooks specification's own libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1_614_265_330
BODY = '{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = webhooks.secret_of(b"another key of thirty-two bytes.")


def headers(**changes: Any) -> dict[str, str]:
    """Of the example, some of them others."""
    given = {"id": ID, "timestamp": str(AT), "signature": SIGNATURE} | changes
    return {f"webhook-{name}": value for name, value in given.items() if value is not None}


def verify(given: webhooks.Headers, body: str | bytes = BODY, **how: Any) -> dict[str, Any]:
    """At the time of the example."""
    return webhooks.verify(how.pop("secret", SECRET), given, body, **{"now": AT} | how)


def test_it_is_signed_as_other_libraries_do() -> None:
    assert webhooks.sign(SECRET, ID, AT, BODY) == headers()


def test_what_is_signed_is_read() -> None:
    assert verify(headers()) == {"test": 2432232314}
    assert verify(headers(), BODY.encode()) == {"test": 2432232314}


def test_headers_may_be_of_any_framework() -> None:
    shouted = {name.upper(): value for name, value in headers().items()}
    raw = [(name.encode(), value.encode()) for name, value in headers().items()]
    message = Message()
    for name, value in headers().items():
        message[name] = value
    assert verify(shouted) == verify(raw) == verify(message)


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_without_one_of_its_headers_it_is_refused(name: str) -> None:
    with pytest.raises(Denied, match=f"no webhook-{name}"):
        verify(headers(**{name: None}))


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (headers(), BODY + " "),
        (headers(), ""),
        (headers(id="msg_other"), BODY),
        (headers(timestamp=str(AT + 1)), BODY),
        (headers(signature="v1,"), BODY),
        (headers(signature="v1"), BODY),
        (headers(signature=SIGNATURE.removeprefix("v1,")), BODY),
        (headers(signature=SIGNATURE.replace("v1,", "v1a,")), BODY),
        (headers(signature=SIGNATURE[:-2]), BODY),
        (headers(signature="v1,\xff\xfe"), BODY),
        (headers(signature=" ".join(["v1,AAAA"] * 20 + [SIGNATURE])), BODY),
    ],
)
def test_what_was_changed_is_refused(given: dict[str, str], body: str) -> None:
    with pytest.raises(Denied, match="not signed with this secret"):
        verify(given, body)


def test_one_of_several_signatures_is_enough() -> None:
    several = webhooks.sign([OTHER, SECRET], ID, AT, BODY)
    assert several["webhook-signature"].count("v1,") == 2
    assert verify(several) == verify(several, secret=OTHER)
    assert verify(headers(), secret=[OTHER, SECRET])
    with pytest.raises(Denied):
        verify(several, secret=webhooks.secret_of(b"a third key of about this length"))
    assert verify(headers(signature=f"v2,AAAA v1a,BBBB {SIGNATURE}"))


@pytest.mark.parametrize("away", [-301, 301, 10**9])
def test_what_was_signed_long_ago_or_ahead_is_refused(away: int) -> None:
    with pytest.raises(Denied, match="not within 300 s"):
        verify(headers(), now=AT + away)


def test_the_tolerance_is_the_receivers() -> None:
    assert verify(headers(), now=AT + 300)
    assert verify(headers(), now=AT - 900, tolerance_s=1000)
    with pytest.raises(Denied):
        verify(headers(), now=AT + 11, tolerance_s=10)
    with pytest.raises(Denied):
        verify(headers(), tolerance_s=float("nan"))


@pytest.mark.parametrize(
    "timestamp", ["", "1e9", "-5", "²", "1614265330.0", "9" * 13, " 1614265330"]
)
def test_a_timestamp_is_a_whole_number(timestamp: str) -> None:
    with pytest.raises(Denied):
        verify(headers(timestamp=timestamp))


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_not base64!", "sesame"])
def test_what_is_no_secret_is_said_to_be_none(secret: str) -> None:
    with pytest.raises(Invalid, match="no webhook's secret"):
        verify(headers(), secret=secret)


@pytest.mark.parametrize("body", ["[1]", "nonsense", "{"])
def test_what_is_signed_and_no_event_is_refused(body: str) -> None:
    with pytest.raises(Invalid, match="no event"):
        verify(webhooks.sign(SECRET, ID, AT, body), body)


def test_a_message_says_nothing_of_the_secret() -> None:
    with pytest.raises(Denied) as caught:
        verify(headers(id="other"))
    assert SECRET not in str(caught.value)
    assert SIGNATURE not in str(caught.value)
