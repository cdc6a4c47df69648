"""onnxruntime on the shipped files: valid, batch by batch the same, and equal to the native runtime."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime

EDGELIP = "target/release/edgelip"
VISION = ["fixtures/tiny-clip.onnx", "fixtures/tiny-mlip.onnx", "models/mlip-tiny/image.onnx"]
TEXT = "fixtures/tiny-clip-text.onnx"
PHOTOS = sorted(str(path) for path in Path("fixtures/photos").iterdir())


def edgelip(*arguments):
    return subprocess.run([EDGELIP, *arguments], check=True, capture_output=True, text=True).stdout


def worst_cosine(a, b):
    norms = numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / norms).min())


def session(path):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def check_images(path, folder):
    edgelip("embed", *PHOTOS, "--model", path, "-o", f"{folder}/native.npy", "--force")
    native = numpy.load(f"{folder}/native.npy")
    pixels = []
    for photo in PHOTOS:
        edgelip("preprocess", photo, "--model", path, "-o", f"{folder}/pixels.npy", "--force")
        pixels.append(numpy.load(f"{folder}/pixels.npy"))
    pixels = numpy.stack(pixels)

    vision = session(path)
    run = lambda batch: vision.run(["image_embeds"], {"pixel_values": batch})[0]
    alone = numpy.concatenate([run(pixels[i : i + 1]) for i in range(len(pixels))])
    integers = json.loads(edgelip("inspect", path, "--json"))["precision"] == "i8"
    assert worst_cosine(alone, native) > (0.999 if integers else 0.9999), f"{path}: onnxruntime and the runtime disagree"
    seven = numpy.concatenate([pixels, pixels[::-1], pixels[:1]])
    assert numpy.abs(run(seven)[:3] - alone).max() < 1e-5, f"{path}: a batch of 7 differs"
    assert numpy.abs(run(pixels[:2]) - alone[:2]).max() < 1e-5, f"{path}: a batch of 2 differs"


def check_texts(folder):
    captions = json.loads(Path("fixtures/golden/captions.json").read_text())
    Path(f"{folder}/captions.json").write_text(json.dumps(captions))
    edgelip("embed", "--texts", f"{folder}/captions.json", "--model", TEXT, "-o", f"{folder}/texts.npy")
    golden = numpy.load("fixtures/golden/text_embeds.npy")
    assert worst_cosine(numpy.load(f"{folder}/texts.npy"), golden) > 0.99999, "texts differ from transformers"
    ids = json.loads(edgelip("tokenize", "--text", TEXT, "--json", *captions))
    ids = [row["ids"] if isinstance(row, dict) else row for row in ids]
    text = session(TEXT)
    for row, expected in zip(ids, golden):
        batch = numpy.array([row], numpy.int64)
        embedding = text.run(None, {"input_ids": batch, "attention_mask": numpy.ones_like(batch)})[0]
        assert worst_cosine(embedding, expected[None]) > 0.99999, "onnxruntime on a text differs from transformers"
    return len(ids)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for path in VISION:
            check_images(path, folder)
        texts = check_texts(folder)
    print(f"{len(VISION)} image towers and {texts} texts: onnxruntime {onnxruntime.__version__} agrees")


if __name__ == "__main__":
    main()
