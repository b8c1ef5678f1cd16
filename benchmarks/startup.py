"""How soon commands answer: ``quanopy --help`` and ``qrun --help``, beside a bare interpreter."""

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Measure, p50, report, seconds

LIMIT_S = 0.3
ROUNDS = 9
BIN = Path(sys.executable).parent


def started(*command: str | Path) -> float:
    """Median seconds of a command from start to end."""

    def work() -> None:
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=30, check=True)

    work()  # once, to have its files in the page cache
    return p50([seconds(work) for _ in range(ROUNDS)])


def main() -> None:
    """Measure, and print JSON."""
    peer = started(sys.executable, "-c", "pass")
    took = {name: started(BIN / name, "--help") for name in ("quanopy", "qrun")}
    report(
        [
            Measure(
                measure=f"{name} --help",
                value=value,
                unit="s",
                peer=peer,
                goal=f"≤ {LIMIT_S} s",
                holds=value <= LIMIT_S,
            )
            for name, value in took.items()
        ]
    )


if __name__ == "__main__":
    main()
