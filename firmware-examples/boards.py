#!/usr/bin/env python3
"""Builds and runs everything in this folder that runs in QEMU, and prints the table of boards of README.md (or --json).

Nothing in it is measured on hardware: instructions are counted by emulators, and say nothing about caches and clocks. For a Cortex-M they are
counted by a plugin of QEMU's, if COUNT_PLUGIN names one: see cortex-m/report.py. For Linux they are if COUNT_USER is a qemu-aarch64 with such a plugin,
as in COUNT_USER="qemu-aarch64 -plugin /path/to/libinsn.so -d plugin". Without them those cells stay empty.
A Raspberry Pi without an operating system counts its own instructions. Exits 1 if a run fails.
"""

import argparse
import json
import os
import re
import shlex
import struct
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RASPI = HERE / "raspi-bare-metal"
CODE = [".text", ".rodata", ".data"]
# Inferences that are counted on Linux.
RUNS = 4


def output(*command: str | Path, cwd: Path, errors: int | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=errors)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def sections(elf: Path) -> dict[str, int]:
    """Bytes of each section of a 64-bit ELF file."""
    data = elf.read_bytes()
    (table,), (size, count, names) = struct.unpack_from("<Q", data, 40), struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, table + index * size) for index in range(count)]
    text = headers[names][4]
    return {data[text + name:data.index(0, text + name)].decode(): length for name, _, _, _, _, length in headers}


def raspi(machine: str, board: str, memory: str) -> dict:
    console = output("./emulate.py", "--machine", machine, cwd=RASPI)
    models, scratch = {}, 0
    for name, saved, used in re.findall(r"^model (\S+): .*, ([\d.]+) % compressed, .*, (\d+) of \d+ KiB", console, re.M):
        counts = re.findall(rf"^  {re.escape(name)}, (?:.*\n)+?.* (\d+) instructions", console, re.M)
        models[name] = {"saved": float(saved), "instructions": sum(map(int, counts)) // len(counts)}
        scratch = max(scratch, 1024 * int(used))
    found = sections(RASPI / "target/aarch64-unknown-none/release/edgelip-raspi-bare-metal")
    return {
        "machine": machine,
        "board": board,
        "memory": memory,
        "runs": "`raspi-bare-metal`: mlip-tiny, int8, on a screen",
        "arena_bytes": scratch,
        "stack_bytes": max(map(int, re.findall(r"deepest stack: (\d+)", console))),
        "code_bytes": sum(found.get(name, 0) for name in CODE),
        "models": models,
    }


def linux(core: str, board: str, program: dict) -> dict:
    """The release binary on an emulated core."""
    binary = HERE.parent / program["file"]
    command = [*shlex.split(os.environ.get("COUNT_USER", "qemu-aarch64")), "-cpu", core, binary]
    models, scratch = {}, 0
    for model in [RASPI / "models/mlip-tiny.onnx", RASPI / "models/mlip-tiny-0.5.onnx"]:
        once = [*command, "bench", model, "--threads", "1", "--warmup", "0", "--min-seconds", "0", "--json", "--rounds"]
        told = [output(*once, str(rounds), cwd=HERE, errors=subprocess.STDOUT) for rounds in (1, 1 + RUNS)]
        few, many = ([int(total) for total in re.findall(r"\btotal\D*(\d+)", run)] for run in told)
        row = json.JSONDecoder().raw_decode(told[0], told[0].index("{"))[0]["models"][0]
        models[model.stem] = {"saved": 100 * row["compression"], "instructions": (many[-1] - few[-1]) // RUNS if few and many else None}
        scratch = max(scratch, row["scratch_bytes"])
    return {
        "machine": f"qemu-aarch64 -cpu {core}",
        "board": board,
        "memory": "",
        "runs": "`edgelip`, static: mlip-tiny, int8",
        "arena_bytes": scratch,
        "stack_bytes": None,
        "code_bytes": program["bytes"],
        "models": models,
    }


def cortex_m() -> list[dict]:
    return [
        {
            "machine": board["machine"],
            "board": board["core"],
            "memory": memory(board["machine"]),
            "runs": "`cortex-m`: micro, int8, on the console",
            "arena_bytes": board["arena_bytes"],
            "stack_bytes": board["stack_bytes"],
            "code_bytes": board["code_bytes"],
            "models": {
                name: {"saved": saved(model, board["models"]), "instructions": model.get("instructions_per_photo")}
                for name, model in board["models"].items()
            },
        }
        for board in json.loads(output("./report.py", "--json", cwd=HERE / "cortex-m"))
    ]


def memory(machine: str) -> str:
    """What the machine's memory map gives to code and models, and to data."""
    kib = {name: int(size) * (1024 if unit == "M" else 1) for name, size, unit in
           re.findall(r"(\w+)\s*:.*LENGTH = (\d+)([KM])", (HERE / "cortex-m" / "machines" / f"{machine}.x").read_text())}
    return f"{kib['FLASH'] + kib['MODELS']} KiB flash, {kib['RAM']} KiB RAM"


def saved(model: dict, models: dict) -> float:
    """Per cent of the largest model's multiply-adds that this one saves."""
    return 100 - 100 * model["multiply_adds"] / max(other["multiply_adds"] for other in models.values())


def table(boards: list[dict]) -> None:
    print("| machine | board | memory | what runs | scratch | stack | code¹ | compressed | instructions a label² |")
    print("|---|---|---|---|---|---|---|---|---|")
    for board in boards:
        sizes = [f"{size / 1024:.0f} KiB" if size else "" for size in (board["arena_bytes"], board["stack_bytes"], board["code_bytes"])]
        row = [board["machine"], board["board"], board["memory"], board["runs"], *sizes]
        for model in board["models"].values():
            share = f"{model['saved']:.0f} %"
            count = f"{model['instructions'] / 1e6:.1f} M" if model["instructions"] else ""
            print(f"| {' | '.join([*row, share, count])} |")
            row = [""] * len(row)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="print JSON")
    given = options.parse_args()
    output("./export.sh", cwd=RASPI)
    output("cargo", "build", "--quiet", "--release", cwd=RASPI)
    boards = [raspi("raspi3b", "Raspberry Pi 3, Cortex-A53", "1 GiB"), raspi("raspi4b", "Raspberry Pi 4, Cortex-A72", "2 GiB")]
    program = json.loads(output("./release.py", "--json", "aarch64-unknown-linux-gnu", cwd=HERE))[0]
    boards += [linux("cortex-a72", "Linux, Cortex-A72", program), linux("cortex-a76", "Linux, Cortex-A76", program)]
    boards += cortex_m()
    print(json.dumps(boards, indent=2)) if given.json else table(boards)


if __name__ == "__main__":
    main()
