"""``python -m quanopy``: the same as the command ``quanopy``."""

from quanopy.cli.main import run

run()
