"""Where programs and circuits lie, in packs and receipts alike: under the digest of their bytes."""


def program_member(digest: str) -> str:
    """Where a program as it was submitted lies."""
    return f"programs/{digest.removeprefix('sha256:')}"


def circuits_member(digest: str) -> str:
    """Where circuits as QPY lie."""
    return f"circuits/{digest.removeprefix('sha256:')}.qpy"
