#!/bin/sh
# Runs the machine runtime in a virtual computer with GPIO, I2C and a watchdog. See README.md beside this.
#
#   tests/board/run.sh KERNEL MODULES MUSTER_MACHINE [GPIO_SIM_KO]
#
# KERNEL: a bzImage. MODULES: the directory that holds its modules. MUSTER_MACHINE: the executable. GPIO_SIM_KO: the module, where it is
# not among them. Ends with 0 if everything passed.
set -eu

[ $# -ge 3 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 64; }
kernel=$1 modules=$2 machine=$3 gpio_sim=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
for tool in qemu-system-x86_64 busybox cpio cc timeout; do
    command -v "$tool" >/dev/null || { echo "$0: $tool is missing" >&2; exit 69; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

root=$work/root
mkdir -p "$root/bin" "$root/m"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$machine" "$root/bin/muster-machine"
cc -O2 -static -Wall -o "$root/bin/press" "$here/press.c"
install -m 755 "$here/init" "$root/init"
cp "$here/machine.yaml" "$root/"
cp -r "$here/parts" "$root/"
# The libraries that the executable needs, where it looks for them.
ldd "$machine" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
for module in configfs gpio-sim i2c-dev i2c-stub watchdog i6300esb softdog; do
    found=$(find "$modules" -name "$module.ko*" | head -n 1)
    [ "$module" = gpio-sim ] && [ -n "$gpio_sim" ] && found=$gpio_sim
    case $found in
        *.ko) cp "$found" "$root/m/$module.ko" ;;
        *.xz) xz -dc "$found" >"$root/m/$module.ko" ;;
        *.zst) zstd -qdc "$found" >"$root/m/$module.ko" ;;
        *.gz) gzip -dc "$found" >"$root/m/$module.ko" ;;
        *) echo "$0: no module $module: it may be part of the kernel" >&2 ;;
    esac
done
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"

# Emulated is fast enough, and works everywhere; BOARD_SPEED="-accel kvm -cpu host" where KVM does.
speed=${BOARD_SPEED:--accel tcg}
failed=0
boot() {
    # shellcheck disable=SC2086 # two words
    timeout ${BOARD_WITHIN:-300} qemu-system-x86_64 $speed -smp 1 -m 512 -display none -monitor none -nic none -no-reboot -serial "file:$work/$1" \
        -device i6300esb -action watchdog=reset \
        -kernel "$kernel" -initrd "$work/initramfs" -append "console=ttyS0 quiet panic=-1 board=$1 dog=$2 rounds=${BOARD_ROUNDS:-2000}" </dev/null || true
    tr -d '\r' <"$work/$1"
    ! grep -q '^FAIL' "$work/$1" || failed=1
}

boot main i6300esb
grep -q '^DONE main' "$work/main" || { echo "FAIL main: it did not come to its end"; failed=1; }
grep -q '^SEEN' "$work/main" || { echo "the computer did not start" >&2; exit 1; }

# The computer must be reset within the watchdog's time, and a little for what it takes to see that.
resets() {
    boot "$1" "$2"
    last=$(grep '^SEEN.*up at' "$work/$1" | tail -n 1 | sed 's/.*up at \([0-9.]*\), [a-z]* at \([0-9.]*\);.*/\1 \2/')
    after=$(echo "$last" | awk 'NF == 2 { printf "%.1f", $1 - $2 }')
    if echo "$after" | awk '{ exit !($1 >= 1 && $1 <= 8) }' && ! grep -q '^DONE' "$work/$1"; then
        echo "PASS $1: the watchdog ($2) reset the computer $after s later"
    else
        echo "FAIL $1: the watchdog ($2) did not reset the computer in time; it was up for ${after:-?} s"
        failed=1
    fi
}
resets killed i6300esb
resets stopped i6300esb
mv "$work/stopped" "$work/stopped-i6300esb"
resets stopped softdog
boot measured i6300esb
grep -q '^DONE measured' "$work/measured" || { echo "FAIL measured: it did not come to its end"; failed=1; }

echo
if [ $failed = 0 ]; then echo "everything passed"; else echo "something FAILED"; fi
exit $failed
