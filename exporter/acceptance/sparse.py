"""Checkpoints of any size in next to no time and room: tensors by name and shape, all of them holes in a file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def write(path: Path, shapes: Mapping[str, Sequence[int]]) -> None:
    """Writes a safetensors file of zeros."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
