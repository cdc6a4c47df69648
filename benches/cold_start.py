#!/usr/bin/env python3
"""Process start to first answer, and peak memory: `edgelip classify` beside onnxruntime's Python on the same file and photo.

Whole processes in turns, page cache warm, one thread each (or --threads). Prints minimum and median, and the ratio of the medians.

    python3 benches/cold_start.py --edgelip target/release/edgelip --model model.onnx --photo photo.jpg
"""

import argparse
import json
import os
import statistics
import sys
import time

PEER = """
import sys
import numpy, onnxruntime
model, threads, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
session.run(None, {"pixel_values": numpy.zeros((1, 3, side, side), numpy.float32)})
"""


def measure(command):
    """Seconds and peak bytes of one run of a command that must succeed."""
    start = time.perf_counter()
    process = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        sys.exit(f"failed: {' '.join(command[:3])} …")
    return seconds, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edgelip", default="target/release/edgelip")
    parser.add_argument("--model", required=True, help="an image tower with labels")
    parser.add_argument("--photo", required=True)
    parser.add_argument("--side", type=int, default=224, help="the model's image size, for onnxruntime's input")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    threads = str(arguments.threads)
    commands = {
        "edgelip": [arguments.edgelip, "classify", arguments.photo, "--model", arguments.model, "--threads", threads],
        "onnxruntime (Python)": [sys.executable, "-c", PEER, arguments.model, threads, str(arguments.side)],
    }
    for command in commands.values():
        measure(command)
    runs = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            runs[name].append(measure(command))

    size = os.path.getsize(arguments.model)
    rows = {
        name: {
            "min_ms": 1e3 * min(seconds for seconds, _ in measured),
            "median_ms": 1e3 * statistics.median(seconds for seconds, _ in measured),
            "peak_mb": max(peak for _, peak in measured) / 1e6,
            "peak_beyond_file_mb": (max(peak for _, peak in measured) - size) / 1e6,
        }
        for name, measured in runs.items()
    }
    if arguments.json:
        print(json.dumps({"file_mb": size / 1e6, "threads": arguments.threads, "engines": rows}, indent=2))
        return
    print(f"{arguments.model}: {size / 1e6:.1f} MB, {threads} thread(s), {arguments.rounds} rounds")
    for name, row in rows.items():
        print(
            f"{name:22} {row['min_ms']:7.1f} ms min  {row['median_ms']:7.1f} ms median  "
            f"{row['peak_mb']:6.1f} MB peak ({row['peak_beyond_file_mb']:+.1f} MB beyond the file)"
        )
    ours, peer = (rows[name]["median_ms"] for name in commands)
    print(f"ratio of the medians   {ours / peer:.3f}")


if __name__ == "__main__":
    main()
