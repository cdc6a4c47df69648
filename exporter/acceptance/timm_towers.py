#!/usr/bin/env python3
"""timm's vision transformers, and open_clip's models with such image towers, against timm and open_clip: preprocessing, embeddings, scores.

    venv/bin/python exporter/acceptance/timm_towers.py                    # a tower of each kind, of true width
    venv/bin/python exporter/acceptance/timm_towers.py --only SigLIP      # the cases with this in their names

timm's are two blocks deep, and so are open_clip's text towers; its image towers have all their blocks.

Weights are random, far from what the libraries initialise. Exits 0 if all is near enough, 1 if not.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import timm
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer, default_bpe
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config
from timm.layers import resample_abs_pos_embed
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import binaries
import photos
import sparse
from engine import onnx

LEAST, SCORES = 0.99999, 1e-4
BLOCKS = 2
CLIP = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}

# Name, arguments beside the number of blocks, preprocessing.
TOWERS = {
    "classifier": ("vit_tiny_patch16_224", {"num_classes": 7}, HALF | {"crop_pct": 0.9}),
    "classifier of a CLIP": ("vit_base_patch32_clip_224", {"num_classes": 7}, CLIP | {"crop_pct": 0.95}),
    "no head": ("vit_tiny_patch16_224", {"num_classes": 0}, HALF | {"crop_pct": 0.9}),
    "layer scale, squashed, 160 pixels": (
        "deit3_small_patch16_224",
        {"num_classes": 0, "img_size": 160, "init_values": 0.5},
        {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "crop_mode": "squash", "crop_pct": 0.95, "interpolation": "bilinear"},
    ),
    "mean of normed patches, no bias of qkv": ("vit_medium_patch16_gap_256", {"num_classes": 0}, HALF | {"crop_pct": 0.95}),
    "norm of the mean, tanh": (
        "vit_base_patch32_siglip_gap_256",
        {"num_classes": 0, "fc_norm": True, "act_layer": "gelu_tanh"},
        HALF | {"crop_pct": 1.0, "crop_mode": "squash"},
    ),
    "CLIP with its projection": ("vit_base_patch16_clip_224", {"num_classes": 512}, CLIP | {"crop_pct": 1.0}),
    "CLIP with QuickGELU": ("vit_base_patch32_clip_quickgelu_224", {"num_classes": 512}, CLIP | {"crop_pct": 0.9}),
    "CLIP without projection": ("vit_xsmall_patch16_clip_224", {"num_classes": 0}, CLIP),
    "SigLIP with its attention pooling": ("vit_base_patch16_siglip_224", {"num_classes": 0}, HALF | {"crop_pct": 0.9, "crop_mode": "squash"}),
    "SigLIP of 14 pixels a patch": ("vit_so400m_patch14_siglip_224", {"num_classes": 0}, HALF | {"crop_pct": 0.9}),
    "DINOv2": ("vit_small_patch14_dinov2", {"num_classes": 0, "img_size": 224}, HALF | {"crop_pct": 1.0}),
    "MobileCLIP-B's tower": ("vit_base_mci_224", {"num_classes": 512}, {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear"}),
}

# Other sizes than the checkpoint's, by timm's resampling of its positions.
RESIZED = {"vit_tiny_patch16_224": 160, "deit3_small_patch16_224": 288, "vit_base_patch16_siglip_224": 160, "vit_base_mci_224": 160}

# Name of a configuration, what is different in its text tower, kind of tokenizer, preprocessing.
SIGLIP = HALF | {"interpolation": "bicubic", "resize_mode": "squash"}
MODELS = {
    "SigLIP": ("ViT-B-16-SigLIP", {}, "unigram", SIGLIP),
    "SigLIP 2": ("ViT-B-32-SigLIP2-256", {"vocab_size": 2000}, "byte pairs", SIGLIP),
    "SigLIP without a projection of texts": ("ViT-B-16-SigLIP", {"proj_type": "none"}, "unigram", SIGLIP),
    "MobileCLIP-B": ("MobileCLIP-B", {}, "CLIP", {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear", "resize_mode": "shortest"}),
    "linear projection": ("vit_medium_patch16_gap_256", {}, "CLIP", CLIP),
}
# What is refused, and a word on why.
REFUSED = {
    "MobileCLIP-S1": "a convolutional hybrid",
    "convnext_tiny": "a convolutional hybrid",
    "RN50": "a ResNet",
    "EVA02-B-16": "`eva02_base_patch16_clip_224` is not supported; supported are",
    "ViTamin-S": "`vitamin_small_224` is not supported; supported are",
    "swin_base_patch4_window7_224": "of no layout that is known; supported are",
    "vit_relpos_medium_patch16_cls_224": "`vit_relpos_medium_patch16_cls_224` is not supported; supported are",
}

TEXTS = [
    "a photo of a cat.",
    "A cup of Coffee, on a (wooden) table; seen from above!",
    "",
    "snake_case & &amp; “curly” quotes, it’s",
    "word " * 100,
    "42 sheep, 7 goats and one llama",
]
LABELS = ["cat", "cup of coffee", "rocket", "llama"]
TEMPLATE = "a photo of a {}."


@torch.no_grad()
def enliven(model: torch.nn.Module) -> None:
    """Weights with which different photos and captions get visibly different embeddings, and gains, biases and scales that show a folding error."""
    torch.manual_seed(0)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if not tensor.is_floating_point() or name in ("logit_scale", "logit_bias") or name.endswith("attn_mask"):
            continue
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand_like(tensor))
        elif tensor.dim() == 1 and name.endswith(("weight", "gamma")):
            tensor.copy_(1.0 + 0.25 * torch.randn_like(tensor))
        elif name.endswith("bias") or name.endswith("running_mean"):
            tensor.copy_(0.1 * torch.randn_like(tensor))
        elif "embed" in name and "patch_embed" not in name or name.endswith(("cls_token", "latent")):
            tensor.copy_(0.5 * torch.randn_like(tensor))
        elif name.endswith("text_projection"):
            tensor.copy_(torch.randn_like(tensor) / tensor.shape[0] ** 0.5)
        else:
            tensor.copy_(torch.randn_like(tensor) * 1.2 / tensor[0].numel() ** 0.5)


def folder(work: Path) -> Path:
    """An empty folder for a checkpoint."""
    made = work / "checkpoint"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    return made


def cropped(transform, image: Image.Image) -> np.ndarray:
    """The bytes that a library's transform leaves before they become a tensor."""
    for step in transform.transforms:
        if "Tensor" in type(step).__name__:
            return np.asarray(image)
        image = step(image)
    raise SystemExit(f"error: no step of {transform} makes a tensor")


