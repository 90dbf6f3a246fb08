#!/bin/sh
# Makes the seeds of fuzz_tree with GNU tar: each kind of entry, in each format.
# usage: tree_seeds.sh [FOLDER]
set -eu
export LC_ALL=C

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=${1:-$here/corpus/tree}
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

mkdir -p "$out" "$work/etc/deep"
printf 'hello, world\n' >"$work/etc/hello"
printf '#!/bin/sh\n' >"$work/program"
chmod 4755 "$work/program"
seq 1 300 >"$work/etc/deep/numbers"
: >"$work/etc/deep/$(printf 'long%.0s' $(seq 40))"
truncate -s 6K "$work/holes"
printf 'end' >>"$work/holes"
ln "$work/etc/hello" "$work/etc/hello-again"
ln -s deep/numbers "$work/etc/link"
ln -s ../etc/hello "$work/etc/deep/up"
ln -s deep "$work/etc/link-to-folder"
ln -s ../outside "$work/escape"
find "$work" -exec touch -h -d @1700000000 {} +

pack() {
	name=$1
	shift
	tar --sort=name --owner=0 --group=0 --numeric-owner -b 1 -cf "$out/$name" "$@"
}

pack gnu --format=gnu -C "$work" --exclude=./escape .
pack gnu-sparse --format=gnu --sparse -C "$work" holes
pack pax --format=pax --pax-option=delete=atime,delete=ctime -C "$work" --exclude=./escape .
pack pax-sparse --format=pax --sparse --sparse-version=1.0 \
	--pax-option=exthdr.name=x,delete=atime,delete=ctime -C "$work" holes
pack ustar --format=ustar -C "$work" program etc/hello etc/hello-again etc/link
pack v7 --format=v7 -C "$work" program etc/hello
pack twice --format=ustar -C "$work" etc/hello etc/hello etc/hello-again
pack upwards --format=ustar -P -C "$work/etc" ../program
pack escape --format=ustar -C "$work" escape
pack through --format=ustar -C "$work/etc" --transform 's,^deep/numbers,link-to-folder/numbers,' \
	link-to-folder deep/numbers
mkfifo "$work/pipe"
pack pipe --format=ustar -C "$work" pipe
