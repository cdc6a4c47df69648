#!/usr/bin/env bash
# Makes models/mlip-tiny.onnx and models/mlip-tiny-0.5.onnx, which the image holds: the shipped mlip-tiny, as it is and with half of its work merged away.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=firmware-examples/raspi-bare-metal
mkdir -p $here/models
for model in mlip-tiny:0 mlip-tiny-0.5:0.5; do
  cargo run --quiet --release -p edgelip-export -- models/mlip-tiny -o "$here/models/${model%:*}.onnx" --compression "${model#*:}" \
    --precision int8 --labels $here/labels.txt --text-model models/mlip-tiny/text.onnx \
    --licence "non-commercial research only, as its training data" --force >/dev/null
done
ls -l $here/models
