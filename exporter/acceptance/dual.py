#!/usr/bin/env python3
"""Dual encoders against transformers: a ViT or CLIP's image tower beside a BERT, their poolers, projections and scores, in each precision.

    venv/bin/python exporter/acceptance/dual.py            # ViT-B/16 or CLIP's B/32 and BERT base, two blocks deep
    venv/bin/python exporter/acceptance/dual.py --all      # with all twelve blocks

The weights are random ones, far from what transformers initialises. Exits 0 if all is near enough, 1 if not.
"""

import json
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertTokenizerFast,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    VisionTextDualEncoderProcessor,
    ViTConfig,
    ViTImageProcessorPil,
)

import binaries
import photos
from engine import onnx

LEAST = {"f32": 0.99999, "f16": 0.9999, "int8": 0.99}
SCORES = {"f32": 1e-4, "f16": 1e-2, "int8": 0.2}
TEXTS = ["a photo of a cat.", "A cup of Coffee, on a (wooden) table!", "Ünïcödé & emoji 🚀!", "42 sheep, 7 goats and one llama", "word " * 600]
LABELS = ["cat", "cup of coffee", "rocket", "llama"]
TEMPLATE = "a photo of a {}."


def wordpiece() -> BertTokenizerFast:
    """A WordPiece tokenizer of made-up words with BERT's steps."""
    chance = random.Random(5)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choice(letters) for _ in range(chance.randint(1, 8))) for _ in range(3000)] + ["photo", "rocket", "cat"]
    lines = [" ".join(chance.choice(words) for _ in range(12)) for _ in range(4000)] + ["0123456789 a photo of a cat."] * 20
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=2000, special_tokens=special, show_progress=False))
    ends = [("[CLS]", made.token_to_id("[CLS]")), ("[SEP]", made.token_to_id("[SEP]"))]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends)
    return BertTokenizerFast(tokenizer_object=made, model_max_length=512)


@torch.no_grad()
def make(kind: str, blocks: int, folder: Path) -> tuple[VisionTextDualEncoderModel, BertTokenizerFast]:
    """Writes a checkpoint with its processors."""
    torch.manual_seed(0)
    vision = {"vit": ViTConfig, "clip": CLIPVisionConfig}[kind](num_hidden_layers=blocks)
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, BertConfig(num_hidden_layers=blocks), projection_dim=512)
    model = VisionTextDualEncoderModel(config).eval()
    for name, tensor in model.named_parameters():
        if name == "logit_scale":
            tensor.fill_(np.log(20.0))
        elif tensor.ndim == 1 and name.endswith("weight"):
            tensor.copy_(1.0 + 0.25 * torch.randn_like(tensor))
        elif name.endswith("bias"):
            tensor.copy_(0.1 * torch.randn_like(tensor))
        elif "embedding" in name and "patch" not in name:
            tensor.copy_(0.5 * torch.randn_like(tensor))
        else:
            tensor.copy_(torch.randn_like(tensor) * 1.2 / tensor[0].numel() ** 0.5)
    words = wordpiece()
    model.save_pretrained(folder)
    if kind == "vit":
        VisionTextDualEncoderProcessor(ViTImageProcessorPil(), words).save_pretrained(folder)
    else:
        CLIPImageProcessorPil().save_pretrained(folder)
        words.save_pretrained(folder)
    return model, words


@torch.no_grad()
def of_transformers(model, words, kind: str, images: list[Path]) -> dict[str, np.ndarray]:
    """Pixels, embeddings, and scores of the labels."""
    processor = {"vit": ViTImageProcessorPil, "clip": CLIPImageProcessorPil}[kind]()
    pixels = np.stack([np.asarray(processor(Image.open(path))["pixel_values"][0]) for path in images])
    unit = torch.nn.functional.normalize

    def text(prompts: list[str]) -> torch.Tensor:
        given = words(prompts, truncation=True, max_length=512, padding=True, return_tensors="pt")
        return unit(model.text_projection(model.text_model(given["input_ids"], given["attention_mask"]).pooler_output), dim=-1)

    pooled = torch.cat([model.vision_model(torch.from_numpy(image[None])).pooler_output for image in pixels])
    image = unit(model.visual_projection(pooled), dim=-1)
    labels = text([TEMPLATE.format(label) for label in LABELS])
    scores = (model.logit_scale.exp() * image @ labels.T).softmax(-1)
    given = words(TEXTS, truncation=True, max_length=512, padding=True, return_tensors="np")
    return {
        "pixels": pixels,
        "image": image.numpy(),
        "text": text(TEXTS).numpy(),
        "scores": scores.numpy(),
        "ids": given["input_ids"].astype(np.int64),
        "mask": given["attention_mask"].astype(np.int64),
    }


