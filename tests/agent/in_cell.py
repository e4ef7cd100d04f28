"""What the tests of the agent do inside a cell of their own. Usage: python in_cell.py CASE; prints one line of JSON.

A pod is a network namespace with a cable to the node's (the cell's own), and a process in it. Its control group is a file put in the
place of the kernel's, so that no right to make groups is needed.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.pods import UID, pod
from detnet.agent.aims import State
from detnet.agent.cables import Cables
from detnet.agent.enforcer import Enforcer
from detnet.agent.flows import Flows, Wanted
from detnet.agent.networks import INTERFACE, Networks
from detnet.agent.paths import ProbeConfig
from detnet.agent.sent import Sent, managed
from detnet.agent.service import PEERS_S, Agent, AgentConfig
from detnet.control.reading import Quality
from detnet.datapath import netns, sandbox, shaping, syscalls
from detnet.datapath.bpf.flows import FlowCounter
from detnet.datapath.links import Links
from detnet.errors import InputError
from detnet.kube.access import Access
from detnet.kube.client import connect
from detnet.kube.store import Store
from detnet.kube.views import EGRESS
from detnet.sense.scrape import ScrapeSensor, fetched
from detnet.units import Rate, mbps
from kube_room.fake_api import FakeApi, fake_api

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from detnet.agent.sent import PodSent
    from detnet.kube.views import Pod

POD, CABLE = "pod-b", "veth-b"
NODE_IP, POD_IP = "198.18.0.1", "198.18.0.2"
BULK = "/api/v1/namespaces/default/pods/bulk"
CILIUM = "/api/v1/namespaces/kube-system/configmaps/cilium-config"
PORT = 5001
DATAGRAMS = 50
SETTLE_S, MEASURE_S, MOST_WINDOWS = 0.5, 1.0, 10
SLEEP = "import time; time.sleep(1000)"
SEND = f"""
import socket, time
while True:
    try:
        with socket.create_connection(("{NODE_IP}", {PORT})) as sock:
            while True:
                sock.sendall(bytes(65536))
    except OSError:
        time.sleep(0.05)  # until the sink listens
"""
SINK = f"""
import socket
with socket.create_server(("", {PORT})) as server:
    while True:
        sock, _ = server.accept()
        while sock.recv(1 << 18):
            pass
"""


def put_into_pod(process: int, uid: str) -> None:
    """Have the kernel's file say that a process is in a pod."""
    said = Path(f"/run/cgroup-{process}")
    said.write_text(f"0::/kubepods/burstable/pod{uid}/{'0' * 64}\n")
    syscalls.mount(str(said), f"/proc/{process}/cgroup", "none", syscalls.MS_BIND)


def start(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program])


def start_pod() -> subprocess.Popen[bytes]:
    """The pod's first process; a helper of the runtime is in the same group, and older, but in the node's network."""
    helper = start(SLEEP)
    put_into_pod(helper.pid, UID)
    with netns.inside(POD):
        pause = start(SLEEP)
    put_into_pod(pause.pid, UID)
    return pause


async def plug() -> None:
    netns.create(POD)
    netns.disable_ipv6(POD)
    async with Links() as node, Links(POD) as links:
        await node.up("lo")
        await node.add_veth(CABLE, peer=INTERFACE, peer_namespace=POD)
        await node.add_address(CABLE, NODE_IP, 24)
        await links.up(INTERFACE)
        await links.add_address(INTERFACE, POD_IP, 24)


async def limit() -> int | None:
    async with Links(POD) as links:
        found = await shaping.read_rate(links, INTERFACE)
    return None if found is None else int(found)


async def undo() -> None:
    """What a pod with NET_ADMIN may do."""
    async with Links(POD) as links:
        await shaping.clear_rate(links, INTERFACE)


async def sent_by_queue() -> int:
    """What our queue has sent since it was made: a queue that is made anew begins at 0."""
    async with Links(POD) as links:
        async for queue in await links.netlink.get_qdiscs(index=await links.index(INTERFACE)):
            if queue["handle"] == shaping.HANDLE:
                return int(queue.get_attr("TCA_STATS2").get_attr("TCA_STATS_BASIC")["bytes"])
    return -1


