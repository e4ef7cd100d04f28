"""The run of the bench in its cell: fill, start the controller, look at it, end it.

    fill ──► cold sync ──► first limits ──► settle ──► quiet phase ──► busy phase ──► full rounds

In the busy phase one link in fifty is late for three decisions, then on time for three, in turn.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from detnet.bench import kube_fill
from detnet.bench import kube_objects as objects
from detnet.bench.kube import KubeCost, Memory, Phase
from detnet.bench.kube_agents import Agents
from detnet.bench.kube_audit import Audit, counted, delays
from detnet.bench.kube_controller import controller
from detnet.bench.kube_rounds import INTERVAL_S, full_rounds
from detnet.controller.readings import MOST_A_SECOND, WINDOW_S
from detnet.controller.settings import AGENT_PORT
from detnet.errors import DetnetError
from detnet.kube.access import read_kubeconfig
from detnet.kube.client import connect
from detnet.lab.kube import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detnet.bench.kube import KubeBench
    from detnet.bench.kube_controller import Running
    from detnet.bench.kube_plane import Plane

LATE_PART = 50  # one link in so many
TURN_S = 3 * INTERVAL_S
FILL_TIMEOUT_S = 60.0  # one request, where all connections are busy
SYNC_S, LEAD_S = 300.0, 120.0
STILL_S, SETTLE_S = 2 * INTERVAL_S, 120.0
SLOWEST_WRITES = 10  # a second, on a busy machine; the controller itself keeps below 200
LOOK_S = 0.25


async def measure(asked: KubeBench, plane: Plane, say: Callable[[str], None]) -> KubeCost:
    """Do all of it.

    Raises:
        DetnetError: a part did not do what it must.
    """
    node_of = {
        f"{space}/{pod['metadata']['name']}": pod["spec"]["nodeName"] for space, pod, _ in objects.pods(asked.pods, asked.links)
    }
    agents, audit = _agents(node_of, asked.links), Audit(plane.audit)
    began_s = time.monotonic()
    async with connect(read_kubeconfig(plane.kubeconfig), timeout_s=FILL_TIMEOUT_S) as admin:
        await kube_fill.fill(admin, pods=asked.pods, links=asked.links, law=asked.law, say=say)
        kubeconfig = plane.kubeconfig_for(await kube_fill.token(admin))
    fill_s = time.monotonic() - began_s
    say(f"bench: filled in {fill_s:.0f} s; starting the controller")
    async with await agents.listen(AGENT_PORT), controller(plane.folder, kubeconfig, asked.law) as running:
        await running.until_ready("ok", SYNC_S)
        cold_sync_s, ready = time.monotonic() - running.began_s, running.memory
        say(f"bench: ready after {cold_sync_s:.1f} s with {ready.now:.0f} MiB; waiting for the lease")
        await running.until_ready("ok, leading", LEAD_S)
        leads_s = time.monotonic()
        await _first_limits(audit, asked.pods, running)
        first_limits_s = time.monotonic() - leads_s
        say(f"bench: every pod was written after {first_limits_s:.0f} s; letting it settle")
        await _settled(audit)
        say(f"bench: quiet for {asked.phase_s:g} s")
        quiet, _, _ = await _phase(asked.phase_s, running, audit, agents)
        late = max(1, asked.links // LATE_PART)
        say(f"bench: {late} late links for {asked.phase_s:g} s; {running.memory.now:.0f} MiB")
        turns = asyncio.create_task(_turns(agents, late, asked.links))
        busy, from_s, to_s = await _phase(asked.phase_s, running, audit, agents)
        turns.cancel()
        await asyncio.sleep(1)
        audit.look()
        end, journal = running.memory, running.journal
        await running.end()
    say("bench: rounds of all links at once")
    return KubeCost(
        kubernetes=programs.version(),
        law=asked.law,
        pods=asked.pods,
        links=asked.links,
        fill_s=round(fill_s, 1),
        cold_sync_s=round(cold_sync_s, 2),
        rss_mib=Memory(ready=ready.now, end=end.now, peak=end.peak),
        first_limits_s=round(first_limits_s, 1),
        quiet=quiet,
        busy=busy,
        late_links=late,
        decision_to_annotation=delays(journal, audit.requests, node_of, from_s, to_s),
        full_round=await full_rounds(read_kubeconfig(kubeconfig), plane.folder, asked.law),
    )


def _agents(node_of: Mapping[str, str], links: int) -> Agents:
    """An agent for each node, which knows its pods, the critical one first."""
    on: dict[str, list[tuple[str, str]]] = {objects.node_name(number): [] for number in range(links)}
    for pod, node in node_of.items():
        namespace, _, name = pod.partition("/")
        on[node].append((namespace, name))
    return Agents(list(on.values()), max(WINDOW_S, links / MOST_A_SECOND))


async def _first_limits(audit: Audit, pods: int, running: Running) -> None:
    """Wait until each pod was written once."""
    deadline_s = time.monotonic() + LEAD_S + pods / SLOWEST_WRITES
    while True:
        audit.look()
        written = len({it.pod for it in audit.requests if it.done and it.pod})
        if written >= pods:
            return
        if time.monotonic() > deadline_s:
            raise DetnetError(f"only {written} of {pods} pods were written; {running.memory.now:.0f} MiB")
        await asyncio.sleep(LOOK_S)


async def _settled(audit: Audit) -> None:
    """Wait until no pod was written for some time; a law that always seeks is not waited for long."""
    deadline_s = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline_s:
        audit.look()
        if time.time() - max(it.at_s for it in audit.requests if it.pod) > STILL_S:
            return
        await asyncio.sleep(LOOK_S)


async def _phase(seconds: float, running: Running, audit: Audit, agents: Agents) -> tuple[Phase, float, float]:
    """Look at the controller for so long; give also from when to when, by the time of day."""
    before = await running.deciding()
    cpu_s, pages, began_s, from_s = running.cpu_s, agents.pages, time.monotonic(), time.time()
    await asyncio.sleep(seconds)
    took_s, to_s = time.monotonic() - began_s, time.time()
    cpu_s, pages = running.cpu_s - cpu_s, agents.pages - pages
    decided = await running.deciding()
    audit.look()
    its = audit.between(from_s, to_s)
    phase = Phase(
        seconds=round(took_s, 1),
        requests_per_minute=round(len(its) * 60 / took_s, 1),
        pod_writes_per_minute=round(sum(bool(it.pod) for it in its) * 60 / took_s, 1),
        requests=counted(its, took_s),
        cpu_cores=round(cpu_s / took_s, 3),
        pages_per_second=round(pages / took_s, 1),
        rounds_per_second=round((decided.rounds - before.rounds) / took_s, 1),
        decide_ms_mean=round(1000 * (decided.seconds - before.seconds) / max(1.0, decided.rounds - before.rounds), 3),
    )
    return phase, from_s, to_s


async def _turns(agents: Agents, late: int, links: int) -> None:
    """Make links late and on time, in turn."""
    which = {number * links // late for number in range(late)}
    while True:
        agents.late = which
        await asyncio.sleep(TURN_S)
        agents.late = set()
        await asyncio.sleep(TURN_S)
