"""A second implementation of the published image tower, in PyTorch with its own FFT, held against `edgelip-train embed`.

    python scripts/compare_tower.py target/release/edgelip-train mlip-tiny photos.parquet [rate…]

Needs torch, safetensors, numpy, pyarrow and pillow. Images must have the model's size: resizing is not what is compared.
"""

import io
import json
import subprocess
import sys
import tempfile

import numpy
import pyarrow.parquet as parquet
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

COUNT = 16


class Tower:
    def __init__(self, folder):
        self.weights = {name: value.float() for name, value in load_file(f"{folder}/model.safetensors").items()}
        self.config = json.load(open(f"{folder}/config.json"))["vision_config"]
        self.grid = self.config["image_size"] // self.config["patch_size"]

    def linear(self, x, name):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def norm(self, x, name):
        weight = self.weights[f"{name}.weight"]
        return F.layer_norm(x, weight.shape, weight, self.weights[f"{name}.bias"], self.config["layer_norm_eps"])

    def mlp(self, x, name):
        return self.linear(F.gelu(self.linear(x, f"{name}.fc1")), f"{name}.fc2")

    def __call__(self, image, merged):
        """The embedding of one image `[3, S, S]`."""
        model, side = "vision_model", self.grid
        x = F.conv2d(image[None], self.weights[f"{model}.embeddings.patch_embedding.weight"], stride=self.config["patch_size"])
        x = torch.cat([self.weights[f"{model}.embeddings.class_embedding"][None], x[0].flatten(1).T])
        x = self.norm(x + self.weights[f"{model}.embeddings.position_embedding.weight"], f"{model}.pre_layrnorm")
        cls, x = x[:1], x[1:]
        for i in range(self.config.get("num_frequency_layers", 0)):
            name = f"{model}.frequency.layers.{i}"
            spectrum = torch.fft.rfft2(self.norm(x, f"{name}.layer_norm1").view(side, side, -1), dim=(0, 1), norm="ortho")
            kernel = torch.view_as_complex(self.weights[f"{name}.frequency.filter"]).view(side, side // 2 + 1, -1)
            x = x + torch.fft.irfft2(spectrum * kernel, s=(side, side), dim=(0, 1), norm="ortho").reshape(x.shape)
            x = x + self.mlp(self.norm(x, f"{name}.layer_norm2"), f"{name}.mlp")
        pooled = self.norm(x, f"{model}.frequency.norm").mean(0) if self.config.get("num_frequency_layers") else None
        order = list(range(side * side))
        energy = self.energy(x)
        if any(merged):
            order = [row * side + (column if row % 2 == 0 else side - 1 - column) for row in range(side) for column in range(side)]
        x, energy = torch.cat([cls, x[order]]), torch.cat([torch.zeros(1), energy[order]])
        sizes = torch.ones(len(x))
        for i in range(self.config["num_hidden_layers"]):
            name = f"{model}.encoder.layers.{i}"
            q, k, v = (self.linear(self.norm(x, f"{name}.layer_norm1"), f"{name}.self_attn.{part}_proj") for part in "qkv")
            heads = lambda t: t.view(len(x), self.config["num_attention_heads"], -1).transpose(0, 1)
            logits = heads(q) @ heads(k).transpose(1, 2) / (q.shape[1] // self.config["num_attention_heads"]) ** 0.5 + sizes.log()
            x = x + self.linear((logits.softmax(-1) @ heads(v)).transpose(0, 1).flatten(1), f"{name}.self_attn.out_proj")
            if merged and merged[i]:
                x, sizes, energy = self.merge(x, k, sizes, energy, pooled, merged[i])
            x = x + self.mlp(self.norm(x, f"{name}.layer_norm2"), f"{name}.mlp")
        z = self.linear(self.norm(x[0], f"{model}.post_layernorm"), "visual_projection")
        return F.normalize(z, dim=0)

    def energy(self, x):
        grid = x.view(self.grid, self.grid, -1)
        energy = torch.zeros(self.grid, self.grid)
        for row in range(self.grid):
            for column in range(self.grid):
                around = grid[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].flatten(0, 1)
                energy[row, column] = (grid[row, column] - around.mean(0)).square().sum()
        return unit_range(energy.flatten())

    def merge(self, x, keys, sizes, energy, pooled, r):
        merging = self.config["merging"]
        assert merging["rule"] == "ward"
        stretch = torch.zeros(len(x))
        if merging["guide"] > 0:
            joint = F.normalize(F.normalize(x[0], dim=0) + F.normalize(x[0] if pooled is None else pooled, dim=0), dim=0)
            likeness = unit_range(F.normalize(x, dim=1) @ joint)
            stretch = merging["semantic"] * likeness + (1 - merging["semantic"]) * energy
        cosine = lambda t: F.normalize(t, dim=1) @ F.normalize(t, dim=1).T
        similarity, p = (cosine(keys) + cosine(x)) / 2, sizes**0.75
        pairs = []
        for i in range(2, len(x), 2):
            score = lambda j: -(1 - similarity[i, j]) * (1 + merging["guide"] * max(stretch[i], stretch[j])) * p[i] * p[j] / (p[i] + p[j])
            best = max(range(1, len(x), 2), key=score)
            pairs.append((float(score(best)), i, best))
        chosen = {i: j for _, i, j in sorted(pairs, key=lambda pair: -pair[0])[:r]}
        rows, counts, energies = [], [], []
        for position in (i for i in range(len(x)) if i not in chosen):
            members = [position] + [i for i, j in chosen.items() if j == position]
            weights = sizes[members] / sizes[members].sum()
            mean = weights @ x[members]
            rows.append(mean * x[members].norm(dim=1).max() / mean.norm())
            counts.append(sizes[members].sum())
            energies.append(weights @ energy[members])
        return torch.stack(rows), torch.stack(counts), torch.stack(energies)


def unit_range(values):
    return (values - values.min()) / (values.max() - values.min()).clamp_min(1e-12)


def main():
    binary, folder, data, *rates = sys.argv[1:]
    tower = Tower(folder)
    preprocess = json.load(open(f"{folder}/preprocessor_config.json"))
    mean, std = (torch.tensor(preprocess[key])[:, None, None] for key in ("image_mean", "image_std"))
    rows = parquet.ParquetFile(data).read_row_group(0, columns=["image"]).column("image")[:COUNT].to_pylist()
    images = [Image.open(io.BytesIO(row)).convert("RGB") for row in rows]
    tensors = [(torch.from_numpy(numpy.array(image)).permute(2, 0, 1) / 255 - mean) / std for image in images]
    worst = 1.0
    for rate in rates or ["0"]:
        with tempfile.TemporaryDirectory() as scratch:
            out = f"{scratch}/embeddings.safetensors"
            subprocess.run([binary, "embed", f"{folder}/model.safetensors", "--data", data, "--first", str(COUNT), "--rate", rate, "--out", out], check=True, capture_output=True)
            with safe_open(out, "pt") as file:
                ours, merged = file.get_tensor("embeddings"), json.loads(file.metadata()["merged"])
        with torch.no_grad():
            cosines = torch.stack([tower(image, merged) for image in tensors]).mul(ours).sum(1)
        print(f"rate {rate}: merged {merged}, lowest cosine {cosines.min():.6f}")
        worst = min(worst, float(cosines.min()))
    sys.exit(worst < 0.9999)


main()
