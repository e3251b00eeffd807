"""Keys typed faster than screens come: one that was meant for the next screen reaches it."""

from collections import deque
from typing import Any

from textual.app import App
from textual.events import Event, Key
from textual.screen import Screen

ON_THE_WAY = 64
"""So many keys may be on their way through the widgets at once."""


class TypedAhead(App[Any]):
    """Gives a key on to the screen that has come while it was on its way.

    Textual sends a key to the screen on top when it is read, and looks for its action when it comes back unused. By
    then the key before it may have put another screen on top, such as the menu of `g`: `l` is meant for that one.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sent: deque[tuple[Key, Screen[Any]]] = deque(maxlen=ON_THE_WAY)

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key) and self.screen_stack:
            event = self._for_this_screen(event)
        await super().on_event(event)

    def _for_this_screen(self, event: Key) -> Key:
        """The key itself; a fresh one, which is sent to the screen on top, when it was sent to another one."""
        if event.is_forwarded:
            sent_to = next((screen for key, screen in self._sent if key is event), self.screen)
            if sent_to is self.screen:
                return event
            event = Key(event.key, event.character)
        self._sent.append((event, self.screen))
        return event
