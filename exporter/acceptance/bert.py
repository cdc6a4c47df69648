#!/usr/bin/env python3
"""A BERT text tower against transformers and the tokenizers library: the runtime, tract, and onnxruntime on the same file, in each precision.

    venv/bin/python exporter/acceptance/bert.py models/minilm

The folder is one of sentence-transformers with mean pooling; hundreds of captions and hostile strings go through it. Exits 0 if every token
id is the same and every embedding near enough, 1 if not.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer
from transformers import BertModel

import binaries

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fixtures"))
import texts  # noqa: E402

LEAST = {"f32": 0.99999, "f16": 0.9999, "int8": 0.995}
# Integers round in every layer: onnxruntime with and without its optimisations is 1e-4 from itself.
ENGINES = {"f32": 0.99999, "f16": 0.9999, "int8": 0.999}
# With so little to average, what integers lose shows: the empty text and a single `!`.
SHORT, LEAST_SHORT = 3, {"f32": 0.99999, "f16": 0.9999, "int8": 0.985}
BATCH = 32


def tokens(folder: Path, captions: list[str], context: int) -> list[list[int]]:
    """Token ids of the tokenizers library, cut to the context, without padding."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(context)
    return [encoding.ids for encoding in tokenizer.encode_batch(captions)]


def batches(ids: list[list[int]]):
    """Ids and mask of neighbours of like length, padded, with their places."""
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        length = max(len(ids[place]) for place in places)
        padded = np.zeros((len(places), length), np.int64)
        mask = np.zeros_like(padded)
        for row, place in enumerate(places):
            padded[row, : len(ids[place])] = ids[place]
            mask[row, : len(ids[place])] = 1
        yield places, padded, mask


@torch.no_grad()
def of_transformers(folder: Path, ids: list[list[int]]) -> np.ndarray:
    """The mean over the tokens of `BertModel`'s last layer, l2-normalised."""
    model = BertModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    rows = np.empty((len(ids), model.config.hidden_size), np.float32)
    for places, padded, mask in batches(ids):
        mask = torch.from_numpy(mask)
        hidden = model(input_ids=torch.from_numpy(padded), attention_mask=mask).last_hidden_state
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        rows[places] = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return rows


def of_onnxruntime(path: Path, ids: list[list[int]]) -> np.ndarray:
    """The file's `text_embeds` in onnxruntime."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = {}
    for places, padded, mask in batches(ids):
        found = session.run(["text_embeds"], {"input_ids": padded, "attention_mask": mask})[0]
        rows.update(zip(places, found))
    return np.stack([rows[place] for place in range(len(ids))])


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder of sentence-transformers")
    parser.add_argument("--precision", choices=LEAST, action="append", help="only these precisions")
    parser.add_argument("--captions", type=int, default=600, help="generated captions, besides the hostile strings")
    parser.add_argument("--context", type=int, default=64, help="longest text in tokens")
    parser.add_argument("--tract", type=int, default=60, help="how many texts go through tract")
    arguments = parser.parse_args()
    checks = binaries.Checks()
    # A line of a file is a text, so that those with line breaks go in as JSON.
    captions = texts.HOSTILE + texts.CAPTIONS + texts.captions(arguments.captions, seed=3)
    captions += [" ".join(texts.captions(5, seed=seed)) for seed in range(40)]
    ids = tokens(arguments.folder, captions, arguments.context)
    golden = of_transformers(arguments.folder, ids)
    print(f"{len(captions)} texts of {min(map(len, ids))} to {max(map(len, ids))} tokens")

    with binaries.folder(arguments.keep) as work:
        listed = work / "captions.json"
        listed.write_text(json.dumps(captions), encoding="utf-8")
        few = work / "few.json"
        step = max(1, len(captions) // max(1, arguments.tract))
        few.write_text(json.dumps(captions[::step]), encoding="utf-8")
        for precision in arguments.precision or list(LEAST):
            one(checks, arguments, work, precision, ids, golden, (listed, few, step))
    checks.exit()


def one(checks, arguments, work: Path, precision: str, ids: list[list[int]], golden: np.ndarray, files) -> None:
    """Exports in one precision and checks tokens and embeddings."""
    (listed, few, step), model = files, work / f"{precision}.onnx"
    export = [arguments.exporter, arguments.folder, "-o", model, "--precision", precision]
    ran = binaries.must([*export, "--context", arguments.context, "--no-verify", "--force"])
    checks.check(f"{precision}: size", True, f"{model.stat().st_size / 1e6:.2f} MB, {ran.seconds:.1f} s")

    found = json.loads(binaries.must([arguments.edgelip, "tokenize", "--text", model, "--file", listed, "--json"]).out)
    wrong = [entry["text"] for entry, own in zip(found, ids, strict=True) if entry["ids"] != own]
    checks.check(f"{precision}: token ids", not wrong, f"{len(wrong)} of {len(ids)} differ" + "".join(f" {text!r}" for text in wrong[:3]))

    def embedded(texts_of: Path, *more: str) -> np.ndarray:
        out = work / "rows.npy"
        binaries.must([arguments.edgelip, "embed", "--texts", texts_of, "--model", model, "-o", out, "--force", *more])
        return np.load(out)

    engines = ENGINES[precision]

    def near(what: str, rows: np.ndarray, every: int = 1) -> None:
        short = np.array([len(own) <= SHORT for own in ids[::every]])
        for kind, chosen, least in [("", ~short, LEAST[precision]), (", hardly a word", short, LEAST_SHORT[precision])]:
            checks.near(f"{precision}: {what} – transformers{kind}", rows[chosen], golden[::every][chosen], least, least)

    native = embedded(listed)
    near("runtime", native)
    engine = of_onnxruntime(model, ids)
    near("onnxruntime", engine)
    checks.near(f"{precision}: runtime – onnxruntime", native, engine, engines, engines)
    tract = embedded(few, "--engine", "tract")
    near("tract", tract, step)
    checks.near(f"{precision}: runtime – tract", native[::step], tract, engines, engines)


if __name__ == "__main__":
    main()
