#!/bin/sh
# Every shell script, found by its first line, passes shellcheck.
set -eu
cd "$(dirname -- "$0")/../.."
set -- .ci deploy tests
for folder in agent config orchestrator proto; do
	[ -d "$folder" ] && set -- "$@" "$folder"
done
find "$@" -type f ! -name '*.[ch]' -size -256k -exec \
	awk 'FNR == 1 && /^#!.*[\/ ](ba|da)?sh( |$)/ {printf "%s%c", FILENAME, 0} {nextfile}' {} + |
	xargs -0 -r shellcheck
