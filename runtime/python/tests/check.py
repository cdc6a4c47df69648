"""Checks an installed edgelip against the command line: python check.py EDGELIP-BINARY, from the repository's root."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy
from PIL import Image

import edgelip

BINARY = sys.argv[1]
PHOTOS = sorted(Path("fixtures/photos").iterdir())
VISION, TEXT = "fixtures/tiny-clip.onnx", "fixtures/tiny-clip-text.onnx"
NAMES = ["a cup of coffee", "a cat", "a rocket", "ein Haus"]


def command(*arguments):
    output = subprocess.run([BINARY, *map(str, arguments)], check=True, capture_output=True, text=True).stdout
    return [[(label["label"], label["score"]) for label in image["labels"]] for image in json.loads(output)]


def same(ours, theirs):
    assert [name for name, _ in ours] == [name for name, _ in theirs], (ours, theirs)
    assert numpy.allclose([score for _, score in ours], [score for _, score in theirs], atol=1e-7), (ours, theirs)


def refused(kind, part, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        assert part in str(error) and "\n" not in str(error), error
    else:
        raise AssertionError(f"{arguments} {named} was taken")


def check_scores(model):
    expected = command("classify", *PHOTOS, "--model", VISION, "--json")
    given = command("classify", *PHOTOS, "--model", VISION, "--json", "--labels", ",".join(NAMES), "--text", TEXT)
    for photo, own, named in zip(PHOTOS, expected, given):
        same(model.classify(photo), own)
        same(model.classify(str(photo), NAMES), named)
        same(model.classify(photo.read_bytes(), tuple(NAMES), text=TEXT, top=None), named)
    scores = model.classify(PHOTOS[0], top=None)
    assert len(scores) == len(model.labels) and abs(sum(score for _, score in scores) - 1) < 1e-5
    assert {name for name, _ in scores} == set(model.labels)
    assert len(model.classify(PHOTOS[0], top=2)) == 2
    prompts = model.classify(PHOTOS[0], NAMES, template=["{}", "a drawing of {}"])
    assert prompts != model.classify(PHOTOS[0], NAMES, template="none") != model.classify(PHOTOS[0], NAMES)


def check_images(model):
    for photo in PHOTOS:
        picture = Image.open(photo)
        array = numpy.asarray(picture.convert("RGB"))
        embedding = model.embed(array)
        assert embedding.shape == (model.embedding_size,) and embedding.dtype == numpy.float32
        assert abs(float(embedding @ embedding) - 1) < 1e-5
        embedding[0] = 0  # It is the caller's own.
        exact = numpy.array_equal if photo.suffix == ".png" else lambda a, b: float(a @ b) > 0.999
        assert exact(model.embed(picture), model.embed(photo)), photo
        assert numpy.array_equal(model.embed(picture.convert("RGB")), model.embed(array))
        mirrored = numpy.ascontiguousarray(array[:, ::-1])
        assert numpy.array_equal(model.embed(array[:, ::-1]), model.embed(mirrored)), "strides are honoured"
        turned = numpy.ascontiguousarray(array.transpose(1, 0, 2))
        assert numpy.array_equal(model.embed(array.transpose(1, 0, 2)), model.embed(turned))
    clear = Image.new("RGBA", (40, 30), (9, 9, 9, 0))
    assert numpy.array_equal(model.embed(clear), model.embed(numpy.full((30, 40, 3), 255, numpy.uint8)))
    for mode in ["L", "LA", "P", "1", "CMYK"]:
        grey = Image.open(PHOTOS[0]).convert("L")
        model.embed(grey.convert(mode))


def check_refusals(model, folder):
    refused(FileNotFoundError, "none.onnx", edgelip.Model, "none.onnx")
    refused(edgelip.Error, "directory", edgelip.Model, "fixtures")
    refused(edgelip.Error, "text tower", edgelip.Model(VISION).classify, PHOTOS[0], NAMES)
    refused(edgelip.Error, TEXT, edgelip.Model, TEXT)
    refused(FileNotFoundError, "none.png", model.classify, "none.png")
    refused(edgelip.Error, "labels.txt", model.classify, "fixtures/labels.txt")
    refused(edgelip.Error, "not an image", model.classify, b"abc")
    refused(edgelip.Error, "twice", model.classify, PHOTOS[0], ["a", "a"])
    refused(edgelip.Error, "no labels", model.classify, PHOTOS[0], [])
    refused(edgelip.Error, "{}", model.classify, PHOTOS[0], ["a"], template="nothing")
    refused(TypeError, "list of names", model.classify, PHOTOS[0], "a cat")
    refused(TypeError, "labels", model.classify, PHOTOS[0], template="{}")
    refused(FileNotFoundError, "none.onnx", model.classify, PHOTOS[0], ["a"], text="none.onnx")
    refused(edgelip.Error, "belong together", model.classify, PHOTOS[0], ["a"], text="models/mlip-tiny/text.onnx")
    refused(TypeError, "(2, 2)", model.embed, numpy.zeros((2, 2), numpy.uint8))
    refused(TypeError, "(2, 2, 4)", model.embed, numpy.zeros((2, 2, 4), numpy.uint8))
    refused(TypeError, "float64", model.embed, numpy.zeros((2, 2, 3)))
    refused(edgelip.Error, "0x4", model.embed, numpy.zeros((0, 4, 3), numpy.uint8))
    refused(TypeError, "mode F", model.embed, Image.new("F", (4, 4)))
    refused(TypeError, "int", model.classify, 3)
    refused(ValueError, "threads", edgelip.Model, VISION, threads=0)
    whole = Path(VISION).read_bytes()
    for part in range(1, 16):
        cut = Path(folder, "cut.onnx")
        cut.write_bytes(whole[: len(whole) * part // 16])
        refused(edgelip.Error, "cut.onnx", edgelip.Model, cut)
    same(model.classify(PHOTOS[0]), command("classify", PHOTOS[0], "--model", VISION, "--json")[0])


def check_threads():
    model = edgelip.Model("models/mlip-tiny/image.onnx", threads=1)
    assert "mlip-tiny" in repr(model) and model.image_size == (64, 64)
    photo = numpy.asarray(Image.open(PHOTOS[0]).convert("RGB"))
    expected, answers, stop, steps = model.classify(photo), [], threading.Event(), [0]

    def count():
        while not stop.is_set():
            steps[0] += 1
            time.sleep(0)

    counter = threading.Thread(target=count)
    workers = [threading.Thread(target=lambda: answers.append([model.classify(photo) for _ in range(20)])) for _ in range(4)]
    for thread in [counter, *workers]:
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    counter.join()
    assert all(answer == expected for answer in sum(answers, [])) and len(answers) == 4
    # 80 images of milliseconds each: whoever held Python's lock all the while would let the counter in only between them.
    assert steps[0] > 500, f"other threads came to run only {steps[0]} times"


def check_mapped():
    """A file of many megabytes, opened many times, takes its memory once."""
    status = Path("/proc/self/status")
    if not status.exists():
        return
    anonymous = lambda: int(status.read_text().split("RssAnon:")[1].split()[0])
    before = anonymous()
    models = [edgelip.Model("models/mlip-tiny/image.onnx", threads=1) for _ in range(20)]
    for model in models:
        model.embed(PHOTOS[0])
    grown, size = anonymous() - before, Path("models/mlip-tiny/image.onnx").stat().st_size // 1024
    assert grown < 20 * size / 2, f"20 models took {grown} KiB, their file has {size}"


def main():
    model = edgelip.Model(VISION, text=TEXT)
    check_scores(model)
    check_images(model)
    with tempfile.TemporaryDirectory() as folder:
        check_refusals(model, folder)
    check_threads()
    check_mapped()
    print(f"edgelip {edgelip.__version__} on Python {sys.version.split()[0]}: agrees with {BINARY}")


if __name__ == "__main__":
    main()
