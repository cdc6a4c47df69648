#!/usr/bin/env python3
"""The ratios that edgelip must show beside onnxruntime and OpenVINO, from paired, interleaved runs of `edgelip bench`.

    python3 benches/ratios.py --b32 CLIP-VIT-B-32 --b16 CLIP-VIT-B-16 --other SMALLER-CHECKPOINT --folder /tmp/ratios

Each argument is a checkpoint's folder, any may be left out. The files are exported into --folder once (some 350 MB each in f32).
Every line is one ratio with its bound, at each number of threads; exit 1 if one is missed. Times are the shortest of interleaved
rounds: give more of them on a busy machine. OpenVINO takes part if this Python has it.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
#: Tokens merged in each block but the last, as Token Merging's own runs have them.
CONSTANTS = (8, 13, 16)


def blocks(checkpoint):
    """Number of blocks of a checkpoint's image tower."""
    with open(os.path.join(checkpoint, "config.json")) as file:
        return json.load(file)["vision_config"]["num_hidden_layers"]


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.rows = []
        self.peers = {"onnxruntime": "ort.py --no-amx"}
        if importlib.util.find_spec("openvino"):
            self.peers["openvino"] = "ov.py"

    def export(self, checkpoint, precision, merged=0):
        """The file of a checkpoint at a precision with so many tokens merged in each block; made if it isn't there."""
        name = os.path.basename(os.path.normpath(checkpoint))
        path = os.path.join(self.arguments.folder, f"{name}-{precision}{f'-r{merged}' if merged else ''}.onnx")
        if not os.path.exists(path):
            command = [self.arguments.export, checkpoint, "-o", path, "--precision", precision, "--no-verify"]
            if merged:
                schedule = ",".join([str(merged)] * (blocks(checkpoint) - 1) + ["0"])
                command += ["--merge", "tome", "--schedule", f"list:{schedule}"]
            print(f"exporting {path}", file=sys.stderr)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return path

    def run(self, models, threads):
        """Rows of `edgelip bench` by model and engine."""
        command = [self.arguments.edgelip, "bench", *models, "--json", "--threads", str(threads)]
        for name, peer in self.peers.items():
            command += ["--peer", f"{name}={sys.executable} {os.path.join(HERE, 'peers', peer)}"]
        command += ["--rounds", str(self.arguments.rounds), "--min-seconds", "0"]
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        return {(row["model"], row["engine"]): row for row in report["models"]}

    def note(self, what, threads, value, bound, cosine=None, least_cosine=None, at_least=False):
        met = value >= bound if at_least else value <= bound
        met = met and (cosine is None or cosine >= least_cosine)
        row = {"what": what, "threads": threads, "value": value, "bound": bound, "at_least": at_least}
        self.rows.append(row | {"cosine": cosine, "met": met})
        if not self.arguments.json:
            sign = ">=" if at_least else "<="
            agree = "" if cosine is None else f"  cosine {cosine:.6f}"
            threads = f"{threads} thread{'' if threads == 1 else 's'}"
            print(f"{'ok  ' if met else 'MISS'} {what:52} {threads:9} {value:6.3f} {sign} {bound:.2f}{agree}", flush=True)

    def against(self, engine, what, rows, path, threads, bound, least_cosine):
        peer = rows[path, engine]
        ratio = rows[path, "native"]["min_ms"] / peer["min_ms"]
        self.note(f"{what} / {engine}, same file", threads, ratio, bound, peer["cosine"], least_cosine)

    def merging(self, checkpoint, precision, threads, least):
        paths = {merged: self.export(checkpoint, precision, merged) for merged in (0, *CONSTANTS)}
        rows = self.run(list(paths.values()), threads)
        for merged in CONSTANTS:
            whole, row = (rows[paths[of], "native"] for of in (0, merged))
            realised = (1 - row["min_ms"] / whole["min_ms"]) / row["macs_saved"]
            self.note(f"B/16 {precision}, r = {merged}: share of the saving realised", threads, realised, least, at_least=True)
        if precision == "f32":
            self.against("onnxruntime", "B/16 f32, r = 16", rows, paths[16], threads, 0.85, 0.99999)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edgelip", default="target/release/edgelip")
    parser.add_argument("--export", default="target/release/edgelip-export")
    parser.add_argument("--b32", help="a CLIP ViT-B/32")
    parser.add_argument("--b16", help="a CLIP ViT-B/16")
    parser.add_argument("--other", action="append", default=[], help="more checkpoints, for rate 0 only")
    parser.add_argument("--folder", required=True, help="where the exported files are kept")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    checkpoints = [path for path in (arguments.b32, arguments.b16, *arguments.other) if path]
    if not checkpoints:
        parser.error("no checkpoint: give --b32, --b16 or --other")

    bench = Bench(arguments)
    for threads in arguments.threads:
        for checkpoint in checkpoints:
            name = os.path.basename(os.path.normpath(checkpoint))
            for precision, bound, cosine in (("f32", 0.95, 0.99999), ("int8", 0.80, 0.995)):
                path = bench.export(checkpoint, precision)
                rows = bench.run([path], threads)
                bench.against("onnxruntime", f"{name} {precision}", rows, path, threads, bound, cosine)
                if precision == "f32" and "openvino" in bench.peers:
                    bench.against("openvino", f"{name} f32", rows, path, threads, 1.00, cosine)
        if arguments.b32:
            full, half = (bench.export(arguments.b32, precision) for precision in ("f32", "f16"))
            rows = bench.run([full, half], threads)
            ratio = rows[half, "native"]["min_ms"] / rows[full, "onnxruntime"]["min_ms"]
            bench.note("B/32 f16 weights / onnxruntime's f32", threads, ratio, 0.80)
        if arguments.b16:
            for precision, least in (("f32", 0.95), ("int8", 0.90)):
                bench.merging(arguments.b16, precision, threads, least)
    if arguments.json:
        print(json.dumps(bench.rows, indent=2))
    sys.exit(0 if all(row["met"] for row in bench.rows) else 1)


if __name__ == "__main__":
    main()
