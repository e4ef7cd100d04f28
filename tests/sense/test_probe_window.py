from __future__ import annotations

from enum import Enum
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.sense.histogram import Histogram
from detnet.sense.probe_window import Losses, Probe, ProbeWindow, attribute_losses, measure, quantile

MS = 1_000_000
NO_LOSS = Losses(0, 0)
T0_NS = 1_700_000_000 * 1000 * MS


def probe(
    sequence: int, delay_ns: int | None, *, back_ns: int = 0, held_ns: int = 0, late_ns: int = 0, skew_ns: int = 0
) -> Probe:
    """A probe of a 1 kHz train, sent when it was due; a delay of None: lost. `skew_ns`: so much the reflector's clock is ahead."""
    return sent_at(T0_NS + sequence * MS, sequence, delay_ns, back_ns=back_ns, held_ns=held_ns, late_ns=late_ns, skew_ns=skew_ns)


def sent_at(
    t1_ns: int, sequence: int, delay_ns: int | None, *, back_ns: int = 0, held_ns: int = 0, late_ns: int = 0, skew_ns: int = 0
) -> Probe:
    if delay_ns is None:
        return Probe(sequence, t1_ns, late_ns)
    arrived_ns = t1_ns + delay_ns
    return Probe(
        sequence,
        t1_ns,
        late_ns,
        t2_ns=arrived_ns + skew_ns,
        t3_ns=arrived_ns + held_ns + skew_ns,
        t4_ns=arrived_ns + held_ns + back_ns,
        reflector_sequence=sequence,
    )


def window_of(probes: list[Probe], before: Probe | None = None) -> ProbeWindow:
    return measure(probes, NO_LOSS, before=before, at_s=7.0, window_s=1.0, period_s=1e-3)


def by_definition(samples: list[int], q: Fraction) -> float | None:
    """The smallest sample that at least a share q of all samples does not exceed, in milliseconds."""
    enough = [x for x in samples if sum(y <= x for y in samples) >= q * len(samples)]
    return min(enough) / MS if enough else None


P50, P95, P99 = Fraction(50, 100), Fraction(95, 100), Fraction(99, 100)
DELAYS_NS = st.none() | st.integers(0, 60 * MS)
FLIGHTS = st.lists(st.tuples(DELAYS_NS, st.integers(0, 60 * MS), st.integers(0, 5 * MS), st.integers(0, 2 * MS)), max_size=60)
SPACINGS_NS = st.just(MS) | st.integers(1, 2 * MS)


@given(flights=FLIGHTS, first=st.integers(0, 2**33), skew_ns=st.integers(-MS, MS), data=st.data(), with_before=st.booleans())
def test_the_figures_are_those_of_a_plain_recomputation(
    flights: list[tuple[int | None, int, int, int]], first: int, skew_ns: int, data: st.DataObject, *, with_before: bool
) -> None:
    spacings = data.draw(st.lists(SPACINGS_NS, min_size=len(flights), max_size=len(flights)))
    train = [
        sent_at(T0_NS + sum(spacings[: i + 1]), first + i, delay, back_ns=back, held_ns=held, late_ns=late, skew_ns=skew_ns)
        for i, (delay, back, held, late) in enumerate(flights)
    ]
    before, probes = (train[0], train[1:]) if with_before and train else (None, train)
    window = window_of(probes, before)

    own = flights[1:] if before else flights
    delays = [delay + skew_ns for delay, *_ in own if delay is not None]
    rtts = [delay + back for delay, back, _, _ in own if delay is not None]
    steps = [
        abs(a[0] - b[0])
        for (a, b), spacing in zip(pairwise(flights), spacings[1:], strict=False)
        if a[0] is not None and b[0] is not None and MS / 2 <= spacing <= 1.5 * MS
    ]
    assert (window.sent, window.received, window.pairs) == (len(own), len(delays), len(steps))
    exact = {
        "ipdv_p50_ms": by_definition(steps, P50),
        "ipdv_p95_ms": by_definition(steps, P95),
        "ipdv_p99_ms": by_definition(steps, P99),
        "pdv_p95_ms": by_definition([delay - min(delays) for delay in delays], P95),
        "delay_p50_ms": by_definition(delays, P50),
        "delay_p95_ms": by_definition(delays, P95),
        "rtt_p95_ms": by_definition(rtts, P95),
        "lateness_p95_ms": by_definition([late for *_, late in own], P95),
    }
    assert {name: getattr(window, name) for name in exact} == {
        name: None if value is None else pytest.approx(value, abs=2e-6) for name, value in exact.items()
    }
    assert window.ipdv_counts == Histogram.of([step / 1e3 for step in steps]).counts
    assert window.delay_counts == Histogram.of([delay / 1e3 for delay in delays]).counts


