#!/usr/bin/env python3
"""Checkpoints of open_clip and of OpenAI against open_clip itself: every container, both activations, preprocessing, embeddings and scores.

    venv/bin/python exporter/acceptance/openclip.py            # ViT-B/32 of true width, two blocks deep, in every container
    venv/bin/python exporter/acceptance/openclip.py --all      # ViT-B/32 and ViT-B/16 with all their blocks

Weights are random, far from what open_clip initialises. Exits 0 if all is near enough, 1 if not.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import default_bpe
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file

import binaries
import photos
from engine import onnx

TEXTS = [
    "a photo of a cat.",
    "A cup of coffee on a wooden table, seen from above",
    "",
    "Ünïcödé & emoji 🚀!",
    "it’s a “quoted” caption &amp; more",
    "word " * 200,
    "42 sheep, 7 goats and one llama",
]
LABELS = ["cat", "cup of coffee", "rocket", "llama"]
TEMPLATE = "a photo of a {}."
LEAST, LEAST_F16, SCORES = 0.99999, 0.9999, 1e-4
SMALL, BIG = "ViT-B-32", ["ViT-B-32", "ViT-B-16"]


@torch.no_grad()
def enliven(model: torch.nn.Module) -> None:
    """Weights with which different photos and captions get visibly different embeddings, and gains and biases that show a folding error."""
    for name, tensor in model.named_parameters():
        if name == "logit_scale":
            tensor.fill_(np.log(20.0))
        elif "ln_" in name and name.endswith("weight"):
            tensor.copy_(1.0 + 0.25 * torch.randn_like(tensor))
        elif name.endswith("bias"):
            tensor.copy_(0.1 * torch.randn_like(tensor))
        elif "embedding" in name:
            tensor.mul_(0.5 / tensor.std())
        elif name.endswith("proj") or name.endswith("projection"):
            tensor.copy_(torch.randn_like(tensor) / tensor.shape[0] ** 0.5)
        else:
            tensor.copy_(torch.randn_like(tensor) * 1.2 / tensor[0].numel() ** 0.5)


def config(name: str, blocks: int | None, **more) -> dict:
    """A configuration of open_clip's, with as many blocks as asked for."""
    config = open_clip.get_model_config(name) | more
    for tower in ("vision_cfg", "text_cfg") if blocks else ():
        config[tower] = config[tower] | {"layers": blocks}
    return config


def build(config: dict) -> torch.nn.Module:
    """A model of open_clip's with lively weights."""
    torch.manual_seed(0)
    config = dict(config)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    model = kind(**config).eval()
    enliven(model)
    return model


@torch.no_grad()
def golden(model: torch.nn.Module, preprocess: dict, images: list[Path]) -> dict[str, np.ndarray]:
    """What open_clip makes of photos and captions."""
    transform = image_transform_v2(PreprocessCfg(**preprocess), is_train=False)
    steps = transform.transforms[:2] if preprocess.get("resize_mode") != "squash" else transform.transforms[:1]
    cropped = []
    for path in images:
        image = Image.open(path).convert("RGB")
        for step in steps:
            image = step(image)
        cropped.append(np.asarray(image))
    pixels = torch.stack([transform(Image.open(path)) for path in images])
    tokenizer = open_clip.SimpleTokenizer()
    unit = torch.nn.functional.normalize
    image = unit(model.encode_image(pixels).float(), dim=-1)
    text = unit(model.encode_text(tokenizer(TEXTS)).float(), dim=-1)
    labels = unit(model.encode_text(tokenizer([TEMPLATE.format(label) for label in LABELS])).float(), dim=-1)
    scores = (model.logit_scale.exp() * image @ labels.T).softmax(-1)
    result = {"u8": np.stack(cropped), "pixels": pixels, "image": image, "text": text, "scores": scores}
    return {key: np.asarray(value) for key, value in result.items()}


def check(checks, arguments, what: str, checkpoint: Path, more: list, expected: dict, images: list[Path], work: Path, least: float) -> None:
    """Exports a checkpoint with labels and holds all that comes out of it against open_clip."""
    vision, text, labels, rows = work / "vision.onnx", work / "text.onnx", work / "labels.txt", work / "rows.npy"
    labels.write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    listed = work / "texts.json"
    listed.write_text(json.dumps(TEXTS), encoding="utf-8")
    export = [arguments.exporter, checkpoint, "-o", vision, "--text", text, "--labels", labels, "--template", TEMPLATE, "--tokenizer", default_bpe()]
    ran = binaries.must([*export, "--json", "--force", *more])
    checks.check(f"{what}: layout", True, f"{json.loads(ran.out)['layout']}, {ran.seconds:.1f} s, peak {ran.peak_bytes / 1e6:.0f} MB")

    native = binaries.embed(arguments.edgelip, vision, images, rows)
    checks.near(f"{what}: image, runtime – open_clip", native, expected["image"], least, least)
    engine = onnx(vision, {"pixel_values": expected["pixels"]}, "image_embeds")
    checks.near(f"{what}: image, onnxruntime – open_clip", engine, expected["image"], least, least)
    binaries.must([arguments.edgelip, "embed", "--texts", listed, "--model", text, "-o", rows, "--force"])
    checks.near(f"{what}: text, runtime – open_clip", np.load(rows), expected["text"], least, least)

    worst = 0.0
    for found, wanted in zip(binaries.scores(arguments.edgelip, vision, images, len(LABELS)), expected["scores"]):
        worst = max(worst, *(abs(found[label] - score) for label, score in zip(LABELS, wanted)))
    checks.check(f"{what}: scores", worst <= (SCORES if least == LEAST else 10 * SCORES), f"largest difference {worst:.2e}")

    checks.pixels(what, arguments.edgelip, vision, images, zip(expected["u8"], expected["pixels"]), rows)


