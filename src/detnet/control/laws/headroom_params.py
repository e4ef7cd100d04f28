"""The parameters of the learned law, apart from it: who checks a law's text has no need of numpy, which the law itself brings along."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from detnet.errors import InputError


class HeadroomParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user may set."""

    promise: Annotated[float, Meta(description="share of windows that may miss the objective")] = 0.01

    def __post_init__(self) -> None:
        if not 0.0005 <= self.promise <= 0.2:
            raise InputError("promise", self.promise, "a share of 0.05% to 20%")