def check(checks, arguments, checkpoint: Path, precision: str, golden: dict[str, np.ndarray], images: list[Path]) -> None:
    """Exports both towers with labels and holds them against transformers."""
    edgelip, work, name, least = arguments.edgelip, checkpoint.parent, f"{checkpoint.name} {precision}", LEAST[precision]
    vision, text, labels, listed, rows = (work / f for f in ("image.onnx", "text.onnx", "labels.txt", "texts.json", "rows.npy"))
    labels.write_text("".join(f"{label}\n" for label in LABELS))
    listed.write_text(json.dumps(TEXTS), encoding="utf-8")
    export = [arguments.exporter, checkpoint, "-o", vision, "--text", text, "--labels", labels, "--template", TEMPLATE]
    ran = binaries.must([*export, "--precision", precision, "--json", "--force"])
    checks.check(f"{name}: layout", json.loads(ran.out)["layout"] == "Hugging Face dual encoder", f"{ran.seconds:.1f} s")
    if precision == "f32":
        far = 0.0
        for path, pixels in zip(images, golden["pixels"]):
            binaries.must([edgelip, "preprocess", path, "--model", vision, "-o", rows, "--force"])
            far = max(far, float(np.abs(np.load(rows).reshape(pixels.shape) - pixels).max()))
        checks.check(f"{name}: pixels – transformers", far < 1e-6, f"max |Δ| {far:.1e}")
    native = binaries.embed(edgelip, vision, images, rows)
    checks.near(f"{name}: image, runtime – transformers", native, golden["image"], least, least)
    engine = onnx(vision, {"pixel_values": golden["pixels"]}, "image_embeds")
    checks.near(f"{name}: image, onnxruntime – transformers", engine, golden["image"], least, least)
    binaries.must([edgelip, "embed", "--texts", listed, "--model", text, "-o", rows, "--force"])
    checks.near(f"{name}: text, runtime – transformers", np.load(rows), golden["text"], least, least)
    engine = onnx(text, {"input_ids": golden["ids"], "attention_mask": golden["mask"]}, "text_embeds")
    checks.near(f"{name}: text, onnxruntime – transformers", engine, golden["text"], least, least)
    worst = 0.0
    for found, wanted in zip(binaries.scores(edgelip, vision, images, len(LABELS)), golden["scores"]):
        worst = max(worst, *(abs(found[label] - score) for label, score in zip(LABELS, wanted)))
    checks.check(f"{name}: scores", worst <= SCORES[precision], f"largest difference {worst:.2e}")


def merged(checks, arguments, checkpoint: Path, golden: dict[str, np.ndarray], images: list[Path]) -> None:
    """Merging in three engines."""
    path, rows = checkpoint.parent / "merged.onnx", checkpoint.parent / "rows.npy"
    binaries.must([arguments.exporter, checkpoint, "-o", path, "--compression", 0.2, "--force"])
    native = binaries.embed(arguments.edgelip, path, images, rows)
    tract = binaries.embed(arguments.edgelip, path, images, rows, "--engine", "tract")
    engine = onnx(path, {"pixel_values": golden["pixels"]}, "image_embeds")
    checks.near(f"{checkpoint.name} merged: runtime – onnxruntime", native, engine, 0.9999, 0.999)
    checks.near(f"{checkpoint.name} merged: runtime – tract", native, tract, 0.9999, 0.999)


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="all twelve blocks")
    parser.add_argument("--count", type=int, default=5, help="photos")
    arguments = parser.parse_args()
    checks = binaries.Checks()
    with binaries.folder(arguments.keep) as work:
        images = photos.write(arguments.photos, arguments.count, work / "photos")
        for kind in ("vit", "clip"):
            checkpoint = work / kind
            model, words = make(kind, 12 if arguments.all else 2, checkpoint)
            golden = of_transformers(model, words, kind, images)
            del model
            for precision in LEAST if kind == "vit" else ["f32"]:
                check(checks, arguments, checkpoint, precision, golden, images)
            if kind == "vit":
                merged(checks, arguments, checkpoint, golden, images)
    checks.exit()


if __name__ == "__main__":
    main()
