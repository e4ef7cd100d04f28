"""A netlink connection into one network namespace.

Invariants: the socket belongs to its namespace from its creation on; one connection serves one event loop; pyroute2 is loaded by the
first connection, so that what never makes one (the simulator) runs where there is no netlink.
"""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from detnet.datapath import netns
from detnet.errors import MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroute2 import AsyncIPRoute

Attributes = Any  # a decoded netlink attribute; pyroute2 has no types

_ABSENT = {errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}


def connect(namespace: str | None = None) -> AsyncIPRoute:
    """Connect to a namespace by its name, or to the calling process's own. Close it with `async with` or `.close()`."""
    from pyroute2 import AsyncIPRoute  # noqa: PLC0415 - for Linux alone

    if namespace is None:
        return AsyncIPRoute()
    with netns.inside(namespace):
        raw = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    return AsyncIPRoute(fileno=raw.detach())


def refusal() -> Any:
    """The type of the kernel's refusals."""
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415 - for Linux alone

    return NetlinkError


@contextmanager
def explain_missing(what: str, module: str) -> Iterator[None]:
    """Turn the kernel's "no such kind" into a sentence.

    Raises:
        MissingFeatureError: the kernel does not know the kind of link or queue.
    """
    try:
        yield
    except refusal() as error:
        if error.code in _ABSENT:
            raise MissingFeatureError(
                f"This kernel has no {what} ({module}).",
                f"load it (modprobe {module}) or run on a kernel that has it; `detnet doctor` shows what else is missing.",
            ) from error
        raise
