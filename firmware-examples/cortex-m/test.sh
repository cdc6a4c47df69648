#!/usr/bin/env bash
# Runs the firmware on both machines in QEMU: as it should be, and with all that can be wrong in the field; holds the kernels against their plain
# twins; checks what is linked. Exits 0 if everything is as told below.
set -euo pipefail
cd "$(dirname "$0")"
failed=0

# Boards and host share their arithmetic: when that changes, the host's scores change too.
./golden.sh --check || { echo "golden.txt is old and made again"; ./golden.sh; }

# expect TARGET FEATURES EXIT-CODE TEXT
expect() {
  local output code=0
  cargo build --quiet --release --target "$1" --features "$2"
  output=$(./run.sh "target/$1/release/$program") || code=$?
  if [ "$code" = "$3" ] && grep -qF "$4" <<<"$output"; then
    printf 'ok      %-27s %-14s exit %s: %s\n' "$1" "${2:--}" "$code" "$(grep -F "$4" <<<"$output" | head -1)"
  else
    printf 'FAILED  %-27s %-14s exit %s, %s wanted with: %s\n%s\n' "$1" "${2:--}" "$code" "$3" "$4" "$output"
    failed=1
  fi
}

for target in thumbv7em-none-eabihf thumbv8m.main-none-eabihf; do
  program=edgelip-cortex-m
  expect "$target" corrupted 1 'not a well-formed ONNX file'
  expect "$target" missing-model 1 'missing, the flash is erased'
  expect "$target" small-arena 1 'the scratch buffer is too short: 29760 floats are needed'
  expect "$target" "" 0 passed
  program=twins
  expect "$target" "" 0 'have the same bits as their plain twins; scalar instructions round once'
done
./report.py || failed=1
exit $failed
