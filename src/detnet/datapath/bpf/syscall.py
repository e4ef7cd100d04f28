"""The system call bpf(2): maps and programs, as files that the kernel keeps for as long as they are open or in use.

Invariants: a failed call raises `OSError` with the kernel's own errno and says what was asked; a program that the verifier refuses says
why, in the verifier's last words; every file is closed with its object.
Source: bpf(2), linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from contextlib import suppress
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
_LOG_BYTES = 1 << 18
_ATTR_BYTES = 128
_INFO_BYTES, _JITED_LENGTH_AT = 64, 16
_LAST_WORDS = 3  # lines of the verifier's log that say what was wrong
_libc = ctypes.CDLL(None, use_errno=True)


class Command(IntEnum):
    """What is asked of the kernel."""

    MAP_CREATE = 0
    MAP_LOOKUP = 1
    MAP_UPDATE = 2
    MAP_DELETE = 3
    MAP_NEXT_KEY = 4
    PROG_LOAD = 5
    PROG_TEST_RUN = 10
    OBJ_GET_INFO_BY_FD = 15
    LINK_CREATE = 28


class MapKind(IntEnum):
    """Kinds of maps that we use."""

    HASH = 1
    ARRAY = 2
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    LRU_HASH = 9


class ProgramKind(IntEnum):
    """Kinds of programs that we use."""

    SCHED_CLS = 3
    SOCK_OPS = 13


class Ran(NamedTuple):
    """What came of a program that was run on a packet. `duration_ns`: of one run, on average."""

    returned: int
    duration_ns: int


class File:
    """Something that the kernel keeps while its file is open."""

    fd = -1

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Let go of it; the kernel keeps it while it is in use elsewhere."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        with suppress(OSError):
            self.close()


class Map(File):
    """A table of the kernel. Keys and values are bytes; a per-CPU table has a value of each possible CPU for a key.

    Raises:
        OSError: the kernel refuses; EPERM without CAP_BPF.
    """

    def __init__(self, name: str, kind: MapKind, key_bytes: int, value_bytes: int, max_entries: int) -> None:
        attr = struct.pack("=IIIIIII16s", kind, key_bytes, value_bytes, max_entries, 0, 0, 0, _name(name))
        super().__init__(_bpf(Command.MAP_CREATE, attr, f"map {name}"))
        self.name, self.kind, self.key_bytes, self.value_bytes = name, kind, key_bytes, value_bytes
        per_cpu = kind in {MapKind.PERCPU_HASH, MapKind.PERCPU_ARRAY}
        self._copies = possible_cpus() if per_cpu else 1
        self._stride = -(-value_bytes // 8) * 8 if per_cpu else value_bytes

    def get(self, key: bytes) -> list[bytes] | None:
        """The values of a key, one of each CPU in a per-CPU map, else just one; None where the key is not there."""
        value = ctypes.create_string_buffer(self._stride * self._copies)
        try:
            self._do(Command.MAP_LOOKUP, key, value)
        except FileNotFoundError:
            return None
        raw = value.raw
        return [raw[at : at + self.value_bytes] for at in range(0, len(raw), self._stride)]

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key in a map that is not per CPU."""
        self._do(Command.MAP_UPDATE, key, _buffer(value))

    def delete(self, key: bytes) -> None:
        """Remove a key; nothing happens where it is not there."""
        with suppress(FileNotFoundError):
            self._do(Command.MAP_DELETE, key, None)

    def known(self) -> list[bytes]:
        """All keys, as far as they were there while this looked."""
        found: dict[bytes, None] = {}
        last = None
        while True:
            key = ctypes.create_string_buffer(self.key_bytes)
            try:
                self._do(Command.MAP_NEXT_KEY, last, key)
            except FileNotFoundError:
                return list(found)
            last = key.raw
            if last in found:  # a key was removed under us, and the kernel began anew
                return list(found)
            found[last] = None

    def _do(self, command: Command, key: bytes | None, value: ctypes.Array[ctypes.c_char] | None) -> None:
        held = None if key is None else _buffer(key)
        attr = struct.pack("=I4xQQQ", self.fd, _address(held), _address(value), 0)
        _bpf(command, attr, f"map {self.name}")


