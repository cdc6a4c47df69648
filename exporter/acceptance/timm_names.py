#!/usr/bin/env python3
"""Every vision transformer that timm knows by name: exported with the settings that timm gives it, or refused for something that is known of it.

    venv/bin/python exporter/acceptance/timm_names.py
    venv/bin/python exporter/acceptance/timm_names.py --only siglip     # the names with this in them

Towers are of true width and one block deep, and all their weights are zero: this is about settings, timm_towers.py about arithmetic.
Exits 0 if all settings agree and nothing is refused without a reason, 1 if not.
"""

import json
from pathlib import Path

import onnx
import timm
import torch
from timm.layers import GELUTanh, Mlp, PatchEmbed, QuickGELU
from timm.models.vision_transformer import Attention, Block, VisionTransformer

import binaries
import sparse

MODULES = ("vision_transformer", "vision_transformer_hybrid", "deit")
FAMILIES = ("vit_", "deit_", "deit3_", "flexivit_")


def build(name: str, **more) -> torch.nn.Module:
    """A model without weights, if it can be made so."""
    try:
        with torch.device("meta"):
            return timm.create_model(name, **more)
    except (NotImplementedError, RuntimeError):
        return timm.create_model(name, **more)


def reasons(name: str, model: torch.nn.Module) -> list[str]:
    """What of a model is not supported, by its modules."""
    block = model.blocks[0]
    checks = {
        "another family": not name.startswith(FAMILIES) and name != "test_vit",
        "another model": type(model) is not VisionTransformer,
        "another block": type(block) is not Block,
        "registers": getattr(model, "num_reg_tokens", 0) > 0,
        "a hybrid": type(model.patch_embed) is not PatchEmbed and name != "vit_base_mci_224",
        "no norm behind the blocks": type(model.norm) is type(model.fc_norm) is torch.nn.Identity,
        "a class token that is not read": model.cls_token is not None and model.global_pool != "token",
    }
    if type(block) is Block:
        checks |= {
            "another attention": type(block.attn) is not Attention,
            "another norm": not isinstance(block.norm1, torch.nn.LayerNorm),
            "another MLP": type(block.mlp) is not Mlp,
            "norms of queries and keys": type(block.attn.q_norm) is not torch.nn.Identity,
        }
    return [what for what, found in checks.items() if found]


def settings(model: torch.nn.Module) -> dict[str, str]:
    """What the file has to say of the model."""
    block = model.blocks[0]
    activation = {torch.nn.GELU: "gelu", GELUTanh: "gelu_tanh", QuickGELU: "quick_gelu"}[type(block.mlp.act)]
    if isinstance(block.mlp.act, torch.nn.GELU) and block.mlp.act.approximate == "tanh":
        activation = "gelu_tanh"
    mean = "mean" if type(model.fc_norm) is not torch.nn.Identity else "normed_mean"
    return {
        "width": str(model.embed_dim),
        "heads": str(block.attn.num_heads),
        "mlp": str(block.mlp.fc1.out_features),
        "activation": activation,
        "norm_eps": f"{block.norm1.eps:g}",
        "pooling": {"token": "class", "avg": mean, "map": "attention"}[model.global_pool],
        "pre_norm": str(type(model.norm_pre) is not torch.nn.Identity).lower(),
        "image": ",".join(str(side) for side in model.patch_embed.img_size),
    }


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only the names with this in them")
    arguments = parser.parse_args()
    checks = binaries.Checks()
    names = [name for name in timm.list_models() if timm.models.model_entrypoint(name).__module__.rsplit(".", 1)[-1] in MODULES]
    with binaries.folder(arguments.keep) as work:
        for name in filter(lambda name: arguments.only in name, names):
            one(checks, arguments, name, work)
    checks.exit()


def one(checks, arguments, name: str, work: Path) -> None:
    """Exports one block of an architecture, or has it refused."""
    depth = len(build(name).blocks)
    model = build(name, depth=1)
    side = model.default_cfg["input_size"]
    config = {
        "architecture": name,
        "model_args": {"depth": 1},
        "pretrained_cfg": {"input_size": side, "mean": [0.5] * 3, "std": [0.5] * 3},
    }
    shapes = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    sparse.write(work / "model.safetensors", shapes)
    (work / "config.json").write_text(json.dumps(config))
    file, because = work / "vision.onnx", reasons(name, model)
    ran = binaries.run([arguments.exporter, work, "-o", file, "--force", "--no-verify"])
    if because:
        said = ran.err.strip().splitlines()
        checks.check(f"{name}: refused", ran.code == 2 and len(said) == 1, ", ".join(because))
        return
    if ran.code != 0:
        checks.check(f"{name}: exported", False, ran.err.strip())
        return
    found = {entry.key.removeprefix("edgelip."): entry.value for entry in onnx.load(file).metadata_props}
    wrong = {key: (found.get(key, "true"), value) for key, value in settings(model).items() if not same(found.get(key, "true"), value)}
    # The depth that a name stands for shows in what is missing without `model_args`.
    (work / "config.json").write_text(json.dumps(config | {"model_args": {}}))
    said = binaries.run([arguments.exporter, work, "-o", file, "--force", "--no-verify"]).err
    deep = f"`blocks.{depth - 1}.norm1.weight` is missing" in said and f"`blocks.{depth}.norm1" not in said
    checks.check(f"{name}: settings", not wrong and deep, f"{wrong or ''} {'' if deep else 'another depth'}")


def same(ours: str, theirs: str) -> bool:
    """Numbers may be written in several ways."""
    try:
        return abs(float(ours) - float(theirs)) <= 1e-6 * abs(float(theirs))
    except ValueError:
        return ours == theirs


if __name__ == "__main__":
    main()
