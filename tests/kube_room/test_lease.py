"""The election in virtual time: whatever the network, the clocks and the pauses do, two never write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from detnet.errors import InputError
from detnet.kube.lease import Elector, Fence, Lease, LeaseSpec, Timing
from detnet.kube.ledger import Foreign, Plan, plan, read_record
from detnet.kube.views import EGRESS, PRIORITY, RECORD, Annotations, Meta, Pod
from detnet.units import Rate, mbps

TIMING = Timing()
NAMES = ("a", "b", "c")
candidates = st.sampled_from(NAMES)


class Server:
    """The API server's part: one lease, changed only in the version that is named."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.version, self.made = 0, 0

    def put(self, spec: LeaseSpec, seen: Lease | None) -> Lease | None:
        """Serve a claim; None: refused."""
        if (seen is None) != (self.lease is None):
            return None
        if seen and self.lease and seen.metadata.resource_version != self.lease.metadata.resource_version:
            return None
        if self.lease is None:
            self.made += 1
        self.version += 1
        born = f"2026-11-25T01:00:{self.made:02}Z"
        meta = Meta(name="l", uid=f"u{self.made}", resource_version=str(self.version), creation_timestamp=born)
        self.lease = Lease(metadata=meta, spec=spec)
        return self.lease


class Candidate:
    """An elector with a clock of its own, which runs at its own speed."""

    def __init__(self, name: str, ahead_s: float, speed: float) -> None:
        self.elector, self.ahead_s, self.speed, self.frozen_s = Elector(name, TIMING), ahead_s, speed, 0.0

    def now_s(self, real_s: float) -> float:
        return self.ahead_s + self.speed * (real_s - self.frozen_s)

    def may_write(self, real_s: float) -> bool:
        return self.elector.may_write(self.now_s(real_s))


class Flight:
    """A claim under way: sent, perhaps not yet served, perhaps never answered."""

    def __init__(self, by: Candidate, spec: LeaseSpec, real_s: float) -> None:
        self.by, self.spec, self.seen, self.sent_s = by, spec, by.elector.seen, by.now_s(real_s)
        self.answer: Lease | None = None
        self.served = False


class World(RuleBasedStateMachine):
    """Candidates, a server, and a network that delays and loses as it likes."""

    flights = Bundle("flights")

    def __init__(self) -> None:
        super().__init__()
        self.server, self.real_s = Server(), 0.0
        self.them: dict[str, Candidate] = {}

    # 10 s of the slowest clock are shorter than 15 s of the fastest, as the margin demands
    @initialize(ahead=st.tuples(*[st.floats(-1e6, 1e6)] * 3), speed=st.tuples(*[st.floats(0.85, 1.2)] * 3))
    def meet(self, ahead: tuple[float, ...], speed: tuple[float, ...]) -> None:
        self.them = {name: Candidate(name, ahead[i], speed[i]) for i, name in enumerate(NAMES)}

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0, 4.9, 9.9, 15.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.real_s += seconds

    @rule(name=candidates, late=st.sampled_from([0.0, 0.5, 3.0]))
    def look(self, name: str, late: float) -> None:
        lease, him = self.server.lease, self.them[name]
        self.real_s += late
        him.elector.observe(lease, him.now_s(self.real_s))

    @rule(target=flights, name=candidates)
    def send(self, name: str) -> Any:
        him = self.them[name]
        spec = him.elector.claim(him.now_s(self.real_s))
        return None if spec is None else Flight(him, spec, self.real_s)

    @rule(flight=flights)
    def serve(self, flight: Flight | None) -> None:
        """The request arrives, however late; nothing is said about the answer."""
        if flight and not flight.served:
            flight.served, flight.answer = True, self.server.put(flight.spec, flight.seen)

    @rule(flight=flights)
    def answer(self, flight: Flight | None) -> None:
        """The answer arrives at a candidate that has waited for it and sent nothing since."""
        if flight and flight.answer and flight.seen is flight.by.elector.seen:
            flight.by.elector.claimed(flight.answer, flight.sent_s, flight.by.now_s(self.real_s))

    @rule(name=candidates)
    def a_good_round(self, name: str) -> None:
        """What happens when nothing goes wrong: look, claim, hear."""
        him = self.them[name]
        him.elector.observe(self.server.lease, him.now_s(self.real_s))
        flight = self.send(name)
        self.serve(flight)
        self.answer(flight)

    @rule(name=candidates, watcher=candidates, seconds=st.sampled_from([2.0, 9.0, 9.9]))
    def a_slow_round(self, name: str, watcher: str, seconds: float) -> None:
        """The same, but the answer is long under way while another one watches."""
        him, other = self.them[name], self.them[watcher]
        him.elector.observe(self.server.lease, him.now_s(self.real_s))
        flight = self.send(name)
        self.serve(flight)
        other.elector.observe(self.server.lease, other.now_s(self.real_s))
        self.real_s += seconds
        self.answer(flight)

    @rule(name=candidates)
    def give_back(self, name: str) -> None:
        him = self.them[name]
        spec = him.elector.release(him.now_s(self.real_s))
        if spec is not None:
            self.server.put(spec, him.elector.seen)

    @precondition(lambda self: self.server.lease is not None)
    @rule()
    def somebody_deletes_the_lease(self) -> None:
        self.server.lease = None

    @invariant()
    def never_two(self) -> None:
        writers = [name for name, him in self.them.items() if him.may_write(self.real_s)]
        assert len(writers) <= 1, f"{writers} write at {self.real_s}"