def openai(model: torch.nn.Module, path: Path) -> torch.nn.Module:
    """Writes a TorchScript archive as OpenAI published theirs: half-precision weights, numbers beside them. The model with its weights so rounded."""
    from clip.model import CLIP, convert_weights

    visual, text = model.visual, model.transformer
    own = CLIP(
        embed_dim=visual.proj.shape[1],
        image_resolution=visual.image_size[0],
        vision_layers=len(visual.transformer.resblocks),
        vision_width=visual.conv1.weight.shape[0],
        vision_patch_size=visual.patch_size[0],
        context_length=model.context_length,
        vocab_size=model.vocab_size,
        transformer_width=text.width,
        transformer_heads=text.width // 64,
        transformer_layers=len(text.resblocks),
    ).eval()
    own.load_state_dict(model.state_dict())
    convert_weights(own)
    for name, value in {"input_resolution": visual.image_size[0], "context_length": model.context_length, "vocab_size": model.vocab_size}.items():
        if hasattr(own, name):
            delattr(own, name)
        own.register_buffer(name, torch.tensor(value))
    own.context_length, size = torch.tensor(model.context_length), visual.image_size[0]
    inputs = {"encode_image": torch.zeros(1, 3, size, size), "encode_text": torch.zeros(1, int(own.context_length), dtype=torch.int64)}
    torch.jit.trace_module(own, inputs, check_trace=False).save(path)
    model.load_state_dict({name: tensor.float() for name, tensor in own.state_dict().items() if name in model.state_dict()})
    return model


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="models with all their blocks")
    parser.add_argument("--only", help="only the cases with this in their names")
    parser.add_argument("--count", type=int, default=5, help="photos")
    arguments = parser.parse_args()
    checks = binaries.Checks()
    with binaries.folder(arguments.keep) as work:
        images = photos.write(arguments.photos, arguments.count, work / "photos")
        for name in BIG if arguments.all else [SMALL]:
            cases(checks, arguments, name, None if arguments.all else 2, images, work)
    checks.exit()


def cases(checks, arguments, name: str, blocks: int | None, images: list[Path], work: Path) -> None:
    """Every container and variant of one size."""
    bare = ["--preprocess", "clip", "--activation"]

    def folder(settings: dict | None = None, preprocess: dict | None = None) -> Path:
        """An empty folder, with a configuration if there is one."""
        made = work / "checkpoint"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        if settings:
            described = {"model_cfg": settings} | ({"preprocess_cfg": preprocess} if preprocess else {})
            (made / "open_clip_config.json").write_text(json.dumps(described))
        return made

    def case(what: str, model, checkpoint: Path, more: list = [], preprocess: dict | None = None, least: float = LEAST) -> None:
        preprocess = {"size": model.visual.image_size} | (preprocess or {})
        expected = golden(model, preprocess, images)
        check(checks, arguments, f"{name} {what}", checkpoint, more, expected, images, work, least)

    def wanted(what: str) -> bool:
        return arguments.only is None or arguments.only in what

    settings = config(name, blocks)
    model = build(settings)
    state = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    if wanted("safetensors"):
        made = folder(settings)
        save_file(state, made / "open_clip_model.safetensors")
        case("safetensors", model, made)
    if wanted("squash"):
        made, preprocess = folder(settings, squash := {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}), squash
        torch.save(state, made / "open_clip_pytorch_model.bin")
        case("squash, torch.save", model, made, preprocess=preprocess)
    if wanted("training"):
        path = folder() / "epoch_3.pt"
        optimizer = torch.optim.AdamW(model.parameters())
        wrapped = {f"module.{key}": tensor for key, tensor in state.items()}
        torch.save({"epoch": 3, "name": "run", "state_dict": wrapped, "optimizer": optimizer.state_dict()}, path)
        case("training", model, path, [*bare, "gelu"])
    if wanted("bf16"):
        path = folder() / "weights.pth"
        rounded = {key: tensor.bfloat16() for key, tensor in state.items()}
        torch.save(rounded, path)
        model.load_state_dict({key: tensor.float() for key, tensor in rounded.items()})
        case("bf16", model, path, [*bare, "gelu"])
    if wanted("quickgelu, custom text"):
        settings = config(name, blocks, quick_gelu=True, custom_text=True)
        model = build(settings)
        made = folder(settings)
        torch.save(model.state_dict(), made / "open_clip_pytorch_model.bin")
        case("quickgelu, custom text", model, made)
    if wanted("OpenAI"):
        model = build(config(name, blocks, quick_gelu=True))
        path = folder() / f"{name}.pt"
        model = openai(model, path)
        case("OpenAI, f16", model, path, least=LEAST_F16)


if __name__ == "__main__":
    main()
