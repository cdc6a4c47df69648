#!/usr/bin/env python3
"""Unmerged models against transformers, in each precision: pixels, embeddings and scores of the runtime, and of onnxruntime on the same file.

    venv/bin/python exporter/acceptance/embeddings.py            # one small model and ViT-B/32
    venv/bin/python exporter/acceptance/embeddings.py --all      # every true size, both activations (an hour, 2 GB of disk a model)

Exits 0 if everything is near enough, 1 if not.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

import binaries
import checkpoints
import photos
from engine import onnx

LEAST = {"f32": 0.99999, "f16": 0.9999, "int8": 0.995}
# Integers round in every layer: onnxruntime with and without its optimisations is 1e-4 from itself.
ENGINES = {"f32": 0.99999, "f16": 0.9999, "int8": 0.999}
SCORES = {"f32": 1e-4, "f16": 1e-3, "int8": 0.1}
TEXTS = [
    "a photo of a cat.",
    "A cup of coffee on a wooden table, seen from above",
    "",
    "Ünïcödé & emoji 🚀!",
    "rocket",
    "word " * 200,
    "42 sheep, 7 goats and one llama",
]


@torch.no_grad()
def of_transformers(model: CLIPModel, checkpoint: Path, images: list[Path]) -> dict[str, np.ndarray]:
    """Pixels, token ids and embeddings as transformers gives them."""
    processor = CLIPImageProcessorPil.from_pretrained(checkpoint)
    pixels = np.stack([np.asarray(processor(Image.open(path))["pixel_values"][0]) for path in images])
    tokenizer = CLIPTokenizer.from_pretrained(checkpoint)
    tokens = tokenizer(TEXTS, truncation=True, max_length=77, padding=True, return_tensors="pt")

    def unit(output) -> np.ndarray:
        features = output if isinstance(output, torch.Tensor) else output.pooler_output
        return torch.nn.functional.normalize(features, dim=-1).numpy()

    image = unit(model.get_image_features(pixel_values=torch.from_numpy(pixels)))
    text = unit(model.get_text_features(**tokens))
    logits = model.logit_scale.exp().item() * image @ text[[bool(prompt) for prompt in TEXTS]].T
    return {
        "pixel_values": pixels,
        "input_ids": tokens["input_ids"].numpy().astype(np.int64),
        "attention_mask": tokens["attention_mask"].numpy().astype(np.int64),
        "image_embeds": image,
        "text_embeds": text,
        "scores": torch.from_numpy(logits).softmax(-1).numpy(),
    }


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every size and both activations")
    parser.add_argument("--size", choices=checkpoints.SIZES, action="append", help="only these sizes")
    parser.add_argument("--activation", choices=checkpoints.ACTIVATIONS, action="append", help="only these activations")
    parser.add_argument("--weights", choices=("default", "lively"), action="append", help="as transformers initialises them, or far from it")
    parser.add_argument("--precision", choices=LEAST, action="append", help="only these precisions")
    parser.add_argument("--count", type=int, default=6, help="photos")
    arguments = parser.parse_args()
    sizes = arguments.size or (list(checkpoints.SIZES) if arguments.all else [checkpoints.SMALL, "vit-b-32"])
    activations = arguments.activation or (checkpoints.ACTIVATIONS if arguments.all else ("quick_gelu",))
    weights = arguments.weights or (("default", "lively") if arguments.all else ("lively",))
    precisions = arguments.precision or list(LEAST)
    checks = binaries.Checks()

    with binaries.folder(arguments.keep) as work:
        images = photos.write(arguments.photos, arguments.count, work / "photos")
        (work / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
        labels = {f"label {i}": [text] for i, text in enumerate(text for text in TEXTS if text)}
        (work / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
        for size in sizes:
            for activation in activations:
                for kind in weights:
                    checkpoint = work / f"{size}-{activation}-{kind}"
                    model = checkpoints.make(checkpoint, size, activation, kind)
                    golden = of_transformers(model, checkpoint, images)
                    del model
                    for precision in precisions:
                        one(checks, arguments, checkpoint, precision, images, golden)
                    shutil.rmtree(checkpoint)
    checks.exit()


def one(checks, arguments, checkpoint: Path, precision: str, images: list[Path], golden: dict[str, np.ndarray]) -> None:
    """Exports one checkpoint in one precision and checks both towers."""
    vision, text = checkpoint / f"{precision}.onnx", checkpoint / f"{precision}-text.onnx"
    name = f"{checkpoint.name} {precision}"
    ran = binaries.must([arguments.exporter, checkpoint, "-o", vision, "--text", text, "--precision", precision, "--force"])
    weights = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
    share = ran.peak_bytes / weights
    checks.check(f"{name}: export in bounded memory", share < 1.3, f"{share:.2f} × checkpoint, {ran.seconds:.1f} s")

    least = LEAST[precision]
    native = binaries.embed(arguments.edgelip, vision, images, checkpoint / "image.npy")
    checks.near(f"{name}: image, runtime – transformers", native, golden["image_embeds"], least, least)
    engine = onnx(vision, {"pixel_values": golden["pixel_values"]}, "image_embeds")
    checks.near(f"{name}: image, onnxruntime – transformers", engine, golden["image_embeds"], least, least)
    engines = ENGINES[precision]
    checks.near(f"{name}: image, runtime – onnxruntime", native, engine, engines, engines)

    out = checkpoint / "text.npy"
    binaries.must([arguments.edgelip, "embed", "--texts", checkpoint.parent / "texts.txt", "--model", text, "-o", out, "--force"])
    native = np.load(out)
    checks.near(f"{name}: text, runtime – transformers", native, golden["text_embeds"], least, least)
    engine = onnx(text, {key: golden[key] for key in ("input_ids", "attention_mask")}, "text_embeds")
    checks.near(f"{name}: text, onnxruntime – transformers", engine, golden["text_embeds"], least, least)
    checks.near(f"{name}: text, runtime – onnxruntime", native, engine, engines, engines)

    labelled = checkpoint / "labelled.onnx"
    labels = ["--file", checkpoint.parent / "labels.json", "--model", vision, "--text", text, "-o", labelled, "--force"]
    binaries.must([arguments.edgelip, "labels", *labels])
    far = 0.0
    for found, wanted in zip(binaries.scores(arguments.edgelip, labelled, images, len(TEXTS)), golden["scores"]):
        far = max(far, *(abs(score - wanted[int(label.split()[1])]) for label, score in found.items()))
    checks.check(f"{name}: scores, runtime – transformers", far <= SCORES[precision], f"max |Δ| {far:.1e}")
    if precision == "f32":
        far = 0.0
        for path, pixels in zip(images, golden["pixel_values"]):
            binaries.must([arguments.edgelip, "preprocess", path, "--model", vision, "-o", checkpoint / "pixels.npy", "--force"])
            far = max(far, float(np.abs(np.load(checkpoint / "pixels.npy").reshape(pixels.shape) - pixels).max()))
        checks.check(f"{name}: pixels – transformers", far < 1e-6, f"max |Δ| {far:.1e}")
    vision.unlink(), text.unlink(), labelled.unlink()


if __name__ == "__main__":
    main()
