#!/bin/sh
# Every C file is as clang-format would leave it.
set -eu
cd "$(dirname -- "$0")/../.."
find proto agent orchestrator tests \( -name '*.c' -o -name '*.h' \) -print0 |
	xargs -0 -r -n 40 -P 2 clang-format --dry-run -Werror
