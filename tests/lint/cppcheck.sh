#!/bin/sh
# cppcheck has nothing to say; what it may not say, and why, stands in cppcheck.suppressions.
set -eu
cd "$(dirname -- "$0")/../.."
find proto agent orchestrator \( -name '*.c' -o -name '*.h' \) -print |
	cppcheck --quiet --enable=warning,performance,portability --std=c11 --inline-suppr \
		--suppressions-list=tests/lint/cppcheck.suppressions --error-exitcode=1 \
		-D_GNU_SOURCE -D__GNUC__ -I . -j 2 --library=tests/lint/cppcheck.cfg --file-list=-
