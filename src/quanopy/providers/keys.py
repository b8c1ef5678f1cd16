"""Keys of ours, as vendors show them: with what a job was sent from a broker."""

from quanopy.domain.ids import is_id


def key_in(tags: object) -> str | None:
    """The key among the tags, or names of folders, that a vendor shows of a job; empty where there
    is none, ``None`` where what it shows are no tags."""
    if not isinstance(tags, list):
        return None
    return next((tag for tag in tags if isinstance(tag, str) and is_id(tag, "exec")), "")
