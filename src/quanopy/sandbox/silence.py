"""In a child process: what native code and strangers' packages print is nobody's."""

import os

_OUTPUT, _ERRORS = 1, 2


def silence(*, errors: bool = False) -> None:
    """Have standard output, and ``errors`` too, go nowhere from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _OUTPUT)
    if errors:
        os.dup2(nowhere, _ERRORS)
    os.close(nowhere)
