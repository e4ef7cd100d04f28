"""Readings of all links from a Prometheus that scrapes the agents.

A reading is a look at a window that slides: what was scraped in the last `window_s` seconds. Looks that follow each other share samples.
First the age of the last samples is asked, then every other signal at the very time, by the server's clock, at which that was answered: one
reading is of one moment, and no two clocks are compared.

| quality | when                                                                                                         |
|---------|--------------------------------------------------------------------------------------------------------------|
| stale   | there is no answer that can be used; no such series of the node, or two; the last sample is older than       |
|         | `max_age_s`, or from the future; fewer than two samples lie in the window; no probe was sent                 |
| dead    | probes were sent, and none was answered                                                                      |
| thin    | less than half of the pairs can be used, or fewer than `LEAST_PAIRS`; jitter or delay is missing or NaN      |
| fresh   | else                                                                                                         |

Invariants: `read` gives each node that was asked for one reading, within `timeout_s`, whatever the other side says; a value that is not
there is no value. Percentiles come from buckets that were added up (`prometheus_queries.py`).
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

from detnet.control.reading import Cilium, PodTraffic, Quality, Reading, Traffic
from detnet.sense.prometheus_api import Answer, PrometheusError
from detnet.sense.scrape import LEAST_PAIRS
from detnet.sense.stamp import MIN_PAIRS_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from detnet.sense.prometheus_api import PrometheusApi
    from detnet.sense.prometheus_queries import Queries

FUTURE_S = 1.0  # samples may bear times of their own; so much is a matter of rounding
_LONGEST_S = 3600.0  # no delay lasts longer
_LONGEST_NAME, _MOST_NAMES = 60, 8  # of what Cilium counts: it goes into each line of the journal
_LARGEST = 1e15  # a Petabit a second; Kubernetes takes no larger limit


class PrometheusSensor:
    """Reads all links at once.

    Args:
        api: the Prometheus.
        queries: what it is asked.
        window_s: how far back a reading looks; at least two scrapes must lie in it.
        max_age_s: an older last sample makes a reading stale.
        timeout_s: what is not complete by then was not measured.
        clock: seconds, never going back.
    """

    name = "prometheus"

    def __init__(
        self,
        api: PrometheusApi,
        queries: Queries,
        *,
        window_s: float,
        max_age_s: float,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._signals, self._note = api, queries.signals(window_s), queries.note
        self._window_s, self._max_age_s, self._timeout_s, self._clock = window_s, max_age_s, timeout_s, clock

    async def read(self, nodes: Iterable[str]) -> dict[str, Reading]:
        """Ask now; a reading a node."""
        wanted, at_s = sorted(nodes), self._clock()
        answers, failed = await self._answers()
        if failed:
            return self._all_blind(wanted, at_s, f"Prometheus: {failed}")
        if not answers["age"].values:
            return self._all_blind(wanted, at_s, f"Prometheus has no series: {self._note}")
        return {node: self._judged(node, answers, at_s) for node in wanted}

    async def aclose(self) -> None:
        """Close all connections."""
        await self._api.aclose()

    async def _answers(self) -> tuple[dict[str, Answer], str]:
        """The answer of each signal; or why there are none."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(), ""
        except TimeoutError:
            failed = f"no answer within {self._timeout_s:g} s"
        except PrometheusError as error:
            failed = str(error)
        await self._api.aclose()
        return {}, failed

    async def _ask(self) -> dict[str, Answer]:
        age = await self._one("age", None)
        answers = {"age": age}
        if age.at_s is not None:
            rest = [name for name in self._signals if name != "age"]
            found = await asyncio.gather(*(self._one(name, age.at_s) for name in rest), return_exceptions=True)
            for name, answer in zip(rest, found, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                answers[name] = answer
        return answers

    async def _one(self, name: str, at_s: float | None) -> Answer:
        try:
            return await self._api.query(self._signals[name], at_s=at_s, timeout_s=self._timeout_s)
        except PrometheusError as error:
            raise PrometheusError(f"{error} (query {name})") from error

    def _judged(self, node: str, answers: Mapping[str, Answer], at_s: float) -> Reading:
        values = {name: answer.values.get(node) for name, answer in answers.items()}
        twice = [name for name, answer in answers.items() if node in answer.twice]
        quality, reason = (
            (Quality.STALE, f"two series of {node} (query {twice[0]}): a query must give one a node")
            if twice
            else self._judge(node, values)
        )
        traffic = None if twice else _traffic(node, values, answers)
        if quality not in {Quality.FRESH, Quality.THIN}:
            return self._blind(at_s, reason, quality, traffic, _cilium(node, answers))
        return Reading(
            at_s=at_s,
            window_s=self._window_s,
            quality=quality,
            quality_reason=reason,
            samples=round(values["samples"] or 0),
            jitter_p50_ms=_ms(values.get("jitter_p50")),
            jitter_p95_ms=_ms(values["jitter_p95"]),
            jitter_p99_ms=_ms(values.get("jitter_p99")),
            pdv_p95_ms=_ms(values.get("pdv_p95")),
            delay_p95_ms=_ms(values.get("delay_p95")),
            loss_forward_ratio=_ratio(values.get("loss_forward")),
            loss_backward_ratio=_ratio(values.get("loss_backward")),
            send_lateness_p95_ms=_ms(values.get("send_lateness_p95")),
            traffic=traffic,
            cilium=_cilium(node, answers),
        )

    def _judge(self, node: str, values: Mapping[str, float | None]) -> tuple[Quality, str]:
        """How far the values of a node can be trusted. `samples` is a number afterwards unless they cannot be at all."""
        age_s = values["age"]
        if age_s is None:
            return Quality.STALE, f"Prometheus has no series of {node}: is its agent scraped?"
        if not -FUTURE_S <= age_s <= self._max_age_s:
            words = "has no age" if math.isnan(age_s) else f"is {age_s:.1f} s old, allowed {self._max_age_s:g} s"
            return Quality.STALE, f"the last sample {words}"
        if (counted := self._counted(values)) is not None:
            return counted
        missing = [name for name in ("jitter_p95", "delay_p95") if name in values and _ms(values[name]) is None]
        samples, sent = values["samples"] or 0.0, values.get("sent") or 0.0
        if missing:
            return Quality.THIN, f"no value of {' and '.join(missing)} from {samples:.0f} pairs"
        if samples < max(MIN_PAIRS_SHARE * sent, LEAST_PAIRS):
            of = f" of {sent:.0f} probes" if sent else ""
            return (
                Quality.THIN,
                f"{samples:.0f} usable pairs{of}, at least {max(MIN_PAIRS_SHARE * sent, LEAST_PAIRS):.0f} are needed",
            )
        return Quality.FRESH, f"{samples:.0f} pairs in {self._window_s:g} s, the last sample {max(0.0, age_s):.1f} s old"

    def _counted(self, values: Mapping[str, float | None]) -> tuple[Quality, str] | None:
        """What the counts alone say; None: that there is something to judge by."""
        for name in ("probes", "samples"):
            if name in values and (values[name] is None or not math.isfinite(values[name] or 0.0)):
                return Quality.STALE, f"no count of {name}: fewer than two scrapes lie in the window of {self._window_s:g} s"
        probes = values.get("probes")
        if probes is not None and probes <= 0:
            return Quality.STALE, "the probes have told nothing"
        sent = values.get("sent", 1.0)
        if sent is None or not sent > 0 or math.isinf(sent):
            return Quality.DEAD, f"{probes or 0.0:.0f} probes sent, none answered"
        return None

    def _all_blind(self, nodes: Iterable[str], at_s: float, reason: str) -> dict[str, Reading]:
        return {node: self._blind(at_s, reason) for node in nodes}

    def _blind(
        self,
        at_s: float,
        reason: str,
        quality: Quality = Quality.STALE,
        traffic: Traffic | None = None,
        cilium: Cilium | None = None,
    ) -> Reading:
        return Reading(at_s=at_s, window_s=self._window_s, quality=quality, quality_reason=reason, traffic=traffic, cilium=cilium)


def _traffic(node: str, values: Mapping[str, float | None], answers: Mapping[str, Answer]) -> Traffic | None:
    """What was counted on a node; a figure that is none is left out."""
    link_bps, dropped = _amount(values.get("link_sent")), _amount(values.get("link_dropped"))
    sent, packets = (answers[name].parts.get(node, {}) if name in answers else {} for name in ("pod_sent", "pod_packets"))
    pods = {}
    for pod in sent.keys() & packets.keys():
        bps, packets_per_s = _amount(sent[pod]), _amount(packets[pod])
        if bps is not None and packets_per_s is not None:
            pods[pod] = PodTraffic(bps=bps, packets_per_s=packets_per_s)
    return Traffic(link_bps=link_bps, dropped_packets=round(dropped or 0.0), pods=pods) if pods or link_bps is not None else None


def _cilium(node: str, answers: Mapping[str, Answer]) -> Cilium | None:
    """What Cilium and Hubble count there, the most first; None: nothing, or they are not scraped."""
    drops, seen, flows, policy = (
        _most(answers[name].parts.get(node, {})) if name in answers else {}
        for name in ("drops", "hubble_drops", "flows", "policy")
    )
    if not (drops or seen or flows or policy):
        return None
    return Cilium(drops=drops or seen, flows=flows, policy=policy)  # Hubble misses events under load, Cilium's counters do not


def _most(rates: Mapping[str, float]) -> dict[str, float]:
    known = [(name[:_LONGEST_NAME], rate) for name, rate in rates.items() if _amount(rate)]
    return dict(sorted(known, key=lambda it: -it[1])[:_MOST_NAMES])


def _amount(value: float | None) -> float | None:
    """None for what no interface carries."""
    return value if value is not None and 0 <= value <= _LARGEST else None


def _ms(seconds: float | None) -> float | None:
    """None for what is no duration."""
    return seconds * 1e3 if seconds is not None and 0 <= seconds <= _LONGEST_S else None


def _ratio(value: float | None) -> float | None:
    return min(value, 1.0) if value is not None and value >= 0 else None
