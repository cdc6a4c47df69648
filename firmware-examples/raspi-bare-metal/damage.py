#!/usr/bin/env python3
"""Damages a model within an image, as a worn memory card does: damage.py damaged|missing MODEL IMAGE OUT.

`damaged` flips one bit in its middle, `missing` leaves nothing but zeros.
"""

import sys
from pathlib import Path

fault, (model, image) = sys.argv[1], (Path(path).read_bytes() for path in sys.argv[2:4])
start = image.index(model)
if fault == "missing":
    changed = bytes(len(model))
else:
    middle = len(model) // 2
    changed = model[:middle] + bytes([model[middle] ^ 4]) + model[middle + 1:]
Path(sys.argv[4]).write_bytes(image[:start] + changed + image[start + len(model):])
