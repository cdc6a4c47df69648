#!/bin/sh
# Runs an ELF in QEMU, on the machine that its target folder names; cargo's runner. Exits as the firmware does.
case $1 in
  *thumbv8m*) machine=mps3-an547 ;;
  *) machine=mps2-an500 ;;
esac
# QEMU_EXTRA is split into words on purpose.
exec timeout "${QEMU_TIMEOUT:-120}" qemu-system-arm -M "$machine" -nographic -monitor none -serial none \
  -semihosting-config enable=on,target=native ${QEMU_EXTRA-} -kernel "$1" </dev/null
