"""Memory of ``quanopy serve`` at rest, no emulator loaded."""

from pathlib import Path

from benchmarks.measure import Measure, report
from benchmarks.serving import broker

MOST_MB = 150.0


def main() -> None:
    """Measure the resident memory of the server's process, a moment after it came up."""
    with broker() as served:
        status = Path(f"/proc/{served.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    megabytes = int(line.split()[1]) * 1024 / 1e6
    report(
        [
            Measure(
                measure="memory of the server at rest",
                value=megabytes,
                unit="MB",
                peer=None,
                goal=f"at most {MOST_MB:g} MB",
                holds=megabytes <= MOST_MB,
            )
        ]
    )


if __name__ == "__main__":
    main()
