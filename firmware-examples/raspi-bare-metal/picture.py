"""Reads PNG files of 8-bit RGB pixels, without any library: what QEMU writes of a screen."""

import struct
import zlib
from pathlib import Path


def read(path: Path) -> tuple[int, int, bytes]:
    """Width, height and rows of RGB."""
    data, at, packed = path.read_bytes(), 8, b""
    width, height, *kind = struct.unpack_from(">IIBBBBB", data, 16)
    assert kind == [8, 2, 0, 0, 0], f"{path}: not plain 8-bit RGB"
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    return width, height, unfiltered(zlib.decompress(packed), 3 * width)


def unfiltered(lines: bytes, stride: int) -> bytes:
    rows, above = bytearray(), bytearray(stride)
    for start in range(0, len(lines), stride + 1):
        kind, row = lines[start], bytearray(lines[start + 1:start + 1 + stride])
        for x in range(stride) if kind else ():
            left, corner = (row[x - 3], above[x - 3]) if x >= 3 else (0, 0)
            row[x] = (row[x] + (0, left, above[x], (left + above[x]) // 2, nearest(left, above[x], corner))[kind]) & 255
        rows += row
        above = row
    return bytes(rows)


def nearest(left: int, above: int, corner: int) -> int:
    """Paeth's predictor."""
    return min((abs(above - corner), 0, left), (abs(left - corner), 1, above), (abs(left + above - 2 * corner), 2, corner))[2]
