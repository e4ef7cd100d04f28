"""What the agent tells: a line of JSON an event, on standard output, where a node's log collector takes it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from detnet.control import codec


def say(event: str, **details: object) -> None:
    """Tell one event; details that are None or empty are left out."""
    told = {name: value for name, value in details.items() if value is not None and value != ""}
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **told}
    sys.stdout.write(codec.encode(line).decode() + "\n")
    sys.stdout.flush()
