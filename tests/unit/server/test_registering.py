"""Where what registers itself may be, and the tokens that it is given."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quanopy.domain.errors import Denied, Forbidden, Invalid
from quanopy.server.registering import KEY, RegistrationTokens, checked_url, key_in

PEER = ("peer",)


@pytest.mark.parametrize(
    ("url", "peer", "kept"),
    [
        ("http://127.0.0.1:4000", None, "http://127.0.0.1:4000"),
        ("http://localhost:4000/", "127.0.0.1", "http://127.0.0.1:4000"),
        ("https://10.1.0.7:4000", "10.1.0.7", "https://10.1.0.7:4000"),
        ("http://[::1]:4000", None, "http://[::1]:4000"),
        ("http://10.1.0.7", "::ffff:10.1.0.7", "http://10.1.0.7"),
        ("http://127.0.0.1:4000", "::1", "http://127.0.0.1:4000"),
    ],
)
def test_the_registrars_own_address_is_taken(url: str, peer: str | None, kept: str) -> None:
    assert checked_url(url, peer, PEER) == kept


@pytest.mark.parametrize(
    ("url", "peer"),
    [
        ("http://169.254.169.254", "10.1.0.7"),
        ("http://127.0.0.1:6379", "10.1.0.7"),
        ("http://localhost:6379", "10.1.0.7"),
        ("http://[::ffff:127.0.0.1]:6379", "10.1.0.7"),
        ("http://10.1.0.8", "10.1.0.7"),
        ("http://10.1.0.7", None),
        ("http://node7", "10.1.0.7"),
        ("http://peer", "10.1.0.7"),
        ("http://0x7f000001", "10.1.0.7"),
        ("http://2130706433", "10.1.0.7"),
        ("http://127.1", "10.1.0.7"),
        ("http://0.0.0.0:4000", "10.1.0.7"),
    ],
)
def test_no_other_address_is(url: str, peer: str | None) -> None:
    with pytest.raises(Forbidden, match="registered"):
        checked_url(url, peer, PEER)


def test_an_operator_allows_networks_and_hosts() -> None:
    allowed = ("10.1.0.0/16", "node7.cluster.example", "fd00::/8")
    for url in (
        "http://10.1.9.9:4000",
        "https://node7.cluster.example:4000",
        "http://[fd00::7]:4000",
    ):
        assert checked_url(url, "192.0.2.1", allowed) == url
    for url in ("http://10.2.0.1", "http://192.0.2.1", "http://node8.cluster.example"):
        with pytest.raises(Forbidden):
            checked_url(url, "192.0.2.1", allowed)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "env:QUANOPY_TOKEN",
        "command:id",
        "gopher://127.0.0.1:70",
        "http://user:secret@127.0.0.1:4000",
        "http://127.0.0.1:4000/admin",
        "http://127.0.0.1:4000?x=1",
        "http://127.0.0.1:4000#x",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://[::1",
        "http://",
        "",
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        checked_url(url, None, PEER)


def test_each_registration_has_a_token_of_its_own_that_does_not_change() -> None:
    tokens = RegistrationTokens(lambda: "k" * 32)
    first, second = tokens("registration_1"), tokens("registration_2")
    assert first != second
    assert tokens("registration_1") == first
    assert RegistrationTokens(lambda: "l" * 32)("registration_1") != first
    assert "k" * 32 not in first


def test_a_key_that_anybody_could_guess_makes_none() -> None:
    with pytest.raises(Denied):
        RegistrationTokens(lambda: "short")("registration_1")


def test_the_brokers_key_is_made_once_and_is_its_alone(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: key_in(tmp_path), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [KEY]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    key_in(tmp_path)
    (tmp_path / KEY).chmod(0o644)
    with pytest.raises(Denied, match="others may read it"):
        key_in(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Denied, match="cannot be read"):
        key_in(tmp_path / "nowhere")
