"""Code blocks of Markdown pages, so that tests can run what the pages say.

A block is run unless its info string says `norun`; `file=NAME` makes it a file's content.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: its language, the other words of its info string, and its lines."""

    language: str
    tags: tuple[str, ...]
    line: int
    """Of its first line of code, from 1."""
    lines: tuple[str, ...]

    @property
    def file(self) -> str | None:
        """The file that it is the content of."""
        return next((tag[5:] for tag in self.tags if tag.startswith("file=")), None)

    @property
    def runs(self) -> bool:
        """Whether it is to be run."""
        return "norun" not in self.tags and self.file is None


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    numbered = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    for number, line in numbered:
        if (fence := _FENCE.match(line)) is None:
            continue
        language, *tags = fence["info"].split() or [""]
        content = []
        for _, inner in numbered:
            if inner.strip() == "```":
                break
            content.append(inner.removeprefix(fence["indent"]))
        yield Block(language=language, tags=tuple(tags), line=number + 1, lines=tuple(content))


def script(page: Path, language: str) -> str:
    """All blocks of a language that run, as one script; its lines are numbered as the page's."""
    lines: list[str] = []
    for block in blocks(page):
        if block.language == language and block.runs:
            lines += [""] * (block.line - 1 - len(lines))
            lines += block.lines
    return "\n".join(lines) + "\n"


def files(page: Path) -> dict[str, str]:
    """The files that a page shows whole, by name."""
    return {
        block.file: "\n".join(block.lines) + "\n"
        for block in blocks(page)
        if block.file is not None
    }