def told() -> tuple[list[str], Callable[..., None]]:
    events: list[str] = []
    return events, lambda event, **_: events.append(event)


async def rates() -> dict[str, Any]:
    """What a pod's TCP is held to, on the wire, in Mbit/s: windows until the machine gave the sender the time to fill its limit."""
    start_pod()
    sink = start(SINK)
    with netns.inside(POD):
        sender = start(SEND)
    enforcer = Enforcer(Networks(), told()[1])
    measured: dict[str, list[float]] = {}
    async with Links() as node:
        await until(lambda: _carried(node, 10_000))
        for rate in (10, 50, 200):
            state = await enforcer.visit(pod(mbps(rate)))
            assert state.state is State.LIMITED, state
            await asyncio.sleep(SETTLE_S)
            windows = measured.setdefault(str(rate), [])
            while len(windows) < MOST_WINDOWS and not (windows and windows[-1] > 0.95 * rate):
                before = await node.counters()
                await asyncio.sleep(MEASURE_S)
                after = await node.counters()
                received = after.interfaces[CABLE].received_bytes - before.interfaces[CABLE].received_bytes
                windows.append(received * 8 / (after.at_s - before.at_s) / 1e6)
    for process in (sender, sink):
        process.kill()
    return measured


async def _carried(node: Links, least_bytes: int) -> bool:
    return (await node.counters()).interfaces[CABLE].received_bytes > least_bytes


async def life() -> dict[str, Any]:
    """A pod's limit from its first to its last day, through restarts of the agent."""
    events, say = told()
    networks = Networks()
    one = Enforcer(networks, say)
    seen: dict[str, Any] = {"before": (await one.visit(pod("10M"))).state}
    start_pod()
    await asyncio.sleep(0.3)  # a new scan is due
    seen["new"] = [(await one.visit(pod("10M"))).state, await limit()]
    seen["changed"] = [(await one.visit(pod("25M"))).changed, await limit()]
    seen["unreadable"] = [(await one.visit(pod("10Mbps"))).state, await limit()]
    with netns.inside(POD), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # a queue that is made anew would show
        sock.sendto(bytes(1000), (NODE_IP, 9))
    await asyncio.sleep(0.1)
    sent = await sent_by_queue()
    two = Enforcer(networks, say)
    seen["adopted unreadable"] = [(await two.visit(pod("10Mbps"))).changed, await limit()]
    three = Enforcer(networks, say)
    seen["adopted"] = [(await three.visit(pod("25M"))).changed, await limit(), three.counts.applied]
    seen["the same queue"] = 0 < sent <= await sent_by_queue()
    await undo()
    seen["undone"] = [(await three.visit(pod("25M"))).limit, await limit(), three.counts.undone, "undone" in events]
    await undo()
    seen["undone unreadable"] = [(await three.visit(pod("nonsense"))).limit, await limit(), three.counts.undone]
    seen["again"] = [(await three.visit(pod("25M"))).changed, three.counts.undone]
    seen["left"] = [(await three.visit(pod("25M"), left_to="Cilium")).state, await limit()]
    seen["back"] = [(await three.visit(pod("25M"))).state, await limit()]
    seen["removed"] = [(await three.visit(pod())).state, await limit(), three.counts.removed]
    return seen


async def foreign() -> dict[str, Any]:
    """A queue that somebody else put at the pod's interface, and a pod that is on the node's network."""
    enforcer, networks = Enforcer(Networks(), told()[1]), Networks()
    start_pod()
    async with Links(POD) as links:
        index = await links.index(INTERFACE)
        await links.netlink.tc("add", "pfifo", index=index, handle=0x1_0000, limit=7)
        state = await enforcer.visit(pod("10M"))
        again = await enforcer.visit(pod())
        kinds = [(queue.get_attr("TCA_KIND"), queue["handle"]) async for queue in await links.netlink.get_qdiscs(index=index)]
    host = start(SLEEP)
    other = "99999999-2222-3333-4444-555555555555"
    put_into_pod(host.pid, other)
    with networks.hold(other) as network:
        found = network is not None
    return {"state": state.state, "without": again.state, "kinds": kinds, "host found": found,
            "host": (await enforcer.visit(pod("10M", uid=other))).state}  # fmt: skip


