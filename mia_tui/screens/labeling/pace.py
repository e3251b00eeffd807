"""How many keys and seconds a label costs in this session, so that a person sees which way of working pays."""

from dataclasses import dataclass

IDLE = 20.0
"""A pause longer than this between two keys is no work: it counts as this many seconds."""


@dataclass
class Pace:
    """Counts keys, seconds between them, and what was labelled."""

    keys: int = 0
    seconds: float = 0.0
    labels: int = 0
    _last: float | None = None

    def key(self, now: float) -> None:
        """A key was pressed at `now` (seconds of a steady clock)."""
        if self._last is not None:
            self.seconds += min(now - self._last, IDLE)
        self._last = now
        self.keys += 1

    def labelled(self, count: int) -> None:
        """So many labels were made; less than 0 when they were taken back."""
        self.labels += count

    def text(self, what: str) -> str:
        """Keys and seconds per label; "" before the first."""
        if self.labels <= 0:
            return ""
        return f"{self.keys / self.labels:.1f} keys {self.seconds / self.labels:.1f} s per {what}"
