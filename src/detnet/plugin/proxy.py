"""Pages of detnet's pods from outside the cluster, through the API server's proxy, or of a controller that was forwarded.

    GET /api/v1/namespaces/kube-system/pods/NAME:9321/proxy/decisions

Invariants: a page that cannot be had is told with the reason, the right that it takes, and another way; nothing of our credentials is
sent to an address that was given by `--url`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from detnet.control import codec
from detnet.controller.diary import LinkEntry
from detnet.controller.settings import PORT
from detnet.errors import InputError, MissingFeatureError
from detnet.kube.access import Access
from detnet.kube.client import connect
from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.views import PODS

if TYPE_CHECKING:
    from detnet.kube.client import Client
    from detnet.plugin.site import Site

PATIENCE_S = 10.0
DECISIONS = "/decisions"
_DENIED = (401, 403)
_NO_WAY = (500, 502, 503, 504)
_decode = codec.decoder(LinkEntry)


async def page(client: Client, namespace: str, pod: str, port: int, path: str, *, timeout_s: float = PATIENCE_S) -> str:
    """Read a page of a pod through the API server.

    Raises:
        MissingFeatureError: it cannot be had; says what is in the way, and what to do.
    """
    try:
        body = await client.read(PODS.path(namespace, f"{pod}:{port}", "proxy") + path, timeout_s=timeout_s)
    except (ApiError, UnreachableError) as error:
        raise _explained(error, namespace, pod, port) from error
    return body.decode("utf-8", "replace")


async def decisions(site: Site, url: str = "") -> list[LinkEntry]:
    """The last decisions of the controller that leads, the oldest first; of the one at `url`, if one is given.

    Raises:
        InputError: the address cannot be used.
        MissingFeatureError: they cannot be had.
    """
    if url:
        return read_decisions(await _direct(url), url)
    if site.lease_hidden:
        raise MissingFeatureError(
            site.lease_hidden, f"you need the right to get leases in {site.home}: docs/kubectl.md has the role"
        )
    if not site.leader:
        lease = f"{site.home}/{site.settings.lease.name}"
        raise MissingFeatureError(
            f"nobody decides: the lease {lease} has no holder",
            f"see the controller's pods: kubectl get pods -n {site.home} -l app.kubernetes.io/name=detnet",
        )
    return read_decisions(await page(site.client, site.home, site.leader, PORT, DECISIONS), f"pod {site.home}/{site.leader}")


def read_decisions(text: str, whose: str) -> list[LinkEntry]:
    """Read lines of decisions.

    Raises:
        MissingFeatureError: a line is none.
    """
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entries.append(_decode(line))
        except (msgspec.DecodeError, UnicodeError) as error:
            raise MissingFeatureError(
                f"line {number} of {DECISIONS} of {whose} cannot be read: {error}", "use the detnet that the controller is"
            ) from error
    return entries


def newest(entries: list[LinkEntry]) -> dict[str, LinkEntry]:
    """The last decision about each link, by node."""
    return {entry.node: entry for entry in entries}


async def _direct(url: str) -> str:
    """Ask a controller itself; nobody signs in there."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise InputError("--url", url, "an address such as http://127.0.0.1:9321")
    async with connect(Access(server=f"{parts.scheme}://{parts.netloc}"), timeout_s=PATIENCE_S) as client:
        try:
            return (await client.read(parts.path.rstrip("/").removesuffix(DECISIONS) + DECISIONS)).decode("utf-8", "replace")
        except ApiError as error:
            raise MissingFeatureError(f"{url} answered {error.code}: {error.message}", "give a controller's address") from error
        except UnreachableError as error:
            raise MissingFeatureError(
                f"{url} does not answer: {error}", f"kubectl port-forward -n NAMESPACE pod/LEADER {PORT}"
            ) from error


def _explained(error: ApiError | UnreachableError, namespace: str, pod: str, port: int) -> MissingFeatureError:
    forward = (
        f"; or: kubectl port-forward -n {namespace} pod/{pod} {port}, and --url http://127.0.0.1:{port}" if port == PORT else ""
    )
    where = f"{namespace}/{pod}:{port}"
    if isinstance(error, ApiError) and error.code in _DENIED:
        return MissingFeatureError(
            f"pages of pods may not be read: {error}",
            f"you need the right to get pods/proxy in {namespace}: docs/kubectl.md has the role{forward}",
        )
    if isinstance(error, UnreachableError) or error.code in _NO_WAY:
        return MissingFeatureError(
            f"the API server does not reach pod {where}: {error}",
            f"let it reach TCP {port} of that pod (network policies, routes from the control plane to pods){forward}",
        )
    return MissingFeatureError(f"pod {where} does not give the page: {error}", f"see whether it runs{forward}")