class Program(File):
    """A program of the kernel.

    Args:
        name: for people who list programs.
        kind: where it may be attached.
        code: its instructions, with the files of its maps filled in.

    Raises:
        OSError: the kernel refuses it; EPERM without CAP_BPF (and CAP_NET_ADMIN, CAP_PERFMON).
    """

    def __init__(self, name: str, kind: ProgramKind, code: bytes) -> None:
        what = f"program {name}"
        try:
            fd = _load(name, kind, code, None, what)
        except OSError as error:
            if error.errno == errno.EPERM:
                raise
            log = ctypes.create_string_buffer(_LOG_BYTES)
            try:  # again, to be told why: asking for that at once would slow every load down
                fd = _load(name, kind, code, log, what)
            except OSError:
                said = [line for line in log.value.decode(errors="replace").splitlines() if line.strip()]
                raise OSError(error.errno, f"{error.strerror}: {' | '.join(said[-_LAST_WORDS:])}") from error
        super().__init__(fd)
        self.name = name

    def run(self, packet: bytes, *, times: int = 1) -> Ran:
        """Run it on a packet, without an interface.

        Raises:
            OSError: the kernel refuses.
        """
        data = _buffer(packet)
        # prog_fd, retval, data_size_in, data_size_out, data_in, data_out, repeat, duration, ctx_size_in, ctx_size_out, ctx_in, ctx_out
        fields = (self.fd, 0, len(packet), 0, _address(data), 0, times, 0, 0, 0, 0, 0)
        attr = ctypes.create_string_buffer(struct.pack("=IIIIQQIIIIQQ", *fields), _ATTR_BYTES)
        _call(Command.PROG_TEST_RUN, attr, f"program {self.name}")
        result = struct.unpack_from("=IIIIQQII", attr.raw)
        return Ran(result[1], result[7])

    @property
    def compiled_bytes(self) -> int:
        """How long it is as machine code; 0 where the kernel interprets it."""
        info = ctypes.create_string_buffer(_INFO_BYTES)
        _bpf(Command.OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", self.fd, _INFO_BYTES, _address(info)), f"program {self.name}")
        found: int = struct.unpack_from("=I", info, _JITED_LENGTH_AT)[0]
        return found


def attach(program: Program, target_fd: int, kind: int) -> File:
    """Attach a program to what an open file stands for, such as a control group. It goes with the file that is given, however we end.

    Raises:
        OSError: the kernel refuses; EINVAL before Linux 5.7.
    """
    return File(_bpf(Command.LINK_CREATE, struct.pack("=IIII", program.fd, target_fd, kind, 0), f"attach {program.name}"))


@cache
def possible_cpus() -> int:
    """How many values a per-CPU map has for each key."""
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().replace(",", "-").split("-")[-1]
    return int(last) + 1


def _load(name: str, kind: ProgramKind, code: bytes, log: ctypes.Array[ctypes.c_char] | None, what: str) -> int:
    held, licence = _buffer(code), _buffer(b"Dual BSD/GPL\0")
    level, size = (0, 0) if log is None else (1, _LOG_BYTES)
    # prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, kern_version, prog_flags, prog_name
    fields = (kind, len(code) // 8, _address(held), _address(licence), level, size, _address(log), 0, 0, _name(name))
    return _bpf(Command.PROG_LOAD, struct.pack("=IIQQIIQII16s", *fields), what)


def _bpf(command: Command, attr: bytes, what: str) -> int:
    return _call(command, ctypes.create_string_buffer(attr, _ATTR_BYTES), what)


def _call(command: Command, attr: ctypes.Array[ctypes.c_char], what: str) -> int:
    number = NUMBERS.get(platform.machine()) if sys.maxsize > 2**32 else None
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf: no number of this call is known for {platform.machine()}")
    result: int = _libc.syscall(ctypes.c_long(number), ctypes.c_int(command), attr, ctypes.c_uint(_ATTR_BYTES))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf: {what}: {os.strerror(code)}")
    return result


def _buffer(content: bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(content, len(content))


def _address(buffer: ctypes.Array[ctypes.c_char] | None) -> int:
    return 0 if buffer is None else ctypes.addressof(buffer)


def _name(text: str) -> bytes:
    """What the kernel takes as a name: 15 letters, digits, dots and underscores."""
    return "".join(c if c.isalnum() or c == "." else "_" for c in text).encode("ascii", "replace")[:15]
