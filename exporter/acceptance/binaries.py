"""Runs the built binaries and holds embeddings against each other."""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RELEASE = Path(__file__).resolve().parents[2] / "target" / "release"


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float
    peak_bytes: int


def peak_of(pid: int) -> int:
    """Peak resident bytes of a running process; what `wait4` tells counts this process's own memory in."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def run(command: list, limit: float = 600.0) -> Ran:
    """Runs a command to its end, or kills it after `limit` seconds; a signal gives 128 + its number, as a shell does."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_of(process.pid))
            if time.monotonic() - begin > limit:
                process.kill()
                process.wait()
            time.sleep(0.002)
        code = process.returncode
        out.seek(0), err.seek(0)
        return Ran(
            code=code if code >= 0 else 128 - code,
            out=out.read().decode(errors="replace"),
            err=err.read().decode(errors="replace"),
            seconds=time.monotonic() - begin,
            peak_bytes=peak,
        )


def must(command: list, limit: float = 3600.0) -> Ran:
    """Runs a command that has to succeed."""
    ran = run(command, limit)
    if ran.code != 0:
        line = " ".join(str(part) for part in command)
        raise SystemExit(f"error: `{line}` ended with {ran.code}:\n{ran.err}")
    return ran


def embed(edgelip: Path, model: Path, images: list[Path], out: Path, *more: str) -> np.ndarray:
    """Rows of `edgelip embed` for images."""
    must([edgelip, "embed", *images, "--model", model, "-o", out, "--force", *more])
    return np.load(out)


def scores(edgelip: Path, model: Path, images: list[Path], count: int) -> list[dict[str, float]]:
    """The scores of each image's `count` best labels, by `edgelip classify`."""
    ran = must([edgelip, "classify", *images, "--model", model, "--top", count, "--json"])
    reports = json.loads(ran.out)
    assert len(reports) == len(images), (len(reports), len(images))
    return [{entry["label"]: entry["score"] for entry in report["labels"]} for report in reports]


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosine of each row with its counterpart."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    assert a.shape == b.shape, (a.shape, b.shape)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


class Checks:
    """Prints each check and remembers whether one failed."""

    def __init__(self) -> None:
        self.failed = 0

    def check(self, what: str, good: bool, detail: str = "") -> None:
        """One check."""
        self.failed += not good
        print(f"{'ok    ' if good else 'FAILED'}  {what:64}  {detail}", flush=True)

    def near(self, what: str, a: np.ndarray, b: np.ndarray, median: float, worst: float) -> None:
        """Rows of two arrays whose cosines must not fall below a median and a worst one."""
        cosine = cosines(a, b)
        good = bool(np.isfinite(cosine).all() and np.median(cosine) >= median and cosine.min() >= worst)
        self.check(what, good, f"median {np.median(cosine):.7f}  worst {cosine.min():.7f}")

    def pixels(
        self, what: str, edgelip: Path, model: Path, images: list[Path], expected: Iterable[tuple[np.ndarray, np.ndarray]], out: Path
    ) -> None:
        """What `edgelip preprocess` makes of images against their expected bytes, which must be the same, and normalised pixels."""
        different, far = 0, 0.0
        for path, (cropped, normalised) in zip(images, expected, strict=True):
            preprocess = [edgelip, "preprocess", path, "--model", model, "-o", out, "--force"]
            must([*preprocess, "--u8"])
            different += int((np.load(out) != cropped).sum())
            must(preprocess)
            far = max(far, float(np.abs(np.load(out) - normalised).max()))
        self.check(f"{what}: preprocessing", different == 0 and far < 1e-6, f"{different} bytes differ, normalised by at most {far:.1e}")

    def exit(self) -> None:
        """Ends with 0 if all was well, else with 1."""
        print("all good" if not self.failed else f"{self.failed} failed")
        raise SystemExit(1 if self.failed else 0)


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that all scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--edgelip", type=Path, default=RELEASE / "edgelip", help="the board's binary, built with --features tract")
    parser.add_argument("--exporter", type=Path, default=RELEASE / "edgelip-export", help="the workstation's binary")
    parser.add_argument("--photos", type=Path, help="a folder of photos, or a parquet file with a column `image`")
    parser.add_argument("--keep", type=Path, help="a folder for all that is made, instead of a temporary one")
    return parser


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """Where to work: a folder that is kept, or a temporary one that is gone afterwards."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="edgelip-acceptance-") as work:
        yield Path(work)
