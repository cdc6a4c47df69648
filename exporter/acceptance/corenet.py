#!/usr/bin/env python3
"""corenet's checkpoints against their arithmetic written out in PyTorch: CatLIP's classifier with WordNet's names, other sizes and poolings, and CLIP.

    venv/bin/python exporter/acceptance/corenet.py            # ViT-B/16 of true width and 24320 classes, two blocks deep
    venv/bin/python exporter/acceptance/corenet.py --all      # with all twelve blocks
    venv/bin/python exporter/acceptance/corenet.py --wordnet /usr/share/wordnet --source corenet   # its code at github.com/apple/corenet

With `--source`, what is written out here is held against corenet's code itself. Without `--wordnet` a folder in WordNet's format is made up. Weights are random and lively. Exits 0 if all is near enough, 1 if not.
"""

import json
import math
import os
import pickle
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import default_bpe
from PIL import Image
from torch import nn
from torch.nn import functional

import binaries
import photos
from corenet_code import Code
from engine import onnx

WIDTH, MLP, CLASSES, PLACES = 768, 3072, 24320, 196
TEXT_WIDTH, TEXT_MLP, VOCABULARY, CONTEXT, EMBEDDING = 512, 2048, 49408, 77, 512
TEXTS = ["a photo of a cat.", "A cup of coffee on a wooden table", "it’s a “quoted” caption &amp; more", "word " * 200, "42 sheep, 7 goats"]
LABELS = ["cat", "cup of coffee", "rocket", "llama"]
TEMPLATE = "a photo of a {}."
LEAST, SCORES = 0.99999, 1e-4
SAME = 0.9999999


