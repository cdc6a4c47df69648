#!/usr/bin/env python3
"""Builds the firmware for both machines and prints the figures of README.md: sizes, symbols, stack, instructions.

Needs LLVM's nm, objdump and size (LLVM=-22 asks for llvm-nm-22 and so on). Instructions are counted by a QEMU plugin, if
COUNT_PLUGIN names one that prints a line with `total`: QEMU's own contrib/plugins/libinsn.so does. They are emulated: not time.
Exits 1 if an allocator is linked, or the code has grown beyond LIMIT.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
MACHINES = {"thumbv7em-none-eabihf": "mps2-an500, Cortex-M7", "thumbv8m.main-none-eabihf": "mps3-an547, Cortex-M55"}
# Without models and photos, code, tables and strings shall not grow beyond this. The aim is 64 KiB: see README.md.
LIMIT = 76 * 1024
ALLOCATOR = re.compile(r"__rust_alloc|__rust_realloc|__rg_alloc|__rdl_alloc|\bmalloc\b|\b_?sbrk|alloc::|handle_alloc_error")
PANIC = re.compile(r"core::panicking::|core::slice::index::slice_index_fail|len_mismatch_fail|core::option::unwrap_failed")
FORMATTED = "formatted"
RUNS, PHOTOS = 10, 3


def tool(name: str, *arguments: str) -> str:
    command = [f"llvm-{name}{os.environ.get('LLVM', '')}", *arguments]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def build(target: str, repeat: str = "") -> str:
    environment = {**os.environ, "REPEAT": repeat}
    subprocess.run(["cargo", "build", "--quiet", "--release", "--target", target], cwd=HERE, env=environment, check=True)
    return str(HERE / "target" / target / "release" / "edgelip-cortex-m")


def run(elf: str, extra: str = "") -> str:
    environment = {**os.environ, "QEMU_EXTRA": extra}
    return subprocess.run([HERE / "run.sh", elf], env=environment, check=True, text=True, stdout=subprocess.PIPE).stdout


def instructions(elf: str, plugin: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "count.log"
        run(elf, f"-d plugin -D {log} -plugin {plugin}")
        return int(re.search(r"total\D*(\d+)", log.read_text())[1])


def code_size(elf: str) -> int:
    """Bytes that are flashed for the program itself: all loaded sections but the models', less the photos."""
    sections = {row[0]: int(row[1]) for row in map(str.split, tool("size", "-A", elf).splitlines()) if len(row) == 3 and row[1].isdigit()}
    photos = sum(path.stat().st_size for path in (HERE / "photos").glob("*.rgb"))
    flashed = {name: sections.get(name, 0) for name in [".vector_table", ".text", ".rodata", ".data"]}
    flashed[".rodata"] -= photos
    print("  " + ", ".join(f"{name} {size}" for name, size in flashed.items()))
    return sum(flashed.values())


def panic_sites(elf: str) -> Counter:
    """Branches into core's panics, by the crate of the function they are in; and those from panics to formatting."""
    sites, function = Counter(), ""
    for line in tool("objdump", "-d", "-C", "--no-show-raw-insn", elf).splitlines():
        if heading := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            function = heading[1]
        elif not re.search(r"\tb[a-z.]*\t.*<", line):
            continue
        elif PANIC.search(function):
            sites[FORMATTED] += "fmt::" in line and "panic_fmt" not in line
        elif PANIC.search(line):
            sites[re.match(r"[\W_A-Z]*(\w+)", function)[1]] += 1
    return sites


def report(target: str) -> bool:
    elf = build(target)
    print(f"{MACHINES[target]} ({target})")
    size = code_size(elf)
    print(f"  code without models and photos: {size} bytes, {size / 1024:.1f} KiB ({LIMIT // 1024} allowed)")

    symbols = [line.split(None, 2)[2] for line in tool("nm", "-C", "--defined-only", elf).splitlines()]
    allocator = [name for name in symbols if ALLOCATOR.search(name)]
    formatting = [name for name in symbols if "fmt" in name]
    print(f"  allocator symbols: {', '.join(allocator) or 'none'}")
    sites = panic_sites(elf)
    print(f"  core::fmt symbols: {len(formatting)}, for messages on the console; branches to them from panics: {sites.pop(FORMATTED, 0)}")
    print(f"  branches to a panic: {sum(sites.values())} ({', '.join(f'{crate} {n}' for crate, n in sites.most_common())})")

    output = run(elf)
    print("  " + re.search(r"arena: .*", output)[0])
    if plugin := os.environ.get("COUNT_PLUGIN"):
        once = instructions(elf, plugin)
        for model in ["whole", "merged"]:
            label = (instructions(build(target, model), plugin) - once) / (RUNS * PHOTOS)
            print(f"  {model}: {label / 1e6:.2f} million instructions a photo, from its pixels to its scores (emulated)")
        build(target)
    return not allocator and size <= LIMIT


def main() -> None:
    sys.exit(0 if all([report(target) for target in MACHINES]) else 1)


if __name__ == "__main__":
    main()
