"""Credentials by reference: where a secret is, never the secret itself.

``env:NAME`` is a variable of the process, ``file:PATH`` a file's first line, ``command:…`` what a
program prints (its words are split as a shell would, but no shell runs). Nothing here is kept: a
secret is read when it is used, so one that is renewed is taken up, and none lies in settings, the
catalogue, objects or logs.
"""

import os
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quanopy.domain.errors import Denied, Invalid

SCHEMES = ("env", "file", "command")
_COMMAND_S = 30.0
_SHORTEST = 4
"""What is shorter keeps nobody out, and would be taken out of words."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a credential is found; showing it shows the reference."""

    reference: str

    def __post_init__(self) -> None:
        scheme, colon, rest = self.reference.partition(":")
        if not colon or scheme not in SCHEMES or not rest.strip():
            # What was given may be the credential itself: it is not repeated.
            raise Invalid(
                "a credential is given by reference, not as it is",
                hint="Use env:NAME, file:PATH or command:PROGRAM ARGUMENTS.",
            )

        if scheme == "command":
            _words(rest)

    def reveal(self) -> str:
        """The credential as it is now; raises :class:`~quanopy.domain.errors.Denied` naming the
        reference where there is none."""
        scheme, _, rest = self.reference.partition(":")
        found = _READ[scheme](rest)
        if not found:
            raise Denied(f"there is no credential at {self.reference}")
        return found

    def __str__(self) -> str:
        return self.reference


def without(secrets: Iterable[str], text: str) -> str:
    """A vendor's words, without the credentials that it was sent and may repeat."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "…")
    return text


def _from_environment(name: str) -> str:
    return os.environ.get(name.strip(), "").strip()


def _from_file(path: str) -> str:
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Denied(f"the credential at file:{path} cannot be read: {reason}") from None
    return text.partition("\n")[0].strip()


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise Invalid(
            "the command of a credential has a quote that does not end",
            hint="Words are split as a shell does; write a quote as such with \\ before it.",
        ) from None


def _from_command(line: str) -> str:
    words = _words(line)
    try:
        done = subprocess.run(
            words, capture_output=True, timeout=_COMMAND_S, check=True, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Denied(f"{words[0]} gave no credential within {_COMMAND_S:g} s") from None
    except (OSError, subprocess.CalledProcessError) as error:
        code = getattr(error, "returncode", None)
        reason = f"exit code {code}" if code is not None else str(error.strerror)  # type: ignore[union-attr]
        raise Denied(f"{words[0]} gave no credential: {reason}") from None
    return done.stdout.decode("utf-8", "replace").partition("\n")[0].strip()


_READ = {"env": _from_environment, "file": _from_file, "command": _from_command}