class Convolution(nn.Module):
    """`block.conv` and, but for the last of a stem, `block.norm` and GELU."""

    def __init__(self, inputs: int, outputs: int, side: int, last: bool) -> None:
        super().__init__()
        self.block = nn.Module()
        self.block.conv = nn.Conv2d(inputs, outputs, side, stride=side, padding=(side - 1) // 2, bias=last)
        if not last:
            self.block.norm = nn.BatchNorm2d(outputs)
        self.last = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block.conv(x)
        return x if self.last else functional.gelu(self.block.norm(x))


class Attention(nn.Module):
    """Queries, keys and values from one layer; `out` is what the last one is called."""

    def __init__(self, width: int, out: str) -> None:
        super().__init__()
        self.heads, self.out = width // 64, out
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.add_module(out, nn.Linear(width, width))

    def forward(self, x: torch.Tensor, causal: bool) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv_proj(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return getattr(self, self.out)(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """Pre-norm attention and MLP, by corenet's names."""

    def __init__(self, width: int, mlp: int, out: str, eps: float) -> None:
        super().__init__()
        self.pre_norm_mha = nn.ModuleList([nn.LayerNorm(width, eps), Attention(width, out), nn.Identity()])
        self.pre_norm_ffn = nn.Sequential(
            nn.LayerNorm(width, eps), nn.Linear(width, mlp), nn.GELU(), nn.Identity(), nn.Linear(mlp, width), nn.Identity()
        )

    def forward(self, x: torch.Tensor, causal: bool = False) -> torch.Tensor:
        norm, attention, _ = self.pre_norm_mha
        x = x + attention(norm(x), causal)
        return x + self.pre_norm_ffn(x)


def places(count: int, width: int) -> nn.Module:
    """`pos_embed.pos_embed` with its dummy axes."""
    module = nn.Module()
    module.pos_embed = nn.Module()
    module.pos_embed.pos_embed = nn.Parameter(torch.empty(1, 1, count, width))
    return module


class Image16(nn.Module):
    """The image tower: a stem, positions for the patches alone and interpolated along their sequence, a class token if there is one."""

    def __init__(self, blocks: int, out: str, has_class: bool = True) -> None:
        super().__init__()
        inner = WIDTH // 4
        self.patch_emb = nn.Sequential(
            Convolution(3, inner, 4, False), Convolution(inner, inner, 2, False), Convolution(inner, WIDTH, 2, True)
        )
        if has_class:
            self.cls_token = nn.Parameter(torch.empty(1, 1, WIDTH))
        self.pos_embed = places(PLACES, WIDTH)
        self.transformer = nn.ModuleList(Block(WIDTH, MLP, out, 1e-6) for _ in range(blocks))
        self.post_transformer_norm = nn.LayerNorm(WIDTH, 1e-6)

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """What is behind the last norm of the class token, or the mean of what is behind those of the patches."""
        x = self.patch_emb(pixels).flatten(2).transpose(1, 2)
        table = self.pos_embed.pos_embed.pos_embed
        if x.shape[1] != PLACES:
            table = functional.interpolate(table, size=(x.shape[1], WIDTH), mode="bilinear")
        x = x + table[0]
        if hasattr(self, "cls_token"):
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        for block in self.transformer:
            x = block(x)
        x = self.post_transformer_norm(x)
        return x[:, 0] if hasattr(self, "cls_token") else x.mean(1)


class Text(nn.Module):
    """The text tower of CLIP."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.embedding_layer = nn.Embedding(VOCABULARY, TEXT_WIDTH)
        self.positional_embedding = places(CONTEXT, TEXT_WIDTH)
        self.transformer = nn.ModuleList(Block(TEXT_WIDTH, TEXT_MLP, "out_proj", 1e-5) for _ in range(blocks))
        self.final_layer_norm = nn.LayerNorm(TEXT_WIDTH)
        self.projection_layer = nn.Parameter(torch.empty(TEXT_WIDTH, EMBEDDING))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding_layer(ids) + self.positional_embedding.pos_embed.pos_embed[0]
        for block in self.transformer:
            x = block(x, causal=True)
        x = self.final_layer_norm(x)[torch.arange(len(ids)), ids.argmax(-1)]
        return functional.normalize(x @ self.projection_layer, dim=-1)


@torch.no_grad()
def lively(model: nn.Module) -> nn.Module:
    """Weights, gains, biases and statistics with which a folding error shows."""
    torch.manual_seed(0)
    for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
        if name.endswith("logit_scale"):
            tensor.fill_(math.log(120.0))
        elif name.endswith("num_batches_tracked"):
            tensor.fill_(7)
        elif name.endswith("running_var"):
            tensor.copy_(0.3 + torch.rand_like(tensor))
        elif tensor.ndim == 1:
            tensor.copy_((1.0 if name.endswith("weight") else 0.0) + 0.25 * torch.randn_like(tensor))
        elif "embed" in name or "token" in name:
            tensor.copy_(0.5 * torch.randn_like(tensor))
        elif name.endswith("proj") or name.endswith("projection_layer"):
            tensor.copy_(torch.randn_like(tensor) / tensor.shape[0] ** 0.5)
        else:
            tensor.copy_(1.2 * torch.randn_like(tensor) / tensor[0].numel() ** 0.5)
    return model.eval()


def prepared(path: Path, side: int, resize: int) -> np.ndarray:
    """The bytes of corenet's validation transform: bilinear by the shorter side, cut off, and the middle, rounded down."""
    image = Image.open(path).convert("RGB")
    width, height = image.size
    size = (resize, int(resize * height / width)) if width < height else (int(resize * width / height), resize)
    image = image.resize(size, Image.BILINEAR) if min(width, height) != resize else image
    top, left = (image.height - side) // 2, (image.width - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)))


def pixels(path: Path, side: int, resize: int) -> torch.Tensor:
    """What the tower takes: bytes between 0 and 1, no mean."""
    return torch.from_numpy(prepared(path, side, resize).copy()).permute(2, 0, 1).float() / 255


def synsets(wordnet: Path | None, work: Path) -> tuple[Path, list[tuple[str, str]]]:
    """WordNet's folder, and keys and names of as many of its synsets as there are classes, no name twice."""
    if wordnet is None:
        wordnet = work / "wordnet"
        wordnet.mkdir(exist_ok=True)
        names = [f"thing_{i}" for i in range(CLASSES)] + ["cat"]
        offsets = range(1740, 1740 + 97 * len(names), 97)
        data = [f"{offset:08} 03 n 01 {name} 0 000 | made up  " for offset, name in zip(offsets, names)]
        index = [f"{name} n 1 0 1 0 {offset:08}  " for offset, name in zip(offsets, names)]
        licence = "  1 This is made up.\n"
        (wordnet / "data.noun").write_text(licence + "\n".join(data) + "\n")
        (wordnet / "index.noun").write_text(licence + "\n".join(index) + "\n")
    found: dict[str, str] = {}
    for line in (wordnet / "data.noun").read_text().splitlines():
        if not line.startswith(" "):
            offset, name = line.split()[0], line.split()[4].replace("_", " ")
            found.setdefault(name, f"n{int(offset)}")
    pairs = [(key, name) for name, key in found.items()]
    step = len(pairs) / CLASSES
    return wordnet, [pairs[int(i * step)] for i in range(CLASSES)]


def same_pixels(checks, arguments, name: str, vision: Path, images: list[Path], side: int, resize: int, work: Path) -> None:
    """Holds preprocessing against corenet's, byte by byte and normalised."""
    expected = [(prepared(path, side, resize), pixels(path, side, resize).numpy()) for path in images]
    checks.pixels(name, arguments.edgelip, vision, images, expected, work / "pixels.npy")


@torch.no_grad()
def classifier(checks, arguments, blocks: int, images: list[Path], work: Path) -> None:
    """CatLIP: features, logits and scores of all rows, and of those that a list of labels chooses."""
    wordnet, pairs = synsets(arguments.wordnet, work)
    model = lively(Image16(blocks, "out_proj_attn"))
    rows = lively(nn.Linear(WIDTH, CLASSES))
    state = model.state_dict() | {f"classifier.{key}": tensor for key, tensor in rows.state_dict().items()}
    state |= {"neural_augmentor.noise._low": torch.zeros(1), "neural_augmentor.noise._high": torch.ones(1)}
    checkpoint, vision, vocabulary = work / "vit_base.pt", work / "catlip.onnx", work / "vocab.pkl"
    torch.save(state, checkpoint)
    # More than the model has, as published: sorted by how often each was found.
    counts = {key: 10**9 - i for i, (key, _) in enumerate(pairs)} | {"n99": 3, "n98": 2}
    vocabulary.write_bytes(pickle.dumps(counts))
    export = [arguments.exporter, checkpoint, "-o", vision, "--vocabulary", vocabulary, "--wordnet", wordnet, "--force", "--json"]
    for side, resize, more in ((224, 232, ["--preprocess", "corenet,resize=232"]), (320, 320, ["--preprocess", "corenet", "--image-size", 320])):
        name = f"CatLIP {side}"
        ran = binaries.must([*export, *more])
        report = json.loads(ran.out)
        checks.check(f"{name}: layout", report["layout"] == "corenet ViT", f"{ran.seconds:.1f} s, peak {ran.peak_bytes / 1e6:.0f} MB")
        batch = torch.stack([pixels(path, side, resize) for path in images])
        features = model.features(batch)
        logits = rows(features)
        checks.near(f"{name}: features, runtime – PyTorch", binaries.embed(arguments.edgelip, vision, images, work / "rows.npy"), features.numpy(), LEAST, LEAST)
        engine = onnx(vision, {"pixel_values": batch.numpy()}, "image_embeds")
        checks.near(f"{name}: features, onnxruntime – PyTorch", engine, features.numpy(), LEAST, LEAST)
        engine = onnx(vision, {"pixel_values": batch.numpy()}, "logits_per_image")
        far = float(np.abs(engine - logits.numpy()).max() / logits.std())
        checks.check(f"{name}: logits, onnxruntime – PyTorch", far < 1e-3, f"by at most {far:.1e} of their deviation")
        expected, worst = torch.sigmoid(logits).numpy(), 0.0
        for found, wanted in zip(binaries.scores(arguments.edgelip, vision, images, CLASSES), expected):
            worst = max(worst, *(abs(found[name] - score) for (_, name), score in zip(pairs, wanted)))
        checks.check(f"{name}: scores of {CLASSES} labels", worst <= SCORES, f"largest difference {worst:.2e}")
        if arguments.source:
            own = Code(arguments.source).image({key: value for key, value in state.items() if "augmentor" not in key}, blocks, flash=True)
            checks.near(f"{name}: features, PyTorch – corenet's code", features.numpy(), own.extract_features(batch)[0].numpy(), SAME, SAME)
            checks.near(f"{name}: logits, PyTorch – corenet's code", logits.numpy(), own(batch).numpy(), SAME, SAME)
        if side == 224:
            same_pixels(checks, arguments, name, vision, images, side, resize, work)

    chosen = [7, 11, CLASSES - 1, 300]
    labels = work / "labels.txt"
    labels.write_text("".join(f"{pairs[row][i % 2 ^ 1]}\n" for i, row in enumerate(chosen)))
    binaries.must([*export, "--preprocess", "corenet,resize=232", "--labels", labels, "--score", "softmax"])
    batch = torch.stack([pixels(path, 224, 232) for path in images])
    expected, worst = rows(model.features(batch))[:, chosen].softmax(-1).numpy(), 0.0
    for found, wanted in zip(binaries.scores(arguments.edgelip, vision, images, len(chosen)), expected):
        worst = max(worst, *(abs(found[label] - score) for label, score in zip(labels.read_text().splitlines(), wanted)))
    checks.check("CatLIP: rows of four labels, by name and by synset", worst <= SCORES, f"largest difference {worst:.2e}")
    refusals(checks, arguments, export[:4], vocabulary, wordnet, work)


def refusals(checks, arguments, export: list, vocabulary: Path, wordnet: Path, work: Path) -> None:
    """What can't be is told in one line and writes nothing."""

    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {work / 'run'}",)

    (work / "hostile.pkl").write_bytes(pickle.dumps({Hostile(): 1}))
    (work / "short.txt").write_text("cat\ndog\n")
    (work / "unknown.txt").write_text("no such thing\n")
    (work / "damaged.pt").write_bytes((work / "vit_base.pt").read_bytes()[:-5000])
    target = ["--preprocess", "corenet"]
    named = ["--vocabulary", vocabulary, "--wordnet", wordnet]
    cases = [
        ("no preprocessing", [*export, "--force"], "--preprocess corenet"),
        ("a short vocabulary", [*export, *target, "--vocabulary", work / "short.txt", "--force"], f"2 names for the {CLASSES} rows"),
        ("synsets without WordNet", [*export, *target, "--vocabulary", vocabulary, "--force"], "--wordnet"),
        ("a hostile vocabulary", [*export, *target, "--vocabulary", work / "hostile.pkl", "--force"], "posix.system"),
        ("a label of no row", [*export, *target, *named, "--labels", work / "unknown.txt", "--force"], "no row for `no such thing`"),
        ("a damaged checkpoint", [arguments.exporter, work / "damaged.pt", "-o", work / "never.onnx", *target], "damaged.pt"),
    ]
    for name, command, reason in cases:
        ran = binaries.run(command)
        good = ran.code == 2 and reason in ran.err and ran.err.count("\n") == 1
        checks.check(f"refused: {name}", good, ran.err.strip()[:100])
    checks.check("refused: nothing was run or written", not (work / "run").exists() and not (work / "never.onnx").exists())


@torch.no_grad()
def patches_only(checks, arguments, blocks: int, images: list[Path], work: Path) -> None:
    """A tower without class token, whose normed patches are averaged; softmax over a classifier with names of its own."""
    model, rows = lively(Image16(blocks, "out_proj", has_class=False)), lively(nn.Linear(WIDTH, 1000))
    state = model.state_dict() | {f"classifier.{key}": tensor for key, tensor in rows.state_dict().items()}
    checkpoint, vision = work / "no_class.pt", work / "no_class.onnx"
    torch.save({"model_state_dict": state, "epoch": 3}, checkpoint)
    binaries.must([arguments.exporter, checkpoint, "-o", vision, "--preprocess", "corenet", "--vocabulary", "imagenet", "--force"])
    batch = torch.stack([pixels(path, 224, 224) for path in images])
    features = model.features(batch)
    if arguments.source:
        own = Code(arguments.source).image(state, blocks, flash=False).extract_features(batch)[0]
        checks.near("no class token: features, PyTorch – corenet's code", features.numpy(), own.numpy(), SAME, SAME)
    native = binaries.embed(arguments.edgelip, vision, images, work / "rows.npy")
    checks.near("no class token: features, runtime – PyTorch", native, features.numpy(), LEAST, LEAST)
    expected, worst = rows(features).softmax(-1).numpy(), 0.0
    for found, wanted in zip(binaries.scores(arguments.edgelip, vision, images, 1000), expected):
        worst = max(worst, float(np.abs(np.sort(list(found.values())) - np.sort(wanted)).max()))
    checks.check("no class token: scores of ImageNet's classes", worst <= SCORES, f"largest difference {worst:.2e}")


@torch.no_grad()
def clip(checks, arguments, blocks: int, images: list[Path], work: Path) -> None:
    """corenet's CLIP: both towers and softmax scores, the factor of the cosines at most 100."""
    model = nn.Module()
    model.image_encoder, model.text_encoder = Image16(blocks, "out_proj"), Text(blocks)
    model.image_encoder.classifier = nn.Module()
    model.image_encoder.classifier.proj = nn.Parameter(torch.empty(WIDTH, EMBEDDING))
    model.logit_scale = nn.Parameter(torch.empty([]))
    lively(model)
    checkpoint, vision, text = work / "clip_vit_base.pt", work / "clip.onnx", work / "clip-text.onnx"
    torch.save(model.state_dict(), checkpoint)
    listed, labels = work / "texts.json", work / "names.txt"
    listed.write_text(json.dumps(TEXTS), encoding="utf-8")
    labels.write_text("".join(f"{label}\n" for label in LABELS))
    export = [arguments.exporter, checkpoint, "-o", vision, "--text", text, "--labels", labels, "--template", TEMPLATE, "--tokenizer", default_bpe()]
    binaries.must([*export, "--force"])
    tokens = open_clip.SimpleTokenizer()
    batch = torch.stack([pixels(path, 224, 224) for path in images])
    image = functional.normalize(model.image_encoder.features(batch) @ model.image_encoder.classifier.proj, dim=-1)
    native = binaries.embed(arguments.edgelip, vision, images, work / "rows.npy")
    checks.near("CLIP: image, runtime – PyTorch", native, image.numpy(), LEAST, LEAST)
    engine = onnx(vision, {"pixel_values": batch.numpy()}, "image_embeds")
    checks.near("CLIP: image, onnxruntime – PyTorch", engine, image.numpy(), LEAST, LEAST)
    binaries.must([arguments.edgelip, "embed", "--texts", listed, "--model", text, "-o", work / "rows.npy", "--force"])
    expected = model.text_encoder(tokens(TEXTS)).numpy()
    checks.near("CLIP: text, runtime – PyTorch", np.load(work / "rows.npy"), expected, LEAST, LEAST)
    ids = tokens(TEXTS)
    mask = (torch.arange(CONTEXT) <= ids.argmax(-1, keepdim=True)).long()
    engine = onnx(text, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}, "text_embeds")
    checks.near("CLIP: text, onnxruntime – PyTorch", engine, expected, LEAST, LEAST)
    if arguments.source:
        own = Code(arguments.source).text(model.text_encoder.state_dict(), blocks, EMBEDDING).encode_text(ids)
        checks.near("CLIP: text, PyTorch – corenet's code", expected, own.numpy(), SAME, SAME)
    prompts = model.text_encoder(tokens([TEMPLATE.format(label) for label in LABELS]))
    scores, worst = (model.logit_scale.exp().clamp(max=100) * image @ prompts.T).softmax(-1).numpy(), 0.0
    for found, wanted in zip(binaries.scores(arguments.edgelip, vision, images, len(LABELS)), scores):
        worst = max(worst, *(abs(found[label] - score) for label, score in zip(LABELS, wanted)))
    checks.check("CLIP: scores", worst <= SCORES, f"largest difference {worst:.2e}")
    same_pixels(checks, arguments, "CLIP", vision, images, 224, 224, work)


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="all twelve blocks")
    parser.add_argument("--wordnet", type=Path, help="the folder of WordNet 3.0's files, instead of made-up ones")
    parser.add_argument("--source", type=Path, help="a checkout of corenet, to hold what is written out here against")
    parser.add_argument("--count", type=int, default=5, help="photos")
    arguments = parser.parse_args()
    checks = binaries.Checks()
    blocks = 12 if arguments.all else 2
    with binaries.folder(arguments.keep) as work:
        images = photos.write(arguments.photos, arguments.count, work / "photos")
        classifier(checks, arguments, blocks, images, work)
        patches_only(checks, arguments, blocks, images, work)
        clip(checks, arguments, blocks, images, work)
    checks.exit()


if __name__ == "__main__":
    main()