def check_pixels(checks, arguments, what: str, vision: Path, transform, images: list[Path], rows: Path) -> torch.Tensor:
    """Holds bytes and normalised pixels against a library's transform; the pixels."""
    opened = [Image.open(path).convert("RGB") for path in images]
    pixels = torch.stack([transform(image) for image in opened])
    checks.pixels(what, arguments.edgelip, vision, images, zip((cropped(transform, image) for image in opened), pixels.numpy()), rows)
    return pixels


def check_images(checks, arguments, what: str, vision: Path, pixels: torch.Tensor, expected: torch.Tensor, images: list[Path], rows: Path) -> None:
    """Holds embeddings of the runtime and of onnxruntime against a library's, which are not all alike."""
    ours = {
        "runtime": binaries.embed(arguments.edgelip, vision, images, rows),
        "onnxruntime": onnx(vision, {"pixel_values": pixels.numpy()}, "image_embeds"),
    }
    for engine, found in ours.items():
        checks.near(f"{what}: image, {engine}", found, expected.numpy(), LEAST, LEAST)
    likeness = np.triu(np.atleast_2d(np.corrcoef(expected.numpy())), 1).max()
    checks.check(f"{what}: photos are told apart", likeness < 0.999, f"the two most alike have a correlation of {likeness:.4f}")


