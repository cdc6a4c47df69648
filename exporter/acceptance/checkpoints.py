"""Random CLIP checkpoints of true sizes, in Hugging Face's layout."""

import json
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "tiny-clip"
SMALL = "w256-d10-p16"

# width, layers, heads, patch, text width, text heads, embedding
SIZES = {
    SMALL: (256, 10, 4, 16, 256, 4, 256),
    "vit-b-32": (768, 12, 12, 32, 512, 8, 512),
    "vit-b-16": (768, 12, 12, 16, 512, 8, 512),
    "vit-l-14": (1024, 24, 16, 14, 768, 12, 768),
}
ACTIVATIONS = ("quick_gelu", "gelu")
VOCABULARY = 49408
START, END = "<|startoftext|>", "<|endoftext|>"


def config(size: str, activation: str) -> CLIPConfig:
    """A configuration with CLIP's own vocabulary, context and image size."""
    width, layers, heads, patch, text_width, text_heads, embedding = SIZES[size]
    return CLIPConfig(
        vision_config={
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "image_size": 224,
            "patch_size": patch,
            "projection_dim": embedding,
            "hidden_act": activation,
        },
        text_config={
            "hidden_size": text_width,
            "intermediate_size": 4 * text_width,
            "num_hidden_layers": 12,
            "num_attention_heads": text_heads,
            "max_position_embeddings": 77,
            "vocab_size": VOCABULARY,
            "projection_dim": embedding,
            "hidden_act": activation,
            "bos_token_id": VOCABULARY - 2,
            "eos_token_id": VOCABULARY - 1,
            "pad_token_id": VOCABULARY - 1,
        },
        projection_dim=embedding,
    )


@torch.no_grad()
def enliven(model: CLIPModel) -> None:
    """Weights with which different photos get visibly different embeddings, and gains and biases that show a folding error.

    What transformers initialises gives nearly the same embedding to everything: every test passes on it too easily.
    """
    for name, tensor in model.named_parameters():
        if name == "logit_scale":
            continue
        if "norm" in name and name.endswith("weight"):
            tensor.copy_(1.0 + 0.25 * torch.randn_like(tensor))
        elif name.endswith("bias"):
            tensor.copy_(0.1 * torch.randn_like(tensor))
        elif "embedding" in name:
            tensor.mul_(0.5 / tensor.std())
        else:
            tensor.copy_(torch.randn_like(tensor) * 1.2 / tensor.shape[-1] ** 0.5)


def tokenizer() -> dict:
    """A byte-pair tokenizer of CLIP's kind and size, whose merges are made up: any byte with any byte that ends a word."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    alphabet = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(rest))]
    ends = [letter + "</w>" for letter in alphabet]
    count = VOCABULARY - 2 - len(alphabet) - len(ends)
    merges = [(first, second) for first in alphabet for second in ends][:count]
    tokens = [*alphabet, *ends, *(first + second for first, second in merges), START, END]
    assert len(set(tokens)) == VOCABULARY
    return {"vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}


def make(folder: Path, size: str, activation: str, weights: str, seed: int = 0) -> CLIPModel:
    """Writes a checkpoint to `folder` and returns its model."""
    from transformers import CLIPTokenizer

    torch.manual_seed(seed)
    model = CLIPModel(config(size, activation)).eval()
    if weights == "lively":
        enliven(model)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    words = tokenizer()
    CLIPTokenizer(**words, model_max_length=77).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(words["vocab"], ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2"] + [f"{first} {second}" for first, second in words["merges"]]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return model
