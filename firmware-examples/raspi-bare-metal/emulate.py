#!/usr/bin/env python3
"""Runs the image in QEMU: prints its console, takes a picture of every screen it shows, and presses a key for the next one.

Exits 0 once all photos have been shown, 1 if the firmware halts first or says nothing for a long while.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import image

HERE = Path(__file__).resolve().parent
ELF = HERE / "target/aarch64-unknown-none/release/edgelip-raspi-bare-metal"
SILENCE = 300


class Control:
    """QEMU's machine protocol: a question and its answer, one JSON object a line."""

    def __init__(self, path: str) -> None:
        self.connection = connect(path)
        self.lines = self.connection.makefile()
        self.answer()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> None:
        self.connection.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        self.answer()

    def answer(self) -> None:
        while True:
            message = json.loads(self.lines.readline())
            if "error" in message:
                sys.exit(f"QEMU: {message['error']['desc']}")
            if "event" not in message:
                return


def connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SILENCE)
    connection.connect(path)
    return connection


def run(kernel: Path, machine: str, shots: Path | None, count: int, extra: list[str]) -> bool:
    """Whether all photos were shown."""
    with tempfile.TemporaryDirectory() as folder:
        listening = {name: socket.socket(socket.AF_UNIX) for name in ["serial", "qmp"]}
        for name, each in listening.items():
            each.bind(f"{folder}/{name}")
            each.listen()
            each.set_inheritable(True)
        sockets = [f"socket,id={name},fd={each.fileno()},server=on,wait=off" for name, each in listening.items()]
        command = ["qemu-system-aarch64", "-M", machine, "-kernel", kernel, "-display", "none", "-monitor", "none"]
        command += ["-chardev", sockets[0], "-serial", "chardev:serial", "-chardev", sockets[1], "-mon", "chardev=qmp,mode=control"]
        # Every instruction takes one nanosecond: counters then count what is the same in every run.
        command += ["-icount", "shift=0", *extra]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[each.fileno() for each in listening.values()])
        try:
            return watch(connect(f"{folder}/serial"), Control(f"{folder}/qmp"), shots, count)
        except (TimeoutError, ConnectionError, json.JSONDecodeError) as error:
            sys.exit(f"{machine}: no word from the firmware or from QEMU: {error}")
        finally:
            process.kill()
            process.wait()


def watch(console: socket.socket, control: Control, shots: Path | None, count: int) -> bool:
    shown = 0
    for line in console.makefile(errors="replace", newline="\n"):
        print(line := line.rstrip("\r\n"), flush=True)
        halted = line == "halted"
        if halted or line.startswith("shown "):
            if shots:
                picture = shots.resolve() / f"{line.removeprefix('shown ')}.png"
                control.ask("screendump", filename=str(picture), format="png")
            shown += not halted
            if halted or shown == count:
                return not halted
            console.sendall(b" ")
    return False


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--machine", default="raspi3b", help="raspi3b or raspi4b")
    options.add_argument("--shots", type=Path, metavar="FOLDER", help="where to put pictures of the screens, NAME.png")
    options.add_argument("--kernel", type=Path, help="an image; by default made of the last release build")
    options.add_argument("--photos", type=int, default=3, help="stop after so many")
    given, extra = options.parse_known_args()
    if given.shots:
        given.shots.mkdir(parents=True, exist_ok=True)
    kernel = given.kernel
    if not kernel:
        kernel = ELF.with_name("kernel8.img")
        kernel.write_bytes(image.flatten(ELF.read_bytes()))
    passed = run(kernel, given.machine, given.shots, given.photos, extra)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
