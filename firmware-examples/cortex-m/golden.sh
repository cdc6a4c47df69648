#!/usr/bin/env bash
# Makes golden.txt again, after the models or the photos have changed; with --check only says whether it would change.
set -euo pipefail
cd "$(dirname "$0")"
made=$(cargo run --quiet --release --example golden --target "$(rustc --print host-tuple)")
if [ "${1-}" = --check ]; then
  diff golden.txt - <<<"$made" && echo "golden.txt is what the host says"
else
  echo "$made" >golden.txt
fi
