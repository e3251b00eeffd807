"""Wall time of a training over all its resumes, and how much of `max_minutes` is used."""

import time


class Clock:
    """`started` is when (time.monotonic) the wall time of this process began to count."""

    def __init__(self, max_minutes: float | None, started: float) -> None:
        self.started = started
        self.before = 0.0
        self.validation = 0.0
        self.budget = None if max_minutes is None else max_minutes * 60

    def elapsed(self) -> float:
        return self.before + time.monotonic() - self.started

    def share(self) -> float:
        """Used part of the budget, 0 without one. Time for the last validation and the export is set aside."""
        if self.budget is None:
            return 0.0
        return self.elapsed() / max(self.budget - 1.5 * self.validation - 5, 1)

    def over(self) -> bool:
        return self.share() >= 1

    def eta(self, done: float) -> float | None:
        """Seconds left, from the share `done` of the epochs or of the budget, whichever ends first."""
        share = max(done, self.share())
        return None if share <= 0 else round(self.elapsed() * (1 - min(share, 1)) / share, 1)
