"""A hundred thousand datagrams to a reflector: nearly valid ones, from many senders, by a clock that jumps at times."""

from __future__ import annotations

import json
import random

from detnet.agent import stamp
from detnet.agent.pace import S_NS
from detnet.agent.reflector import MAX_SENDERS, MAX_SESSIONS, Reflector
from mutants import spoilt

INPUTS = 100_000
SSID, PORT = 7, 8620
NS = 1_000_000_000
LARGEST = 2048  # what is read of a datagram
ESTIMATE_AT, SSID_AT = 12, 14  # in a packet


def packets(chance: random.Random) -> list[bytes]:
    """Valid ones: requests of all sizes and sessions, and answers to them."""
    found = [
        stamp.encode_request(stamp.Request(chance.getrandbits(32), chance.randrange(2**32 * NS), ssid), size)
        for size in (44, 48, 64, 64, 172, 1472)
        for ssid in (SSID, SSID, SSID, SSID + 1)
    ]
    answers = [stamp.encode_reply(it, reflector_sequence=1, received_ns=2, reflected_ns=3, ttl=64) for it in found]
    return found + answers[:4]


def test_whatever_comes_a_reflector_answers_what_it_should_and_nothing_else() -> None:
    chance = random.Random(20)  # noqa: S311 - nothing secret
    valid = packets(chance)
    now_ns = [1_700_000_000 * S_NS]
    it = Reflector(SSID, PORT, 100, clock=lambda: now_ns[0] + chance.randrange(10**6))
    answered = 0
    for number in range(INPUTS):
        data = chance.choice(valid)
        if number % 8:
            data = spoilt(data, chance, valid, most=LARGEST)
        host = (
            f"10.0.0.{chance.randrange(16)}" if chance.random() < 0.9 else f"10.{chance.randrange(256)}.{chance.randrange(256)}.9"
        )
        port = chance.choice([PORT, 53, 40_000, 40_001, 40_002, 40_003, 40_004, chance.randrange(65536)])
        now_ns[0] += chance.randrange(10**6)
        if number % 4000 == 0:
            now_ns[0] = max(0, now_ns[0] + chance.randrange(-100, 100) * S_NS)
        reply = it.answer(data, (host, port), at_ns=now_ns[0], ttl=chance.randrange(256))
        ours = (
            len(data) >= stamp.BASE_BYTES
            and data[ESTIMATE_AT + 1] != 0
            and data[SSID_AT : SSID_AT + 2] == SSID.to_bytes(2, "big")
            and port >= 1024
            and port != PORT
        )
        if reply is not None:
            answered += 1
            assert ours
            assert len(reply) <= len(data)
            decoded = stamp.decode_reply(reply)
            assert decoded is not None
            assert (decoded.sequence, decoded.ssid) == (int.from_bytes(data[:4], "big"), SSID)
            assert reply[24:38] == data[:14]  # number, stamp and error estimate as they came
        if (news := it.news(now_ns[0])) is not None:
            told = json.loads(news)
            assert told["foreign"] + told["over_rate"] + told["over_all"] + answered == number + 1
        assert it.remembered <= MAX_SENDERS + MAX_SESSIONS
    assert sum(it.refused.values()) + answered == INPUTS
    assert answered > INPUTS / 10
    assert all(count > INPUTS / 1000 for count in it.refused.values()), it.refused


def test_whatever_comes_back_a_sender_takes_it_for_what_it_is() -> None:
    chance = random.Random(21)  # noqa: S311 - nothing secret
    valid = packets(chance)
    taken = 0
    for _ in range(INPUTS):
        data = spoilt(chance.choice(valid), chance, valid, most=LARGEST)
        reply, request = stamp.decode_reply(data), stamp.decode_request(data)
        assert (request is not None) >= (reply is not None)  # both ask for a size, and an error estimate in the same place
        if reply is not None:
            taken += 1
            assert min(reply) >= 0
            assert reply.ttl <= 255
            assert max(reply.received_ns, reply.reflected_ns, reply.sent_ns) < 2**32 * NS + 2**32
    assert taken > INPUTS / 100
