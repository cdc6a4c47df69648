#!/usr/bin/env python3
"""EMULATED: the inner loops of the NEON kernels by llvm-mca, as a share of what the core's multiply-add units could do.

    python3 benches/arm-cost/loops.py

Compiles the kernels for aarch64, finds the loop with the most multiply-adds of each kind, and lets llvm-mca run it on models of the
cores. The peak is what llvm-mca says of independent multiply-adds alone on the same model. llvm-mca assumes hits in the first cache.
neoverse-n1 stands for Cortex-A76 and later: LLVM's own models of those are the A57's.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = "aarch64-unknown-linux-gnu"
#: Kind of loop: what its multiply-adds look like, what it must not contain, an independent one, and what the core needs to have.
KINDS = {
    "f32": (r"\bfmla\s+v\d+\.4s,\s*v\d+\.4s,\s*v\d+\.s\[", r"\bfcvtl", "fmla v{0}.4s, v30.4s, v31.s[0]", ""),
    "f16 weights": (r"\bfmla\s+v\d+\.4s,\s*v\d+\.4s,\s*v\d+\.s\[", None, "fmla v{0}.4s, v30.4s, v31.s[0]", ""),
    "f16 arithmetic": (r"\bfm(la|ul)\s+v\d+\.8h,\s*v\d+\.8h,\s*v\d+\.h\[", None, "fmla v{0}.8h, v30.8h, v31.8h", "+fullfp16"),
    "int8 dot product": (r"\bsdot\s", None, "sdot v{0}.4s, v30.16b, v31.4b[0]", "+dotprod"),
    "int8 matrix product": (r"\bsmmla\s", None, "smmla v{0}.4s, v30.16b, v31.16b", "+i8mm"),
}
CORES = ("cortex-a53", "cortex-a72", "neoverse-n1")
#: A72 and A53 have neither half precision nor a dot product; A55 stands in for what small cores do with them. Cores that have more have what it
#: competes with, too.
CORES_OF = {
    "f32": ("cortex-a53", "cortex-a55", "cortex-a72", "neoverse-n1", "cortex-a510", "neoverse-n2", "neoverse-v1"),
    "f16 arithmetic": ("cortex-a55", "neoverse-n1", "cortex-a510", "neoverse-n2", "neoverse-v1"),
    "int8 dot product": ("cortex-a55", "neoverse-n1", "cortex-a510", "neoverse-n2", "neoverse-v1"),
    "int8 matrix product": ("cortex-a510", "neoverse-n2", "neoverse-v1"),
}
#: Products of two numbers that one instruction adds up.
PRODUCTS = {"f32": 4, "f16 weights": 4, "f16 arithmetic": 8, "int8 dot product": 16, "int8 matrix product": 32}


def assembly(path):
    if path:
        with open(path) as file:
            return file.read()
    with tempfile.TemporaryDirectory() as folder:
        command = ["cargo", "rustc", "--release", "-p", "edgelip-kernels", "--lib", "--target", TARGET]
        out = os.path.join(folder, "kernels.s")
        subprocess.run([*command, "--", "--emit", f"asm={out}", "-C", "codegen-units=1"], cwd=HERE, check=True)
        with open(out) as file:
            return file.read()


def loops(text):
    """Instructions of each block that ends in a branch to its own start."""
    label, body = None, []
    for line in text.splitlines():
        line = line.split("//")[0].strip()
        if match := re.match(r"(\.L\w+):", line):
            label, body = match.group(1), []
        elif line and not line.startswith("."):
            body.append(line)
            if label and re.match(r"(b\.\w+|cbn?z|tbn?z)\s", line) and line.endswith(label):
                yield body


def cycles(mca, core, features, body, iterations=200):
    command = [mca, f"-mtriple={TARGET}", f"-mcpu={core}", f"-mattr={features}", f"-iterations={iterations}", "-"]
    result = subprocess.run(command, input="\n".join(body) + "\n", text=True, capture_output=True)
    if result.returncode:
        sys.exit(f"llvm-mca: {result.stderr.strip()[-300:]}")
    return float(re.search(r"Total Cycles:\s+(\d+)", result.stdout).group(1)) / iterations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mca", default="llvm-mca-22")
    parser.add_argument("--assembly", help="of the kernels, if it is there already")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    found = list(loops(assembly(arguments.assembly)))
    rows = []
    for kind, (pattern, without, single, features) in KINDS.items():
        def count(body):
            return sum(bool(re.search(pattern, line)) for line in body)

        def fits(body):
            converts = any("fcvtl" in line for line in body)
            return kind not in ("f32", "f16 weights") or converts == (kind == "f16 weights")

        body = max((body for body in found if fits(body)), key=count, default=[])
        if not count(body):
            sys.exit(f"no loop found for {kind}")
        for core in CORES_OF.get(kind, CORES):
            independent = [single.format(register) for register in range(24)]
            peak = len(independent) / cycles(arguments.mca, core, features, independent)
            rate = count(body) / cycles(arguments.mca, core, features, body)
            rows.append(
                {"emulated": True, "loop": kind, "core": core, "multiply_adds": count(body), "instructions": len(body),
                 "per_cycle": rate, "peak_per_cycle": peak, "share_of_peak": rate / peak, "products_per_cycle": rate * PRODUCTS[kind]}
            )
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("EMULATED by llvm-mca: vector multiply-adds per cycle of the inner loops")
    print(f"{'loop':19} {'core':12} {'of instructions':>15} {'per cycle':>9} {'peak':>6} {'share':>7} {'products':>8}")
    for row in rows:
        mix = f"{row['multiply_adds']} of {row['instructions']}"
        share = f"{100 * row['share_of_peak']:.1f} %"
        rates = f"{row['per_cycle']:9.2f} {row['peak_per_cycle']:6.2f} {share:>7} {row['products_per_cycle']:8.1f}"
        print(f"{row['loop']:19} {row['core']:12} {mix:>15} {rates}")


if __name__ == "__main__":
    main()
