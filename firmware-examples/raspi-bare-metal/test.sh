#!/usr/bin/env bash
# Runs the firmware on both boards in QEMU: as it should be, and with all that can be wrong in the field. Exits 0 if everything is as told below.
# With --accept the screens that are seen now become those that are wanted.
set -euo pipefail
cd "$(dirname "$0")"
photos=(../../fixtures/photos/*)
models=(mlip-tiny mlip-tiny-0.5)
target=target/aarch64-unknown-none/release
out=target/test
hosts=("${models[@]/#/$out/}") && hosts=("${hosts[@]/%/.json}")
mkdir -p $out
failed=0

./export.sh
for model in "${models[@]}"; do
  (cd ../.. && cargo run --quiet --release -p edgelip -- classify fixtures/photos/* --json --top 100 \
    --model "firmware-examples/raspi-bare-metal/models/$model.onnx") >"$out/$model.json"
done

# halts NAME TEXT IMAGE [QEMU…]: the firmware must print the text, and halt.
halts() {
  local console
  if console=$(./emulate.py --kernel "$3" --shots "$out/$1" "${@:4}"); then
    printf 'FAILED  %s: it went on\n%s\n' "$1" "$console"
    failed=1
  elif [ "$(tail -1 <<<"$console")" = halted ] && grep -qF "$2" <<<"$console"; then
    printf 'ok      %-14s %s\n' "$1" "$(grep -F "$2" <<<"$console")"
  else
    printf 'FAILED  %s: wanted a halt with: %s\n%s\n' "$1" "$2" "$console"
    failed=1
  fi
}

# built SETTING…: builds an image with these settings.
built() {
  env "$@" cargo build --quiet --release
  ./image.py $target/edgelip-raspi-bare-metal $target/kernel8.img
}

built ARENA_KIB=64
halts small-arena 'KiB of scratch, 64 KiB are there' $target/kernel8.img
built MODELS=../../models/mlip-tiny/text.onnx
halts wrong-model 'does not hold a vision tower' $target/kernel8.img

# loaded FILE ADDRESS: what QEMU does in place of a board's firmware, with config.txt's `initramfs`.
loaded() {
  echo -device "loader,file=$1,addr=$2,force-raw=on"
}

built MODELS=0x3ffffff40
halts no-memory 'is no free memory' $target/kernel8.img
built MODELS=0x10000000,0x11000000
cp $target/kernel8.img $out/loads.img
halts not-loaded 'There is nothing at 0x10000000: have a model loaded there' $out/loads.img
halts loaded-photo 'not a well-formed ONNX file' $out/loads.img $(loaded "${photos[0]}" 0x10000000)
halts loaded-text 'does not hold a vision tower' $out/loads.img $(loaded ../../models/mlip-tiny/text.onnx 0x10000000)

built
for fault in damaged missing; do
  ./damage.py $fault models/${models[0]}.onnx $target/kernel8.img $out/$fault.img
done
halts damaged 'is not what was linked' $out/damaged.img
halts missing 'There is nothing at' $out/missing.img

for machine in raspi3b raspi4b; do
  ./emulate.py --machine $machine --shots $out/$machine --photos ${#photos[@]} >$out/$machine.txt || { cat $out/$machine.txt; exit 1; }
  [ "${1-}" != --accept ] || cp $out/raspi3b/*.png screens/
  ./check.py $out/$machine.txt $out/$machine "${hosts[@]}" || failed=1
done

# Loaded ones are as good as linked ones.
./emulate.py --kernel $out/loads.img --photos 1 $(loaded models/${models[0]}.onnx 0x10000000) \
  $(loaded models/${models[1]}.onnx 0x11000000) >$out/loaded.txt || { cat $out/loaded.txt; exit 1; }
scores() {
  grep '%  ' "$1"
}
if scores $out/loaded.txt >/dev/null && diff <(scores $out/raspi3b.txt | head -"$(scores $out/loaded.txt | wc -l)") <(scores $out/loaded.txt); then
  echo 'ok      loaded models: the scores of linked ones'
else
  echo 'FAILED  loaded models give other scores'
  failed=1
fi
exit $failed
