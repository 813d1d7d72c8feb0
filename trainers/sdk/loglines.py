"""Log lines and events as a trainer writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainers.sdk.session import Session


class Logging(Session):
    """Lines are gathered, 50 or one second of them; an error is sent at once. Nothing here raises."""

    def log(
        self, level: str, message: object, source: str = "trainer", metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Write a line of level `debug`, `info`, `warning` or `error`; a message over 64 KiB is cut and marked."""
        try:
            if self._talking:
                self._logs.add(level, message, source, metadata)
        except Exception as error:
            self.warn(f"a log line was not taken: {type(error).__name__}: {error}")

    def log_debug(self, message: object, **metadata: Any) -> None:
        """Write a line of level debug."""
        self.log("debug", message, metadata=metadata)

    def log_info(self, message: object, **metadata: Any) -> None:
        """Write a line of level info."""
        self.log("info", message, metadata=metadata)

    def log_warning(self, message: object, **metadata: Any) -> None:
        """Write a line of level warning."""
        self.log("warning", message, metadata=metadata)

    def log_error(self, message: object, **metadata: Any) -> None:
        """Write a line of level error, and send it with all before it now."""
        self.log("error", message, metadata=metadata)

    def log_event(self, event: str, **data: Any) -> None:
        """Write an event: a line of source `event` whose metadata name it and hold its data."""
        self.log("info", event, source="event", metadata={"event": event, **data})

    def flush_logs(self) -> None:
        """Hand what is gathered to the sender now."""
        self._logs.flush()
