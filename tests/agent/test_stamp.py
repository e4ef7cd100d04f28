from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.agent.stamp import BASE_BYTES, Reply, Request, decode_reply, decode_request, encode_reply, encode_request

NS = 1_000_000_000
NUMBERS = st.integers(0, 2**32 - 1)
STAMPS_NS = st.integers(0, 2**32 * NS - 1)
SSIDS = st.integers(0, 2**16 - 1)
TTLS = st.integers(0, 255)
SIZES = st.just(BASE_BYTES) | st.integers(BASE_BYTES + 4, 1472)
REQUESTS = st.builds(Request, sequence=NUMBERS, sent_ns=STAMPS_NS, ssid=SSIDS)
HOSTILE = st.binary(max_size=200) | st.binary(min_size=BASE_BYTES, max_size=1500)
ERROR_ESTIMATE_AT = 12  # in either packet: the estimate of who sent it
SENDERS_ERROR_ESTIMATE_AT = 36  # in a reply: the estimate that came with the request


def replaced(packet: bytes, at: int, what: bytes) -> bytes:
    return packet[:at] + what + packet[at + len(what) :]


def reply_to(request: bytes, ttl: int = 64) -> bytes:
    return encode_reply(request, reflector_sequence=5, received_ns=7 * NS + 1, reflected_ns=7 * NS + 2, ttl=ttl)


@given(request=REQUESTS, size=SIZES)
def test_a_request_comes_back_as_it_was_and_has_the_size_of_its_flow(request: Request, size: int) -> None:
    packet = encode_request(request, size)
    assert len(packet) == size
    assert decode_request(packet) == request


@given(request=REQUESTS, size=SIZES, count=NUMBERS, in_ns=STAMPS_NS, out_ns=STAMPS_NS, ttl=TTLS)
def test_a_reply_comes_back_as_it_was_and_has_the_size_of_its_request(
    *, request: Request, size: int, count: int, in_ns: int, out_ns: int, ttl: int
) -> None:
    packet = encode_reply(
        encode_request(request, size), reflector_sequence=count, received_ns=in_ns, reflected_ns=out_ns, ttl=ttl
    )
    assert len(packet) == size
    assert decode_reply(packet) == Reply(
        reflector_sequence=count,
        reflected_ns=out_ns,
        received_ns=in_ns,
        sequence=request.sequence,
        sent_ns=request.sent_ns,
        ssid=request.ssid,
        ttl=ttl,
    )


@given(request=REQUESTS, count=st.integers(0, 2**40))
def test_a_reflectors_count_wraps_as_its_field_does(request: Request, count: int) -> None:
    packet = encode_reply(encode_request(request), reflector_sequence=count, received_ns=0, reflected_ns=0, ttl=1)
    reply = decode_reply(packet)
    assert reply is not None
    assert reply.reflector_sequence == count % 2**32


@given(data=HOSTILE)
def test_no_bytes_make_decoding_raise(data: bytes) -> None:
    assert decode_request(data) is None or len(data) >= BASE_BYTES
    assert decode_reply(data) is None or len(data) >= BASE_BYTES


@given(data=HOSTILE, count=st.integers(0, 2**64), ttl=TTLS)
def test_whatever_is_answered_the_reply_is_no_larger(data: bytes, count: int, ttl: int) -> None:
    request = decode_request(data)
    if request is not None:
        packet = encode_reply(data, reflector_sequence=count, received_ns=1, reflected_ns=2, ttl=ttl)
        assert len(packet) <= len(data)
        assert packet[24:38] == data[:14]  # number, stamp and error estimate of the sender, untouched
        assert packet[14:16] == data[14:16]  # and its session


@given(request=REQUESTS, size=st.integers(0, BASE_BYTES - 1))
def test_a_packet_cut_short_is_not_one(request: Request, size: int) -> None:
    packet = encode_request(request)
    assert decode_request(packet[:size]) is None
    assert decode_reply(reply_to(packet)[:size]) is None


@given(request=REQUESTS, scale=st.integers(0, 255))
def test_a_multiplier_of_zero_is_refused(request: Request, scale: int) -> None:
    zero = bytes([scale, 0])
    packet = encode_request(request)
    assert decode_request(replaced(packet, ERROR_ESTIMATE_AT, zero)) is None
    assert decode_reply(replaced(reply_to(packet), ERROR_ESTIMATE_AT, zero)) is None
    assert decode_reply(replaced(reply_to(packet), SENDERS_ERROR_ESTIMATE_AT, zero)) is None


def test_a_reply_with_stamps_in_another_form_is_refused() -> None:
    ntp = struct.pack("!H", 0x0909)
    assert decode_reply(replaced(reply_to(encode_request(Request(1, 2, 3))), ERROR_ESTIMATE_AT, ntp)) is None


@pytest.mark.parametrize("size", [-1, 0, 43, 45, 46, 47])
def test_a_size_that_no_packet_can_have_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"44 bytes, or 48 and more; not {size}$"):
        encode_request(Request(1, 2, 3), size)


def test_a_request_is_laid_out_as_the_standard_draws_it() -> None:
    packet = encode_request(Request(sequence=0x01020304, sent_ns=0x0A0B0C0D * NS + 5, ssid=0xBEEF), 52)
    assert packet == bytes.fromhex("01020304 0a0b0c0d00000005 4909 beef") + bytes(28) + bytes.fromhex("80010004 00000000")


def test_a_reply_is_laid_out_as_the_standard_draws_it() -> None:
    request = encode_request(Request(sequence=0x01020304, sent_ns=0x0A0B0C0D * NS + 5, ssid=0xBEEF), 48)
    assert reply_to(request, ttl=63) == (
        bytes.fromhex("00000005 0000000700000002 4909 beef 0000000700000001")
        + bytes.fromhex("01020304 0a0b0c0d00000005 4909 0000 3f 000000")
        + bytes.fromhex("00010000")  # the padding, recognised
    )


@given(flags=st.integers(0, 255), kind=st.integers(0, 255).filter(lambda kind: kind != 1), value=st.binary(max_size=50))
def test_what_a_reflector_does_not_know_it_sends_back_untouched(flags: int, kind: int, value: bytes) -> None:
    unknown = struct.pack("!BBH", flags, kind, len(value)) + value
    assert reply_to(encode_request(Request(1, 2, 3)) + unknown)[BASE_BYTES:] == unknown
