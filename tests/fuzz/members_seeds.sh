#!/bin/sh
# Makes the seeds of fuzz_members, which tests/unit/test_members.c reads too: one small image
# of each kind with the real tools. Needs e2fsprogs, squashfs-tools, erofs-utils, cpio, tar, fdisk.
# usage: members_seeds.sh [FOLDER]
set -eu
export LC_ALL=C E2FSPROGS_FAKE_TIME=1700000000 SOURCE_DATE_EPOCH=1700000000
PATH=$PATH:/usr/sbin:/sbin

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=${1:-$here/corpus/members}
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
folder=$work/folder
uuid=5eed5eed-5eed-4eed-8eed-5eed5eed5eed

mkdir -p "$out" "$folder/etc/deep"
printf 'hello, world\n' >"$folder/etc/hello"
seq 1 700 >"$folder/etc/deep/numbers"
seq 1 40 >"$folder/short"
: >"$folder/empty"
ln "$folder/short" "$folder/short-again"
ln -s short "$folder/symlink"
find "$folder" -exec touch -h -d @1700000000 {} +

# name, type, options
ext() {
	name=$1 type=$2
	shift 2
	rm -f "$out/$name"
	truncate -s 64K "$out/$name"
	mke2fs -q -F -t "$type" -b 1024 -N 24 -m 0 -U $uuid -E hash_seed=$uuid,root_owner=0:0 \
		"$@" -d "$folder" "$out/$name" 64
}

ext ext2 ext2
ext ext4 ext4 -O ^has_journal,^resize_inode
ext ext4-inline ext4 -O ^has_journal,^resize_inode,inline_data
(cd "$folder" && find . | sort | cpio --quiet -R 0:0 --reproducible -o -H newc) >"$out/cpio"
for format in gnu pax; do
	tar --format=$format --sort=name --owner=0 --group=0 --numeric-owner -b 1 \
		--transform "s,^./etc,etc/$(printf 'long%.0s' $(seq 30))," \
		-cf "$out/tar-$format" -C "$folder" .
done

squashfs() {
	name=$1
	shift
	mksquashfs "$folder" "$out/$name" -noappend -quiet -no-progress -all-root -nopad \
		-no-exports -noD -noF "$@" >/dev/null
}

squashfs squashfs -noI -noId
squashfs squashfs-gzip
squashfs squashfs-zstd -comp zstd
for name in erofs erofs-chunks; do
	rm -f "$out/$name"
done
mkfs.erofs --quiet --all-root -T1700000000 -U$uuid "$out/erofs" "$folder"
mkfs.erofs --quiet --all-root -T1700000000 -U$uuid --chunksize=4096 "$out/erofs-chunks" \
	"$folder" 2>/dev/null

# A table that names one partition, and a file system there.
for label in gpt dos; do
	rm -f "$out/disk-$label"
	truncate -s 112K "$out/disk-$label"
	printf 'label: %s\nlabel-id: %s\ntable-length: 4\nfirst-lba: 64\nstart=64, size=128%s\n' \
		$label "$([ $label = gpt ] && echo $uuid || echo 0x5eed5eed)" \
		"$([ $label = gpt ] && echo ", uuid=$uuid")" |
		sed "$([ $label = gpt ] || echo '/^table-length/d; /^first-lba/d')" |
		sfdisk --quiet "$out/disk-$label" >/dev/null
	dd if="$out/ext2" of="$out/disk-$label" bs=512 seek=64 conv=notrunc status=none
done
