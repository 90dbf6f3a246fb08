#ifndef TESTS_UNIT_LEDGER_SERVER_H
#define TESTS_UNIT_LEDGER_SERVER_H

/* The PostgreSQL of one program of tests, which includes this once: started once for all
 * of them, by the process that starts them. */

#include <criterion/hooks.h>

#include "tests/unit/ledger_kit.h"

ReportHook(PRE_ALL)(struct criterion_test_set *tests)
{
	(void)tests;
	postgres_start(&server);
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
	(void)stats;
	postgres_fini(&server);
}

#endif
