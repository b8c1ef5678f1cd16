"""Members of packs that are made of lines: where each line, or what matters of it, lies."""

from collections.abc import Sequence

from quanopy.codecs.packs import Span


def line_spans(place: Span, lines: Sequence[bytes]) -> list[Span]:
    """Where each line of a member lies."""
    spans, offset = [], place.offset
    for line in lines:
        spans.append(Span(offset, len(line)))
        offset += len(line)
    return spans


def result_lines(results: Sequence[tuple[str, bytes]]) -> tuple[bytes, dict[str, Span]]:
    """The text of ``results.jsonl`` from tasks' ids and arrays, and by task id where its array
    lies in that text."""
    parts: list[bytes] = []
    spans: dict[str, Span] = {}
    offset = 0
    for task_id, result in results:
        if b"\n" in result:
            raise ValueError(f"the result of {task_id} has a line break in it")
        head = b'{"task":"%b","pubs":' % task_id.encode("ascii")
        spans[task_id] = Span(offset + len(head), len(result))
        parts += (head, result, b"}\n")
        offset += len(head) + len(result) + 2
    return b"".join(parts), spans
