"""Our packets in the eyes of an independent implementation, and its packets in ours."""

from __future__ import annotations

import warnings
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detnet.agent.stamp import BASE_BYTES, Reply, Request, decode_reply, decode_request, encode_reply, encode_request

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # on import it warns of ciphers and routes that are none of ours
    from scapy.contrib import stamp as scapy

NS = 1_000_000_000
NUMBERS = st.integers(0, 2**32 - 1)
STAMPS_NS = st.integers(0, 2**32 * NS - 1)
SSIDS = st.integers(0, 2**16 - 1)
PADDINGS = st.none() | st.integers(0, 1400)
REQUESTS = st.builds(Request, sequence=NUMBERS, sent_ns=STAMPS_NS, ssid=SSIDS)


def size_of(padding: int | None) -> int:
    return BASE_BYTES if padding is None else BASE_BYTES + 4 + padding


def wire(at_ns: int) -> int:
    """A stamp as the 64 bits of the truncated PTPv2 form."""
    return at_ns // NS << 32 | at_ns % NS


def built(kind: Any, *, ptp: bool = True, **fields: object) -> bytes:
    """A packet of scapy's. The error estimates go first: they say how scapy takes what it is given as a stamp."""
    packet = kind()
    estimates = {
        name: scapy.ErrorEstimate(S=0, Z=int(ptp), scale=9, multiplier=9) for name in packet.default_fields if "err_" in name
    }
    for name, value in (estimates | fields).items():
        setattr(packet, name, value)
    return bytes(packet)


def padding_of(packet: Any) -> list[tuple[int, int, int]]:
    return [(int(tlv.flags), tlv.type, len(tlv.value)) for tlv in packet.tlv_objects]


@given(request=REQUESTS, padding=PADDINGS)
def test_it_reads_our_requests(request: Request, padding: int | None) -> None:
    packet = scapy.STAMPSessionSenderTestUnauthenticated(encode_request(request, size_of(padding)))
    assert (packet.seq, packet.ts, packet.ssid, packet.mbz) == (request.sequence, wire(request.sent_ns), request.ssid, 0)
    assert (packet.err_estimate.S, packet.err_estimate.Z, packet.err_estimate.multiplier) == (0, 1, 9)
    assert padding_of(packet) == ([] if padding is None else [(0x80, 1, padding)])


@given(request=REQUESTS, padding=PADDINGS, count=NUMBERS, in_ns=STAMPS_NS, out_ns=STAMPS_NS, ttl=st.integers(0, 255))
def test_it_reads_our_replies(*, request: Request, padding: int | None, count: int, in_ns: int, out_ns: int, ttl: int) -> None:
    packet = scapy.STAMPSessionReflectorTestUnauthenticated(
        encode_reply(
            encode_request(request, size_of(padding)), reflector_sequence=count, received_ns=in_ns, reflected_ns=out_ns, ttl=ttl
        )
    )
    assert (packet.seq, packet.ts, packet.ts_rx, packet.ssid) == (count, wire(out_ns), wire(in_ns), request.ssid)
    assert (packet.seq_sender, packet.ts_sender, packet.ttl_sender) == (request.sequence, wire(request.sent_ns), ttl)
    assert (packet.err_estimate.Z, packet.err_estimate_sender.Z, packet.mbz1, packet.mbz2) == (1, 1, 0, 0)
    assert padding_of(packet) == ([] if padding is None else [(0, 1, padding)])


@given(request=REQUESTS, padding=PADDINGS)
def test_we_read_its_requests(request: Request, padding: int | None) -> None:
    tlvs = [] if padding is None else [scapy.STAMPTestTLV(flags=0x80, type=1, len=padding, value=bytes(padding))]
    theirs = built(
        scapy.STAMPSessionSenderTestUnauthenticated,
        seq=request.sequence,
        ts=wire(request.sent_ns),
        ssid=request.ssid,
        tlv_objects=tlvs,
    )
    assert decode_request(theirs) == request
    assert theirs == encode_request(request, size_of(padding))


@given(reply=st.builds(Reply, NUMBERS, STAMPS_NS, STAMPS_NS, NUMBERS, STAMPS_NS, SSIDS, st.integers(0, 255)))
def test_we_read_its_replies(reply: Reply) -> None:
    theirs = built(
        scapy.STAMPSessionReflectorTestUnauthenticated,
        seq=reply.reflector_sequence,
        ts=wire(reply.reflected_ns),
        ssid=reply.ssid,
        ts_rx=wire(reply.received_ns),
        seq_sender=reply.sequence,
        ts_sender=wire(reply.sent_ns),
        ttl_sender=reply.ttl,
    )
    assert decode_reply(theirs) == reply


def test_a_sender_that_stamps_as_ntp_does_gets_its_stamp_back_untouched() -> None:
    theirs = built(scapy.STAMPSessionSenderTestUnauthenticated, ptp=False, seq=7, ts=1_700_000_000.5, ssid=3)
    assert decode_request(theirs) is not None
    answer = encode_reply(theirs, reflector_sequence=0, received_ns=1, reflected_ns=2, ttl=64)
    read = scapy.STAMPSessionReflectorTestUnauthenticated(answer)
    assert (read.seq_sender, read.err_estimate_sender.Z) == (7, 0)
    assert answer[28:36] == theirs[4:12]
