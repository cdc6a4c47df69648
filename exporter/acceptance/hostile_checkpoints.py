#!/usr/bin/env python3
"""Hostile and damaged files of PyTorch: the exporter must say in one line what is wrong, soon, in little memory, and run nothing.

    venv/bin/python exporter/acceptance/hostile_checkpoints.py

Exits 0 if it always did, 1 if not.
"""

import collections
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path

import torch

import binaries

SECONDS, BYTES = 20.0, 1 << 30


class Call:
    """An object whose pickle calls something."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def archive(path: Path, description: bytes, compression: int = zipfile.ZIP_STORED, order: bytes = b"little") -> None:
    """A zip archive as torch.save makes it, around any pickle."""
    with zipfile.ZipFile(path, "w", compression) as made:
        made.writestr("archive/data.pkl", description)
        made.writestr("archive/byteorder", order)
        made.writestr("archive/data/0", bytes(4096))


def tensor(shape: tuple, strides: tuple, offset: int = 0, count: int = 1024) -> bytes:
    """The pickle of a state dict of one float tensor, whatever its sizes."""
    def number(value: int) -> bytes:
        size = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)

    def numbers(values: tuple) -> bytes:
        return b"(" + b"".join(number(value) for value in values) + b"t"

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(count) + b"tQ"
    view = storage + number(offset) + numbers(shape) + numbers(strides)
    return b"\x80\x02}" + text("visual.conv1.weight") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + view + b"\x89ccollections\nOrderedDict\n)RtRs."


def hostile(work: Path, witness: Path):
    """What the file is, and the file; one at a time."""
    path = work / "model.pt"
    touch = f"touch {witness}"
    python = f"open({str(witness)!r}, 'w')"
    calls = {
        "os.system": Call(os.system, touch),
        "eval": Call(eval, python),
        "exec": Call(exec, python),
        "getattr": Call(getattr, "a", "upper"),
        "a call behind a state dict": {"state_dict": {"a": torch.zeros(2)}, "hook": Call(os.system, touch)},
        "a call for a tensor": collections.OrderedDict(a=torch.zeros(2), b=Call(os.popen, touch)),
        "a whole module": torch.nn.Linear(2, 2),
    }
    for what, value in calls.items():
        torch.save(value, path)
        yield what, path
        torch.save(value, path, pickle_protocol=4)
        yield f"{what}, protocol 4", path
    for depth in (10**5, 10**6):
        archive(path, b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
        yield f"{depth} lists in each other", path
        archive(path, b"\x80\x02" + b"}X\x01\0\0\0a" * depth + b"}" + b"s" * depth + b".")
        yield f"{depth} dicts in each other", path
    own: dict = {}
    own["model"] = own["a"] = own
    torch.save(own, path)
    yield "a dict in itself", path
    doubled: dict = {"a": torch.zeros(1)}
    for _ in range(60):
        doubled = {"a": doubled, "b": doubled}
    torch.save(doubled, path)
    yield "a dict of 2^60 tensors", path
    for what, description in {
        "a shape beyond its storage": tensor((2**20, 2**20), (2**20, 1)),
        "a shape beyond 64 bits": tensor((2**40, 2**40, 2**40), (1, 1, 1)),
        "a repeated element": tensor((2**40,), (0,)),
        "an offset beyond its storage": tensor((1,), (1,), offset=2**62),
        "a storage beyond its file": tensor((2**40,), (1,), count=2**40),
        "a negative length": tensor((-1,), (1,)),
        "a text of 4 GB": b"\x80\x02X\xff\xff\xff\xff.",
        "a text of 2^64 bytes": b"\x80\x04\x8d" + b"\xff" * 8 + b".",
        "nothing": b"",
        "many values": b"\x80\x02" + b")" * 10_000_000 + b".",
        "many copies": b"\x80\x02N" + b"2" * 10_000_000 + b".",
        "too long a description": b"\x80\x02" + b"N0" * 10_000_000 + b"N.",
    }.items():
        archive(path, description)
        yield what, path
    good = pickle.dumps({"a": 1}, protocol=2)
    archive(path, good + bytes(1 << 28), zipfile.ZIP_DEFLATED)
    yield "a zip bomb", path
    archive(path, tensor((1024,), (1,)), order=b"big")
    yield "big-endian", path
    torch.save({"visual.conv1.weight": torch.zeros(64, 3, 8, 8)}, path)
    whole = path.read_bytes()
    chance = random.Random(0)
    for part in range(64):
        path.write_bytes(whole[: len(whole) * part // 64])
        yield f"cut to {part}/64", path
    for _ in range(150):
        damaged = bytearray(whole)
        at = chance.choice([chance.randrange(1200), chance.randrange(len(whole) - 1200, len(whole))])
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        yield f"bit flipped in byte {at}", path
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    yield "PyTorch before 1.6", path


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    arguments = parser.parse_args()
    checks = binaries.Checks()
    runs, slowest, largest = 0, 0.0, 0
    with binaries.folder(arguments.keep) as work:
        witness = work / "witness"
        for what, path in hostile(work, witness):
            ran = binaries.run([arguments.exporter, path, "--dry-run", "--activation", "gelu", "--preprocess", "clip"], 2 * SECONDS)
            lines = ran.err.strip().splitlines()
            runs, slowest, largest = runs + 1, max(slowest, ran.seconds), max(largest, ran.peak_bytes)
            said = ran.code == 2 and len(lines) == 1 and lines[0].startswith("error: ") and len(lines[0]) < 2000
            if not said or ran.seconds > SECONDS or ran.peak_bytes > BYTES or witness.exists():
                checks.check(what, False, f"ended with {ran.code} after {ran.seconds:.1f} s, {ran.peak_bytes >> 20} MiB: {ran.err.strip()[:300]}")
            elif "flipped" not in what and "cut" not in what:
                checks.check(what, True, lines[0].split(": ", 2)[-1][:110])
        checks.check("all files", True, f"{runs} of them, at most {slowest:.1f} s and {largest >> 20} MiB each")
    checks.exit()


if __name__ == "__main__":
    main()
