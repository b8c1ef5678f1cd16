"""SQLite's write-ahead log needs shared memory: it loses data on network file systems."""

from pathlib import Path

from quanopy.domain.errors import Invalid

_NETWORK = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "wekafs",
    }
)
_MOUNTS = Path("/proc/self/mounts")


def refuse_network(path: Path, *, mounts: Path = _MOUNTS) -> Path:
    """The absolute path of a SQLite file; raises ``Invalid`` where it lies on a network file
    system. Where the machine does not list its mounts, nothing is refused."""
    path = path.expanduser().absolute()
    kind = _kind_of(path.parent.resolve(), mounts)
    if kind in _NETWORK:
        raise Invalid(
            f"{path} lies on a network file system ({kind}), where SQLite loses data",
            where="database",
            hint="Keep the file on a local disk, or use PostgreSQL.",
        )
    return path


def _kind_of(folder: Path, mounts: Path) -> str | None:
    """The type of the file system that is mounted deepest above the folder (the last such)."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    found: tuple[int, str | None] = (-1, None)
    for line in lines:
        _, place, kind, *_ = line.split(" ")
        point = Path(place.replace("\\040", " "))
        if folder.is_relative_to(point) and len(point.parts) >= found[0]:
            found = (len(point.parts), kind)
    return found[1]
