#!/usr/bin/env bash
# Makes whole.onnx and merged.onnx: models/micro in 8-bit integers, as it is and with 40 % of the work merged away.
set -euo pipefail
cd "$(dirname "$0")/../../.."
here=firmware-examples/cortex-m/models
prompts=$(mktemp --suffix .json)
trap 'rm "$prompts"' EXIT
# Columns of labels.tsv: the label, the classes of the training data that it stands for, and what its prompts name.
python3 - "$here/labels.tsv" > "$prompts" <<'EOF'
import json, sys
rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[1], encoding="utf-8")]
print(json.dumps({label: [f"a photo of a {name}." for name in names.split(", ")] for label, _, names in rows}))
EOF
for model in whole:0 merged:0.4; do
  cargo run --release -p edgelip-export -- models/micro -o "$here/${model%:*}.onnx" --compression "${model#*:}" --precision int8 \
    --labels "$prompts" --text-model models/mlip-tiny/text.onnx --licence "non-commercial research only, as its training data" --force
done
