#!/usr/bin/env python3
"""onnxruntime as a peer of `edgelip bench`: loads a model, runs it once, then once more for each line it is given.

    edgelip bench model.onnx --peer "onnxruntime=python3 benches/peers/ort.py"

`--no-amx` lets the kernel refuse the CPU's matrix unit (x86-64 Linux), for comparisons at equal instruction sets.
"""

import ctypes
import platform
import sys

import peer


def refuse_amx():
    """A filter on system calls by which `arch_prctl(ARCH_REQ_XCOMP_PERM, …)` fails: who may not use the tiles does not."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return
    arch_prctl, req_xcomp_perm, eperm = 158, 0x1023, 1
    load, equal, give, allow = 0x20, 0x15, 0x06, 0x7FFF0000
    # Instructions of the classic packet filter: code, jump if true, jump if false, operand.
    program = [
        (load, 0, 0, 0),  # the call's number
        (equal, 0, 3, arch_prctl),
        (load, 0, 0, 16),  # its first argument
        (equal, 0, 1, req_xcomp_perm),
        (give, 0, 0, 0x00050000 | eperm),
        (give, 0, 0, allow),
    ]

    class Instruction(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction))]

    instructions = (Instruction * len(program))(*program)
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, filter_mode = 38, 22, 2
    filtered = Program(len(program), instructions)
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, filter_mode, ctypes.byref(filtered), 0, 0):
        sys.exit(f"AMX can't be refused: error {ctypes.get_errno()}")


def load(arguments):
    if arguments.no_amx:
        refuse_amx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Threads that spin while the other engines have their turn would be measured in them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = ["image_embeds"] if "image_embeds" in names else names[:1]
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(wanted, {name: pixels})[0]


if __name__ == "__main__":
    parser = peer.arguments(__doc__)
    parser.add_argument("--no-amx", action="store_true")
    peer.serve(parser.parse_args(), load)
