"""Identity: what an execution was sent to, and whether it is still that which is spoken to."""

import logging
from collections.abc import Sequence

from quanopy.domain.errors import QuanopyError, ResourceMismatch
from quanopy.domain.jobs import Execution
from quanopy.domain.states import ExecutionState
from quanopy.ports.executions import ExecutionChange
from quanopy.ports.providers import Provider, RemoteProvider
from quanopy.services.ending import problem_of

log = logging.getLogger(__name__)


def target_digest(provider: Provider, resource: str) -> str | None:
    """Digest of the target of a resource; ``None`` where it has none, or it is not to be had."""
    try:
        return provider.target(resource).digest
    except QuanopyError:
        return None
    except Exception:
        # A provider is a plugin: what it breaks is what is known of an execution, not that.
        log.exception("%s: provider %s broke", resource, provider.name)
        return None


def strangers(provider: RemoteProvider, executions: Sequence[Execution]) -> list[Execution]:
    """Those that were sent under another account than the provider speaks for now. Raises as
    :meth:`RemoteProvider.fingerprint` does."""
    if all(execution.fingerprint is None for execution in executions):
        return []
    own = provider.fingerprint()
    return [one for one in executions if one.fingerprint not in (None, own)]


def estranged(execution: Execution) -> ExecutionChange:
    """The change of an execution that is another account's: what this one's vendor says under
    its id or key, if anything, is not of it."""
    error = ResourceMismatch(
        f"it was sent to {execution.provider} under another account than its key is of now",
        hint="Give back the key of then, or look it up with the provider; then say what you "
        "found: `quanopy stranded --help`.",
    )
    return ExecutionChange(
        execution_id=execution.id, state=ExecutionState.STRANDED, problem=problem_of(error)
    )