@given(flights=FLIGHTS, skew_ns=st.integers(-10_000 * MS, 10_000 * MS))
def test_a_clock_that_is_ahead_changes_no_jitter(flights: list[tuple[int | None, int, int, int]], skew_ns: int) -> None:
    true, skewed = (window_of([probe(i, delay, skew_ns=s) for i, (delay, *_) in enumerate(flights)]) for s in (0, skew_ns))
    assert (skewed.ipdv_p95_ms, skewed.pdv_p95_ms, skewed.rtt_p95_ms) == (true.ipdv_p95_ms, true.pdv_p95_ms, true.rtt_p95_ms)


def test_a_lost_probe_breaks_the_two_pairs_that_it_belongs_to() -> None:
    window = window_of([probe(0, 1 * MS), probe(1, 2 * MS), probe(2, None), probe(3, 50 * MS), probe(4, 53 * MS)])
    assert (window.sent, window.received, window.pairs) == (5, 4, 2)
    assert (window.ipdv_p50_ms, window.ipdv_p99_ms) == (1.0, 3.0)


def test_the_last_probe_of_the_window_before_makes_a_pair_but_no_delay() -> None:
    window = window_of([probe(5, 3 * MS)], before=probe(4, 1 * MS))
    assert (window.sent, window.received, window.pairs) == (1, 1, 1)
    assert (window.ipdv_p95_ms, window.delay_p95_ms) == (2.0, 3.0)


@pytest.mark.parametrize("before", [probe(3, 1 * MS), sent_at(T0_NS + 4 * MS, 3, 1 * MS), probe(4, None), None])
def test_without_its_direct_predecessor_the_first_probe_makes_no_pair(before: Probe | None) -> None:
    assert window_of([probe(5, 3 * MS)], before=before).pairs == 0


