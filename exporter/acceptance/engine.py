"""An exported file's graph in onnxruntime."""

from pathlib import Path

import numpy as np
import onnxruntime


def onnx(path: Path, feeds: dict[str, np.ndarray], output: str) -> np.ndarray:
    """An output of the file."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run([output], feeds)[0]
