"""What each part of a job gave, by its receipt: what was merged is told part by part as well."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from quanopy.codecs.receipt_files import ReceiptFile
from quanopy.codecs.receipt_records import JobEntry, PartEntry
from quanopy.codecs.receipts import job_member
from quanopy.codecs.result_checks import check_pubs
from quanopy.codecs.results import PubResult, merge_shots
from quanopy.domain.errors import Invalid

Given = Mapping[str, Sequence[PubResult]]
"""By id of a part, the pubs that it gave."""


def parts_of(file: ReceiptFile, entry: JobEntry, pubs: Sequence[PubResult | None]) -> Given:
    """What each part of a job gave, of a result whose pubs have been found to be some.

    Raises :class:`Invalid` where the parts do not give that result.
    """
    name = job_member(entry.id, "parts.jsonl")
    given = _told(file, entry, name) if name in file else _cut(entry, pubs)
    if given.keys() != {part.id for part in entry.parts if part.result}:
        raise Invalid("it is not of the parts that gave a result", where=name)
    if len(entry.parts) > 1 and _whole(entry.parts, given, name) != list(pubs):
        raise Invalid("the parts do not give the result", where=name)
    return given


def _told(file: ReceiptFile, entry: JobEntry, name: str) -> Given:
    found: dict[str, Sequence[PubResult]] = {}
    for number, line in enumerate(file.lines(name), 1):
        place = f"{name}, line {number}"
        part = line.get("task")
        if not isinstance(part, str) or part in found:
            raise Invalid("it is of no part, or of one that was told of", where=place)
        found[part] = _all(check_pubs(line.get("pubs"), entry.kind, place), place)
    return found


def _cut(entry: JobEntry, pubs: Sequence[PubResult | None]) -> Given:
    if len(entry.parts) == 1:
        return {entry.parts[0].id: _all(pubs, "pubs")}
    return {
        part.id: _all(pubs[part.slice.first : part.slice.first + part.slice.count], "pubs")
        for part in entry.parts
        if part.result
    }


def _all(pubs: Sequence[PubResult | None], where: str) -> list[PubResult]:
    found = [pub for pub in pubs if pub is not None]
    if len(found) < len(pubs):
        raise Invalid("a part that gave a result lacks some of it", where=where)
    return found


def _whole(parts: Sequence[PartEntry], given: Given, where: str) -> list[PubResult | None]:
    """What these parts, in order, make together."""
    pubs: list[PubResult | None] = []
    for (first, count), some in groupby(parts, lambda one: (one.slice.first, one.slice.count)):
        found = [given[part.id] for part in some if part.id in given]
        if first != len(pubs) or any(len(one) != count for one in found):
            raise Invalid("the parts are not of the pubs that they are said to be", where=where)
        pubs += _merged(found, where) if found else [None] * count
    return pubs


def _merged(found: Sequence[Sequence[PubResult]], where: str) -> list[dict[str, Any]]:
    try:
        return [merge_shots(of_pub) for of_pub in zip(*found, strict=True)]
    except (KeyError, ValueError) as error:
        raise Invalid("the parts are of different pubs", where=where) from error
