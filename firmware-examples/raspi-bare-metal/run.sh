#!/bin/sh
# Shows the firmware in a window of QEMU, its console here; cargo's runner. MACHINE=raspi4b is the other board.
kernel=$(dirname "$1")/kernel8.img
"$(dirname "$0")"/image.py "$1" "$kernel"
exec qemu-system-aarch64 -M "${MACHINE:-raspi3b}" -kernel "$kernel" -serial mon:stdio
