#!/usr/bin/env bash
# Gives this toolchain the standard library of the targets named: by rustup, or where that can fetch nothing, built from its component rust-src.
# Not for musl: its C library comes with the former only.
set -euo pipefail

for target; do
  libraries=$(rustc --print target-libdir --target "$target")
  if compgen -G "$libraries/libstd-*.rlib" > /dev/null || rustup target add "$target" 2> /dev/null; then
    continue
  fi
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  cargo init --quiet --vcs none --lib --name any "$folder"
  echo '#![no_std]' > "$folder/src/lib.rs"
  (
    cd "$folder"
    # The variable allows what only a nightly compiler would do otherwise.
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=target cargo build --quiet --release --target "$target" -Z build-std=std,panic_unwind,proc_macro,test
  )
  mkdir -p "$libraries"
  rm "$folder/target/$target/release/deps"/libany-*
  cp "$folder/target/$target/release/deps"/*.rlib "$libraries"
  rm -rf "$folder"
done
