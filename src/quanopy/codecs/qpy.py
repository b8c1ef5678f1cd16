"""QPY, the form circuits are kept and exchanged in: which version is written, which are read."""

WRITTEN = 15
"""What Quanopy writes: read by every Qiskit from 2.1 on."""
OLDEST = 13
"""Older QPY can execute code when it is loaded (CVE-2025-2000)."""
MAGIC = b"QISKIT"


_WRITER = slice(7, 10)


def version_of(data: bytes) -> int | None:
    """The version that a QPY header says; ``None`` for bytes that are no QPY."""
    return data[6] if len(data) > 6 and data.startswith(MAGIC) else None


def writer_of(data: bytes) -> str | None:
    """The version of the Qiskit that wrote a QPY, as its header says; ``None`` if it is none."""
    if version_of(data) is None or len(data) < _WRITER.stop:
        return None
    return ".".join(map(str, data[_WRITER]))