def check_scores(checks, arguments, what: str, vision: Path, labels: list[str], kind: str, expected: torch.Tensor, images: list[Path]) -> None:
    """Holds scores against a library's, `[images, labels]`."""
    far = 0.0
    for found, row in zip(binaries.scores(arguments.edgelip, vision, images, len(labels)), expected.tolist()):
        far = max(far, *(abs(found[label] - score) for label, score in zip(labels, row)))
    checks.check(f"{what}: scores", far <= SCORES, f"{kind}, largest difference {far:.2e}")


def write(made: Path, name: str, model: torch.nn.Module, arguments: dict, described: dict, classes: list[str]) -> None:
    """A folder as timm writes it."""
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, made / "model.safetensors")
    config = {
        "architecture": name,
        "num_classes": model.num_classes,
        "num_features": model.num_features,
        "global_pool": model.global_pool,
        "model_args": arguments,
        "pretrained_cfg": {"tag": "random", "custom_load": False, **described},
    }
    if classes:
        config |= {"label_names": [f"n{i}" for i in range(len(classes))], "label_descriptions": {f"n{i}": name for i, name in enumerate(classes)}}
    (made / "config.json").write_text(json.dumps(config))


@torch.no_grad()
def tower(checks, arguments, case: str, images: list[Path], work: Path) -> None:
    """One of timm's towers, in the container and with the configuration that timm itself writes."""
    name, more, preprocess = TOWERS[case]
    what = f"{name}, {case}"
    model = timm.create_model(name, pretrained=False, depth=BLOCKS, **more).eval()
    enliven(model)
    classes = [f"class {i}" for i in range(model.num_classes)] if "classifier" in case else []
    if model.num_classes > 0 and not classes:
        # As in every conversion of a CLIP's projection.
        model.head.bias.zero_()
    side = model.patch_embed.img_size[0]
    described = preprocess | {"input_size": [3, side, side]}
    made = folder(work)
    write(made, name, model, {"depth": BLOCKS, **more}, described, classes)
    vision, rows = work / "vision.onnx", work / "rows.npy"
    ran = binaries.must([arguments.exporter, made, "-o", vision, "--json", "--force"])
    checks.check(f"{what}: exported", json.loads(ran.out)["layout"] == "timm ViT", f"{ran.seconds:.1f} s, peak {ran.peak_bytes / 1e6:.0f} MB")
    transform = create_transform(**resolve_data_config({}, pretrained_cfg=described))
    pixels = check_pixels(checks, arguments, what, vision, transform, images, rows)
    features = model.forward_head(model.forward_features(pixels), pre_logits=True) if classes else model(pixels)
    check_images(checks, arguments, what, vision, pixels, torch.nn.functional.normalize(features, dim=-1), images, rows)
    if classes:
        check_scores(checks, arguments, what, vision, classes, "softmax", model(pixels).softmax(-1), images)


@torch.no_grad()
def resized(checks, arguments, name: str, side: int, images: list[Path], work: Path) -> None:
    """A tower for images of another size than it was made for, which timm makes of the same weights."""
    what, more = f"{name} for {side} pixels", {"depth": BLOCKS, "num_classes": 0}
    model = timm.create_model(name, pretrained=False, **more).eval()
    enliven(model)
    own = model.patch_embed.img_size[0]
    made, vision, rows = folder(work), work / "vision.onnx", work / "rows.npy"
    write(made, name, model, more, HALF | {"crop_pct": 1.0, "input_size": [3, own, own]}, [])
    binaries.must([arguments.exporter, made, "-o", vision, "--image-size", side, "--force"])
    transform = create_transform(**resolve_data_config({}, pretrained_cfg=HALF | {"crop_pct": 1.0, "input_size": [3, side, side]}))
    pixels = check_pixels(checks, arguments, what, vision, transform, images, rows)
    other = timm.create_model(name, pretrained=False, img_size=side, **more).eval()
    state = dict(model.state_dict())
    prefix = 0 if other.no_embed_class else other.num_prefix_tokens
    state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], list(other.patch_embed.grid_size), num_prefix_tokens=prefix)
    other.load_state_dict(state)
    check_images(checks, arguments, what, vision, pixels, torch.nn.functional.normalize(other(pixels), dim=-1), images, rows)


