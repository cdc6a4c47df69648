"""corenet's own towers, out of a checkout of it."""

import sys
from argparse import Namespace
from pathlib import Path

import torch

OPTIONS = {
    "model.activation.name": "gelu",
    "model.normalization.momentum": 0.1,
    "model.classification.vit.mode": "base",
    "model.classification.vit.norm_layer": "layer_norm_fp32",
    "model.classification.vit.stochastic_dropout": 0.0,
    "model.classification.vit.dropout": 0.0,
    "model.text.vocab_size": 49408,
    "model.text.context_length": 77,
    "model.text.transformer.model_dim": 512,
    "model.text.transformer.n_transformer_layers": 12,
    "model.text.transformer.n_heads_per_layer": 8,
    "model.text.transformer.ffn_multiplier_per_layer": 4.0,
    "model.text.transformer.causal_masking": True,
    "model.text.transformer.norm_layer": "layer_norm_fp32",
    "model.text.transformer.embed_dropout": 0.0,
    "model.text.transformer.dropout": 0.0,
    "model.text.transformer.attn_dropout": 0.0,
    "model.text.transformer.ffn_dropout": 0.0,
    "model.text.transformer.classes_per_split_zero_shot": 20,
}


class Options(Namespace):
    """corenet's options: those above, those given, and nothing for all others."""

    def __init__(self, **given) -> None:
        self.__dict__["given"] = OPTIONS | given.pop("given", {})

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.given.get(name)


class Code:
    """The checkout. Its package comes first from now on: the script beside this file has its name."""

    def __init__(self, source: Path) -> None:
        sys.path.insert(0, str(source))

    def image(self, state: dict[str, torch.Tensor], blocks: int, flash: bool) -> torch.nn.Module:
        """The image tower with a state dict, which may lack a class token; without a classifier in it, its own stays random."""
        from corenet.modeling.models.classification.vit import VisionTransformer

        classes = len(state["classifier.weight"]) if "classifier.weight" in state else 10
        given = {
            "model.classification.n_classes": classes,
            "model.classification.vit.use_flash_attention": flash,
            "model.classification.vit.no_cls_token": "cls_token" not in state,
        }
        model = VisionTransformer(Options(given=given))
        model.transformer = torch.nn.Sequential(*list(model.transformer)[:blocks])
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not [name for name in missing if not name.startswith("classifier.")] and not unexpected, (missing, unexpected)
        return model.eval()

    def text(self, state: dict[str, torch.Tensor], blocks: int, embedding: int) -> torch.nn.Module:
        """The text tower with a state dict."""
        from corenet.modeling.text_encoders.transformer import TextTransformer

        model = TextTransformer(Options(), projection_dim=embedding)
        model.transformer = torch.nn.ModuleList(list(model.transformer)[:blocks])
        model.load_state_dict(state)
        return model.eval()