async def sent() -> dict[str, Any]:
    """What pods send, counted at the node's end of their cables; `stray` has a cable that does not lead to the node."""
    stray = "99999999-2222-3333-4444-555555555555"
    for name in ("pod-c", "elsewhere"):
        netns.create(name)
    async with Links("pod-c") as links:
        await links.add_veth(INTERFACE, peer="far", peer_namespace="elsewhere")
    with netns.inside("pod-c"):
        put_into_pod(start(SLEEP).pid, stray)
    start_pod()
    pods: Store[Pod] = Store()
    pods.replace([pod(priority="guaranteed"), pod("10M", name="stray", uid=stray), pod(name="plain", uid="none")])

    def look_for() -> Cables:
        return Cables(lambda: {it.metadata.uid for it in managed(pods.all())}, Networks())

    cables = look_for()
    counting = Sent(pods, cables)
    await cables.look()

    async def counted(by: Sent) -> list[PodSent]:
        async with Links() as node:
            return by.counted(await node.counters_by_index())

    seen: dict[str, Any] = {"names": [it.name for it in await counted(counting)]}
    before = (await counted(counting))[0]
    with netns.inside(POD), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(DATAGRAMS):
            sock.sendto(bytes(1000), (NODE_IP, 9))
    after = (await counted(counting))[0]
    seen["grew"] = [after.bytes - before.bytes, after.packets - before.packets]
    cables_again = look_for()
    again = Sent(pods, cables_again)
    await cables_again.look()
    seen["after a restart"] = (await counted(again))[0].packets >= after.packets
    async with Links() as node, Links(POD) as links:
        await node.netlink.link("del", index=await node.index(CABLE))
        seen["gone"] = await counted(counting)
    async with Links() as node, Links(POD) as links:
        await node.add_veth(CABLE, peer=INTERFACE, peer_namespace=POD)
        await links.up(INTERFACE)
    await asyncio.sleep(1.1)  # looked for again, not at once
    await cables.look()
    seen["anew"] = [it.packets < DATAGRAMS for it in await counted(counting)]
    pods.replace([])
    await cables.look()
    seen["left"] = await counted(counting)
    return seen


async def until(holds: Callable[[], Awaitable[bool]]) -> float:
    began_s = time.monotonic()
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - the tests' only clock
            await asyncio.sleep(0.005)
    return time.monotonic() - began_s


async def whole() -> dict[str, Any]:
    """The agent as it runs on a node, with an API server that obeys and another agent's reflector: its own."""
    start_pod()
    seen: dict[str, Any] = {}
    async with Links() as node:
        await node.add_bridge("bwp0123456789")  # stands for what the CNI plug-in makes
    config = AgentConfig(
        node="n1", host="127.0.0.1", port=9320, probe=ProbeConfig(port=8620, ssid=862, period_s=0.002, window_s=0.5),
        peers={"n2": "127.0.0.1"},
    )  # fmt: skip
    async with fake_api() as fake, connect(Access(server=fake.url)) as client:
        await _bulk(fake, "10M")
        await fake.put(
            "/api/v1/nodes/n1",
            {"metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": NODE_IP}]}, "spec": {}},
        )
        agent = asyncio.create_task(Agent(config, client).run())
        sensor = ScrapeSensor(lambda: fetched("127.0.0.1", 9320), source="n1", window_s=1.5)
        await until(lambda: _is(mbps(10)))
        await until(lambda: _has("ok", "/readyz"))
        await _bulk(fake, "20M")
        seen["delay_s"] = await until(lambda: _is(mbps(20)))
        await until(lambda: _has('detnet_flow_sent_total{class="critical"', "/metrics"))
        await until(lambda: _has("detnet_pod_sent_bytes_total{", "/metrics"))
        readings = [await sensor.read()]
        while len(readings) < MOST_WINDOWS and readings[-1].quality is not Quality.FRESH:
            readings.append(await sensor.read())
        traffic = readings[-1].traffic
        seen["traffic"] = traffic is not None and [traffic.link_bps is not None, sorted(traffic.pods)]
        seen["readings"] = [(r.quality, r.samples, r.jitter_p95_ms, r.loss_forward_ratio) for r in readings]
        seen["page"] = await fetched("127.0.0.1", 9320)
        agent.cancel()
        await asyncio.wait({agent})
        seen["stays"] = await limit()
        dead = await sensor.read()
        seen["dead"] = [dead.quality, dead.quality_reason]
        agent = asyncio.create_task(Agent(config, client).run())
        await until(lambda: _has("ok", "/readyz"))
        page = await fetched("127.0.0.1", 9320)
        seen["adopted"] = [await limit(), 'detnet_limit_changes_total{result="applied"} 0' in page]
        await _bulk(fake, None)
        await until(lambda: _is(None))
        await _bulk(fake, "30M")
        await until(lambda: _is(mbps(30)))
        agent.cancel()
        await asyncio.wait({agent})
        await fake.put(CILIUM, {"metadata": {"name": "cilium-config"}, "data": {"enable-bandwidth-manager": "true"}})
        agent = asyncio.create_task(Agent(config, client).run())
        await until(lambda: _is(None))
        await until(lambda: _has('detnet_pods{state="left"} 1', "/metrics"))
        agent.cancel()
        await asyncio.wait({agent})
    seen["processes left"] = _left()
    return seen


