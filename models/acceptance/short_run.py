#!/usr/bin/env python3
"""Two minutes of training on a slice of data, from the first step to the board: the loss falls, a kill and a resume give the curve of no kill, the published
model exports at every rate, and trainer, onnxruntime, tract and runtime agree on its embeddings.

    venv/bin/python acceptance/short_run.py --data train.parquet --minilm minilm

`edgelip` must be built with `--features tract`; packages are those of exporter/acceptance/requirements.txt. Exits 0 if all is well, 1 if not.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from safetensors import safe_open

MODELS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(MODELS.parent / "exporter" / "acceptance"))
import binaries  # noqa: E402
import photos  # noqa: E402

RATES = (0.0, 0.2, 0.4, 0.6, 0.7)
LEAST = 0.9999
# What a run of minutes changes in the configuration; all else is as in the long run.
SHORT = {"steps": "{steps}", "batch": "{batch}", "warmup": "10", "ema": "0.9", "checkpoint_minutes": "60"}
# The last tenth of the losses against the first.
FALLS = 0.95


def configuration(path: Path, out: Path, steps: int, batch: int) -> Path:
    """A copy of a configuration with the fields of SHORT."""
    text = path.read_text()
    for field, value in SHORT.items():
        text, count = re.subn(rf"(?m)^{field} = .*$", f"{field} = {value.format(steps=steps, batch=batch)}", text)
        assert count == 1, f"{path} has {count} lines `{field} = …`"
    out.write_text(text)
    return out


def curve(folder: Path) -> list[dict]:
    """The metrics of each step, without the time it took."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def train(arguments, config: Path, out: Path, *more: str) -> subprocess.Popen:
    """Starts a run, or resumes it."""
    command = [arguments.trainer, "train", config, "--minilm", arguments.minilm, "--cache", arguments.cache, "--out", out, "--threads", arguments.threads]
    command += [part for data in arguments.data for part in ("--data", data)]
    return subprocess.Popen([str(part) for part in [*command, *more]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    """Waits for a run that must end well."""
    _, err = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"error: the trainer ended with {process.returncode}:\n{err[-2000:]}")


def kill_between_checkpoints(arguments, config: Path, out: Path, steps: int) -> int:
    """Stops a run after a third of its steps, resumes it and kills it on its way; the steps it had taken by then."""
    finish(train(arguments, config, out, "--stop-steps", str(steps // 3)))
    process = train(arguments, config, out)
    while process.poll() is None and len((out / "metrics.jsonl").read_text().splitlines()) < steps * 2 // 3:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    return len((out / "metrics.jsonl").read_text().splitlines())


def embeddings(arguments, model: Path, images: Path, rate: float, work: Path) -> tuple[np.ndarray, list[int]]:
    """The trainer's embeddings in single precision, and the tokens it merged in each block."""
    out = work / "trainer.safetensors"
    binaries.must([arguments.trainer, "embed", model / "model.safetensors", "--data", images, "--rate", rate, "--out", out, "--force", "--threads", arguments.threads])
    with safe_open(out, "np") as file:
        return file.get_tensor("embeddings"), json.loads(file.metadata()["merged"])


def check_rate(checks: binaries.Checks, arguments, model: Path, rate: float, paths: list[Path], work: Path) -> None:
    """Exports at one rate and holds all engines against the trainer."""
    name, path = f"rate {rate}", work / "model.onnx"
    ran = binaries.run([arguments.exporter, model, "-o", path, "--compression", rate, "--json", "--force", "--threads", arguments.threads])
    if ran.code != 0:
        checks.check(f"{name}: exported", False, ran.err.strip() or ran.out[-300:])
        return
    report = json.loads(ran.out)
    checks.check(f"{name}: verified by the exporter", all(tower["passed"] for tower in report["verification"]), f"{ran.seconds:.1f} s")
    trainer, merged = embeddings(arguments, model, paths[0].parents[1], rate, work)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    schedule = [int(count) for count in metadata["edgelip.schedule"].split(",")] if rate > 0 else []
    checks.check(f"{name}: trainer and exporter merge as many tokens", merged == schedule, f"{schedule}")

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    mean, std = (np.float32([0.5, 0.5, 0.5]).reshape(3, 1, 1),) * 2
    pixels = np.stack([(np.asarray(Image.open(path), np.float32).transpose(2, 0, 1) / 255 - mean) / std for path in paths])
    engines = {
        "onnxruntime": session.run(["image_embeds"], {"pixel_values": pixels})[0],
        "tract": binaries.embed(arguments.edgelip, path, paths, work / "tract.npy", "--engine", "tract", "--threads", "1"),
        "runtime": binaries.embed(arguments.edgelip, path, paths, work / "runtime.npy", "--threads", "1"),
    }
    for engine, found in engines.items():
        checks.near(f"{name}: {engine} – trainer", found, trainer, LEAST, LEAST)


def main() -> None:
    parser = binaries.arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, action="append", help="data to train on, as for edgelip-train")
    parser.add_argument("--minilm", type=Path, default=MODELS / "minilm", help="folder of the frozen text tower")
    parser.add_argument("--cache", type=Path, default=MODELS / "runs" / "cache", help="folder of text embeddings")
    parser.add_argument("--trainer", type=Path, default=MODELS / "target" / "release" / "edgelip-train", help="the trainer's binary")
    parser.add_argument("--config", type=Path, default=MODELS / "configs" / "mlip.toml", help="what is shortened")
    parser.add_argument("--steps", type=int, default=100, help="steps of the run: about two minutes on two cores, and as long again for the run that is killed")
    parser.add_argument("--batch", type=int, default=64, help="images of a step")
    parser.add_argument("--count", type=int, default=16, help="photos to embed")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of training and export")
    arguments = parser.parse_args()
    checks = binaries.Checks()
    with binaries.folder(arguments.keep) as work:
        config = configuration(arguments.config, work / "short.toml", arguments.steps, arguments.batch)
        side = int(re.search(r"(?m)^image = (\d+)", config.read_text())[1])

        whole, killed = work / "whole", work / "killed"
        begin = time.monotonic()
        finish(train(arguments, config, whole))
        seconds = time.monotonic() - begin
        rows = curve(whole)
        losses = [row["loss"] for row in rows]
        tenth = max(1, len(losses) // 10)
        first, last = np.mean(losses[:tenth]), np.mean(losses[-tenth:])
        checks.check("all steps were taken", [row["step"] for row in rows] == list(range(1, arguments.steps + 1)), f"{len(rows)} steps, {seconds:.0f} s")
        checks.check("the loss falls", last < FALLS * first, f"{first:.3f} to {last:.3f}")

        reached = kill_between_checkpoints(arguments, config, killed, arguments.steps)
        checks.check("killed behind its last checkpoint, before its end", arguments.steps // 3 < reached < arguments.steps, f"after step {reached}")
        finish(train(arguments, config, killed))
        checks.check("killed and resumed: the curve of no kill, digit for digit", curve(killed) == rows)

        model = work / "model"
        binaries.must([arguments.trainer, "publish", whole / "checkpoint.safetensors", "--out", model, "--force"])
        paths = photos.write(arguments.photos, arguments.count, work / "photos" / "any")
        for path in paths:
            Image.open(path).resize((side, side), Image.Resampling.BILINEAR).save(path)
        for rate in RATES:
            check_rate(checks, arguments, model, rate, paths, work)
    checks.exit()


if __name__ == "__main__":
    main()
