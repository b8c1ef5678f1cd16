"""Time as a test has it pass."""


class Time:
    """Passes only while a client pauses."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def now(self) -> float:
        """Seconds since it began."""
        return sum(self.pauses)

    def pause(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.pauses.append(seconds)

    def waited_for(self, patience_s: float) -> bool:
        """Whether the last pause is the first that ended patience."""
        return sum(self.pauses[:-1]) < patience_s <= sum(self.pauses)
