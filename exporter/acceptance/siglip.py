#!/usr/bin/env python3
"""SigLIP against transformers: pixels, token ids, embeddings and scores of the runtime, and of onnxruntime on the same files, in each precision.

    venv/bin/python exporter/acceptance/siglip.py            # B/16 at 224 pixels, 32000 tokens
    venv/bin/python exporter/acceptance/siglip.py --size small
    venv/bin/python exporter/acceptance/siglip.py --size so400m-14-384 --precision int8

The weights are random ones, far from what transformers initialises. Merged towers go through the runtime, onnxruntime and tract.
Exits 0 if all is near enough, 1 if not.
"""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from PIL import Image
from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel, SiglipTokenizer

import binaries
import photos
from engine import onnx

# width, layers, heads, MLP, patch, image
SIZES = {
    "small": (256, 4, 4, 640, 16, 224),
    "b-16-224": (768, 12, 12, 3072, 16, 224),
    "so400m-14-384": (1152, 27, 16, 4304, 14, 384),
}
VOCABULARY, CONTEXT = 32000, 64
LEAST = {"f32": 0.99999, "f16": 0.9999, "int8": 0.995}
ENGINES = {"f32": 0.99999, "f16": 0.9999, "int8": 0.999}
MERGED = {"f32": (0.9999, 0.999), "f16": (0.9999, 0.999), "int8": (0.99, 0.5)}
SCORES = {"f32": 1e-4, "f16": 1e-3, "int8": 0.2}
TEXTS = [
    "a photo of a cat.",
    "A cup of Coffee, on a (wooden) table; seen from above!",
    "Ünïcödé & emoji 🚀!",
    "ﬁne ½ print\tand a tab",
    "rocket",
    "word " * 200,
    "42 sheep, 7 goats and one llama",
    "...",
]


def tokenizer(folder: Path) -> SiglipTokenizer:
    """A unigram model of made-up words with SentencePiece's usual normalisation, as the original has."""
    chance = random.Random(5)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choice(letters) for _ in range(chance.randint(1, 8))) for _ in range(3000)] + ["photo", "rocket", "cat"]
    lines = [" ".join(chance.choice(words) for _ in range(12)) for _ in range(4000)] + ["0123456789 a photo of a cat"] * 20
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "spiece.model").open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=2000,
            model_type="unigram",
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            hard_vocab_limit=False,
            minloglevel=2,
        )
    made = SiglipTokenizer(str(folder / "spiece.model"), model_max_length=CONTEXT)
    made.save_pretrained(folder)
    return made