def tokenizer(kind: str, made: Path, context: int):
    """A tokenizer as open_clip makes it, of pieces that are made up; what the exporter is told beside the folder."""
    if kind == "CLIP":
        return SimpleTokenizer(context_length=context), ["--tokenizer", default_bpe()]
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,;!()&'\"_"]
    words = ["▁", "▁a", "▁of", "▁photo", "▁cat", "▁cup", "▁coffee", "▁rocket", "▁llama", "ll", "oo", "at", "ee", "wo", "▁word"]
    pieces = ["<pad>", "</s>", "<unk>", *letters, *words]
    if kind == "unigram":
        own = Tokenizer(models.Unigram([(piece, -1.0 - 0.1 * i / max(1, len(piece))) for i, piece in enumerate(pieces)], 2, False))
        own.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
        own.pre_tokenizer = pre_tokenizers.Metaspace()
        own.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
        pad = "</s>"
    else:
        merges = [("l", "l"), ("o", "o"), ("a", "t"), ("e", "e"), ("w", "o")]
        own = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges, unk_token="<unk>"))
        own.normalizer = normalizers.Replace(" ", "▁")
        pad = "<pad>"
    wrapped = PreTrainedTokenizerFast(tokenizer_object=own, pad_token=pad, eos_token="</s>", unk_token="<unk>", padding_side="right")
    wrapped.save_pretrained(made)
    return HFTokenizer(str(made), context_length=context, clean="canonicalize"), []


@torch.no_grad()
def model(checks, arguments, case: str, images: list[Path], work: Path) -> None:
    """One of open_clip's models, its text tower two blocks deep."""
    name, different, kind, preprocess = MODELS[case]
    what = f"{name}, {case}"
    config = open_clip.get_model_config(name)
    config["text_cfg"] = config["text_cfg"] | {"layers": BLOCKS} | different
    settings = dict(config)
    made = (open_clip.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.CLIP)(**settings).eval()
    enliven(made)
    made.logit_scale.fill_(np.log(10.0))
    if made.logit_bias is not None:
        made.logit_bias.fill_(-1.0)
    checkpoint = folder(work)
    save_file({key: tensor.contiguous() for key, tensor in made.state_dict().items()}, checkpoint / "open_clip_model.safetensors")
    described = {"model_cfg": config, "preprocess_cfg": preprocess}
    (checkpoint / "open_clip_config.json").write_text(json.dumps(described))
    words, more = tokenizer(kind, checkpoint, config["text_cfg"]["context_length"])

    vision, text, rows = work / "vision.onnx", work / "text.onnx", work / "rows.npy"
    labels, listed = work / "labels.txt", work / "texts.json"
    labels.write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    listed.write_text(json.dumps(TEXTS), encoding="utf-8")
    export = [arguments.exporter, checkpoint, "-o", vision, "--text", text, "--labels", labels, "--template", TEMPLATE, *more]
    ran = binaries.must([*export, "--json", "--force"])
    checks.check(f"{what}: exported", json.loads(ran.out)["layout"] == "open_clip", f"{ran.seconds:.1f} s, peak {ran.peak_bytes / 1e6:.0f} MB")

    transform = image_transform_v2(PreprocessCfg(size=made.visual.image_size, **preprocess), is_train=False)
    pixels = check_pixels(checks, arguments, what, vision, transform, images, rows)
    image = made.encode_image(pixels, normalize=True)
    check_images(checks, arguments, what, vision, pixels, image, images, rows)
    binaries.must([arguments.edgelip, "embed", "--texts", listed, "--model", text, "-o", rows, "--force"])
    ids = words(TEXTS)
    expected = made.encode_text(ids, normalize=True).numpy()
    checks.near(f"{what}: text, runtime", np.load(rows), expected, LEAST, LEAST)
    engine = onnx(text, {"input_ids": ids.numpy(), "attention_mask": np.ones_like(ids.numpy())}, "text_embeds")
    checks.near(f"{what}: text, onnxruntime", engine, expected, LEAST, LEAST)

    prompts = made.encode_text(words([TEMPLATE.format(label) for label in LABELS]), normalize=True)
    logits = made.logit_scale.exp() * image @ prompts.T
    scores = logits.softmax(-1) if made.logit_bias is None else torch.sigmoid(logits + made.logit_bias)
    kind = "softmax" if made.logit_bias is None else "sigmoid"
    check_scores(checks, arguments, what, vision, LABELS, kind, scores, images)


