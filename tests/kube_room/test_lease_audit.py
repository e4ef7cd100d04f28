"""The judge of the lease's soak: what it finds in forged logs, and that it finds nothing in honest ones."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.lease import audit, faults
from bench.lease.audit import LEASES, PODS, Write
from bench.lease.judge import Fault, judge
from detnet.errors import InputError

LEASE = "kube-system/ml-controller"
GAP_S = 25.0
BOTH = ["user-a", "user-b"]
WRITERS = st.sampled_from(["a", "b"])


class Log:
    """An honest log, second by second; `forge` puts in what honest replicas would not do."""

    def __init__(self) -> None:
        self.now_s, self.version, self.transition, self.holder = 1000.0, 10, 0, ""
        self.writes: list[Write] = []
        self._pods = {"factory/p": 5, "factory/q": 6}
        self._lease = 9

    def write(self, writer: str, kind: str, key: str, base: int, code: int = 200, **more: Any) -> None:
        version = 0
        if code == 200:
            self.version += 1
            version = self.version
        self.writes.append(
            Write(user=f"user-{writer}", writer=writer, kind=kind, key=key, code=code, base=base, version=version,
                  received_s=self.now_s, answered_s=self.now_s + 0.01, **more)
        )  # fmt: skip

    def hold(self, writer: str, holder: str | None = None) -> None:
        """Take, renew or (with "" as holder) give back the lease."""
        named = writer if holder is None else holder
        if named not in {"", self.holder}:
            self.transition += 1
        self.holder = named
        self.write(writer, LEASES, LEASE, self._lease, holder=named, duration_s=15, transition=self.transition)
        self._lease = self.version

    def pod(self, writer: str, key: str = "factory/p", *, code: int = 200, transition: int | None = None) -> None:
        fence = self.transition if transition is None else transition
        self.write(writer, PODS, key, self._pods[key], code, transition=fence)
        if code == 200:
            self._pods[key] = self.version

    def later(self, seconds: float) -> None:
        self.now_s += seconds

    def found(self, until_s: float | None = None) -> list[Fault]:
        return [it.fault for it in judge(self.writes, users=BOTH, gap_s=GAP_S, until_s=until_s).findings]


def handed_over() -> Log:
    """One leads and writes, dies, and another leads and writes."""
    log = Log()
    for _ in range(4):
        log.hold("a")
        log.pod("a")
        log.later(4)
    log.later(13)
    log.hold("b")
    log.pod("b")
    return log


def test_an_honest_hand_over_is_fine() -> None:
    log = handed_over()
    verdict = judge(log.writes, users=BOTH, gap_s=GAP_S)
    assert verdict.findings == []
    assert (verdict.writes, [term.writer for term in verdict.terms]) == (5, ["a", "b"])
    assert verdict.longest is not None
    assert verdict.longest.length_s == pytest.approx(17)


def test_a_write_after_another_took_the_lease_is_found_by_its_version_whatever_the_clocks_say() -> None:
    log = handed_over()
    log.now_s -= 5  # as if it had come before
    log.pod("a", transition=log.transition - 1)
    assert log.found() == [Fault.NOT_HOLDER]


def test_the_same_write_refused_is_no_fault_and_counted() -> None:
    log = handed_over()
    log.later(1)
    log.pod("a", code=409, transition=log.transition - 1)
    verdict = judge(log.writes, users=BOTH, gap_s=GAP_S)
    assert (verdict.findings, verdict.refused, verdict.kept_out) == ([], {409: 1}, 1)


def test_a_write_that_changed_nothing_is_no_fault() -> None:
    log = handed_over()
    log.writes.append(msgspec.structs.replace(log.writes[-1], user="user-a", writer="a", base=log.writes[-1].version))
    assert log.found() == []


def test_a_write_while_nobody_holds_the_lease_is_found() -> None:
    log = handed_over()
    log.hold("b", "")
    log.pod("b")
    assert log.found() == [Fault.NOT_HOLDER]


def test_a_write_before_there_was_a_lease_is_found() -> None:
    log = Log()
    log.pod("a")
    log.hold("a")
    assert log.found() == [Fault.NOT_HOLDER]


def test_another_process_of_the_same_replica_is_another_writer() -> None:
    log = handed_over()
    log.writes.append(msgspec.structs.replace(log.writes[-1], writer="b again", version=log.version + 1, base=log.version))
    assert log.found() == [Fault.NOT_HOLDER]


def test_a_write_under_a_lease_that_had_run_out_is_found_also_where_nobody_took_it() -> None:
    log = handed_over()
    log.later(15.5)
    log.pod("b")
    assert log.found() == [Fault.TOO_LATE]


def test_who_makes_the_lease_has_to_wait() -> None:
    for waits_s, found in ((1.0, [Fault.TOO_EARLY]), (15.5, [])):
        log = Log()
        log.write("a", LEASES, LEASE, 0, holder="a", duration_s=15, transition=0)
        log.holder, log._lease = "a", log.version
        log.later(waits_s)
        log.hold("a")
        log.pod("a", transition=0)
        assert log.found() == found


def test_a_record_of_another_leadership_is_found() -> None:
    log = handed_over()
    log.pod("b", transition=log.transition - 1)
    assert log.found() == [Fault.WRONG_FENCE]


def test_a_lease_renewed_for_another_is_found() -> None:
    log = handed_over()
    log.hold("a", "b")
    assert log.found() == [Fault.BORROWED]


def test_a_gap_is_found_between_writes_and_at_the_end() -> None:
    log = handed_over()
    for _ in range(14):
        log.later(2)
        log.hold("b")
    log.pod("b")
    assert log.found() == [Fault.GAP]
    assert log.found(until_s=log.now_s + 24) == [Fault.GAP]
    assert log.found(until_s=log.now_s + 26) == [Fault.GAP, Fault.GAP]


def test_a_write_that_was_never_answered_for_is_found_by_the_version_that_it_left() -> None:
    log = handed_over()
    log.pod("a", code=504, transition=log.transition - 1)
    assert log.found() == []  # it has left no trace
    log.version += 1  # it had taken effect
    log._pods["factory/p"] = log.version
    log.later(1)
    log.pod("b")
    verdict = judge(log.writes, users=BOTH, gap_s=GAP_S)
    assert ([it.fault for it in verdict.findings], verdict.unanswered) == ([Fault.NOT_HOLDER], 1)


def test_a_write_that_was_tried_twice_and_never_answered_for_is_its_writers() -> None:
    log = handed_over()
    for _ in range(2):
        log.pod("b", code=504)
    log.version += 1
    log._pods["factory/p"] = log.version
    log.pod("b")
    verdict = judge(log.writes, users=BOTH, gap_s=GAP_S)
    assert (verdict.findings, verdict.unanswered, verdict.unsettled) == ([], 1, 1)


def test_a_version_that_nobody_has_made_is_found() -> None:
    log = handed_over()
    log.version += 1
    log._pods["factory/p"] = log.version
    log.pod("b")
    assert log.found() == [Fault.UNKNOWN]


def test_others_than_the_replicas_may_write_when_they_like() -> None:
    log = handed_over()
    log.writes.append(msgspec.structs.replace(log.writes[-1], user="admin", writer="admin", base=0, version=log.version + 1))
    assert log.found() == []


@given(steps=st.lists(st.tuples(WRITERS, st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=20), data=st.data())
def test_honest_leaderships_are_fine_and_one_forged_write_in_any_place_is_found(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    log, places = Log(), []
    for writer, renewals, pods in steps:
        for _ in range(renewals):
            log.hold(writer)
            log.later(1)
            for i in range(pods):
                log.pod(writer, ["factory/p", "factory/q"][i % 2])
            places.append((len(log.writes), log.version, writer))
    mixed = data.draw(st.permutations(log.writes))
    gap_s = 1e6
    assert judge(mixed, users=BOTH, gap_s=gap_s).findings == []
    _, version, holder = data.draw(st.sampled_from(places))
    other = "b" if holder == "a" else "a"
    forged = Write(user=f"user-{other}", writer=other, kind=PODS, key="factory/r", code=200, base=1, version=version,
                   received_s=log.now_s, answered_s=log.now_s)  # fmt: skip
    renumbered = [it if it.version <= version else msgspec.structs.replace(it, version=it.version + 1) for it in log.writes]
    renumbered = [it if it.base <= version else msgspec.structs.replace(it, base=it.base + 1) for it in renumbered]
    found = judge([*renumbered, msgspec.structs.replace(forged, version=version + 1)], users=BOTH, gap_s=gap_s).findings
    assert [it.fault for it in found] == [Fault.NOT_HOLDER]


EVENT: dict[str, Any] = {
    "stage": "ResponseComplete",
    "verb": "patch",
    "user": {"username": "user-a", "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]}},
    "objectRef": {"resource": "leases", "namespace": "kube-system", "name": "ml-controller"},
    "responseStatus": {"code": 200},
    "requestObject": {"metadata": {"resourceVersion": "7"}, "spec": {"holderIdentity": "a_1"}},
    "responseObject": {
        "metadata": {"name": "ml-controller", "resourceVersion": "8"},
        "spec": {
            "holderIdentity": "a_1",
            "leaseDurationSeconds": 15,
            "leaseTransitions": 3,
            "renewTime": "2026-11-25T10:00:00.5Z",
        },
    },
    "requestReceivedTimestamp": "2026-11-25T09:00:00.250000Z",
    "stageTimestamp": "2026-11-25T09:00:00.260000Z",
}


def parsed(**changed: Any) -> Write | None:
    return audit.parse(json.dumps(EVENT | changed).encode(), lease=LEASE)


def test_an_event_is_read() -> None:
    it = parsed()
    assert it is not None
    assert (it.user, it.writer, it.kind, it.key) == ("user-a", "user-a JTI=1", LEASES, LEASE)
    assert (it.base, it.version, it.holder, it.duration_s, it.transition) == (7, 8, "a_1", 15, 3)
    assert (it.stored, it.refused) == (True, False)
    assert it.answered_s - it.received_s == pytest.approx(0.01)
    assert it.renewed_s is not None
    assert it.renewed_s - it.received_s == pytest.approx(3600.25)


def test_a_pods_record_tells_the_leadership() -> None:
    record = json.dumps({"fence": {"born": "2026-11-25T09:00:00Z", "transition": 4}, "egress": {"wrote": "50M"}})
    made = {"metadata": {"name": "p", "resourceVersion": "9", "annotations": {"qos.detnet.dev/record": record}}}
    it = parsed(objectRef={"resource": "pods", "namespace": "factory", "name": "p"}, responseObject=made)
    assert it is not None
    assert (it.kind, it.key, it.version, it.transition, it.holder) == (PODS, "factory/p", 9, 4, "")


@pytest.mark.parametrize(
    "changed",
    [
        {"stage": "RequestReceived"},
        {"verb": "get"},
        {"objectRef": {**EVENT["objectRef"], "name": "another"}},
        {"objectRef": {**EVENT["objectRef"], "subresource": "status"}},
        {"objectRef": {**EVENT["objectRef"], "resource": "configmaps"}},
    ],
)
def test_what_does_not_matter_is_left_out(changed: dict[str, Any]) -> None:
    assert parsed(**changed) is None


@given(
    st.binary(max_size=300)
    | st.dictionaries(st.sampled_from(sorted(EVENT)), st.text(max_size=9)).map(lambda it: json.dumps(EVENT | it).encode())
)
def test_a_line_is_a_write_or_nothing_or_refused(line: bytes) -> None:
    with suppress(InputError):
        assert isinstance(audit.parse(line, lease=LEASE), Write | None)


@given(seed=st.integers(0, 2**31), rounds=st.integers(1, 60))
def test_rounds_are_drawn_from_the_seed_alone_and_the_first_have_each_kind(seed: int, rounds: int) -> None:
    acts = faults.drawn(seed, rounds)
    assert acts == faults.drawn(seed, rounds)
    assert len(acts) == rounds
    assert len({act.kind for act in acts[:4]}) == min(4, rounds)
    assert all(act.leader for act in acts[:4])