class Frozen(RuleBasedStateMachine):
    """Clocks that stand still: two may believe to lead, and each pod keeps the order of the leaderships all the same."""

    writes = Bundle("writes")

    def __init__(self) -> None:
        super().__init__()
        self.server, self.real_s, self.pod_version = Server(), 0.0, 1
        self.them = {name: Candidate(name, 0.0, 1.0) for name in NAMES}
        self.pod = Pod(metadata=Meta(name="p", resource_version="1"))
        self.landed: list[Fence] = []
        self.server.put(LeaseSpec("", 1, 1), None)

    def look(self, name: str) -> None:
        self.them[name].elector.observe(self.server.lease, self.them[name].now_s(self.real_s))

    @rule(name=candidates)
    def a_good_round(self, name: str) -> None:
        self.look(name)
        him = self.them[name]
        now_s, seen = him.now_s(self.real_s), him.elector.seen
        spec = him.elector.claim(now_s)
        made = self.server.put(spec, seen) if spec else None
        if made:
            him.elector.claimed(made, now_s, now_s)

    @rule(name=candidates, other=candidates)
    def freeze_and_be_overtaken(self, name: str, other: str) -> None:
        if name != other and self.them[name].may_write(self.real_s):
            self.look(other)
            self.real_s += 40.0
            self.them[name].frozen_s += 40.0
            self.a_good_round(other)

    @rule(target=writes, name=candidates, rate=st.sampled_from([mbps(10), mbps(20), mbps(30)]))
    def decide(self, name: str, rate: Rate) -> Any:
        him = self.them[name]
        fence = him.elector.fence
        if fence is None or not him.may_write(self.real_s):
            return None
        return fence, self.pod, plan(self.pod, rate, fence, Foreign.OVERRIDE)

    @rule(write=writes)
    def land(self, write: tuple[Fence, Pod, Plan] | None) -> None:
        """A write reaches the server, however late; its version decides."""
        if write is None or write[2].patch is None or write[1].metadata.resource_version != self.pod.metadata.resource_version:
            return
        self.landed.append(write[0])
        self.pod_version += 1
        self.pod = patched(write[1], write[2].patch, self.pod_version)

    @rule(name=candidates, rate=st.sampled_from([mbps(10), mbps(20), mbps(30)]))
    def decide_and_land(self, name: str, rate: Rate) -> None:
        self.land(self.decide(name, rate))

    @invariant()
    def later_leaderships_write_later(self) -> None:
        assert self.landed == sorted(self.landed)


def patched(pod: Pod, patch: dict[str, str | None], version: int) -> Pod:
    now = pod.metadata.annotations
    said = {EGRESS: now.egress, PRIORITY: now.priority, RECORD: now.record} | patch
    annotations = Annotations(egress=said[EGRESS], priority=said[PRIORITY], record=said[RECORD])
    assert said[RECORD] is None or read_record(said[RECORD]) is not None
    return Pod(metadata=Meta(name=pod.metadata.name, resource_version=str(version), annotations=annotations))


TestNeverTwoWriters = World.TestCase
TestNeverTwoWriters.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


