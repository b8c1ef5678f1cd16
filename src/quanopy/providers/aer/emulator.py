"""A resource as its emulation sees it: what the server tells a child. Nothing of Aer is loaded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """A method of Aer, or a fake device with its noise."""

    method: str
    device: str | None
    threads: int
    memory_bytes: int

    @property
    def noisy(self) -> bool:
        """Whether results vary though the circuit measures nothing."""
        return self.device is not None
