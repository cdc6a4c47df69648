#!/usr/bin/env python3
"""OpenVINO as a peer of `edgelip bench`: loads a model, runs it once, then once more for each line it is given.

    edgelip bench model.onnx --peer "openvino=python3 benches/peers/ov.py"

In f32: left to itself it takes bfloat16 where the CPU has it, which is another result.
"""

import os
import tempfile

import peer


def load(arguments):
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": arguments.threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    model = core.read_model(arguments.model)
    compiled = core.compile_model(model, "CPU", settings | {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = [output for output in compiled.outputs if "image_embeds" in output.names] or compiled.outputs
    request = compiled.create_infer_request()
    return lambda pixels: request.infer({0: pixels}, share_inputs=True)[outputs[0]]


if __name__ == "__main__":
    # With its telemetry installed it writes an identity below the home folder, unasked.
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        peer.serve(peer.arguments(__doc__).parse_args(), load)
