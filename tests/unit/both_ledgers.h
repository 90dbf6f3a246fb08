#ifndef TESTS_UNIT_BOTH_LEDGERS_H
#define TESTS_UNIT_BOTH_LEDGERS_H

/* Tests that are run with a ledger in each database; of one program, which includes this
 * once. A test's parameter is the index of the back end. */

#include <criterion/parameterized.h>

#include "tests/unit/ledger_server.h"

enum { SQLITE, POSTGRES, N_BACKENDS };

/** Open the ledger in that database. */
static inline void open_ledger(size_t backend)
{
	if (backend == POSTGRES)
		use_postgres();
	reopen();
}

/** A test of a suite that is called with the index of each back end. */
#define both_ledgers(suite, name)                                               \
	ParameterizedTestParameters(suite, name)                                \
	{                                                                       \
		static size_t backends[] = { SQLITE, POSTGRES };                \
                                                                                \
		return cr_make_param_array(size_t, backends, N_BACKENDS, NULL); \
	}                                                                       \
	ParameterizedTest(size_t *backend, suite, name)

#endif
