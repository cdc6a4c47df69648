#!/usr/bin/env python3
"""onnxruntime as a peer of `edgelip bench`: loads a model, runs it once, then once more for each line it is given.

    edgelip bench model.onnx --peer "onnxruntime=python3 benches/peers/ort.py"

The first line of the answer is JSON (load_ms, first_ms, output), each further one a time in milliseconds. See benches/README.md.
`--no-amx` hides the CPU's matrix unit, for comparisons at equal instruction sets (onnxruntime's own switch, set before it loads).
"""

import argparse
import json
import os
import sys
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--input", required=True, help="pixel_values [1, 3, H, W] as .npy")
    parser.add_argument("--no-amx", action="store_true")
    arguments = parser.parse_args()
    if arguments.no_amx:
        os.environ["MLAS_DISABLE_AMX"] = "1"

    import numpy
    import onnxruntime

    pixels = numpy.load(arguments.input)
    start = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Threads that spin while the other engines have their turn would be measured in them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    loaded = time.perf_counter()
    names = [output.name for output in session.get_outputs()]
    wanted = ["image_embeds"] if "image_embeds" in names else names[:1]
    feed = {session.get_inputs()[0].name: pixels}

    def run():
        begin = time.perf_counter()
        (output,) = session.run(wanted, feed)
        return output, 1e3 * (time.perf_counter() - begin)

    output, first = run()
    ready = {"load_ms": 1e3 * (loaded - start), "first_ms": first, "output": output.ravel().tolist()}
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        print(f"{run()[1]:.4f}", flush=True)


if __name__ == "__main__":
    main()
