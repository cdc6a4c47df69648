#!/usr/bin/env python3
"""Damaged and hostile files: the board's binary must answer or say in one line what is wrong.

    venv/bin/python exporter/acceptance/hostile.py

Every run must end in time, with 0 and finite scores or with 2 and one line on stderr. Exits 0 if all did, 1 if not.
"""

import json
import random
from pathlib import Path

import numpy as np
import onnx

import binaries
import checkpoints
import photos

LIMIT = 60.0


def finite(value) -> bool:
    """Whether all numbers in JSON are finite; Python's reader takes NaN for a number."""
    if isinstance(value, dict):
        return all(finite(part) for part in value.values())
    if isinstance(value, list):
        return all(finite(part) for part in value)
    return not isinstance(value, float) or bool(np.isfinite(value))


def damage(source: Path, folder: Path, flips: int) -> list[tuple[str, Path]]:
    """Damaged copies of a model file, one at a time: what was done, and where the copy is."""
    model = source.read_bytes()
    path = folder / "damaged.onnx"
    for part in range(64):
        path.write_bytes(model[: len(model) * part // 64])
        yield f"cut to {part}/64", path
    path.write_bytes(model[:-1])
    yield "cut by a byte", path

    chance = random.Random(0)
    # Most bytes are weights: every other flip goes into what comes before them.
    header = min(len(model), 60_000)
    for i in range(flips):
        damaged = bytearray(model)
        at = chance.randrange(header if i % 2 else len(model))
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        yield f"bit flipped in byte {at}", path

    def edited(edit) -> Path:
        loaded = onnx.load_from_string(model)
        edit(loaded)
        path.write_bytes(loaded.SerializeToString())
        return path

    tensors = [tensor.name for tensor in onnx.load_from_string(model).graph.initializer]
    for name in tensors:
        def swap(loaded):
            tensor = find(loaded, name)
            dims = list(reversed(tensor.dims))
            del tensor.dims[:]
            tensor.dims.extend(dims)

        def huge(loaded):
            tensor = find(loaded, name)
            if tensor.dims:
                tensor.dims[0] = 2**31
            else:
                tensor.dims.append(2**31)

        def missing(loaded):
            loaded.graph.initializer.remove(find(loaded, name))

        def other_type(loaded):
            find(loaded, name).data_type = onnx.TensorProto.DOUBLE

        def short(loaded):
            tensor = find(loaded, name)
            tensor.raw_data = tensor.raw_data[:-1]

        for what, edit in {"swapped shape": swap, "2 GiB": huge, "missing": missing, "of another type": other_type, "a byte short": short}.items():
            yield f"{name}: {what}", edited(edit)

    keys = [entry.key for entry in onnx.load_from_string(model).metadata_props]
    for key in keys:
        if key == "edgelip.tokenizer":
            continue
        for value in ("", "-1", "0", "99999999999999999999", "nan", "1,2", "\u0000", "x" * 100_000):
            def set_entry(loaded):
                next(entry for entry in loaded.metadata_props if entry.key == key).value = value

            yield f"{key} = {value[:20]!r}", edited(set_entry)


def find(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    """An initializer."""
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a checkpoint to damage the export of; default: the fixture")
    parser.add_argument("--flips", type=int, default=300, help="flipped bits in each file")
    arguments = parser.parse_args()
    checkpoint = arguments.model or checkpoints.FIXTURE
    checks = binaries.Checks()
    runs = 0

    def run(what: str, command: list, answers: bool | None = None) -> None:
        """One run; `answers` says whether it must end with 0, must not, or may do either."""
        nonlocal runs
        runs += 1
        ran = binaries.run([arguments.edgelip, *command], LIMIT)
        lines = ran.err.strip().splitlines()
        if ran.code == 0:
            try:
                good = answers is not False and finite(json.loads(ran.out))
            except json.JSONDecodeError:
                good = False
        else:
            good = answers is not True and ran.code == 2 and len(lines) == 1 and lines[0].startswith("error: ")
        if not good or ran.seconds > LIMIT:
            checks.check(what, False, f"ended with {ran.code} after {ran.seconds:.1f} s: {ran.err.strip()[:300]} {ran.out.strip()[:100]}")

    with binaries.folder(arguments.keep) as work:
        photo = photos.write(arguments.photos, 1, work / "photos")[0]
        names = work / "names.txt"
        names.write_text("cat\ncup of coffee\nrocket\n")
        text = work / "text.onnx"
        models = {}
        for rule, precision in (("ward", "f32"), ("tome", "int8")):
            model = work / f"{rule}-{precision}.onnx"
            export = [arguments.exporter, checkpoint, "-o", model, "--text", text, "--labels", names, "--compression", "0.3"]
            binaries.must([*export, "--merge", rule, "--precision", precision, "--force"])
            models[rule] = model
            run("the file itself", ["classify", photo, "--model", model, "--json"], answers=True)
            for what, path in damage(model, work, arguments.flips):
                run(f"{model.name}: {what}", ["classify", photo, "--model", path, "--json"])
                if "cut" in what:
                    run(f"{model.name}: {what}: inspect", ["inspect", path, "--json"], answers=False)
            checks.check(f"{model.name}: damaged files", True, f"{runs} runs so far")

        model = models["ward"]
        for what, path in damage(text, work, arguments.flips // 2):
            run(f"text: {what}", ["classify", photo, "--model", model, "--text", path, "--labels", "cat,dog", "--json"])
        checks.check("damaged text towers", True, f"{runs} runs so far")

        empty, folder, noise = work / "empty.png", work / "folder.png", work / "noise.jpg"
        empty.write_bytes(b"")
        folder.mkdir()
        noise.write_bytes(random.Random(1).randbytes(100_000))
        cut = work / "cut.png"
        cut.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
        for what in (empty, folder, noise, cut, work / "nowhere.png", model):
            run(f"image: {what.name}", ["classify", what, "--model", model, "--json"], answers=False)
        for what in (empty, folder, noise, work / "nowhere.onnx", photo):
            run(f"model: {what.name}", ["classify", photo, "--model", what, "--json"], answers=False)

        many = work / "many.txt"
        many.write_text("".join(f"label {i}\n" for i in range(100_000)))
        duplicates, none, bytes_ = work / "twice.txt", work / "none.txt", work / "latin1.txt"
        duplicates.write_text("cat\ncat\n")
        none.write_text("\n\n")
        bytes_.write_bytes(b"caf\xe9\n")
        for what in (duplicates, none, bytes_, empty, folder):
            run(f"labels: {what.name}", ["classify", photo, "--model", model, "--text", text, "--labels-file", what, "--json"], answers=False)
        out = work / "many.onnx"
        ran = binaries.run([arguments.edgelip, "labels", "--model", model, "--text", text, "--file", many, "-o", out, "--force"], 600)
        good = ran.code in (0, 2) and (ran.code == 0 or len(ran.err.strip().splitlines()) == 1)
        checks.check("a label file with 100 000 names", good, f"ended with {ran.code} after {ran.seconds:.1f} s {ran.err.strip()[:200]}")
        if ran.code == 0:
            run("100 000 labels", ["classify", photo, "--model", out, "--json"], answers=True)
        checks.check("images, models and labels that are none", True, f"{runs} runs in all")
    checks.exit()


if __name__ == "__main__":
    main()
