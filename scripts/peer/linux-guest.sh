#!/usr/bin/env bash
# SPDX-License-Identifier: PMPL-1.0-or-later
# Makes the peer that boot figures are compared with: a disk with Debian's cloud kernel and systemd, booted by the same firmware.
#
#   linux-guest.sh OUT.raw
#
# The peer is helped, not hindered: a unified kernel image straight from the firmware, an initramfs of four modules, no services beyond
# systemd's own, mitigations off. Needs root (mmdebstrap keeps owners) and: mmdebstrap dosfstools mtools fdisk e2fsprogs systemd-boot-efi binutils.
# Next: build/src/commands/benches/image.ts, which boots it.
set -euo pipefail

out=${1:?usage: linux-guest.sh OUT.raw}
[ "$(id -u)" = 0 ] || { echo "linux-guest: needs root, to keep the owners of Debian's files" >&2; exit 2; }
missing=()
for tool in mmdebstrap:mmdebstrap mkfs.vfat:dosfstools mcopy:mtools sfdisk:fdisk mke2fs:e2fsprogs objcopy:binutils; do
  command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub
[ -e "$stub" ] || missing+=(systemd-boot-efi)
if [ ${#missing[@]} -gt 0 ]; then
  echo "linux-guest: missing programs; run: apt-get install -y --no-install-recommends ${missing[*]}" >&2; exit 2
fi

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
root=$work/root
sources=$(find /etc/apt/sources.list.d -name 'debian.sources' | head -n 1); [ -n "$sources" ] || sources=/etc/apt/sources.list

echo "linux-guest: unpacking Debian (about a minute)" >&2
mmdebstrap --quiet --variant=minbase --mode=root \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"; printf "MODULES=list\nCOMPRESS=zstd\nBUSYBOX=n\nKEYMAP=n\n" >"$1/etc/initramfs-tools/conf.d/peer"; printf "virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n" >"$1/etc/initramfs-tools/modules"' \
  --include=linux-image-cloud-amd64,systemd-sysv,udev,dbus,kmod,initramfs-tools,zstd bookworm "$root" "$sources"

echo peer >"$root/etc/hostname"
echo '/dev/vda2 / ext4 rw,noatime 0 1' >"$root/etc/fstab"
cat >"$root/etc/systemd/system/peer-ready.service" <<'UNIT'
[Unit]
Description=says that the system is up
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo peer: ready >/dev/ttyS0'
[Install]
WantedBy=graphical.target multi-user.target
UNIT
# multi-user.target must not wait for what waits for it.
sed -i 's/^After=multi-user.target/After=basic.target systemd-logind.service getty.target systemd-user-sessions.service/' "$root/etc/systemd/system/peer-ready.service"
chroot "$root" systemctl -q enable peer-ready
chroot "$root" systemctl -q set-default multi-user.target
chroot "$root" systemctl -q mask e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer dpkg-db-backup.timer

printf 'console=ttyS0,115200 root=/dev/vda2 rootfstype=ext4 rw quiet loglevel=4 systemd.show_status=0 mitigations=off no_timer_check tsc=reliable\0' >"$work/cmdline"
objcopy --add-section .osrel="$root/usr/lib/os-release" --change-section-vma .osrel=0x20000 \
  --add-section .cmdline="$work/cmdline" --change-section-vma .cmdline=0x30000 \
  --add-section .linux="$(echo "$root"/boot/vmlinuz-*)" --change-section-vma .linux=0x2000000 \
  --add-section .initrd="$(echo "$root"/boot/initrd.img-*)" --change-section-vma .initrd=0x4000000 "$stub" "$work/peer.efi"

truncate -s 64M "$work/esp"; mkfs.vfat -F 32 "$work/esp" >/dev/null
mmd -i "$work/esp" ::/EFI ::/EFI/BOOT; mcopy -i "$work/esp" "$work/peer.efi" ::/EFI/BOOT/BOOTX64.EFI
truncate -s 1G "$work/fs"; mke2fs -q -t ext4 -m 0 -E lazy_itable_init=1,lazy_journal_init=1 -d "$root" "$work/fs"
truncate -s 1100M "$work/disk"
printf 'label: gpt\nstart=2048, size=131072, type=uefi\nstart=133120, size=2097152, type=linux\n' | sfdisk -q "$work/disk"
dd if="$work/esp" of="$work/disk" bs=64k oflag=seek_bytes seek=$((2048 * 512)) conv=notrunc,sparse status=none
dd if="$work/fs" of="$work/disk" bs=1M oflag=seek_bytes seek=$((133120 * 512)) conv=notrunc,sparse status=none
mv "$work/disk" "$out"
echo "linux-guest: wrote $out" >&2
