#!/usr/bin/env python3
"""Merged models: onnxruntime, tract and the runtime against each other and against the rule written out once more in PyTorch.

    venv/bin/python exporter/acceptance/merging.py                                # a small model, four rates, both rules
    venv/bin/python exporter/acceptance/merging.py --size vit-b-16 --photos FOLDER_OR_PARQUET --count 64

`edgelip` must be built with `--features tract`. Exits 0 if all agree, 1 if not.
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import CLIPImageProcessorPil, CLIPModel

import binaries
import checkpoints
import photos

RATES = (0.2, 0.4, 0.6, 0.7)
RULES = ("ward", "tome")
MEDIAN, WORST = 0.9999, 0.999


def snake(rows: int, columns: int) -> torch.Tensor:
    """Raster indices of the patches, every other row from right to left."""
    grid = torch.arange(rows * columns).reshape(rows, columns)
    grid[1::2] = grid[1::2].flip(1)
    return grid.flatten()


def merge(rule: str, heads: int, count: int, x: torch.Tensor, keys: torch.Tensor, sizes: torch.Tensor):
    """One merge of `x [T, D]` by docs/token-merging.md: the tokens and the sizes that stay."""
    even, odd = torch.arange(0, len(x), 2), torch.arange(1, len(x), 2)

    def cosine(features: torch.Tensor) -> torch.Tensor:
        unit = features / features.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        return unit[even] @ unit[odd].T

    if rule == "ward":
        p = sizes.sqrt() * sizes.sqrt().sqrt()
        weight = p[even, None] * p[None, odd] / (p[even, None] + p[None, odd])
        scores = -(1 - (cosine(keys) + cosine(x)) / 2) * weight
    else:
        scores = cosine(keys.reshape(len(x), heads, -1).mean(1))
    scores[0] = -1e30
    best, target = scores.max(1)
    # numpy's stable sort and torch's max on the CPU both prefer the lower index.
    chosen = torch.from_numpy(np.argsort(-best.numpy(), kind="stable")[:count].copy())
    gone = torch.zeros(len(x), dtype=torch.bool)
    gone[even[chosen]] = True

    belongs = torch.eye(len(x))
    belongs[odd[target[chosen]], even[chosen]] = 1
    total = belongs @ sizes
    value = (belongs * sizes) @ x / total[:, None]
    if rule == "ward":
        norms = x.norm(dim=1)
        largest = (belongs * norms).amax(1)
        scaled = value * (largest / value.norm(dim=1).clamp(min=1e-12))[:, None]
        value = torch.where((belongs.sum(1) > 1)[:, None], scaled, x)
    order = torch.arange(len(x))[~gone] if rule == "ward" else torch.cat([even[~gone[even]], odd])
    return value[order], total[order]


@torch.no_grad()
def embed(model: CLIPModel, rule: str, schedule: list[int], pixels: np.ndarray) -> np.ndarray:
    """Embeddings of the unfolded checkpoint with tokens merged."""
    tower = model.vision_model
    config = tower.config
    heads, side = config.num_attention_heads, config.image_size // config.patch_size
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + snake(side, side)]) if rule == "ward" else torch.arange(1 + side * side)
    rows = []
    for image in torch.from_numpy(pixels):
        x = tower.pre_layrnorm(tower.embeddings(image[None]))[0][order]
        sizes = torch.ones(len(x))
        for layer, count in zip(tower.encoder.layers, schedule, strict=True):
            normed = layer.layer_norm1(x)
            q, k, v = (getattr(layer.self_attn, f"{part}_proj")(normed) for part in "qkv")
            split = [part.reshape(len(x), heads, -1).transpose(0, 1) for part in (q, k, v)]
            logits = split[0] @ split[1].transpose(1, 2) * split[0].shape[-1] ** -0.5 + sizes.log()
            mixed = (logits.softmax(-1) @ split[2]).transpose(0, 1).reshape(len(x), -1)
            x = x + layer.self_attn.out_proj(mixed)
            if count:
                x, sizes = merge(rule, heads, count, x, k, sizes)
            x = x + layer.mlp(layer.layer_norm2(x))
        rows.append(normalize(model.visual_projection(tower.post_layernorm(x[:1])), dim=-1)[0])
    return torch.stack(rows).numpy()


def check(checks: binaries.Checks, arguments, model: CLIPModel, checkpoint: Path, rule: str, rate: float, images: list[Path]) -> None:
    """Exports one rule at one rate and holds all engines against each other."""
    path = checkpoint / f"{rule}-{rate}.onnx"
    command = [arguments.exporter, checkpoint, "-o", path, "--compression", rate, "--merge", rule, "--precision", arguments.precision]
    ran = binaries.must([*command, "--force"])
    name = f"{checkpoint.name} {arguments.precision} {rule} {rate}"
    loaded = onnx.load(path)
    onnx.checker.check_model(loaded, full_check=True)
    metadata = {entry.key: entry.value for entry in loaded.metadata_props}
    schedule = [int(count) for count in metadata["edgelip.schedule"].split(",")]
    checks.check(f"{name}: exported", sum(schedule) > 0, f"{ran.seconds:.1f} s, merges {metadata['edgelip.schedule']}")

    processor = CLIPImageProcessorPil.from_pretrained(checkpoint)
    pixels = np.stack([np.asarray(processor(Image.open(image))["pixel_values"][0]) for image in images])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batched = {}
    for batch in (1, 2, 7):
        parts = [session.run(["image_embeds"], {"pixel_values": pixels[i : i + batch]})[0] for i in range(0, len(pixels), batch)]
        batched[batch] = np.concatenate(parts)
    for batch in (2, 7):
        checks.near(f"{name}: onnxruntime, batches of {batch} – 1", batched[batch], batched[1], MEDIAN, WORST)

    native = binaries.embed(arguments.edgelip, path, images, checkpoint / "native.npy")
    again = binaries.embed(arguments.edgelip, path, images, checkpoint / "native.npy", "--threads", "1")
    checks.check(f"{name}: runtime, the same bits with one thread", np.array_equal(native, again))
    tract = binaries.embed(arguments.edgelip, path, images, checkpoint / "tract.npy", "--engine", "tract")
    rule_itself = embed(model, rule, schedule, pixels)
    parties = {"runtime": native, "tract": tract, "onnxruntime": batched[1], "the rule": rule_itself}
    names = list(parties)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            least = (MEDIAN, WORST) if arguments.precision == "f32" or "the rule" != second else (0.995, 0.99)
            checks.near(f"{name}: {first} – {second}", parties[first], parties[second], *least)
    path.unlink()


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every size and both activations")
    parser.add_argument("--size", choices=checkpoints.SIZES, action="append", help="only these sizes")
    parser.add_argument("--activation", choices=checkpoints.ACTIVATIONS, action="append", help="only these activations")
    parser.add_argument("--weights", choices=("default", "lively"), action="append", help="as transformers initialises them, or far from it")
    parser.add_argument("--precision", choices=("f32", "f16", "int8"), default="f32", help="precision of the files")
    parser.add_argument("--rate", type=float, action="append", help="only these compression rates")
    parser.add_argument("--rule", choices=RULES, action="append", help="only these rules")
    parser.add_argument("--count", type=int, default=14, help="photos")
    arguments = parser.parse_args()
    sizes = arguments.size or (list(checkpoints.SIZES) if arguments.all else [checkpoints.SMALL])
    activations = arguments.activation or (checkpoints.ACTIVATIONS if arguments.all else ("quick_gelu",))
    weights = arguments.weights or (("default", "lively") if arguments.all else ("lively",))
    checks = binaries.Checks()

    with binaries.folder(arguments.keep) as work:
        images = photos.write(arguments.photos, arguments.count, work / "photos")
        for size in sizes:
            for activation in activations:
                for kind in weights:
                    checkpoint = work / f"{size}-{activation}-{kind}"
                    model = checkpoints.make(checkpoint, size, activation, kind)
                    for rule in arguments.rule or RULES:
                        for rate in arguments.rate or RATES:
                            check(checks, arguments, model, checkpoint, rule, rate, images)
                    shutil.rmtree(checkpoint)
    checks.exit()


if __name__ == "__main__":
    main()
