#!/usr/bin/env python3
"""Holds what a board printed and drew against the host's scores and the committed pictures; exits 1 if anything differs.

    check.py CONSOLE SHOTS HOST.json…

CONSOLE is emulate.py's output, SHOTS its folder of pictures, each HOST.json the output of `edgelip classify --json` for the model of that name.
"""

import json
import re
import sys
from pathlib import Path

import picture

SCREENS = Path(__file__).resolve().parent / "screens"
TOLERANCE = 1e-3
# Figures that change with every kernel, and the machine's name: x, y, width, height.
MASKED = [(0, 29, 1280, 22), (0, 692, 1280, 22)]
# A score may round the other way: a digit and the end of a bar.
PIXELS = 400


def printed(console: str) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """Labels with scores, best first, by photo and model."""
    answers, photo, model = {}, "", ""
    for line in console.splitlines():
        if found := re.fullmatch(r"photo (.*)", line):
            photo = found[1]
        elif found := re.fullmatch(r"  (\S.*), [\d.]+ % compressed", line):
            model = found[1]
        elif found := re.fullmatch(r"    +([\d.]+) %  (.*)", line):
            answers.setdefault((photo, model), []).append((found[2], float(found[1]) / 100))
    return answers


def check_scores(console: str, host: Path) -> int:
    """How many photos were held against the host's."""
    answers, worst = printed(console), 0.0
    photos = json.loads(host.read_text())
    for photo in photos:
        name = Path(photo["image"]).stem
        here, there = answers.get((name, host.stem), []), {label["label"]: label["score"] for label in photo["labels"]}
        if not here or [label for label, _ in here] != list(there)[:len(here)]:
            sys.exit(f"{host.stem}, {name}: the board says {here}, the host {there}")
        worst = max(worst, *(abs(score - there[label]) for label, score in here))
    if not worst <= TOLERANCE:
        sys.exit(f"{host.stem}: a score is off by {worst}")
    print(f"ok      {host.stem}: the labels of {len(photos)} photos are the host's, scores off by {worst:.6f} at most")
    return len(photos)


def check_screen(wanted: Path, shot: Path) -> None:
    (width, height, there), (*size, here) = picture.read(wanted), picture.read(shot)
    if size != [width, height]:
        sys.exit(f"{shot}: {size} pixels, {wanted} has {width, height}")
    here, there = bytearray(here), bytearray(there)
    for x, y, columns, rows in MASKED:
        for start in range(3 * (y * width + x), 3 * ((y + rows) * width + x), 3 * width):
            here[start:start + 3 * columns] = there[start:start + 3 * columns] = bytes(3 * columns)
    differing = sum(here[at:at + 3] != there[at:at + 3] for at in range(0, len(here), 3)) if here != there else 0
    if differing > PIXELS:
        sys.exit(f"{shot}: {differing} pixels differ from {wanted}; if that is right, ./test.sh --accept")
    print(f"ok      {shot.name}: {differing} pixels differ")


def main() -> None:
    console, shots = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    compared = sum(check_scores(console, Path(host)) for host in sys.argv[3:])
    assert compared and len(printed(console)) == compared, "a photo or a model was not compared"
    for wanted in sorted(SCREENS.glob("*.png")):
        check_screen(wanted, shots / wanted.name)


if __name__ == "__main__":
    main()
