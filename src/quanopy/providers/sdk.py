"""Vendors' packages: whether they are here and new enough, without importing them."""

from importlib.metadata import PackageNotFoundError, version

from quanopy.domain.errors import Unavailable


def require(package: str, least: str, *, extra: str = "", instead_of: str = "") -> None:
    """Raise, in one line that says what to install, unless a package is here and new enough.

    ``least`` is a version of numbers and dots; ``extra`` the extra of Quanopy that brings it. One
    that no extra brings takes the place of another, ``instead_of``.
    """
    hint = f"pip install 'quanopy[{extra}]'"
    if instead_of:
        hint = f"pip uninstall -y {instead_of} && pip install '{package}>={least}'"
    try:
        found = version(package)
    except PackageNotFoundError:
        raise Unavailable(f"{package} is not installed", hint=hint) from None
    if _numbers(found) < _numbers(least):
        raise Unavailable(f"{package} {found} is too old: {least} or newer is needed", hint=hint)


def _numbers(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
