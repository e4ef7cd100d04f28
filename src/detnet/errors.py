"""Errors that a person can mend.

Invariants: the text of an error names the field, shows the value and says what is allowed. It is turned into one line on stderr
and an exit code once, in `cli`.
"""

from __future__ import annotations


class DetnetError(Exception):
    """Anything that detnet knows how to explain. `exit_code` is what the command line ends with."""

    exit_code = 1


class InputError(DetnetError):
    """A value that a person gave and that cannot be used.

    Args:
        field: where it stands, as the person wrote it: `--link`, `trace.txt line 17`.
        value: what was found there.
        allowed: what may stand there instead.
    """

    exit_code = 2

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field, self.value, self.allowed = field, value, allowed
        super().__init__(f"{field}: {_shown(value)} is not allowed; use {allowed}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str]]:
        return type(self), (self.field, self.value, self.allowed)  # so that it passes from one process to another


class MissingFeatureError(DetnetError):
    """This machine lacks something. Says what, and what to do about it."""

    exit_code = 3

    def __init__(self, missing: str, remedy: str) -> None:
        self.missing, self.remedy = missing, remedy
        super().__init__(f"{missing}\n  What to do: {remedy}")

    def __reduce__(self) -> tuple[type[MissingFeatureError], tuple[str, str]]:
        return type(self), (self.missing, self.remedy)


def _shown(value: object) -> str:
    """Shorten and quote a hostile value: it may come from a file or from the network."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= 80 else text[:77] + "...").replace("'", '"')
