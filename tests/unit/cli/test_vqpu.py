"""``quanopy vqpu serve`` refuses in the words of its own options."""

from importlib.metadata import PackageNotFoundError, version

import pytest
from typer.testing import CliRunner

from quanopy.cli.main import app
from quanopy.domain.errors import Unavailable
from quanopy.vqpu.device import Device
from quanopy.vqpu.machine import build

SERVE = ["vqpu", "serve", "--token", "env:VQPU_TOKEN"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--host", "0.0.0.0"],
            (
                "error: --host: tokens would cross the network to 0.0.0.0 unencrypted. "
                "Set --tls-cert and --tls-key, or --insecure if something in front speaks TLS."
            ),
        ),
        (["--tls-cert", "a.pem"], "--tls-cert, --tls-key: a certificate and its key go together"),
        (
            ["--tls-cert", "no.pem", "--tls-key", "no.key"],
            "error: --tls-cert: no.pem cannot be read: No such file or directory",
        ),
        (["--device", "tpu"], "error: --device: no device 'tpu'. cpu or gpu."),
    ],
)
def test_what_cannot_be_served_is_said_in_options(
    options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VQPU_TOKEN", "t" * 40)
    found = CliRunner().invoke(app, [*SERVE, *options])
    assert found.exit_code == 65
    assert said in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_without_a_token_its_option_is_named() -> None:
    found = CliRunner().invoke(app, ["vqpu", "serve"])
    assert "error: --token: nobody could use it" in found.stderr


def test_a_token_that_is_not_there_is_said_before_anything_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VQPU_TOKEN", raising=False)
    found = CliRunner().invoke(app, SERVE)
    assert (found.exit_code, found.stdout) == (77, "")
    assert "there is no credential at env:VQPU_TOKEN" in found.stderr


def _has_gpu_build() -> bool:
    try:
        version("qiskit-aer-gpu")
    except PackageNotFoundError:
        return False
    return True


@pytest.mark.skipif(_has_gpu_build(), reason="Aer's GPU build is installed here.")
def test_a_gpu_without_its_build_of_aer_is_one_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VQPU_TOKEN", "t" * 40)
    found = CliRunner().invoke(app, [*SERVE, "--device", "gpu"])
    (line,) = found.stderr.strip().splitlines()
    assert line == (
        "error: qiskit-aer-gpu is not installed. pip uninstall -y qiskit-aer && "
        "pip install 'qiskit-aer-gpu>=0.15'"
    )
    with pytest.raises(Unavailable, match=r"does not run: .*GPU.*qiskit-aer-gpu") as refused:
        probe()
    assert "\n" not in str(refused.value)


def probe() -> None:
    """Run one gate on a GPU."""
    device = Device(build(name="vq1", qubits=2, gpu=True, memory_bytes=2**29))
    try:
        device.probe()
    finally:
        device.close()
