#!/usr/bin/env bash
# image.sh DIR: make DIR/vmlinuz, DIR/initrd.zst and DIR/tree (the kernel's modules) for the test guest.
#
# The guest's root is this machine's own, over 9p, so there is no disk image: only a kernel that has the drivers (Debian's
# plain amd64 one; the cloud kernel lacks media and sound) and a small initramfs that mounts the root and goes on there.
set -euo pipefail
# modprobe and depmod are not on every user's path.
PATH=$PATH:/usr/sbin:/sbin
dir=$1
mkdir -p "$dir"
cd "$dir"

# The exact name of today's kernel. A wildcard in `apt-get download` fetches every kernel there is (1.7 GB).
package=$(apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ {print $2; exit}')
[ -n "$package" ] || { echo "apt knows no linux-image-amd64; run apt-get update (Debian is needed)" >&2; exit 1; }
version=${package#linux-image-}
apt-get -qq download "$package" || { echo "apt-get cannot download $package; run apt-get update" >&2; exit 1; }

# What a guest without disk, screen and network never loads is half of the tree.
mkdir tree
dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x -C tree \
    --exclude='*/drivers/gpu' --exclude='*/drivers/net' --exclude='*/drivers/scsi' --exclude='*/drivers/infiniband' \
    --exclude='*/drivers/staging' --exclude='*/drivers/md' --exclude='*/net/netfilter' --exclude='*/fs/btrfs' \
    --exclude='*/fs/xfs' --exclude='*/usr/share'
rm -f "$package"_*.deb
[ -d tree/lib ] || ln -s usr/lib tree/lib
mv "tree/boot/vmlinuz-$version" vmlinuz
depmod -b tree "$version"

mkdir -p initramfs/bin initramfs/lib initramfs/proc initramfs/sys initramfs/dev initramfs/lower initramfs/upper initramfs/root
busybox=$(command -v busybox)
if ldd "$busybox" >/dev/null 2>&1; then
    echo "$busybox is linked dynamically; apt-get install busybox-static" >&2
    exit 1
fi
cp "$busybox" initramfs/bin/busybox
for module in virtio_pci 9pnet_virtio 9p overlay; do
    modprobe -d "$PWD/tree" -S "$version" --show-depends "$module" | awk '$1 == "insmod" {print $2}'
done | awk '!seen[$0]++' | while read -r file; do
    name=$(basename "$file")
    case $file in
        *.xz) name=${name%.xz} && xz -dc "$file" >"initramfs/lib/$name" ;;
        *.zst) name=${name%.zst} && zstd -qdc "$file" >"initramfs/lib/$name" ;;
        *) cp "$file" "initramfs/lib/$name" ;;
    esac
    echo "$name" >>initramfs/modules
done

cat >initramfs/init <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
give_up() {
    echo "guest: $1"
    $b poweroff -f
}
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules); do $b insmod "/lib/$module" || echo "guest: cannot load $module"; done
share_9p() { $b mount -t 9p -o "trans=virtio,version=9p2000.L,msize=524288,$3" "$1" "$2"; }
share_9p host /lower cache=loose,ro || give_up "the host's root cannot be mounted"
$b mount -t tmpfs tmpfs /upper
$b mkdir /upper/changes /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/changes,workdir=/upper/work overlay /root || give_up "no overlay"
share=/root/run/stream-bind-guest
$b mkdir -p $share/out $share/kernel
share_9p out $share/out cache=none || give_up "the results folder cannot be mounted"
share_9p kernel $share/kernel cache=loose,ro || give_up "the kernel's modules cannot be mounted"
for mount in proc sys dev; do $b mount --move /$mount /root/$mount; done
exec $b switch_root /root /run/stream-bind-guest/out/init
INIT
chmod +x initramfs/init
(cd initramfs && find . | cpio -o -H newc --quiet | zstd -q -3 -f -o ../initrd.zst)
rm -rf initramfs tree/boot
