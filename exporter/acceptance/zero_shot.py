#!/usr/bin/env python3
"""ImageNet's class names and OpenAI's templates, as built in, against open_clip's: the zero-shot classifier of all 1000 classes and 80 prompts each.

    venv/bin/python exporter/acceptance/zero_shot.py

The towers are small and random: what is held against each other are 80000 prompts and how they are averaged. Exits 0 if all is near enough, 1 if not.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import open_clip
import torch
from onnx import numpy_helper
from open_clip.tokenizer import default_bpe
from safetensors.torch import save_file

import binaries
from openclip import build

LEAST = 0.99999
# Of the two classes that share a name with another one the second is told apart in what is shown.
TOLD_APART = {744: "missile (projectile)", 836: "sunglasses (burning glass)"}


def classifier(path: Path) -> tuple[list[str], np.ndarray]:
    """Names and rows of a file's label bank."""
    model = onnx.load(str(path))
    names = next(entry.value for entry in model.metadata_props if entry.key == "edgelip.labels")
    rows = next(tensor for tensor in model.graph.initializer if tensor.name == "labels.weight")
    return names.split("\n"), numpy_helper.to_array(rows)


@torch.no_grad()
def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    arguments = parser.parse_args()
    checks = binaries.Checks()
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
    settings = {"embed_dim": 48, "vision_cfg": vision, "text_cfg": text}
    model = build(settings)
    classes, templates = open_clip.IMAGENET_CLASSNAMES, open_clip.OPENAI_IMAGENET_TEMPLATES
    tokens = open_clip.SimpleTokenizer()
    with binaries.folder(arguments.keep) as work:
        checkpoint, image, own = work / "checkpoint", work / "image.onnx", work / "imagenet"
        checkpoint.mkdir(exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, checkpoint / "open_clip_model.safetensors")
        (checkpoint / "open_clip_config.json").write_text(json.dumps({"model_cfg": settings}))
        export = [arguments.exporter, checkpoint, "-o", image, "--tokenizer", default_bpe(), "--force"]
        ran = binaries.must([*export, "--labels", "imagenet", "--templates", "openai-80"])
        names, rows = classifier(image)
        expected = [TOLD_APART.get(index, name) for index, name in enumerate(classes)]
        checks.check("names of the classes", names == expected, f"{len(names)} in {ran.seconds:.1f} s")
        golden = open_clip.build_zero_shot_classifier(model, tokens, classes, templates, num_classes_per_batch=25, device="cpu").T
        checks.near("rows – open_clip's zero-shot classifier", rows, golden.numpy(), LEAST, LEAST)
        apart = np.abs(rows[[657, 837]] - rows[[744, 836]]).max()
        checks.check("classes of one name have one row", apart == 0.0, f"max |Δ| {apart:.1e}")

        own.write_text("tench\nrocket\n")
        binaries.must([*export, "--labels", own])
        checks.check("a file called imagenet", classifier(image)[0] == ["tench", "rocket"], "by its path")
        binaries.must([*export, "--text", work / "text.onnx"])
        labels = [arguments.edgelip, "labels", "--model", image, "--text", work / "text.onnx", "-o", work / "labelled.onnx", "--force"]
        binaries.must([*labels, "--file", "imagenet", "--templates", "simple-7"])
        names, rows = classifier(work / "labelled.onnx")
        simple = open_clip.build_zero_shot_classifier(model, tokens, classes, open_clip.SIMPLE_IMAGENET_TEMPLATES, num_classes_per_batch=50, device="cpu").T
        checks.check("names by `edgelip labels`", names == expected)
        checks.near("rows by `edgelip labels`, seven prompts – open_clip", rows, simple.numpy(), LEAST, LEAST)
    checks.exit()


if __name__ == "__main__":
    main()
