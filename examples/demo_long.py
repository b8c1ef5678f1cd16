"""``make demo-long``: a long experiment that outlives its script, its broker and its calibration.

Serves IBM's loopback service and starts a broker on it; runs ``long_experiment.py``, kills it three
times and the broker once, each in the middle of something, and calibrates the machine anew twice
while segments wait for it; then lets the script come to its end.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from quanopy import Client
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.registry import build
from quanopy.wire.groups import GroupOut

HERE = Path(__file__).parent
DATA = HERE.parent / ".demo-long"
SCRIPT = HERE / "long_experiment.py"
QUANOPY = Path(sys.executable).with_name("quanopy")
RESOURCE, NAME, PICTURE = "ibm-nairobi", "bell", DATA / "bell.png"
SOON = {"timeout_s": 5.0, "visibility_delay_s": 0.0}
LATENCY_S = 0.05
"""Of each answer of the machine's, which emulates faster than any machine works."""
DRIFT = 8
"""Calibrations at a time: each is a little worse than the one before."""
PATIENCE_S = 100.0


class Broker:
    """A broker in a process of its own; clients find it anew each time it is started."""

    def __init__(self, vendor: Vendor) -> None:
        options = {**vendor.options(), "poll_interval_s": 0.1, **SOON}
        lines = [f"{key} = {json.dumps(value)}" for key, value in options.items()]
        self._config = DATA / "quanopy.toml"
        # These calibrations change in seconds, so they are looked at whenever something begins or
        # ends; and what a killed broker had in hand is taken over as soon.
        haste = ["calibration_fresh_s = 0", "worker_ttl_s = 2"]
        self._config.write_text("\n".join([*haste, "[providers.ibm]", *lines, ""]))
        self._config.chmod(0o600)
        self.start()

    def start(self) -> None:
        """Start it; returns when it answers."""
        command = [QUANOPY, "serve", "--port", "0", "--config", self._config]
        with (DATA / "serve.log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        if self._process.stdout is None or not self._process.stdout.readline():
            raise SystemExit(f"The broker did not start; see {DATA / 'serve.log'}.")

    def kill(self) -> None:
        """End it as a power cut would."""
        kill(self._process)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process as a power cut would."""
    process.send_signal(signal.SIGKILL)
    process.wait()


@contextmanager
def script() -> Iterator["subprocess.Popen[bytes]"]:
    """The script, until the block ends, where it is killed."""
    command = [sys.executable, SCRIPT, RESOURCE, NAME, PICTURE]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            kill(process)


def standing() -> GroupOut | None:
    """How far the experiment is; ``None`` while there is none."""
    with Client() as client:
        return next((one for one in client.group_listing() if one.name == NAME), None)


def until(reached: Callable[[GroupOut], bool]) -> GroupOut:
    """Wait until the experiment is so far."""
    ends_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at:
        found = standing()
        if found is not None and reached(found):
            return found
        time.sleep(0.02)
    raise SystemExit(f"the experiment is not so far after {PATIENCE_S:g} s: {standing()}")


def completed(count: int) -> Callable[[GroupOut], bool]:
    """So many segments have run."""
    return lambda group: group.progress.completed >= count


def held(vendor: Vendor, count: int) -> GroupOut:
    """Wait until so many segments have run, and the machine keeps the next ones waiting."""
    until(completed(count))
    vendor.hold()
    return until(lambda group: group.progress.running > 0 and not group.progress.queued)


def calibrate(vendor: Vendor) -> None:
    """Calibrate the machine anew, which is noisier from now on."""
    for _ in range(DRIFT):
        vendor.recalibrate()


def say(what: str) -> None:
    """What happens now."""
    print(f"--- {what}", flush=True)


def show(vendor: Vendor, broker: Broker) -> int:
    """The whole story; how the script ended."""
    vendor.hold()
    with script():
        found = until(lambda group: True)
        say(f"killed the script: the group is there, with {found.size} segments")
    with script():
        until(lambda group: group.progress.running > 0)
        vendor.release()
        found = held(vendor, 6)
    say(f"killed the script: {found.progress.completed} segments have run")
    vendor.release()
    held(vendor, 10)
    broker.kill()
    calibrate(vendor)
    say("killed the broker while segments wait at the machine, which is calibrated anew")
    broker.start()
    with script():
        vendor.release()
        found = held(vendor, 18)
    say(f"killed the script: {found.progress.completed} segments have run, others wait")
    calibrate(vendor)
    say("calibrated anew before these run")
    vendor.release()
    with subprocess.Popen([sys.executable, SCRIPT, RESOURCE, NAME, PICTURE]) as last:
        ended = last.wait(PATIENCE_S)
    with vendor.lock:
        say(f"{len(vendor.jobs)} jobs were sent to the machine")
    return ended


def main() -> None:
    """Run the demonstration; ends as the script does."""
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(mode=0o700)
    for name in [name for name in os.environ if name.startswith("QUANOPY_")]:
        del os.environ[name]
    os.environ["QUANOPY_DATA"] = str(DATA)
    with ExitStack() as stack:
        vendor = stack.enter_context(build("ibm"))
        vendor.latency_s = LATENCY_S
        os.environ.update(vendor.environment())
        broker = Broker(vendor)
        stack.callback(broker.stop)
        sys.exit(show(vendor, broker))


if __name__ == "__main__":
    main()
