#!/usr/bin/env python3
"""EMULATED: instructions of one inference on 64-bit Arm, counted under QEMU, for edgelip and for onnxruntime on the same file.

    cargo build --release --target aarch64-unknown-linux-gnu --features onnxruntime      (in this folder)
    python3 benches/arm-cost/count.py model.onnx --plugin libarmcount1.so --library libonnxruntime.so

Instructions are no time: caches and stalls are not in them. What one inference takes is the slope between runs of different length, so
that loading does not count. `--plugin` is a QEMU plugin that prints lines of `armcount CLASS NUMBER`; `--library` comes out of
onnxruntime's aarch64 wheel. cortex-a72 has neither half precision nor a dot product, cortex-a76 has both, and `max,sme=off` the matrix
product of bytes too; on `max` onnxruntime takes the matrix unit (SME), whose instructions do more than others and cannot be compared by number.
"""

import argparse
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RELEASE = os.path.join(HERE, "target", "aarch64-unknown-linux-gnu", "release")


def run(arguments, program, model, cpu, times):
    """Instructions by class of a whole process, and the embedding it printed."""
    command = [arguments.qemu, "-cpu", cpu, "-L", arguments.sysroot, "-d", "plugin", "-plugin", arguments.plugin]
    environment = os.environ | ({"ORT_DYLIB_PATH": arguments.library} if arguments.library else {})
    command += [os.path.join(RELEASE, program), model, str(times)]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{program} on {cpu} failed: {result.stderr.strip()[-300:]}")
    counts = dict(re.findall(r"armcount (.+?)\s+(\d+)$", result.stdout + result.stderr, re.MULTILINE))
    if "total" not in counts:
        sys.exit(f"no counts: is {arguments.plugin} the right plugin for {arguments.qemu}?")
    name, numbers = next(line for line in result.stdout.splitlines() if ": " in line).split(": ", 1)
    return {key: int(value) for key, value in counts.items()}, name, [float(number) for number in numbers.split()]


def slope(arguments, program, model, cpu):
    few, name, _ = run(arguments, program, model, cpu, 1)
    many, _, embedding = run(arguments, program, model, cpu, 1 + arguments.times)
    counts = {key: (many[key] - few[key]) / arguments.times for key in many}
    return {"kernels": name, "instructions": counts, "embedding": embedding}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="image towers as edgelip exports them")
    parser.add_argument("--cpu", nargs="+", default=["cortex-a72", "cortex-a76"])
    parser.add_argument("--qemu", default="qemu-aarch64")
    parser.add_argument("--sysroot", default="/usr/aarch64-linux-gnu")
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--library", help="onnxruntime's, for aarch64; without it only edgelip is counted")
    parser.add_argument("--times", type=int, default=2, help="inferences that the slope is taken over")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    rows = []
    if not arguments.json:
        print("EMULATED instructions per inference, in millions")
        print(f"{'model':28} {'cpu':11} {'kernels':13} {'edgelip':>9} {'of it FMA':>9} {'onnxruntime':>11} {'ratio':>6} {'cosine':>9}")
    for model in arguments.models:
        for cpu in arguments.cpu:
            ours = slope(arguments, "edgelip-times", model, cpu)
            peer = slope(arguments, "onnxruntime-times", model, cpu) if arguments.library else None
            total = ours["instructions"]["total"]
            row = {"emulated": True, "model": model, "cpu": cpu, "edgelip": ours, "onnxruntime": peer}
            if peer:
                row["ratio"] = total / peer["instructions"]["total"]
                row["cosine"] = sum(a * b for a, b in zip(ours["embedding"], peer["embedding"]))
            for engine in (ours, peer):
                if engine:
                    del engine["embedding"]
            rows.append(row)
            if not arguments.json:
                fma = ours["instructions"].get("vec-fma-or-dot", 0) / 1e6
                beside = f"{peer['instructions']['total'] / 1e6:11.1f} {row['ratio']:6.3f} {row['cosine']:9.6f}" if peer else ""
                name = os.path.basename(model)
                print(f"{name:28} {cpu:11} {ours['kernels']:13} {total / 1e6:9.1f} {fma:9.1f} {beside}", flush=True)
    if arguments.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
