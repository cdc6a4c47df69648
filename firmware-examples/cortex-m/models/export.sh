#!/usr/bin/env bash
# Makes whole.onnx and merged.onnx: fixtures/tiny-clip (random weights!) in 8-bit integers, as it is and with 40 % of the work merged away.
set -euo pipefail
cd "$(dirname "$0")/../../.."
here=firmware-examples/cortex-m/models
for model in whole:0 merged:0.4; do
  cargo run --release -p edgelip-export -- fixtures/tiny-clip -o "$here/${model%:*}.onnx" --compression "${model#*:}" \
    --precision int8 --labels fixtures/labels.txt --licence "random weights, for tests only" --force
done
