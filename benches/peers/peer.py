"""What all peers of `edgelip bench` have in common: arguments, the clock, and the lines they answer with. See benches/README.md."""

import argparse
import json
import sys
import time


def arguments(description):
    """The arguments that `edgelip bench` gives every peer."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--input", required=True, help="pixel_values [1, 3, H, W] as .npy")
    return parser


def serve(given, load):
    """Loads a model, runs it once, and once more for each line of standard input. `load` makes a function from pixels to an embedding.

    The first line of the answer is JSON (load_ms, first_ms, output), each further one a time in milliseconds.
    """
    import numpy

    pixels = numpy.load(given.input)
    start = time.perf_counter()
    embed = load(given)
    loaded = time.perf_counter()

    def run():
        begin = time.perf_counter()
        output = embed(pixels)
        return output, 1e3 * (time.perf_counter() - begin)

    output, first = run()
    print(json.dumps({"load_ms": 1e3 * (loaded - start), "first_ms": first, "output": output.ravel().tolist()}), flush=True)
    for _ in sys.stdin:
        print(f"{run()[1]:.4f}", flush=True)
