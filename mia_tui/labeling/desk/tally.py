"""How fast the labelling of this session goes: keys, seconds and objects."""

from dataclasses import dataclass

PAUSE_S = 10.0
"""A longer gap between two keys is a pause; only so much of it counts."""


@dataclass
class Tally:
    """Counts of one session, over all its images."""

    keys: int = 0
    seconds: float = 0.0
    objects: int = 0
    _last: float | None = None

    def key(self, now: float) -> None:
        """A key was pressed at `now` (seconds of a monotonic clock)."""
        self.keys += 1
        if self._last is not None:
            self.seconds += min(max(now - self._last, 0.0), PAUSE_S)
        self._last = now

    @property
    def text(self) -> str:
        """Such as `12 objects  1.3 keys  0.8 s each`."""
        if not self.objects:
            return f"{self.keys} key{'s' if self.keys != 1 else ''}" if self.keys else ""
        each = f"{self.keys / self.objects:.1f} keys  {self.seconds / self.objects:.1f} s each"
        return f"{self.objects} object{'s' if self.objects != 1 else ''}  {each}"

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, and what it comes down to where there is little room."""
        return (self.text, f"{self.seconds / self.objects:.1f} s each") if self.objects else (self.text,)
