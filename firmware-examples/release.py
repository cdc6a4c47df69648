#!/usr/bin/env python3
"""Builds `edgelip` for Linux boards: static, stripped, one file a target, in target/boards; prints their sizes.

Targets whose standard library is not installed (`rustup target add TARGET`, or `.ci/std.sh TARGET`) are left out, and told. The linker is
TARGET's gcc, as Debian names it; musl's needs none but that of glibc. With --check each binary labels the fixture photos in QEMU (qemu-user) on every core that it must run on:
the labels must be the workstation's, and the dot product may only be chosen where the core has it.

Exits 1 if a check fails, 2 if nothing could be built.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "target" / "boards"
MODEL = "fixtures/tiny-clip.onnx"
TOLERANCE = 1e-4
ARM_64 = {"cortex-a53": "neon", "cortex-a57": "neon", "cortex-a72": "neon", "cortex-a76": "neon-fp16", "max": "neon-i8mm"}
# By target: the prefix of its GNU tools, QEMU's program, and the cores to try with the kernels they must choose.
TARGETS = {
    "aarch64-unknown-linux-gnu": ("aarch64-linux-gnu-", "qemu-aarch64", ARM_64),
    "aarch64-unknown-linux-musl": ("aarch64-linux-gnu-", "qemu-aarch64", ARM_64),
    "armv7-unknown-linux-gnueabihf": ("arm-linux-gnueabihf-", "qemu-arm", {"cortex-a7": "generic", "cortex-a9": "generic"}),
}


def output(*command: str | Path, **settings: str) -> str:
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=True, text=True, stdout=subprocess.PIPE).stdout


def installed(target: str) -> bool:
    return any(Path(output("rustc", "--print", "target-libdir", "--target", target).strip()).glob("libstd-*.rlib"))


def build(target: str) -> dict[str, object]:
    prefix = TARGETS[target][0]
    variable = f"CARGO_TARGET_{target.upper().replace('-', '_')}"
    settings = {f"{variable}_LINKER": f"{prefix}gcc"}
    # Only the last step is told to link libc in, so that all crates are shared with other builds.
    static = ["--", "-C", "target-feature=+crt-static"]
    output("cargo", "rustc", "--release", "--quiet", "-p", "edgelip", "--bin", "edgelip", "--target", target, *static, **settings)
    built, binary = ROOT / "target" / target / "release" / "edgelip", OUT / f"edgelip-{target}"
    OUT.mkdir(parents=True, exist_ok=True)
    output(f"{prefix}strip", "-o", binary, built)
    if "INTERP" in output(f"{prefix}readelf", "--program-headers", "--wide", binary):
        sys.exit(f"{binary}: not static")
    return {"target": target, "file": str(binary.relative_to(ROOT)), "bytes": binary.stat().st_size, "unstripped": built.stat().st_size}


def labels(*command: str | Path) -> list[dict[str, float]]:
    photos = [str(photo.relative_to(ROOT)) for photo in sorted((ROOT / "fixtures" / "photos").iterdir())]
    found = json.loads(output(*command, "classify", *photos, "--model", MODEL, "--json"))
    return [{label["label"]: label["score"] for label in photo["labels"]} for photo in found]


def check(target: str, host: list[dict[str, float]]) -> list[dict[str, object]]:
    _, emulator, cores = TARGETS[target]
    results = []
    for core, wanted in cores.items():
        command = [emulator, "-cpu", core, OUT / f"edgelip-{target}"]
        benched = json.loads(output(*command, "bench", MODEL, "--rounds", "1", "--warmup", "0", "--threads", "1", "--json"))
        there = labels(*command)
        same = [list(photo) for photo in there] == [list(photo) for photo in host]
        off = max(abs(here[label] - photo[label]) for here, photo in zip(there, host) for label in here) if same else None
        passed = same and off <= TOLERANCE and benched["kernels"] == wanted
        results.append({"core": core, "kernels": benched["kernels"], "same_labels": same, "off_by": off, "passed": passed})
    return results


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="run each binary on several cores, emulated")
    options.add_argument("--json", action="store_true", help="print JSON: an array of {target, file, bytes, unstripped, cores}")
    options.add_argument("targets", nargs="*", metavar="TARGET", help=f"some of {', '.join(TARGETS)}; by default all that are installed")
    given = options.parse_intermixed_args()
    if unknown := set(given.targets) - TARGETS.keys():
        options.error(f"unknown: {', '.join(sorted(unknown))}")

    made = []
    for target in given.targets or TARGETS:
        if installed(target):
            made.append(build(target))
        else:
            print(f"{target} left out: its standard library is not installed", file=sys.stderr)
    if not made:
        sys.exit(2)
    if given.check:
        output("cargo", "build", "--release", "--quiet", "-p", "edgelip")
        host = labels(ROOT / "target" / "release" / "edgelip")
        for binary in made:
            binary["cores"] = check(binary["target"], host)
    if given.json:
        print(json.dumps(made, indent=2))
    else:
        report(made)
    sys.exit(0 if all(core["passed"] for binary in made for core in binary.get("cores", [])) else 1)


def report(made: list[dict[str, object]]) -> None:
    for binary in made:
        print(f"{binary['file']}  {binary['bytes'] / 1e6:.1f} MB, static (with symbols {binary['unstripped'] / 1e6:.1f} MB)")
        for core in binary.get("cores", []):
            told = f"the host's labels, scores off by {core['off_by']:.0e}" if core["same_labels"] else "other labels than the host's"
            print(f"  {'ok' if core['passed'] else 'FAILED':7} {core['core']:11} {core['kernels']:13} {told} (emulated)")


if __name__ == "__main__":
    main()
