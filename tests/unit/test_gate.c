#include <criterion/criterion.h>

#include "orchestrator/core/gate.h"

static const struct rollout_gates gates = {
	.success_permille = 950,
	.terminal_permille = 950,
	.p0_ppm = 5000,
	.p1_ppm = 50000,
	.alpha_ppm = 1000,
	.beta_ppm = 1000,
	.silence_s = 600,
};

/* ---- the failure test */

Test(gate, steps_are_those_of_the_design)
{
	cr_expect_eq(gate_llr_halt(&gates), 6906755);
	cr_expect_eq(gate_llr_fail(&gates, 0), 2302585);
	cr_expect_eq(gate_llr_pass(&gates, 0), -46281);
}

static unsigned failures_to_halt(int64_t llr)
{
	unsigned count = 0;

	for (; llr < gate_llr_halt(&gates); count++)
		llr = gate_llr_fail(&gates, llr);
	return count;
}

Test(gate, three_failures_in_a_row_halt_and_six_after_a_long_good_past)
{
	int64_t llr = 0;

	cr_expect_eq(failures_to_halt(0), 3);
	for (int i = 0; i < 100000; i++)
		llr = gate_llr_pass(&gates, llr);
	cr_expect_eq(llr, -gate_llr_halt(&gates), "held at the clamp");
	cr_expect_eq(failures_to_halt(llr), 6);
}

Test(gate, fifty_successes_pay_for_one_failure)
{
	int64_t llr = gate_llr_fail(&gates, 0);
	int successes = 0;

	while (llr > 0) {
		llr = gate_llr_pass(&gates, llr);
		successes++;
	}
	cr_expect_eq(successes, 50);
}

/* ---- verdicts */

struct row {
	const char *what;
	struct gate_counts counts;
	uint32_t hard; /* of the rollout */
	int64_t llr_micro;
	enum gate_move move;
	enum ota_code code;
	const char *text;
};

/* clang-format off */
static const struct row rows[] = {
	{ "nobody is in the stage", { 0 }, 0, 0, GATE_PASS, OTA_OK,
	  "no device is in this stage" },
	{ "all confirmed", { .confirmed = 5 }, 0, 0, GATE_PASS, OTA_OK,
	  "5 of 5 devices confirmed" },
	{ "one under way", { .confirmed = 4, .working = 1 }, 0, 0, GATE_WAIT, OTA_E_GATE,
	  "4 of 5 devices within reach have finished, 5 must; 1 under way, "
	  "0 have not begun, 0 out of reach" },
	{ "one out of reach", { .confirmed = 4, .offline = 1 }, 0, 0, GATE_PASS, OTA_OK,
	  "4 of 5 devices confirmed" },
	{ "all out of reach", { .offline = 5 }, 0, 0, GATE_WAIT, OTA_E_GATE,
	  "no device of the stage is within reach" },
	{ "all excused", { .excused = 5 }, 0, 0, GATE_WAIT, OTA_E_GATE,
	  "no device of the stage is within reach" },
	{ "one excused", { .confirmed = 4, .excused = 1 }, 0, 0, GATE_PASS, OTA_OK,
	  "4 of 5 devices confirmed" },
	{ "95 of 100 finished", { .confirmed = 95, .working = 5 }, 0, 0, GATE_PASS, OTA_OK,
	  "95 of 100 devices confirmed" },
	{ "94 of 100 finished", { .confirmed = 94, .working = 6 }, 0, 0, GATE_WAIT,
	  OTA_E_GATE, "94 of 100 devices within reach have finished, 95 must; 6 under way, "
	  "0 have not begun, 0 out of reach" },
	{ "59 of 60 must", { .confirmed = 58, .working = 2 }, 0, 0, GATE_WAIT, OTA_E_GATE,
	  "58 of 60 devices within reach have finished, 59 must; 2 under way, "
	  "0 have not begun, 0 out of reach" },
	{ "one failed of twenty", { .confirmed = 19, .soft = 1 }, 0, 2302585, GATE_PASS,
	  OTA_OK, "19 of 20 devices confirmed" },
	{ "one failed of nineteen, by chance", { .confirmed = 18, .soft = 1 }, 0, 2302585,
	  GATE_PASS, OTA_OK, "18 of 19 devices confirmed" },
	{ "one failed of five, by chance", { .confirmed = 4, .soft = 1 }, 0, 2302585,
	  GATE_PASS, OTA_OK, "4 of 5 devices confirmed" },
	{ "two failed of five", { .confirmed = 1, .working = 2, .soft = 2 }, 0, 4605170,
	  GATE_HALT, OTA_E_SUCCESS, "stage canary: 2 of 5 devices failed, so 95.0 % success "
	  "cannot be reached any more" },
	{ "two failed of twenty-five, by chance", { .confirmed = 23, .soft = 2 }, 0, 4605170,
	  GATE_PASS, OTA_OK, "23 of 25 devices confirmed" },
	{ "three failed of twenty-five", { .confirmed = 22, .soft = 3 }, 0, 5889573,
	  GATE_HALT, OTA_E_SUCCESS, "stage canary: 3 of 25 devices failed, so 95.0 % success "
	  "cannot be reached any more" },
	{ "the only one failed", { .soft = 1 }, 0, 2302585, GATE_HALT, OTA_E_SUCCESS,
	  "stage canary: 1 of 1 devices failed, so 95.0 % success cannot be reached any more" },
	{ "a tenth of a million failed", { .confirmed = 900000, .soft = 100000 }, 0, 0,
	  GATE_HALT, OTA_E_SUCCESS, "stage canary: 100000 of 1000000 devices failed, so 95.0 % "
	  "success cannot be reached any more" },
	{ "one failed of twenty, some away", { .confirmed = 1, .offline = 18, .soft = 1 }, 0,
	  2302585, GATE_PASS, OTA_OK, "1 of 20 devices confirmed" },
	{ "three failed early", { .pending = 97, .soft = 3 }, 0, 6907755, GATE_HALT,
	  OTA_E_FAILURES, "stage canary: 3 devices failed, more than chance allows at a "
	  "failure rate of 0.5 %" },
	{ "one hard in a small wave", { .pending = 124, .hard = 1 }, 1, 2302585, GATE_HALT,
	  OTA_E_HARD, "stage canary of 125 devices: 1 failed hard" },
	{ "one hard in a large wave", { .pending = 125, .hard = 1 }, 1, 2302585, GATE_WAIT,
	  OTA_E_GATE, "1 of 126 devices within reach have finished, 120 must; 0 under way, "
	  "125 have not begun, 0 out of reach" },
	{ "three hard in a large wave", { .pending = 200, .hard = 3 }, 3, 0, GATE_HALT,
	  OTA_E_HARD, "stage canary of 203 devices: 3 failed hard" },
	{ "one hard in an earlier stage", { .confirmed = 5 }, 1, 0, GATE_HALT, OTA_E_HARD,
	  "stage canary of 5 devices: 1 failed hard" },
	{ "an alarm", { .confirmed = 5, .alarms = 1 }, 0, 0, GATE_WAIT, OTA_E_GATE,
	  "1 devices were given forged or replayed documents; look at them, then resume" },
};
/* clang-format on */