async def _bulk(fake: FakeApi, value: str | None) -> None:
    meta = {"name": "bulk", "annotations": {} if value is None else {EGRESS: value}}
    body = {"metadata": meta, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}
    new = fake.object(BULK) is None
    await fake.put(BULK, body)
    known = fake.object(BULK)
    if new and known is not None:  # before anybody has looked: the UID that the process has
        known["metadata"]["uid"] = UID


async def _is(wanted: Rate | None) -> bool:
    return await limit() == wanted


async def _has(text: str, path: str) -> bool:
    try:
        return text in await fetched("127.0.0.1", 9320, path=path)
    except (OSError, InputError):
        return False


def _left() -> list[str]:
    """Processes of the agent that outlive it."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and "detnet.agent" in (said := (folder / "cmdline").read_text()):
                found.append(said.replace("\0", " "))
    return found


PLANT = "/apis/qos.detnet.dev/v1alpha1/namespaces/default/qospolicies/plant"
CRITICAL_PORT = 5201
ARM, ARM_CABLE, ARM_UID = "pod-arm", "veth-arm", "22222222-2222-3333-4444-555555555555"
ARM_NODE_IP, ARM_IP = "198.18.1.1", "198.18.1.2"
PACKETS, PERIOD_S = 2000, 0.001
ROBOT = f"""
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    at_s = time.monotonic()
    for _ in range({PACKETS}):
        sock.sendto(bytes(100), ("{ARM_IP}", {CRITICAL_PORT}))
        at_s += {PERIOD_S}
        time.sleep(max(0, at_s - time.monotonic()))
