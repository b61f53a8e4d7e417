#!/bin/sh
# Runs the machine runtime in a virtual computer whose first process is systemd. See README.md beside this.
#
#   tests/board/systemd.sh KERNEL MUSTER_MACHINE
#
# KERNEL: a bzImage; it needs no modules. MUSTER_MACHINE: the executable. Ends with 0 if everything passed.
set -eu

[ $# -ge 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 64; }
kernel=$1 machine=$2
here=$(cd "$(dirname "$0")" && pwd)
for tool in qemu-system-x86_64 busybox cpio tar timeout; do
    command -v "$tool" >/dev/null || { echo "$0: $tool is missing" >&2; exit 69; }
done
work=$(mktemp -d)
[ -n "${BOARD_KEEP:-}" ] || trap 'rm -rf "$work"' EXIT

# The computer's disk: a small Debian like this computer's, so that the executable finds the libraries that it was built with.
disk=${BOARD_DEBIAN:-}
if [ ! -f "$disk" ]; then
    command -v mmdebstrap >/dev/null || { echo "$0: mmdebstrap is missing" >&2; exit 69; }
    # shellcheck source=/dev/null
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    made=${disk:-$work/debian.tar}
    mmdebstrap --quiet --variant=minbase --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --include=systemd,systemd-sysv,dbus,kmod,procps,iproute2,busybox-static,python3-minimal,podman,crun,netavark \
        "$release" "$made"
    disk=$made
fi

add=$work/add
mkdir -p "$add/usr/local/bin" "$add/etc/muster" "$add/etc/systemd/system/multi-user.target.wants" "$add/board"
cp "$machine" "$add/usr/local/bin/muster-machine"
cp "$here/systemd/machine.yaml" "$add/etc/muster/"
cp "$here/../../deploy/systemd/muster-machine.service" "$here/systemd/"*.service "$add/etc/systemd/system/"
mkdir -p "$add/etc/systemd/system/muster-machine.service.d"
cp "$here/systemd/emulated.conf" "$add/etc/systemd/system/muster-machine.service.d/"
ln -s ../board.service "$add/etc/systemd/system/multi-user.target.wants/board.service"
install -m 755 "$here/systemd/check" "$add/board/check"
cp -r "$here/systemd/parts" "$add/board/"
# Containers on a disk of memory, where there are no overlay filesystems.
mkdir -p "$add/etc/containers"
cp "$here/systemd/storage.conf" "$add/etc/containers/"

root=$work/root
mkdir -p "$root/bin"
cp "$(command -v busybox)" "$root/bin/busybox"
install -m 755 "$here/systemd/first" "$root/init"
cp "$disk" "$root/debian.tar"
tar -C "$add" --owner=0 --group=0 -cf "$root/add.tar" .
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"

# Emulated is fast enough, and works everywhere; BOARD_SPEED="-accel kvm -cpu host" where KVM does.
speed=${BOARD_SPEED:--accel tcg}
# shellcheck disable=SC2086 # several words
timeout ${BOARD_WITHIN:-900} qemu-system-x86_64 $speed -smp 2 -m 3072 -display none -monitor none -nic none -no-reboot \
    -serial "file:$work/said" -kernel "$kernel" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet panic=-1 systemd.show_status=no systemd.getty_auto=no board=${BOARD_PARTS:-workloads,runtime,containers}" </dev/null || true
tr -d '\r' <"$work/said" | grep -aE '^(PASS|FAIL|SEEN|DONE)' || { echo "the computer did not start:" >&2; cat "$work/said" >&2; exit 1; }

echo
if grep -aq '^FAIL' "$work/said"; then
    echo "something FAILED"
    exit 1
fi
grep -aq '^DONE' "$work/said" || { echo "FAIL: it did not come to its end"; exit 1; }
echo "everything passed: $(grep -ac '^PASS' "$work/said") checks"
