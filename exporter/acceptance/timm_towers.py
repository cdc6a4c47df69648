#!/usr/bin/env python3
"""timm's vision transformers against timm itself: preprocessing and embeddings.

    venv/bin/python exporter/acceptance/timm_towers.py                    # a tower of each kind, of true width, two blocks deep
    venv/bin/python exporter/acceptance/timm_towers.py --only SigLIP      # the cases with this in their names

Weights are random, far from what the libraries initialise. Exits 0 if all is near enough, 1 if not.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config

import binaries
import photos
from engine import onnx

LEAST = 0.99999
BLOCKS = 2
CLIP = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}

# Name, arguments beside the number of blocks, preprocessing.
TOWERS = {
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


@torch.no_grad()
def enliven(model: torch.nn.Module) -> None:
    """Weights with which different photos and captions get visibly different embeddings, and gains, biases and scales that show a folding error."""
    torch.manual_seed(0)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if not tensor.is_floating_point() or name in ("logit_scale", "logit_bias") or name.endswith("attn_mask"):
            continue
        norm = re.search(r"(norm\w*|ln_\w+|bn\d?)\.(weight|bias)$", name)
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand_like(tensor))
        elif name.endswith("gamma") or norm and name.endswith("weight"):
            tensor.copy_(1.0 + 0.25 * torch.randn_like(tensor))
        elif name.endswith("bias") or name.endswith("running_mean"):
            tensor.copy_(0.1 * torch.randn_like(tensor))
        elif "embed" in name and tensor.dim() < 4 or name.endswith(("cls_token", "latent")):
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
    pixels, different, far = [], 0, 0.0
    for path in images:
        image = Image.open(path).convert("RGB")
        pixels.append(transform(image))
        binaries.must([arguments.edgelip, "preprocess", path, "--model", vision, "-o", rows, "--u8", "--force"])
        different += int((np.load(rows) != cropped(transform, image)).sum())
        binaries.must([arguments.edgelip, "preprocess", path, "--model", vision, "-o", rows, "--force"])
        far = max(far, float(np.abs(np.load(rows) - pixels[-1].numpy()).max()))
    checks.check(f"{what}: preprocessing", different == 0 and far < 1e-6, f"{different} bytes differ, normalised by at most {far:.1e}")
    return torch.stack(pixels)


def check_images(checks, arguments, what: str, vision: Path, pixels: torch.Tensor, expected: torch.Tensor, images: list[Path], rows: Path) -> None:
    """Holds embeddings of the runtime and of onnxruntime against a library's, which are not all alike."""
    ours = {
        "runtime": binaries.embed(arguments.edgelip, vision, images, rows),
        "onnxruntime": onnx(vision, {"pixel_values": pixels.numpy()}, "image_embeds"),
    }
    for engine, found in ours.items():
        checks.near(f"{what}: image, {engine}", found, expected.numpy(), LEAST, LEAST)
    likeness = np.triu(np.corrcoef(expected.numpy()), 1).max()
    checks.check(f"{what}: photos are told apart", likeness < 0.999, f"the two most alike have a correlation of {likeness:.4f}")


@torch.no_grad()
def tower(checks, arguments, case: str, images: list[Path], work: Path) -> None:
    """One of timm's towers, in the container and with the configuration that timm itself writes."""
    name, more, preprocess = TOWERS[case]
    what = f"{name}, {case}"
    model = timm.create_model(name, pretrained=False, depth=BLOCKS, **more).eval()
    enliven(model)
    if model.head.__class__.__name__ == "Linear":
        # As in every conversion of a CLIP's projection.
        model.head.bias.zero_()
    side = model.patch_embed.img_size[0]
    described = preprocess | {"input_size": [3, side, side]}
    made = folder(work)
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, made / "model.safetensors")
    config = {
        "architecture": name,
        "num_classes": model.num_classes,
        "num_features": model.num_features,
        "global_pool": model.global_pool,
        "model_args": {"depth": BLOCKS, **more},
        "pretrained_cfg": {"tag": "random", "custom_load": False, **described},
    }
    (made / "config.json").write_text(json.dumps(config))
    vision, rows = work / "vision.onnx", work / "rows.npy"
    ran = binaries.must([arguments.exporter, made, "-o", vision, "--json", "--force"])
    checks.check(f"{what}: exported", json.loads(ran.out)["layout"] == "timm ViT", f"{ran.seconds:.1f} s, peak {ran.peak_bytes / 1e6:.0f} MB")
    transform = create_transform(**resolve_data_config({}, pretrained_cfg=described))
    pixels = check_pixels(checks, arguments, what, vision, transform, images, rows)
    expected = torch.nn.functional.normalize(model(pixels), dim=-1)
    check_images(checks, arguments, what, vision, pixels, expected, images, rows)


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
    checks.exit()


if __name__ == "__main__":
    main()