@torch.no_grad()
def make(folder: Path, size: str) -> tuple[SiglipModel, SiglipTokenizer]:
    """Writes a checkpoint."""
    torch.manual_seed(0)
    width, layers, heads, mlp, patch, image = SIZES[size]
    shared = {"hidden_size": width, "intermediate_size": mlp, "num_hidden_layers": layers, "num_attention_heads": heads}
    config = SiglipConfig(
        vision_config={**shared, "image_size": image, "patch_size": patch},
        text_config={**shared, "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT},
    )
    model = SiglipModel(config).eval()
    for name, tensor in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            tensor.copy_(1.0 + 0.25 * torch.randn_like(tensor))
        elif name.endswith("bias"):
            tensor.copy_(0.1 * torch.randn_like(tensor))
        elif "embedding" in name or name.endswith("probe"):
            tensor.copy_(0.5 * torch.randn_like(tensor))
        else:
            tensor.copy_(torch.randn_like(tensor) * 1.2 / tensor.shape[-1] ** 0.5)
    model.logit_scale.fill_(np.log(10.0))
    model.logit_bias.fill_(-1.0)
    words = tokenizer(folder)
    model.save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": image, "width": image}).save_pretrained(folder)
    return model, words


@torch.no_grad()
def of_transformers(model: SiglipModel, words: SiglipTokenizer, checkpoint: Path, images: list[Path]) -> dict[str, np.ndarray]:
    """Pixels, token ids, embeddings and scores; without a mask, as the training had none."""
    processor = SiglipImageProcessorPil.from_pretrained(checkpoint)
    pixels = np.stack([np.asarray(processor(Image.open(path))["pixel_values"][0]) for path in images])
    ids = words(TEXTS, truncation=True, max_length=CONTEXT, padding="max_length", return_tensors="pt")["input_ids"]
    vision = [model.vision_model(torch.from_numpy(image[None])).pooler_output for image in pixels]
    vision = torch.nn.functional.normalize(torch.cat(vision), dim=-1)
    text = torch.nn.functional.normalize(model.text_model(ids).pooler_output, dim=-1)
    logits = vision @ text.T * model.logit_scale.exp() + model.logit_bias
    return {
        "pixels": pixels,
        "ids": ids.numpy().astype(np.int64),
        "image": vision.numpy(),
        "text": text.numpy(),
        "scores": torch.sigmoid(logits).numpy(),
    }


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="b-16-224", help="the towers' size")
    parser.add_argument("--precision", choices=LEAST, action="append", help="only these precisions")
    parser.add_argument("--count", type=int, default=6, help="photos")
    arguments = parser.parse_args()
    checks = binaries.Checks()
    with binaries.folder(arguments.keep) as work:
        images = photos.write(arguments.photos, arguments.count, work / "photos")
        (work / "texts.json").write_text(json.dumps({f"label {i}": [text] for i, text in enumerate(TEXTS)}), encoding="utf-8")
        (work / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
        checkpoint = work / arguments.size
        model, words = make(checkpoint, arguments.size)
        golden = of_transformers(model, words, checkpoint, images)
        del model
        for precision in arguments.precision or LEAST:
            unmerged(checks, arguments, checkpoint, precision, images, golden)
            for rule in ("ward", "tome"):
                merged(checks, arguments, checkpoint, precision, rule, images, golden)
        shutil.rmtree(checkpoint)
    checks.exit()


def unmerged(checks, arguments, checkpoint: Path, precision: str, images: list[Path], golden: dict[str, np.ndarray]) -> None:
    """Exports both towers with labels and holds them against transformers."""
    edgelip, work = arguments.edgelip, checkpoint.parent
    vision, text = checkpoint / "image.onnx", checkpoint / "text.onnx"
    labels = work / "texts.json"
    binaries.must(
        [arguments.exporter, checkpoint, "-o", vision, "--text", text, "--labels", labels, "--precision", precision, "--force"]
    )
    name, least = f"{checkpoint.name} {precision}", LEAST[precision]
    if precision == "f32":
        binaries.must([edgelip, "preprocess", images[0], "--model", vision, "-o", work / "pixels.npy", "--force"])
        off = np.abs(np.load(work / "pixels.npy").reshape(golden["pixels"][0].shape) - golden["pixels"][0]).max()
        checks.check(f"{name}: pixels – transformers", off < 1e-6, f"max |Δ| {off:.1e}")
    native = binaries.embed(edgelip, vision, images, work / "image.npy")
    checks.near(f"{name}: image, runtime – transformers", native, golden["image"], least, least)
    engine = onnx(vision, {"pixel_values": golden["pixels"]}, "image_embeds")
    checks.near(f"{name}: image, onnxruntime – transformers", engine, golden["image"], least, least)
    checks.near(f"{name}: image, runtime – onnxruntime", native, engine, ENGINES[precision], ENGINES[precision])

    binaries.must([edgelip, "embed", "--texts", work / "texts.txt", "--model", text, "-o", work / "text.npy", "--force"])
    native = np.load(work / "text.npy")
    checks.near(f"{name}: text, runtime – transformers", native, golden["text"], least, least)
    # The graph puts the padding where the mask says so, whatever the ids.
    mask = np.ones_like(golden["ids"])
    for row, ids in zip(mask, golden["ids"]):
        end = int(np.argmax(ids == 1)) + 1
        row[end:] = 0
    given = np.where(mask == 0, 7, golden["ids"])
    engine = onnx(text, {"input_ids": given, "attention_mask": mask}, "text_embeds")
    checks.near(f"{name}: text, onnxruntime – transformers", engine, golden["text"], least, least)

    ran = binaries.scores(edgelip, vision, images, len(TEXTS))
    scores = np.array([[of[f"label {i}"] for i in range(len(TEXTS))] for of in ran])
    off = np.abs(scores - golden["scores"]).max()
    checks.check(f"{name}: scores, runtime – transformers", off < SCORES[precision], f"max |Δ| {off:.1e}")


def merged(checks, arguments, checkpoint: Path, precision: str, rule: str, images: list[Path], golden: dict[str, np.ndarray]) -> None:
    """The three engines on one merged tower."""
    path, name = checkpoint / f"{rule}.onnx", f"{checkpoint.name} {precision} {rule} 0.3"
    binaries.must(
        [arguments.exporter, checkpoint, "-o", path, "--compression", 0.3, "--merge", rule, "--precision", precision, "--force"]
    )
    native = binaries.embed(arguments.edgelip, path, images, checkpoint.parent / "merged.npy")
    tract = binaries.embed(arguments.edgelip, path, images, checkpoint.parent / "tract.npy", "--engine", "tract")
    engine = onnx(path, {"pixel_values": golden["pixels"]}, "image_embeds")
    checks.near(f"{name}: runtime – onnxruntime", native, engine, *MERGED[precision])
    checks.near(f"{name}: runtime – tract", native, tract, *MERGED[precision])
    path.unlink()


if __name__ == "__main__":
    main()
