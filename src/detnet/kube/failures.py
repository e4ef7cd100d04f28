"""What may come of a request instead of an answer.

Invariants: two kinds only. `ApiError`: the server answered, and nothing was changed. `UnreachableError`: no answer that could be
understood came in time, and whether the request took effect is not known.
"""

from __future__ import annotations

from detnet.errors import DetnetError


class ApiError(DetnetError):
    """The API server refused.

    Args:
        code: HTTP status, or the code of the status object in a watch.
        message: the server's own words.
        retry_after_s: how long it asks us to wait, if it does.
    """

    def __init__(self, code: int, message: str, retry_after_s: float | None = None) -> None:
        self.code, self.message, self.retry_after_s = code, message, retry_after_s
        super().__init__(f"the API server answered {code}: {message}")


class UnreachableError(DetnetError):
    """The API server gave no answer that could be used."""
