#!/usr/bin/env python3
"""MobileCLIP-B as Apple published it against Apple's own code: preprocessing, embeddings and scores.

    git clone https://github.com/apple/ml-mobileclip
    venv/bin/python exporter/acceptance/mobileclip.py --source ml-mobileclip

The image tower has all its blocks, the text tower two. Weights are random, far from what the code initialises; open_clip's layout of the
same model, which pads and norms a little otherwise, is in timm_towers.py. Exits 0 if all is near enough, 1 if not.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize, ToTensor

import binaries
import photos
from engine import onnx
from timm_towers import LABELS, LEAST, TEMPLATE, TEXTS, check_images, check_pixels, check_scores, enliven, folder

BLOCKS = 2


@torch.no_grad()
def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="a checkout of apple/ml-mobileclip")
    parser.add_argument("--count", type=int, default=5, help="photos")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.source))
    from mobileclip.clip import CLIP

    checks = binaries.Checks()
    config = json.loads((arguments.source / "mobileclip" / "configs" / "mobileclip_b.json").read_text())
    config["text_cfg"]["n_transformer_layers"] = BLOCKS
    model, words = CLIP(config).eval(), SimpleTokenizer(context_length=77)
    enliven(model)
    model.logit_scale.fill_(np.log(20.0))
    side = config["image_cfg"]["image_size"]
    transform = Compose([Resize(side, interpolation=InterpolationMode.BILINEAR), CenterCrop(side), ToTensor()])
    what = "mobileclip_b.pt"
    with binaries.folder(arguments.keep) as work:
        images = photos.write(arguments.photos, arguments.count, work / "photos")
        checkpoint = folder(work) / "mobileclip_b.pt"
        torch.save(model.state_dict(), checkpoint)
        vision, text, rows = work / "vision.onnx", work / "text.onnx", work / "rows.npy"
        labels, listed = work / "labels.txt", work / "texts.json"
        labels.write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
        listed.write_text(json.dumps(TEXTS), encoding="utf-8")
        export = [arguments.exporter, checkpoint, "-o", vision, "--text", text, "--labels", labels, "--template", TEMPLATE]
        ran = binaries.must([*export, "--tokenizer", default_bpe(), "--json", "--force"])
        checks.check(f"{what}: exported", json.loads(ran.out)["layout"] == "MobileCLIP-B", f"{ran.seconds:.1f} s")

        pixels = check_pixels(checks, arguments, what, vision, transform, images, rows)
        image = model.encode_image(pixels, normalize=True)
        check_images(checks, arguments, what, vision, pixels, image, images, rows)
        ids = words(TEXTS)
        expected = model.encode_text(ids, normalize=True).numpy()
        binaries.must([arguments.edgelip, "embed", "--texts", listed, "--model", text, "-o", rows, "--force"])
        checks.near(f"{what}: text, runtime", np.load(rows), expected, LEAST, LEAST)
        engine = onnx(text, {"input_ids": ids.numpy(), "attention_mask": np.ones_like(ids.numpy())}, "text_embeds")
        checks.near(f"{what}: text, onnxruntime", engine, expected, LEAST, LEAST)
        prompts = model.encode_text(words([TEMPLATE.format(label) for label in LABELS]), normalize=True)
        scores = (model.logit_scale.exp() * image @ prompts.T).softmax(-1)
        check_scores(checks, arguments, what, vision, LABELS, "softmax", scores, images)
    checks.exit()


if __name__ == "__main__":
    main()
