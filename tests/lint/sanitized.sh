#!/bin/sh
# usage: meson test --wrap=tests/lint/sanitized.sh, or sanitized.sh COMMAND...
# Criterion 2.4 lets a test pass although its worker leaked, and a daemon that a test kills
# takes its exit status along. So every report that a sanitizer writes, in whatever process
# of the test, fails it here.
reports=$(mktemp -d) || exit 99
trap 'rm -rf -- "$reports"' EXIT
chmod 1777 "$reports"
export ASAN_OPTIONS="log_path=$reports/report:detect_leaks=1:allocator_may_return_null=1:${ASAN_OPTIONS-}"
export LSAN_OPTIONS="print_suppressions=0:${LSAN_OPTIONS-}"
export UBSAN_OPTIONS="log_path=$reports/report:print_stacktrace=1:${UBSAN_OPTIONS-}"
"$@"
status=$?
for report in "$reports"/*; do
	grep -qsE 'ERROR:|runtime error:|SUMMARY:' "$report" || continue
	cat "$report" >&2
	status=1
done
exit $status