"""


async def passive() -> dict[str, Any]:
    """A critical flow from one pod of the node to another, counted by the agent at both ends, until there is no such flow any more."""
    if unable := _no_bpf():
        return unable
    netns.create(ARM)
    netns.disable_ipv6(ARM)
    async with Links() as node, Links(ARM) as links:
        await node.add_veth(ARM_CABLE, peer=INTERFACE, peer_namespace=ARM)
        await node.add_address(ARM_CABLE, ARM_NODE_IP, 24)
        await links.up(INTERFACE)
        await links.add_address(INTERFACE, ARM_IP, 24)
        await links.netlink.route("add", dst="default", gateway=ARM_NODE_IP)
    async with Links(POD) as links:
        await links.netlink.route("add", dst="default", gateway=NODE_IP)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")  # noqa: ASYNC240 - nothing else runs yet
    start_pod()
    with netns.inside(ARM):
        put_into_pod(start(SLEEP).pid, ARM_UID)
    config = _watching()
    seen: dict[str, Any] = {}
    async with fake_api() as fake, connect(Access(server=fake.url)) as client:
        await _critical_pods(fake)
        await fake.put("/api/v1/nodes/n1", {"metadata": {"name": "n1"}, "spec": {"podCIDRs": ["198.18.0.0/23", "nonsense"]}})
        agent = asyncio.create_task(Agent(config, client).run())
        await until(lambda: _counted_at(2))
        with netns.inside(POD):
            robot = await asyncio.create_subprocess_exec(sys.executable, "-c", ROBOT)
        await robot.wait()
        seen["page"] = await fetched("127.0.0.1", 9320)
        await fake.delete(PLANT)
        await until(lambda: _counted_at(0))
        await asyncio.sleep(1.5)
        seen["after"] = await fetched("127.0.0.1", 9320)
        await fake.put(PLANT, _plant())
        await until(lambda: _counted_at(2))
        agent.cancel()
        await asyncio.wait({agent})
    seen["filters left"] = await _filters()
    async with Links() as node:
        with FlowCounter([1]) as killed:  # an agent that could not clean up
            await killed.attach(node, await node.index(CABLE))
    seen["of one that was killed"] = await _filters()
    await Flows("n1", lambda _: "", told()[1]).follow([], {})
    seen["after the next one"] = await _filters()
    if setpriv := shutil.which("setpriv"):
        command = (setpriv, "--bounding-set", "-sys_admin,-bpf", sys.executable, __file__, "refused")
        done = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        seen["refused"] = json.loads((await done.communicate())[0].splitlines()[-1])
    return seen


async def crowd() -> dict[str, Any]:
    """A pod that sends to more peers than are told, then to more than the kernel has room for, some of which are idle by then."""
    if unable := _no_bpf():
        return unable
    async with Links(POD) as links:
        await links.netlink.route("add", dst="default", gateway=NODE_IP)
    async with Links() as node:
        ends = {UID: await node.index(CABLE)}
    now_s, (events, say) = [0.0], told()
    flows = Flows("n1", str, say, clock=lambda: now_s[0])
    asked = [Wanted(UID, POD_IP, "robot", socket.IPPROTO_UDP, CRITICAL_PORT, 1.0)]

    def send(first: int, count: int) -> None:
        with netns.inside(POD), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for peer in range(first, first + count):
                sock.sendto(b"?", (f"198.19.{peer >> 8}.{peer & 255}", CRITICAL_PORT))

    def figures() -> dict[str, int]:
        return {it.destination: it.packets for it in flows.figures()}

    await flows.follow(asked, ends)
    for _ in range(3):
        send(0, 100)
    seen: dict[str, Any] = {"few": sorted(set(figures().values())), "count": len(figures())}
    await flows.follow([], ends)
    seen["kept"] = sorted(set(figures().values()))
    await flows.follow(asked, ends)
    send(0, 100)
    seen["again"] = sorted(set(figures().values()))
    send(100, 600)
    seen["many"] = [len(figures()), len(figures()), events]
    now_s[0] += 61
    seen["idle"] = [len(figures()), sorted(set(figures().values()))]
    send(700, 900)
    seen["no room for"] = flows.not_counted
    seen["in the end"] = [len(figures()), max(figures().values())]
    await flows.close()
    return seen


async def aimed() -> dict[str, Any]:
    """The agent in a cluster of seven nodes, all of them this machine, and its pod that sends to one of them, then to two."""
    if unable := _no_bpf():
        return unable
    start_pod()
    async with Links(POD) as links:
        await links.netlink.route("add", dst="default", gateway=NODE_IP)
    config = _watching(peer_count=2)
    seen: dict[str, Any] = {}
    async with fake_api() as fake, connect(Access(server=fake.url)) as client:
        for number in range(1, 8):
            addresses = [{"type": "InternalIP", "address": f"127.0.0.{number}"}]
            it = {
                "metadata": {"name": f"n{number}"},
                "spec": {"podCIDRs": [f"198.19.{number}.0/24"]},
                "status": {"addresses": addresses},
            }
            await fake.put(f"/api/v1/nodes/n{number}", it)
        await _critical_pods(fake)
        agent = asyncio.create_task(Agent(config, client).run())
        await until(_two_are_probed)
        seen["before"] = sorted(before := await _probed())
        seen["used"] = used = next(f"n{number}" for number in range(2, 8) if f"n{number}" not in before)
        other = next(f"n{number}" for number in range(2, 8) if f"n{number}" not in {used, *before})
        with netns.inside(POD):
            robots = [start(_robot_to(f"198.19.{used[1:]}.9", every_s=0.02))]

        async def is_probed() -> bool:
            return used in await _probed()

        await until(is_probed)
        await until(_two_are_probed)
        seen["after"] = sorted(after := await _probed())
        seen["ring's path went on"] = all(after[name] > before[name] for name in after if name != used)
        with netns.inside(POD):
            robots.append(start(_robot_to(f"198.19.{other[1:]}.9", every_s=0.001)))
        await asyncio.sleep(2 * PEERS_S + 1)
        seen["with a busier flow to another"] = sorted(await _probed())
        for robot in robots:
            robot.kill()
        agent.cancel()
        await asyncio.wait({agent})
    return seen


def _no_bpf() -> dict[str, Any] | None:
    """Why no program can be loaded here; None where one can."""
    try:
        FlowCounter([1]).close()
    except OSError as error:
        return {"no bpf": str(error)}
    return None


def _watching(peer_count: int = 0) -> AgentConfig:
    """An agent that watches flows, with slow probes."""
    probe = ProbeConfig(port=8620, ssid=862, period_s=0.01)
    return AgentConfig(node="n1", host="127.0.0.1", port=9320, probe=probe, peer_count=peer_count)


async def _probed() -> dict[str, int]:
    """How many probes were sent, by destination."""
    found = re.findall(r'detnet_flow_sent_total{[^}]*destination="(\w+)"} (\d+)', await _page())
    return {name: int(sent) for name, sent in found}


async def _two_are_probed() -> bool:
    return len(found := await _probed()) == 2 and all(found.values())


async def _page() -> str:
    try:
        return await fetched("127.0.0.1", 9320)
    except (OSError, InputError):
        return ""


def _robot_to(address: str, every_s: float) -> str:
    return f"""
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    while True:
        sock.sendto(bytes(100), ("{address}", {CRITICAL_PORT}))
        time.sleep({every_s})
