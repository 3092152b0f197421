#!/bin/bash
# The guest's first process, run from the results folder that the host shares: set up, run the checks, power off.
share=/run/stream-bind-guest
busybox() { /bin/busybox "$@" || /usr/bin/busybox "$@"; }
power_off() {
    sync
    busybox poweroff -f
}
trap power_off EXIT

# shellcheck source=/dev/null
. $share/out/settings
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 OMP_NUM_THREADS=1
export PYTHONPATH=$REPOSITORY PYTHONUNBUFFERED=1
# Whatever hangs, the guest ends by itself.
(sleep "$DEADLINE_S" && busybox poweroff -f) &

mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
busybox ip link set lo up
# Plain `modprobe` finds the guest kernel's modules.
ln -sfn "$share/kernel/lib/modules/$(uname -r)" "/lib/modules/$(uname -r)"
cut -d' ' -f1 /proc/uptime >$share/out/up
"$PYTHON" "$REPOSITORY/tests/guest/inside.py" $share/out >$share/out/log 2>&1
