/* Reports share commits, decisions do not wait for them. */
#include <criterion/criterion.h>

#include <sys/wait.h>

#include "orchestrator/port/core_ports.h"
#include "proto/io/loop.h"
#include "tests/unit/both_ledgers.h"

static uv_loop_t loop;
static struct core_ports ports;
static struct core_port port;

TestSuite(batch, .init = make_dir, .fini = remove_dir);

#define batch_test(name) both_ledgers(batch, name)

static void open_ports(size_t backend)
{
	struct publisher_config publisher = { "test", dir, NULL };

	open_ledger(backend);
	cr_assert_eq(uv_loop_init(&loop), 0);
	publisher.ledger = ledger;
	ports = (struct core_ports){ .ledger = ledger, .fleet = "test" };
	cr_assert_eq(publisher_new(&loop, &publisher, &ports.publisher, NULL), OTA_OK);
	cr_assert_eq(
		status_batch_new(&loop, ledger, &ports.slowest_ms, &ports.batch, NULL),
		OTA_OK);
	port = core_ports_of(&ports);
}

/* One call of the core in which a device says something, and more if decided. */
static void call(const char *device, const char *value, bool decided)
{
	port.begin(port.ctx);
	port.put(port.ctx, CORE_STATUS, device, ota_bytes_of(value));
	if (decided)
		port.put(port.ctx, CORE_ATTEMPT, device, ota_bytes_of("{}"));
	port.commit(port.ctx);
}

/* What another reader finds: what is committed, and no more. */
static const char *stored(void)
{
	static char text[200];

	text[0] = '\0';
	cr_assert_eq(ledger_each_row(ledger, count_row, text, NULL), OTA_OK);
	return text;
}

static void wait_for_timer(void)
{
	uint64_t until_ms = ota_clock_mono_ms() + 10 * 1000;

	while (!stored()[0] && ota_clock_mono_ms() < until_ms)
		(void)uv_run(&loop, UV_RUN_ONCE);
}

batch_test(what_a_device_says_waits_for_others_but_not_long)
{
	uint64_t from_ms;

	open_ports(*backend);
	from_ms = ota_clock_mono_ms();
	call("a", "{1}", false);
	call("b", "{1}", false);
	call("a", "{2}", false);
	cr_expect_str_eq(stored(), "", "nothing is written for each");
	wait_for_timer();
	cr_expect_str_eq(stored(), "4:a={2} 4:b={1} ");
	cr_expect_geq(ota_clock_mono_ms() - from_ms, STATUS_BATCH_MS - 5);
}

batch_test(a_decision_writes_all_that_was_said_before_it)
{
	open_ports(*backend);
	call("a", "{1}", false);
	call("b", "{2}", true);
	cr_expect_str_eq(stored(), "4:a={1} 4:b={2} 7:b={} ");
}

batch_test(a_report_is_never_durable_without_what_followed_from_it)
{
	pid_t child;

	open_ports(*backend);
	call("a", "{1}", false);
	child = fork();
	if (child == 0) { /* has this connection and file, and does not end in order */
		port.begin(port.ctx);
		port.put(port.ctx, CORE_STATUS, "b", ota_bytes_of("{2}"));
		port.put(port.ctx, CORE_ATTEMPT, "b", ota_bytes_of("{}"));
		_exit(0);
	}
	cr_assert_eq(waitpid(child, NULL, 0), child);
	if (*backend == POSTGRES)
		cr_assert(postgres_run(&server, FREE_LEASE));
	ledger = NULL;
	reopen();
	cr_expect_str_eq(stored(), "");
}

batch_test(a_full_batch_is_written_at_once)
{
	unsigned rows = 0;

	open_ports(*backend);
	for (int i = 0; i < STATUS_BATCH_MAX; i++) {
		char key[16];

		cr_expect_str_eq(i == STATUS_BATCH_MAX - 1 ? stored() : "", "");
		(void)snprintf(key, sizeof key, "gw-%d", i);
		call(key, "{}", false);
	}
	cr_assert_eq(ledger_each_row(ledger, add_row, &rows, NULL), OTA_OK);
	cr_expect_eq(rows, STATUS_BATCH_MAX);
}

batch_test(a_call_of_many_rows_is_one_transaction)
{
	unsigned rows = 0;

	open_ports(*backend);
	port.begin(port.ctx);
	for (int i = 0; i < 2 * STATUS_BATCH_MAX + 1; i++) {
		char key[16];

		(void)snprintf(key, sizeof key, "gw-%d", i);
		port.put(port.ctx, CORE_STATUS, key, ota_bytes_of("{}"));
	}
	cr_expect(ports.open, "all of them or none");
	port.commit(port.ctx);
	cr_assert_eq(ledger_each_row(ledger, add_row, &rows, NULL), OTA_OK);
	cr_expect_eq(rows, 2 * STATUS_BATCH_MAX + 1);
}

static void note_closed(void *ctx)
{
	*(bool *)ctx = true;
}

batch_test(what_waits_is_written_when_it_is_closed)
{
	bool closed = false;

	open_ports(*backend);
	call("a", "{1}", false);
	status_batch_close(ports.batch, note_closed, &closed);
	while (!closed)
		(void)uv_run(&loop, UV_RUN_ONCE);
	cr_expect_str_eq(stored(), "4:a={1} ");
}
