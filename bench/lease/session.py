"""One soak from its start to what is said of it: progress, a table, a conclusion, results on disk.

Invariants: what is needed to look into a failure stays in the folder: the audit log, both journals, all logs. Without one, only the
results do.
"""

from __future__ import annotations

import asyncio
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from bench.lease import faults, objects
from bench.lease.plane import Plane
from bench.lease.soak import NAMES, Soak
from bench.output import begin, result
from detnet.errors import DetnetError
from detnet.lab.kube import programs

if TYPE_CHECKING:
    from pathlib import Path

    from bench.lease.judge import Verdict
    from bench.lease.soak import Row

RESULT = "soak.json"
_COLUMNS = ("fault", "rounds", "of the leader", "led by the other then", "writes", "refused", "median gap", "longest gap")
_SHOWN = 10


def play(rounds: int, seed: int, folder: Path) -> int:
    """Play a soak; 0 if all rounds were played and nothing was found."""
    begin(f"Two replicas, one Lease, {rounds} faults, seed {seed}")
    control = Plane(programs.folder(), folder)
    control.start()
    for address in objects.NODES.values():
        control.add_address(address)
    objects.fill(control, NAMES)
    soak = Soak(control, folder)
    print(f"API server is up. Audit log: {control.audit}. Allowed without a write: {soak.gap_s:g} s.", flush=True)

    def say(row: Row, verdict: Verdict) -> None:
        whose = "leader" if row.act.leader else "follower"
        led = f"{row.leader_after} leads" if row.leader_after == row.leader_before else f"{row.leader_after} leads now"
        print(
            f"{row.number:3d}/{rounds} {whose} {row.victim} {row.act.kind} ({row.acted}): {led}, longest gap {row.longest_gap_s:.1f} s, "
            f"{row.writes} writes, {row.refused} refused, load {row.load:.1f}, findings: {len(verdict.findings)}",
            flush=True,
        )

    failure = ""
    try:
        verdict = asyncio.run(soak.run(faults.drawn(seed, rounds), say))
    except DetnetError as error:
        failure, verdict = str(error), soak.verdict()
    (folder / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode(_results(soak, verdict, seed, failure))))
    _tell(soak, verdict, failure)
    if failure or verdict.findings:
        print(f"The audit log, the journals and all logs are in {folder}")
        return 1
    for file in folder.iterdir():
        if file.name != RESULT:
            file.unlink()
    return 0


def _results(soak: Soak, verdict: Verdict, seed: int, failure: str) -> dict[str, object]:
    return {
        "schema": "detnet/soak-lease/1",
        "seed": seed,
        "failure": failure,
        "gap_allowed_s": soak.gap_s,
        "rounds": soak.rows,
        "findings": verdict.findings,
        "terms": len(verdict.terms),
        "pod_writes": verdict.writes,
        "refused": {str(code): count for code, count in verdict.refused.items()},
        "refused_out_of_turn": verdict.kept_out,
        "stored_unanswered": verdict.unanswered,
        "unsettled": verdict.unsettled,
        "longest_gap": verdict.longest,
    }


def _tell(soak: Soak, verdict: Verdict, failure: str) -> None:
    rows = []
    for kind in faults.Kind:
        its = [row for row in soak.rows if row.act.kind is kind]
        if its:
            gaps = [row.longest_gap_s for row in its]
            rows.append((kind, len(its), sum(row.act.leader for row in its), sum(row.leader_after != row.leader_before for row in its),
                         sum(row.writes for row in its), sum(row.refused for row in its), f"{median(gaps):.1f} s",
                         f"{max(gaps):.1f} s"))  # fmt: skip
    led = sum(bool(term.holder) for term in verdict.terms)
    refused = ", ".join(f"{count} with {code}" for code, count in sorted(verdict.refused.items())) or "none"
    longest = verdict.longest.length_s if verdict.longest else 0.0
    load = max((row.load for row in soak.rows), default=0.0)
    words = [
        f"{verdict.writes} writes to pods in {led} leaderships; refused: {refused}; of these of one that led no more: {verdict.kept_out}.",
        f"Longest time without a write: {longest:.1f} s of {soak.gap_s:g} s allowed. Load up to {load:.1f}.",
        *(f"FOUND: {it.fault}: {it.text}" for it in verdict.findings[:_SHOWN]),
        *([f"NOT PLAYED TO THE END: {failure}"] if failure else []),
    ]
    if not failure and not verdict.findings:
        words.append("No write by one that did not hold the lease, and no longer gap.")
    result(_COLUMNS, rows, "\n".join(words))
