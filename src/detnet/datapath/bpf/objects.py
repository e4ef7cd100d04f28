"""Objects as clang makes them for BPF: programs, and the maps that they use.

An object is read, its maps are made, and their files filled in where its programs name them; then the kernel takes the programs. That is
all that a loader has to do for programs which read nothing but stable interfaces, so there is no need of libbpf on the node.

Invariants: an object is either loaded as a whole, or nothing of it stays.
Source: Documentation/bpf/llvm_reloc.rst of Linux (R_BPF_64_64), linux/bpf.h.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from detnet.datapath.bpf.syscall import Map, MapKind, Program, ProgramKind

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

_MAP = struct.Struct("=IIII")  # type, key_size, value_size, max_entries
_LOAD_64 = 0x18  # of two instructions' length: a 64-bit value, here a map
_MAP_FD = 1  # BPF_PSEUDO_MAP_FD
_KINDS = {"tc": ProgramKind.SCHED_CLS, "sockops": ProgramKind.SOCK_OPS}


class Loaded(NamedTuple):
    """What an object became: its maps and programs, by name."""

    maps: dict[str, Map]
    programs: dict[str, Program]

    def close(self) -> None:
        """Let go of all of it; what is attached goes on."""
        for file in (*self.programs.values(), *self.maps.values()):
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load(path: Path) -> Loaded:
    """Load an object.

    Raises:
        OSError: the kernel refuses a map or a program; EPERM without CAP_BPF (or CAP_SYS_ADMIN before Linux 5.8) and CAP_NET_ADMIN.
    """
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - for those who load alone

    loaded = Loaded({}, {})
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            symbols = elf.get_section_by_name(".symtab")
            maps_at = elf.get_section_index("maps")
            declared = elf.get_section_by_name("maps").data()
            for symbol in symbols.iter_symbols():
                if symbol["st_shndx"] == maps_at and symbol.name:
                    kind, key_bytes, value_bytes, entries = _MAP.unpack_from(declared, symbol["st_value"])
                    loaded.maps[symbol.name] = Map(symbol.name, MapKind(kind), key_bytes, value_bytes, entries)
            for section in elf.iter_sections():
                prefix, _, name = section.name.partition("/")
                if prefix in _KINDS:
                    code = bytearray(section.data())
                    relocations = elf.get_section_by_name(f".rel{section.name}")
                    for one in relocations.iter_relocations() if relocations else ():
                        named = symbols.get_symbol(one["r_info_sym"]).name
                        _fill_in(code, one["r_offset"], loaded.maps[named].fd)
                    name = name or prefix
                    loaded.programs[name] = Program(name, _KINDS[prefix], bytes(code))
    except BaseException:
        loaded.close()
        raise
    return loaded


def _fill_in(code: bytearray, at: int, fd: int) -> None:
    """Write a map's file into the instruction that loads its address."""
    if code[at] != _LOAD_64:
        raise ValueError(f"the instruction at {at} loads no map")
    code[at + 1] = code[at + 1] & 0x0F | _MAP_FD << 4
    struct.pack_into("=i", code, at + 4, fd)
