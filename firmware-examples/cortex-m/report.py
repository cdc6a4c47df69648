#!/usr/bin/env python3
"""Builds the firmware for both machines, checks what is linked, and prints the figures of the READMEs: sizes, symbols, stack, instructions.

    ./report.py                                        # for people
    COUNT_PLUGIN=/path/to/libinsn.so ./report.py --json    # for programs, with instructions per photo

Needs LLVM's nm and size of any version (LLVM=-22 asks for llvm-nm-22 and so on). Instructions are counted by a QEMU plugin, if COUNT_PLUGIN names one that
prints a line with `total`: QEMU's own contrib/plugins/libinsn.so does. They are emulated: not time.
Exits 1 if an allocator or a panic is linked, the code has grown beyond LIMIT, or the run fails.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MACHINES = {"thumbv7em-none-eabihf": ("mps2-an500", "Cortex-M7"), "thumbv8m.main-none-eabihf": ("mps3-an547", "Cortex-M55")}
# Without models and photos: code, tables and strings.
LIMIT = 64 * 1024
ALLOCATOR = re.compile(r"__rust_alloc|__rust_realloc|__rg_alloc|__rdl_alloc|\bmalloc\b|\b_?sbrk|alloc::|handle_alloc_error")
# All of Rust's panics go through `core::panicking` to the program's own handler: without both there is none.
PANIC = re.compile(r"panic|rust_begin_unwind|slice_index_fail|unwrap_failed|expect_failed|len_mismatch_fail")
RUNS, PHOTOS = 10, 3


def tool(name: str, *arguments: str) -> str:
    """What one of LLVM's tools prints: the one that LLVM names, else the plain one, else that of any version."""
    versions = [os.environ["LLVM"]] if "LLVM" in os.environ else ["", *(f"-{version}" for version in range(30, 13, -1))]
    found = next(filter(shutil.which, (f"llvm-{name}{version}" for version in versions)), None)
    if found is None:
        sys.exit(f"llvm-{name} is not installed")
    return subprocess.run([found, *arguments], check=True, text=True, stdout=subprocess.PIPE).stdout


def build(target: str, repeat: str = "") -> str:
    environment = {**os.environ, "REPEAT": repeat}
    subprocess.run(["cargo", "build", "--quiet", "--release", "--target", target], cwd=HERE, env=environment, check=True)
    return str(HERE / "target" / target / "release" / "edgelip-cortex-m")


def run(elf: str, extra: str = "") -> tuple[bool, str]:
    environment = {**os.environ, "QEMU_EXTRA": extra}
    done = subprocess.run([HERE / "run.sh", elf], env=environment, text=True, stdout=subprocess.PIPE)
    return done.returncode == 0, done.stdout


def instructions(elf: str, plugin: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "count.log"
        passed, output = run(elf, f"-d plugin -D {log} -plugin {plugin}")
        if not passed:
            # A run that ends early would seem cheap.
            sys.exit(f"{elf} fails:\n{output}")
        return int(re.search(r"total\D*(\d+)", log.read_text())[1])


def code_size(elf: str) -> int:
    """Bytes that are flashed for the program itself: all loaded sections but the models', less the photos."""
    sections = {row[0]: int(row[1]) for row in map(str.split, tool("size", "-A", elf).splitlines()) if len(row) == 3 and row[1].isdigit()}
    photos = sum(path.stat().st_size for path in (HERE / "photos").glob("*.rgb"))
    return sum(sections.get(name, 0) for name in [".vector_table", ".text", ".rodata", ".data"]) - photos


def measure(target: str) -> dict:
    elf = build(target)
    symbols = [line.split(None, 2)[2] for line in tool("nm", "-C", "--defined-only", elf).splitlines()]
    passed, output = run(elf)
    memory = re.search(r"arena: (\d+) bytes; deepest stack: (\d+) of (\d+) bytes", output)
    arena, stack, reserved = map(int, memory.groups()) if memory else (0, 0, 0)
    machine, core = MACHINES[target]
    models = {}
    for name, size, macs, floats in re.findall(r"model `(\w+)` at \w+: (\d+) bytes, (\d+) thousand multiply-adds, (\d+) of", output):
        models[name] = {"bytes": int(size), "multiply_adds": 1000 * int(macs), "scratch_bytes": 4 * int(floats)}
    if plugin := os.environ.get("COUNT_PLUGIN"):
        once = instructions(elf, plugin)
        for name, model in models.items():
            model["instructions_per_photo"] = (instructions(build(target, name), plugin) - once) // (RUNS * PHOTOS)
        build(target)
    return {
        "target": target,
        "machine": machine,
        "core": core,
        "emulated": True,
        "passed": passed,
        "code_bytes": code_size(elf),
        "code_bytes_allowed": LIMIT,
        "arena_bytes": arena,
        "stack_bytes": stack,
        "stack_bytes_reserved": reserved,
        "allocator_symbols": [name for name in symbols if ALLOCATOR.search(name)],
        "panic_symbols": [name for name in symbols if PANIC.search(name)],
        "formatting_symbols": sum("core::fmt" in name for name in symbols),
        "models": models,
    }


def holds(figures: dict) -> bool:
    linked = figures["allocator_symbols"] or figures["panic_symbols"]
    fits = figures["code_bytes"] <= LIMIT and 0 < figures["stack_bytes"] < figures["stack_bytes_reserved"]
    return figures["passed"] and fits and not linked


def tell(figures: dict) -> None:
    kib = figures["code_bytes"] / 1024
    print(f"{figures['machine']}, {figures['core']} ({figures['target']}), emulated: {'passed' if figures['passed'] else 'FAILED'}")
    print(f"  code without models and photos: {figures['code_bytes']} bytes, {kib:.1f} KiB ({LIMIT // 1024} allowed)")
    print(f"  allocator symbols: {', '.join(figures['allocator_symbols']) or 'none'}")
    print(f"  panic symbols: {', '.join(figures['panic_symbols']) or 'none'}")
    print(f"  core::fmt symbols, for messages on the console: {figures['formatting_symbols']}")
    print(f"  arena: {figures['arena_bytes']} bytes; deepest stack: {figures['stack_bytes']} of {figures['stack_bytes_reserved']} bytes")
    for name, model in figures["models"].items():
        if count := model.get("instructions_per_photo"):
            print(f"  {name}: {count / 1e6:.2f} million instructions a photo, from its pixels to its scores")


def main() -> None:
    parser = argparse.ArgumentParser(description="Sizes, symbols, stack and instructions of the firmware on both machines.")
    parser.add_argument("--json", action="store_true", help="print one array for programs")
    arguments = parser.parse_args()
    reports = [measure(target) for target in MACHINES]
    if arguments.json:
        print(json.dumps(reports, indent=2))
    else:
        for figures in reports:
            tell(figures)
    sys.exit(0 if all(map(holds, reports)) else 1)


if __name__ == "__main__":
    main()
