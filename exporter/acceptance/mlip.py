#!/usr/bin/env python3
"""MLIP's image tower: random checkpoints, and those given, in PyTorch (with its own Fourier transform), the exporter's reference, onnxruntime, tract and the
runtime, with and without merging; and a CatLIP's classifier.

    venv/bin/python exporter/acceptance/mlip.py                                   # random towers of every kind
    venv/bin/python exporter/acceptance/mlip.py --checkpoint models/mlip-tiny     # a trained one, at all rates

`edgelip` must be built with `--features tract`. Exits 0 if all agree, 1 if not.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessorPil

import binaries
import photos

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fixtures"))
from mlip_tower import Tower  # noqa: E402
from tiny_mlip import config, write  # noqa: E402

# Median and worst cosine with PyTorch, and of the engines with each other. Rounding may turn a choice of tokens: that shows in single images.
LEAST = {"f32": ((0.9999, 0.999),) * 2, "f16": ((0.9999, 0.95), (0.9999, 0.999)), "int8": ((0.98, 0.5), (0.999, 0.5))}
RATES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7)

# Image, patch, width, heads, MLP, frequency blocks, blocks, embedding; and how the random towers differ.
TOWERS = {
    "patches, 8×8": config(64, 8, 96, 3, 192, 2, 6, 48),
    "patches, 7×7, joint": config(56, 8, 60, 3, 100, 3, 5, 30, readout="joint", guide=1.5),
    "stem, 12×12, tome": config(48, 4, 64, 4, 128, 1, 6, 32, stem=[20, 64], rule="tome", guide=0.5),
    "stem, 9×9, joint": config(72, 8, 48, 2, 96, 2, 6, 24, stem=[10, 24, 48], readout="joint", guide=0.0),
    "patches, 5×5, no frequency": config(40, 8, 64, 4, 128, 0, 5, 32, guide=0.8),
}
# Options of the exporter.
MERGING = (
    (),
    ("--compression", "0.2"),
    ("--compression", "0.4"),
    ("--compression", "0.4", "--merge", "ward", "--guide", "0"),
    ("--compression", "0.4", "--merge", "tome", "--guide", "2", "--guide-semantic", "0.2"),
    ("--compression", "0.4", "--merge", "ward", "--guide", "2", "--guide-semantic", "1"),
)


def schedule(metadata: dict[str, str]) -> dict:
    """What the file says of its merging, as the tower in PyTorch takes it."""
    return {
        "merged": [int(count) for count in metadata["edgelip.schedule"].split(",")],
        "rule": metadata["edgelip.merge"],
        "guide": float(metadata.get("edgelip.guide", 0)),
        "semantic": float(metadata.get("edgelip.guide_semantic", 0)),
    }


def check(checks: binaries.Checks, arguments, checkpoint: Path, name: str, options: tuple[str, ...], images: list[Path], work: Path) -> None:
    """Exports one checkpoint in one way and holds all engines against each other."""
    path = work / "model.onnx"
    for precision in arguments.precision or LEAST:
        what = f"{name}, {precision} {' '.join(options)}"
        ran = binaries.run([arguments.exporter, checkpoint, "-o", path, "--precision", precision, "--json", "--force", *options])
        if ran.code != 0:
            checks.check(f"{what}: exported", False, ran.err.strip() or ran.out)
            continue
        report = json.loads(ran.out)["verification"][0]
        worst = min(comparison["worst"] for comparison in report["comparisons"])
        checks.check(f"{what}: verified by the exporter", report["passed"], f"{ran.seconds:.1f} s, worst {worst:.7f}")
        loaded = onnx.load(path)
        onnx.checker.check_model(loaded, full_check=True)
        merging = schedule({entry.key: entry.value for entry in loaded.metadata_props})

        processor = CLIPImageProcessorPil.from_pretrained(checkpoint)
        pixels = np.stack([np.asarray(processor(Image.open(image))["pixel_values"][0]) for image in images])
        tower = Tower(checkpoint)
        twin = np.stack([tower(torch.from_numpy(image), **merging).numpy() for image in pixels])
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        batched = {}
        for batch in (1, 2, 7):
            parts = [session.run(["image_embeds"], {"pixel_values": pixels[i : i + batch]})[0] for i in range(0, len(pixels), batch)]
            batched[batch] = np.concatenate(parts)
        native = binaries.embed(arguments.edgelip, path, images, work / "native.npy")
        again = binaries.embed(arguments.edgelip, path, images, work / "native.npy", "--threads", "1")
        checks.check(f"{what}: runtime, the same bits with one thread", np.array_equal(native, again))
        tract = binaries.embed(arguments.edgelip, path, images, work / "tract.npy", "--engine", "tract")

        to_source, to_each_other = LEAST[precision]
        parties = {"onnxruntime": batched[1], "tract": tract, "runtime": native}
        for party, embeddings in parties.items():
            checks.near(f"{what}: {party} – PyTorch", embeddings, twin, *to_source)
        for batch in (2, 7):
            checks.near(f"{what}: onnxruntime, batches of {batch} – 1", batched[batch], batched[1], *to_each_other)
        checks.near(f"{what}: tract – onnxruntime", tract, batched[1], *to_each_other)
        checks.near(f"{what}: runtime – onnxruntime", native, batched[1], *to_each_other)


@torch.no_grad()
def classifier(checks: binaries.Checks, arguments, images: list[Path], work: Path) -> None:
    """A tower as CatLIP's training publishes it: its classifier's rows are labels, scored one by one."""
    checkpoint, path, classes = work / "catlip", work / "catlip.onnx", 40
    description = config(64, 8, 96, 3, 192, 2, 6, 48)
    write(checkpoint, description, 9)
    torch.manual_seed(9)
    state = {name: tensor for name, tensor in load_file(checkpoint / "model.safetensors").items() if "projection" not in name}
    width = len(state["vision_model.post_layernorm.weight"])
    rows, biases = torch.randn(classes, width) / width**0.5, torch.randn(classes)
    save_file(state | {"classifier.weight": rows, "classifier.bias": biases}, checkpoint / "model.safetensors")
    settings = json.loads((checkpoint / "config.json").read_text()) | {"model_type": "catlip"}
    settings["id2label"] = {str(row): f"label {row}" for row in range(classes)}
    (checkpoint / "config.json").write_text(json.dumps(settings))
    processor = CLIPImageProcessorPil.from_pretrained(checkpoint)
    pixels = np.stack([np.asarray(processor(Image.open(image))["pixel_values"][0]) for image in images])
    for options in ((), ("--compression", "0.3")):
        what = f"classifier, f32 {' '.join(options)}"
        binaries.must([arguments.exporter, checkpoint, "-o", path, "--force", *options])
        merging = schedule({entry.key: entry.value for entry in onnx.load(path).metadata_props})
        features = torch.stack([Tower(checkpoint)(torch.from_numpy(image), **merging) for image in pixels])
        native = binaries.embed(arguments.edgelip, path, images, work / "native.npy")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        engine = session.run(["image_embeds"], {"pixel_values": pixels})[0]
        checks.near(f"{what}: features, runtime – PyTorch", native, features.numpy(), *LEAST["f32"][0])
        checks.near(f"{what}: features, onnxruntime – PyTorch", engine, features.numpy(), *LEAST["f32"][0])
        expected = torch.sigmoid(features @ rows.float().T + biases).numpy()
        far = 0.0
        for found, wanted in zip(binaries.scores(arguments.edgelip, path, images, classes), expected):
            far = max(far, *(abs(score - wanted[int(label.split()[1])]) for label, score in found.items()))
        checks.check(f"{what}: scores, runtime – PyTorch", far <= 1e-4, f"largest difference {far:.2e}")


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="a published MLIP, instead of random ones")
    parser.add_argument("--precision", choices=LEAST, action="append", help="only these precisions")
    parser.add_argument("--rate", type=float, action="append", help="only these compression rates, with --checkpoint")
    parser.add_argument("--count", type=int, default=9, help="photos")
    arguments = parser.parse_args()
    checks = binaries.Checks()
    with binaries.folder(arguments.keep) as work:
        images = photos.write(arguments.photos, arguments.count, work / "photos")
        if arguments.checkpoint:
            for rate in arguments.rate or RATES:
                check(checks, arguments, arguments.checkpoint, arguments.checkpoint.name, ("--compression", str(rate)), images, work)
        else:
            for seed, (name, description) in enumerate(TOWERS.items()):
                checkpoint = work / f"checkpoint-{seed}"
                write(checkpoint, description, seed)
                for options in MERGING:
                    check(checks, arguments, checkpoint, name, options, images, work)
            classifier(checks, arguments, images, work)
    checks.exit()


if __name__ == "__main__":
    main()