Test(gate, judges_a_stage)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *row = &rows[i];
		const struct gate_case c = { .gates = &gates,
			.stage = "canary",
			.counts = row->counts,
			.rollout_hard = row->hard,
			.rollout_soft = row->counts.soft,
			.llr_micro = row->llr_micro };
		struct gate_verdict v = gate_judge(&c);

		cr_expect_eq(v.move, row->move, "%s: %s", row->what, v.text);
		cr_expect_eq(v.code, row->code, "%s: %s", row->what, v.text);
		cr_expect_str_eq(v.text, row->text, "%s: %s", row->what, v.text);
	}
}

Test(gate, ten_canaries_find_failure_rates_above_26_percent)
{
	cr_expect_eq(gate_detects_permille(10), 259);
	cr_expect_eq(gate_detects_permille(59), 50);
	cr_expect_eq(gate_detects_permille(1), 950);
	cr_expect_eq(gate_detects_permille(0), 1000);
}

/* ---- classes */

struct class_row {
	enum ota_code code;
	enum failure_class class;
	bool alarm, inability;
};

/* clang-format off */
static const struct class_row class_rows[] = {
	{ OTA_E_SILENT,    FAILURE_HARD,    false, false },
	{ OTA_E_ROLLBACK,  FAILURE_HARD,    false, false },
	{ OTA_E_DECODER,   FAILURE_HARD,    false, false },
	{ OTA_E_STATELOST, FAILURE_HARD,    false, false },
	{ OTA_E_SIGNATURE, FAILURE_HARD,    true,  false },
	{ OTA_E_THRESHOLD, FAILURE_HARD,    true,  false },
	{ OTA_E_DUPKEY,    FAILURE_HARD,    true,  false },
	{ OTA_E_SEQUENCE,  FAILURE_HARD,    true,  false },
	{ OTA_E_HEALTH,    FAILURE_SOFT,    false, false },
	{ OTA_E_FELLBACK,  FAILURE_SOFT,    false, false },
	{ OTA_E_HOOK,      FAILURE_SOFT,    false, false },
	{ OTA_E_DIGEST,    FAILURE_SOFT,    false, false },
	{ OTA_E_MEDIA,     FAILURE_SOFT,    false, false },
	{ OTA_E_TIMEOUT,   FAILURE_SOFT,    false, false },
	{ OTA_OK,          FAILURE_SOFT,    false, false },
	{ OTA_E_NOSPACE,   FAILURE_EXCUSED, false, true  },
	{ OTA_E_HARDWARE,  FAILURE_EXCUSED, false, true  },
	{ OTA_E_WINDOW,    FAILURE_EXCUSED, false, false },
	{ OTA_E_OFFLINE,   FAILURE_EXCUSED, false, false },
	{ OTA_E_SHARE,     FAILURE_SOFT,    true,  false },
	{ OTA_E_RESCUE,    FAILURE_HARD,    false, false },
	{ OTA_E_POWER,     FAILURE_EXCUSED, false, false },
	{ OTA_E_METERED,   FAILURE_EXCUSED, false, false },
	{ OTA_E_BUDGET,    FAILURE_EXCUSED, false, true  },
	{ OTA_E_LOCKED,    FAILURE_EXCUSED, false, false },
	{ OTA_E_SLOWLINK,  FAILURE_EXCUSED, false, false },
};
/* clang-format on */

Test(gate, failures_count_by_their_class)
{
	for (size_t i = 0; i < sizeof class_rows / sizeof class_rows[0]; i++) {
		const struct class_row *row = &class_rows[i];
		const char *name = ota_code_name(row->code);

		cr_expect_eq(failure_class_of(row->code), row->class, "%s", name);
		cr_expect_eq(failure_is_alarm(row->code), row->alarm, "%s", name);
		cr_expect_eq(failure_is_inability(row->code), row->inability, "%s", name);
	}
}
