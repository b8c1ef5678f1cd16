"""TLS from end to end: a server with a certificate, clients that trust its authority or do not."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from quanopy import Client
from quanopy.domain.errors import Unavailable
from tests.integration.processes import QUANOPY, START_S, outside, running
from tests.servers import Authority

CIRCUIT = 'OPENQASM 3.0; include "stdgates.inc"; qubit q; bit c; x q; c = measure q;'


@dataclass(frozen=True)
class Place:
    """Where a broker is, who vouches for it, and the owner's token."""

    url: str
    authority: Authority
    token: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    certificate, key = authority.issue()
    environ = outside() | {
        "QUANOPY_DATABASE": f"sqlite:///{folder / 'catalogue.db'}",
        "QUANOPY_OBJECTS": (folder / "objects").as_uri(),
        "QUANOPY_TLS_CERT": str(certificate),
        "QUANOPY_TLS_KEY": str(key),
    }
    data = folder / "server"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANOPY_CA", str(authority.ca))
        with running(data, environ, workers=("one",)) as url:
            patch.undo()
            yield Place(url, authority, (data / "token").read_text().strip())


def test_a_job_is_submitted_waited_for_and_fetched(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANOPY_CA", str(place.authority.ca))
    assert place.url.startswith("https://")
    with Client(place.url, place.token) as client:
        job = client.submit(CIRCUIT, shots=10)
        assert job.wait(timeout=START_S) == "completed"
        assert job.result()[0].counts == {"1": 10}


def test_a_client_that_does_not_know_the_authority_is_told_what_to_set(place: Place) -> None:
    with (
        Client(place.url, place.token) as client,
        pytest.raises(Unavailable, match=r"not trusted.*QUANOPY_CA"),
    ):
        client.submit(CIRCUIT, shots=10)


def test_a_client_that_speaks_no_tls_is_told_to(place: Place) -> None:
    with (
        Client(place.url.replace("https:", "http:"), place.token) as client,
        pytest.raises(Unavailable, match="https://"),
    ):
        client.submit(CIRCUIT, shots=10)


def test_the_command_line_trusts_the_authority_that_is_named(place: Place) -> None:
    environ = outside() | {"QUANOPY_URL": place.url, "QUANOPY_TOKEN": place.token}
    stranger = _resources(environ)
    assert (stranger.returncode, stranger.stdout) == (69, "")
    assert "QUANOPY_CA" in stranger.stderr
    known = _resources(environ | {"QUANOPY_CA": str(place.authority.ca)})
    assert known.returncode == 0, known.stderr
    assert "aer" in known.stdout


def _resources(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [QUANOPY, "resources"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
