"""Which machines there are: those of the settings, and those that accounts are told to have."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from quanopy.domain.errors import NotFound, Transient
from quanopy.providers.kept import Kept
from quanopy.providers.qrmi.machines import Machine, slug

log = logging.getLogger(__name__)

_MOST = 1000


class Known:
    """Machines by the names of their resources; threads may share it."""

    def __init__(self, machines: Sequence[Machine], list_of: Callable[[Machine], str]) -> None:
        """``list_of`` gives QRMI's names of an account's machines, as a JSON list."""
        self._named = {slug(one.backend): one for one in machines if not one.dynamic}
        self._listed = [Kept(partial(_found, one, list_of)) for one in machines if one.dynamic]

    def all(self) -> Mapping[str, Machine]:
        """Those there are now. A list that cannot be had is as it was last; raises why, where
        there is nothing else."""
        found, problem = dict(self._named), None
        for listed in self._listed:
            said = listed.said()
            found = {**(said.answer or {}), **found}
            problem = said.problem or problem
        if problem is not None:
            if not found:
                raise problem
            log.warning("QRMI gave no list of machines: %s", problem)
        return found

    def one(self, name: str) -> Machine | None:
        """The machine of this name; raises where it may be one of a list that cannot be had."""
        for found in chain([self._named], self._lists()):
            if name in found:
                return found[name]
        return None

    def _lists(self) -> Iterator[Mapping[str, Machine]]:
        for listed in self._listed:
            yield listed.known()


def _found(account: Machine, list_of: Callable[[Machine], str]) -> Mapping[str, Machine]:
    try:
        names = json.loads(list_of(account))
    except NotFound as error:
        raise Transient(error.message) from None
    return {slug(name): replace(account, backend=name, dynamic=False) for name in names[:_MOST]}
