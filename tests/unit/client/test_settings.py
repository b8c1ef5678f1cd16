"""Where the broker and its token are found."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quanopy.client.settings import RESTARTING_S, STOPPED_S, find
from quanopy.domain.errors import Denied, Invalid, Unavailable
from tests.unit.client.passing import Time


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A user with nothing set up."""
    return {"HOME": str(tmp_path)}


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def configure(environ: dict[str, str], text: str, mode: int = 0o600) -> Path:
    path = Path(environ["HOME"]) / ".config/quanopy/config.toml"
    write(path, text, mode)
    return path


def announce(environ: dict[str, str], *, pid: int, mode: int = 0o600, **place: str) -> Path:
    data = Path(environ["HOME"]) / ".local/share/quanopy"
    write(data / "server.json", json.dumps({"pid": pid, **place}))
    write(data / "token", "secret-of-embedded\n", mode)
    return data


def test_arguments_go_before_the_environment_before_the_file(environ: dict[str, str]) -> None:
    configure(environ, 'url = "http://file"\ntoken = "of-file"\nresource = "r-file"')
    assert find(environ=environ).url == "http://file"
    environ |= {"QUANOPY_URL": "http://env", "QUANOPY_TOKEN": "of-env"}
    found = find(environ=environ)
    assert (found.url, found.token, found.resource) == ("http://env", "of-env", "r-file")
    found = find("http://arg", "of-arg", environ=environ)
    assert (found.url, found.token) == ("http://arg", "of-arg")


def test_a_token_is_not_sent_to_another_server_than_it_was_found_with(
    environ: dict[str, str],
) -> None:
    configure(environ, 'url = "http://file"\ntoken = "of-file"')
    announce(environ, pid=os.getpid(), url="http://127.0.0.1:8420")
    assert find("http://elsewhere", environ=environ).token is None


def test_a_token_without_a_url_goes_with_the_url_found(environ: dict[str, str]) -> None:
    environ["QUANOPY_TOKEN"] = "of-env"
    assert find("http://arg", environ=environ).token == "of-env"


def test_the_running_embedded_server_is_found(environ: dict[str, str]) -> None:
    announce(environ, pid=os.getpid(), socket="/run/quanopy.sock")
    found = find(environ=environ)
    assert (found.url, found.token) == ("unix:///run/quanopy.sock", "secret-of-embedded")


def test_the_embedded_token_goes_with_the_embedded_url_named_explicitly(
    environ: dict[str, str],
) -> None:
    announce(environ, pid=os.getpid(), url="http://127.0.0.1:8420")
    assert find("http://127.0.0.1:8420", environ=environ).token == "secret-of-embedded"


@pytest.mark.parametrize("variable", ["QUANOPY_DATA", "XDG_DATA_HOME"])
def test_the_data_folder_may_lie_elsewhere(
    environ: dict[str, str], tmp_path: Path, variable: str
) -> None:
    folder = tmp_path / "x" / ("quanopy" if variable == "XDG_DATA_HOME" else "")
    write(folder / "server.json", json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:1"}))
    write(folder / "token", "t")
    environ[variable] = str(tmp_path / "x")
    assert find(environ=environ).url == "http://127.0.0.1:1"


def test_a_dead_server_is_reported_with_what_to_do(environ: dict[str, str]) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    announce(environ, pid=ended.pid, url="http://127.0.0.1:8420")
    time = Time()
    with pytest.raises(Unavailable, match="quanopy serve"):
        find(environ=environ, pause=time.pause, clock=time.now)
    assert time.waited_for(RESTARTING_S)


def stopped(environ: dict[str, str], lock: str) -> None:
    """A broker was here, and has left this in its lock."""
    data = announce(environ, pid=1, url="http://127.0.0.1:1")
    (data / "server.json").unlink()
    (data / "server.lock").write_text(lock)


@pytest.mark.parametrize(("lock", "patience_s"), [("", STOPPED_S), ("1234\n", RESTARTING_S)])
def test_a_broker_that_stopped_as_it_should_is_given_up_sooner_than_one_that_starts_or_died(
    environ: dict[str, str], lock: str, patience_s: float
) -> None:
    stopped(environ, lock)
    time = Time()
    with pytest.raises(Unavailable, match="quanopy serve"):
        find(environ=environ, pause=time.pause, clock=time.now)
    assert time.waited_for(patience_s)


@pytest.mark.parametrize("lock", ["", "1234\n"])
def test_a_broker_that_is_starting_again_is_waited_for(environ: dict[str, str], lock: str) -> None:
    stopped(environ, lock)

    class Starting(Time):
        def pause(self, seconds: float) -> None:
            super().pause(seconds)
            announce(environ, pid=os.getpid(), url="http://127.0.0.1:2")

    time = Starting()
    found = find(environ=environ, pause=time.pause, clock=time.now)
    assert found.url == "http://127.0.0.1:2"
    assert len(time.pauses) == 1


def never(seconds: float) -> None:
    raise AssertionError("nothing is to be waited for")


def test_no_broker_anywhere_is_reported_with_what_to_do(environ: dict[str, str]) -> None:
    with pytest.raises(Unavailable, match="quanopy serve"):
        find(environ=environ, pause=never)


def test_a_token_file_that_others_may_read_is_refused(environ: dict[str, str]) -> None:
    announce(environ, pid=os.getpid(), mode=0o644, url="http://127.0.0.1:8420")
    with pytest.raises(Denied, match="chmod 600"):
        find(environ=environ)


def test_a_config_file_with_a_token_that_others_may_read_is_refused(
    environ: dict[str, str],
) -> None:
    configure(environ, 'url = "http://file"\ntoken = "x"', 0o640)
    with pytest.raises(Denied, match=r"config\.toml"):
        find(environ=environ)


def test_a_config_file_without_a_token_may_be_read_by_all(environ: dict[str, str]) -> None:
    configure(environ, 'url = "http://file"', 0o644)
    assert find(environ=environ).url == "http://file"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_token_file_of_another_user_is_refused(environ: dict[str, str]) -> None:
    data = announce(environ, pid=os.getpid(), url="http://127.0.0.1:8420")
    os.chown(data / "token", 12345, 12345)
    with pytest.raises(Denied, match="another user"):
        find(environ=environ)


@pytest.mark.parametrize("text", ["url = 3", 'uri = "http://x"', "url = ", "\0"])
def test_a_config_file_that_makes_no_sense_is_named(environ: dict[str, str], text: str) -> None:
    configure(environ, text)
    with pytest.raises(Invalid, match=r"config\.toml"):
        find(environ=environ)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x", "url": "http://x"}'])
def test_a_server_file_that_makes_no_sense_is_named(environ: dict[str, str], text: str) -> None:
    write(announce(environ, pid=1, url="x") / "server.json", text)
    with pytest.raises(Invalid, match=r"server\.json"):
        find(environ=environ)


def test_the_token_is_not_shown() -> None:
    assert "hidden" not in repr(find("http://x", "hidden", environ={"HOME": "/nowhere"}))