"""


async def refused() -> dict[str, Any]:
    """The same agent without the right to load a program."""
    config = _watching()
    said = io.StringIO()
    async with fake_api() as fake, connect(Access(server=fake.url)) as client:
        await _critical_pods(fake)
        with redirect_stdout(said):
            agent = asyncio.create_task(Agent(config, client).run())
            await until(lambda: _has("detnet_passive_up 0", "/metrics"))
            await until(_in(said, '"counts":false'))
            await asyncio.sleep(1.5)
            ready = await _has("ok", "/readyz")
            agent.cancel()
            await asyncio.wait({agent})
    return {"ready": ready, "said": [line for line in said.getvalue().splitlines() if '"event":"passive"' in line]}


def _in(said: io.StringIO, words: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return words in said.getvalue()

    return holds


async def _critical_pods(fake: FakeApi) -> None:
    for name, uid, address in (("robot", UID, POD_IP), ("arm", ARM_UID, ARM_IP)):
        path = f"/api/v1/namespaces/default/pods/{name}"
        meta = {"name": name, "labels": {"app": "robot"}}
        await fake.put(path, {"metadata": meta, "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIP": address}})
        known = fake.object(path)
        assert known is not None
        known["metadata"]["uid"] = uid
    await fake.put(PLANT, _plant())


def _plant() -> dict[str, Any]:
    flow = {"name": "robot-control", "selector": {"matchLabels": {"app": "robot"}}, "protocol": "UDP", "port": CRITICAL_PORT}
    return {"metadata": {"name": "plant", "namespace": "default"}, "spec": {"mode": "Observe", "critical": [flow]}}


async def _filters() -> int:
    """How many filters there are at the ends of both cables."""
    found = 0
    async with Links() as node:
        for cable in (CABLE, ARM_CABLE):
            index = await node.index(cable)
            for parent in (0xFFFF_FFF2, 0xFFFF_FFF3):
                found += len({it["handle"] async for it in await node.netlink.get_filters(index=index, parent=parent)} - {0})
    return found


async def _counted_at(cables: int) -> bool:
    return await _filters() == 2 * cables


CASES = {it.__name__: it for it in (passive, crowd, aimed, refused, sent, rates, life, foreign, whole)}


async def _case(name: str) -> None:
    if name != "refused":  # the cell of `passive` is its own
        await plug()
    print(json.dumps(await CASES[name]()))


def _inside() -> int:
    asyncio.run(_case(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(_inside() if sys.argv[1] == "refused" else sandbox.keep(_inside, None))