TestFrozenClocks = Frozen.TestCase
TestFrozenClocks.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def lease(holder: str | None, version: int = 1, *, transitions: int | None = 3, duration: int = 15) -> Lease:
    meta = Meta(name="l", uid="u", resource_version=str(version), creation_timestamp="2026-11-25T01:00:00Z")
    return Lease(metadata=meta, spec=LeaseSpec(holder, duration, transitions))


def test_a_lease_given_back_is_taken_at_once_and_counted() -> None:
    him = Elector("a", TIMING)
    him.observe(lease(""), 100.0)
    claim = him.claim(100.0)
    assert claim is not None
    assert claim.lease_transitions == 4
    him.claimed(Lease(metadata=lease("a", 2).metadata, spec=claim), 100.0, 100.2)
    assert him.may_write(100.2)
    assert him.fence == Fence("2026-11-25T01:00:00Z", 4)


def test_the_deadline_counts_from_before_the_renewal_was_sent() -> None:
    him = Elector("a", TIMING)
    him.claimed(lease("a"), 100.0, 108.0)
    assert him.may_write(109.99)
    assert not him.may_write(110.0)


def test_a_process_that_was_stopped_does_not_write_when_it_goes_on() -> None:
    him = Elector("a", TIMING)
    him.claimed(lease("a"), 100.0, 100.1)
    assert him.may_write(101.0)
    assert not him.may_write(100.0 + 3600)


def test_another_one_waits_for_what_the_holder_promised_on_its_own_clock() -> None:
    him = Elector("a", TIMING)
    him.observe(lease("b", duration=30), 5.0)
    assert him.claim(34.9) is None
    him.observe(lease("b", duration=30), 34.9)
    assert him.claim(35.0) is not None
    him.observe(lease("b", 2, duration=30), 35.0)
    assert him.claim(64.9) is None


def test_it_is_known_when_anothers_lease_runs_out() -> None:
    him = Elector("a", TIMING)
    assert him.runs_out_in_s(5.0) == 0
    him.observe(lease("b", duration=30), 5.0)
    assert him.runs_out_in_s(7.0) == 28
    assert him.runs_out_in_s(36.0) == 0
    for holder in ("", "a"):
        him.observe(lease(holder, 2), 40.0)
        assert him.runs_out_in_s(40.0) == 0


def test_who_makes_the_lease_waits_before_writing() -> None:
    him = Elector("a", TIMING)
    him.observe(None, 0.0)
    claim = him.claim(0.0)
    assert claim is not None
    made = Lease(metadata=lease("a").metadata, spec=claim)
    him.claimed(made, 0.0, 1.0)
    for sent_s in (4.0, 8.0, 12.0):
        him.claimed(made, sent_s, sent_s)
        assert not him.may_write(sent_s)
    assert him.may_write(16.0)


def test_who_has_made_the_lease_gives_it_back_only_after_the_wait() -> None:
    for given_back_s, gives in ((15.9, False), (16.0, True)):
        him = Elector("a", TIMING)
        him.observe(None, 0.0)
        made = Lease(metadata=lease("a").metadata, spec=LeaseSpec("a", 15, 0))
        him.claimed(made, 0.0, 1.0)
        assert (him.release(given_back_s) is not None) is gives
        assert not him.may_write(given_back_s)


def test_who_has_made_the_lease_and_never_heard_so_does_not_give_it_back() -> None:
    him = Elector("a", TIMING)
    him.observe(lease("a", transitions=0), 0.0)
    assert him.release(100.0) is None


def test_a_lease_in_another_hand_ends_the_leadership_at_once() -> None:
    him = Elector("a", TIMING)
    him.claimed(lease("a"), 0.0, 0.0)
    him.observe(lease("b", 2), 1.0)
    assert not him.may_write(1.0)
    assert him.fence is None
    assert him.release(1.0) is None


@pytest.mark.parametrize(("duration_s", "deadline_s", "retry_s"), [(10, 10, 2), (15, 10, 10), (15, 10, 0)])
def test_a_timing_without_a_margin_is_refused(duration_s: int, deadline_s: float, retry_s: float) -> None:
    with pytest.raises(InputError, match="lease timing"):
        Timing(duration_s=duration_s, renew_deadline_s=deadline_s, retry_s=retry_s)