@pytest.mark.parametrize(
    ("spacing_ns", "pairs"), [(MS, 1), (MS // 2, 1), (3 * MS // 2, 1), (MS // 2 - 1, 0), (3 * MS // 2 + 1, 0)]
)
def test_two_probes_are_a_pair_only_if_they_were_sent_about_a_period_apart(spacing_ns: int, pairs: int) -> None:
    window = window_of([sent_at(T0_NS, 0, 1 * MS), sent_at(T0_NS + spacing_ns, 1, 2 * MS)])
    assert (window.received, window.pairs) == (2, pairs)


def test_the_time_at_the_reflector_is_no_part_of_a_round_trip() -> None:
    assert window_of([probe(0, 1 * MS, held_ns=40 * MS, back_ns=2 * MS)]).rtt_p95_ms == 3.0


def test_a_window_in_which_all_is_lost_has_counts_and_no_figures() -> None:
    window = measure(
        [probe(i, None, late_ns=MS) for i in range(4)], Losses(4, 0), before=None, at_s=7.0, window_s=1.0, period_s=1e-3
    )
    assert (window.sent, window.received, window.pairs, window.lost_forward, window.lost_backward) == (4, 0, 0, 4, 0)
    assert (window.ipdv_p95_ms, window.pdv_p95_ms, window.delay_p95_ms, window.rtt_p95_ms) == (None, None, None, None)
    assert window.lateness_p95_ms == 1.0
    assert sum(window.ipdv_counts) == sum(window.delay_counts) == 0


# Quantiles


@given(
    samples=st.lists(st.integers(0, 50), min_size=1, max_size=120),
    percent=st.sampled_from([1, 5, 50, 90, 95, 99, 100]),
    data=st.data(),
)
def test_a_quantile_is_the_smallest_sample_that_enough_do_not_exceed(
    samples: list[int], percent: int, data: st.DataObject
) -> None:
    found = quantile(sorted(data.draw(st.permutations(samples))), percent / 100)
    assert found == by_definition([sample * MS for sample in samples], Fraction(percent, 100))


@pytest.mark.parametrize("count", [20, 100, 200, 1000, 2000, 10_000])
@pytest.mark.parametrize("percent", [50, 95, 99])
def test_where_a_share_is_a_whole_number_of_samples_no_rounding_moves_it(count: int, percent: int) -> None:
    assert quantile(range(1, count + 1), percent / 100) == -(-count * percent // 100)


def test_the_quantile_of_nothing_is_none() -> None:
    assert quantile([], 0.95) is None


# Where probes were lost


class Fate(Enum):
    OK = 0
    FORWARD = 1
    BACKWARD = 2


FATES = st.lists(st.sampled_from([Fate.OK, Fate.OK, *Fate]), max_size=80)


def channel(fates: list[Fate], base: int = 0) -> list[Probe]:
    """What a stateful reflector's answers show of a channel that drops both ways; its count starts at `base`."""
    probes, count = [], base
    for sequence, fate in enumerate(fates):
        answered = fate is Fate.OK
        probes.append(Probe(sequence, 0, 0, reflector_sequence=count & 0xFFFF_FFFF if answered else None))
        count += fate is not Fate.FORWARD
    return probes


def truth(fates: list[Fate]) -> Losses:
    return Losses(fates.count(Fate.FORWARD), fates.count(Fate.BACKWARD))


@given(fates=FATES, base=st.integers(0, 2**32 - 1) | st.integers(2**32 - 50, 2**32 - 1))
def test_between_two_answers_every_loss_is_told_its_way(fates: list[Fate], base: int) -> None:
    before, *probes, after = channel([Fate.OK, *fates, Fate.OK], base)
    assert attribute_losses(probes, before, after) == truth(fates)


@given(fates=FATES.filter(lambda fates: len(fates) > 2), data=st.data())
def test_windows_add_up_where_a_run_of_losses_crosses_their_border(fates: list[Fate], data: st.DataObject) -> None:
    train = channel([Fate.OK, *fates, Fate.OK])
    border = data.draw(st.integers(1, len(fates)))
    windows = [(1, border), (border, len(train) - 1)]
    told = []
    for first, stop in windows:
        before = next(p for p in reversed(train[:first]) if p.answered)
        after = next(p for p in train[stop:] if p.answered)
        told.append(attribute_losses(train[first:stop], before, after))
    assert Losses(sum(one.forward for one in told), sum(one.backward for one in told)) == truth(fates)


@given(fates=FATES, with_before=st.booleans(), with_after=st.booleans())
def test_every_loss_is_counted_once_whatever_is_known(fates: list[Fate], *, with_before: bool, with_after: bool) -> None:
    before, *probes, after = channel([Fate.OK, *fates, Fate.OK])
    losses = attribute_losses(probes, before if with_before else None, after if with_after else None)
    assert sum(losses) == len(fates) - fates.count(Fate.OK)
    assert losses.backward <= fates.count(Fate.BACKWARD)


@given(lost=st.integers(1, 20))
def test_without_a_later_answer_a_loss_is_forward(lost: int) -> None:
    before, *probes = channel([Fate.OK, Fate.OK, *[Fate.BACKWARD] * lost])
    assert attribute_losses(probes, before, None) == Losses(lost, 0)


@given(counted=st.integers(2, 2**31), lost=st.integers(1, 20))
def test_a_reflector_that_started_anew_makes_its_losses_forward(counted: int, lost: int) -> None:
    before = Probe(0, 0, 0, reflector_sequence=counted)
    probes = [Probe(i, 0, 0) for i in range(1, lost + 1)]
    again = [Probe(lost + 1, 0, 0, reflector_sequence=0), Probe(lost + 2, 0, 0), Probe(lost + 3, 0, 0, reflector_sequence=2)]
    assert attribute_losses([*probes, *again], before, None) == Losses(lost, 1)  # once it counts on, it is believed again


def test_the_first_answer_ever_says_nothing_of_what_was_before_it() -> None:
    assert attribute_losses(channel([Fate.BACKWARD, Fate.OK]), None, None) == Losses(1, 0)


def test_a_probe_that_the_path_doubled_takes_no_loss_away() -> None:
    probes = [Probe(1, 0, 0), Probe(2, 0, 0, reflector_sequence=9)]
    assert attribute_losses(probes, Probe(0, 0, 0, reflector_sequence=0), None) == Losses(1, 0)
