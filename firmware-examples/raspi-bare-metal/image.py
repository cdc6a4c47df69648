#!/usr/bin/env python3
"""Makes a kernel8.img, which a Raspberry Pi loads to 0x80000 as it is, from an ELF file: image.py ELF IMAGE."""

import struct
import sys
from pathlib import Path

BASE = 0x80000
LOAD = 1


def flatten(elf: bytes) -> bytes:
    """The bytes of all segments that are loaded, where they belong."""
    assert elf[:6] == b"\x7fELF\x02\x01", "not an ELF file for a 64-bit little-endian machine"
    (table,), (size, count) = struct.unpack_from("<Q", elf, 32), struct.unpack_from("<HH", elf, 54)
    image = bytearray()
    for at in range(table, table + count * size, size):
        kind, _, offset, _, address, length = struct.unpack_from("<IIQQQQ", elf, at)
        if kind == LOAD and length:
            image.extend(bytes(address - BASE - len(image)))
            image.extend(elf[offset:offset + length])
    return bytes(image)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(flatten(Path(sys.argv[1]).read_bytes()))
