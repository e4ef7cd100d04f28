"""Whose fault a flow between pods of one node is, told from what was counted at both ends since the window before."""

from __future__ import annotations

from detnet.agent.flows import RECEIVED, SENT, Figures
from detnet.agent.verdicts import WINDOW_S, Verdicts
from detnet.sense.blame import Fault
from detnet.sense.histogram import Histogram

EVEN_US, LATE_US = 50.0, 4000.0


class Node:
    """Counts that grow, and a clock that is set."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.said: list[tuple[str, str]] = []
        self.counts = {SENT: Histogram(), RECEIVED: Histogram()}
        self.verdicts = Verdicts(lambda event, **details: self.said.append((event, details["fault"])), clock=lambda: self.now_s)

    def window(self, sent_us: float, received_us: float, *, packets: int = 1000, destination: str = "n1") -> Fault | None:
        self.now_s += WINDOW_S
        assert self.verdicts.due
        for method, us in ((SENT, sent_us), (RECEIVED, received_us)):
            self.counts[method] += Histogram.of([us] * packets)
        figures = [Figures("robot", "n1", destination, method, 0, 0, 0, samples) for method, samples in self.counts.items()]
        self.verdicts.look(figures, {"robot": 1.0, "absent": 1.0})
        assert not self.verdicts.due
        found = self.verdicts.last.get("robot")
        return found.fault if found is not None else None


def test_each_window_is_judged_by_itself_and_changes_alone_are_told() -> None:
    node = Node()
    assert node.window(EVEN_US, EVEN_US) is Fault.NOBODY
    assert node.window(EVEN_US, LATE_US) is Fault.NETWORK
    assert node.window(EVEN_US, LATE_US) is Fault.NETWORK
    assert node.window(LATE_US, LATE_US) is Fault.SENDER
    assert node.window(EVEN_US, EVEN_US) is Fault.NOBODY
    assert node.said == [("fault", "nobody"), ("fault", "network"), ("fault", "sender"), ("fault", "nobody")]


def test_a_window_with_few_packets_blames_nobody() -> None:
    node = Node()
    assert node.window(EVEN_US, LATE_US) is Fault.NETWORK
    assert node.window(EVEN_US, LATE_US, packets=10) is Fault.UNKNOWN


def test_counts_that_begin_anew_are_of_the_window() -> None:
    node = Node()
    node.window(LATE_US, LATE_US)
    node.counts = {SENT: Histogram(), RECEIVED: Histogram()}
    assert node.window(EVEN_US, EVEN_US) is Fault.NOBODY


def test_what_leaves_the_node_is_judged_elsewhere() -> None:
    assert Node().window(EVEN_US, LATE_US, destination="n2") is None