def refuse(checks, arguments, name: str, work: Path) -> None:
    """A model of open_clip's that can't be exported: one line that says what it is."""
    config = open_clip.get_model_config(name)
    settings = dict(config)
    kind = open_clip.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.CLIP
    made = folder(work)
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in kind(**settings).state_dict().items()}
    sparse.write(made / "open_clip_model.safetensors", shapes)
    (made / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    ran = binaries.run([arguments.exporter, made, "--dry-run"])
    said = ran.err.strip()
    good = ran.code == 2 and REFUSED[name] in said and len(said.splitlines()) == 1
    checks.check(f"{name}: refused", good, REFUSED[name] if good else f"{ran.code}, {said}")


def broken(checks, arguments, case: str, work: Path) -> None:
    """A checkpoint with each tensor missing, of another shape, and beside another one: a line that names what is wrong, every time."""
    made = folder(work)
    if case == "timm's":
        model = timm.create_model("test_vit", num_classes=5)
        config = {"architecture": "test_vit", "pretrained_cfg": HALF | {"input_size": [3, 160, 160]}}
        files, name = ("config.json", "model.safetensors"), "reg_token"
    else:
        settings = open_clip.get_model_config("ViT-B-16-SigLIP") | {"embed_dim": 64}
        settings["vision_cfg"] |= {"timm_model_name": "test_vit", "timm_pool": "token", "image_size": 160}
        settings["text_cfg"] |= {"layers": 1, "vocab_size": 50, "width": 64, "heads": 1}
        config = {"model_cfg": settings, "preprocess_cfg": SIGLIP}
        model = open_clip.CustomTextCLIP(**{key: value for key, value in settings.items() if key != "custom_text"})
        files, name = ("open_clip_config.json", "open_clip_model.safetensors"), "visual.trunk.reg_token"
    (made / files[0]).write_text(json.dumps(config))
    shapes = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    variants = [("nothing", shapes)]
    variants += [(f"{key} missing", {other: shape for other, shape in shapes.items() if other != key}) for key in shapes]
    variants += [(f"{key} longer", shapes | {key: [*shape, 2]}) for key, shape in shapes.items()]
    variants += [(f"{key} left over", shapes | {key: [1, 4, 64]}) for key in (name, "something.else")]
    wrong = []
    for what, changed in variants:
        sparse.write(made / files[1], changed)
        ran = binaries.run([arguments.exporter, made, "--dry-run"])
        lines = [line for line in ran.err.strip().splitlines() if not line.startswith("warning")]
        if (ran.code, len(lines)) != ((0, 0) if what == "nothing" else (2, 1)):
            wrong.append(f"{what}: {ran.code}, {ran.err.strip()[:200]}")
    checks.check(f"{case} checkpoints, broken", not wrong, f"{len(variants) - 1} of them; {'; '.join(wrong)}")


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", help="only the cases with this in their names")
    parser.add_argument("--count", type=int, default=5, help="photos")
    arguments = parser.parse_args()
    checks = binaries.Checks()

    def wanted(case: str) -> bool:
        return arguments.only is None or arguments.only in case

    with binaries.folder(arguments.keep) as work:
        images = photos.write(arguments.photos, arguments.count, work / "photos")
        for case in filter(wanted, TOWERS):
            tower(checks, arguments, case, images, work)
        for name in filter(wanted, RESIZED):
            resized(checks, arguments, name, RESIZED[name], images, work)
        for case in filter(wanted, MODELS):
            model(checks, arguments, case, images, work)
        for name in filter(wanted, REFUSED):
            refuse(checks, arguments, name, work)
        for case in filter(wanted, ["timm's", "open_clip's"]):
            broken(checks, arguments, case, work)
    checks.exit()


if __name__ == "__main__":
    main()
