#include "orchestrator/core/gate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MICRO_PER_NAT 1e6
#define PPM           1e6
#define TAIL_END      1e-9 /* share of a sum that further terms would not change */

static int64_t micro(double nats)
{
	return llround(nats * MICRO_PER_NAT);
}

int64_t gate_llr_halt(const struct rollout_gates *gates)
{
	double alpha = (double)gates->alpha_ppm / PPM;
	double beta = (double)gates->beta_ppm / PPM;

	return micro(log((1 - beta) / alpha));
}

static int64_t clamped(const struct rollout_gates *gates, int64_t llr_micro)
{
	int64_t least = -gate_llr_halt(gates);

	return llr_micro < least ? least : llr_micro;
}

int64_t gate_llr_fail(const struct rollout_gates *gates, int64_t llr_micro)
{
	double step = log((double)gates->p1_ppm / (double)gates->p0_ppm);

	return clamped(gates, llr_micro + micro(step));
}

int64_t gate_llr_pass(const struct rollout_gates *gates, int64_t llr_micro)
{
	double p0 = (double)gates->p0_ppm / PPM, p1 = (double)gates->p1_ppm / PPM;

	return clamped(gates, llr_micro + micro(log((1 - p1) / (1 - p0))));
}

/* ---- the verdict */

static uint32_t failed(const struct gate_counts *n)
{
	return n->soft + n->hard;
}

/* Devices that say, or may still say, something of the release. */
static uint32_t reached(const struct gate_counts *n)
{
	return n->pending + n->working + n->confirmed + failed(n) + n->reverted;
}

uint32_t gate_wave(const struct gate_counts *n)
{
	return reached(n) + n->offline + n->excused;
}

static bool is_hard(const struct gate_case *c)
{
	uint32_t max = gate_wave(&c->counts) <= GATE_SMALL_WAVE ? 1 : GATE_HARD_MAX;

	return c->rollout_hard >= max;
}

/* The chance that at least bad of all devices fail under a release that fails at p0: the
 * upper tail of the binomial distribution, summed from its largest term on. */
static double chance_of(double p0, double bad, double all)
{
	double ways = lgamma(all + 1) - lgamma(bad + 1) - lgamma(all - bad + 1);
	double term = exp(ways + bad * log(p0) + (all - bad) * log1p(-p0)), sum = 0;

	if (bad <= all * p0)
		return 1;
	for (; bad <= all && term > sum * TAIL_END; bad++) {
		sum += term;
		term *= (all - bad) / (bad + 1) * p0 / (1 - p0);
	}
	return sum;
}

/* The share cannot be reached even if everybody else succeeds. One failure in a stage of
 * five is below any share, and yet nothing that a good release does not do now and then:
 * so either half of the stage has failed, or more of it than chance allows. */
static bool is_lost(const struct gate_case *c)
{
	uint64_t all = reached(&c->counts) + c->counts.offline;
	uint64_t bad = failed(&c->counts);

	if (bad == 0 ||
		(all - bad) * OTA_PERMILLE_ALL >= c->gates->success_permille * all)
		return false;
	return 2 * bad >= all ||
	       chance_of((double)c->gates->p0_ppm / PPM, (double)bad, (double)all) <=
		       (double)c->gates->alpha_ppm / PPM;
}

/* Whoever tried it was set aside: that nobody is left in the stage is no success. */
static bool is_deserted(const struct gate_case *c)
{
	return gate_wave(&c->counts) == 0 && c->rollout_aside > 0 &&
	       c->rollout_confirmed == 0;
}

static struct gate_verdict halt_as_worse(const struct gate_case *c)
{
	const struct worse_test *w = &c->worse;
	struct gate_verdict v = { .move = GATE_HALT, .code = OTA_E_WORSE };

	(void)snprintf(v.text, sizeof v.text,
		"stage %s: of %llu incidents %llu were on updated devices and %.1f to be "
		"expected there, more than chance allows (test at %.1f, bound %.1f)",
		c->stage, (unsigned long long)(w->updated + w->others),
		(unsigned long long)w->updated,
		(double)w->expected_milli / OTA_PERMILLE_ALL,
		(double)w->llr_micro / MICRO_PER_NAT,
		(double)gate_llr_halt(c->gates) / MICRO_PER_NAT);
	return v;
}

bool gate_must_halt(const struct gate_case *c, struct gate_verdict *v)
{
	uint32_t wave = gate_wave(&c->counts);
	unsigned long long want = (unsigned long long)c->gates->success_permille;

	if (is_hard(c)) {
		*v = (struct gate_verdict){ .move = GATE_HALT, .code = OTA_E_HARD };
		(void)snprintf(v->text, sizeof v->text,
			"stage %s of %u devices: %u failed hard", c->stage, wave,
			c->rollout_hard);
		return true;
	}
	if (c->llr_micro >= gate_llr_halt(c->gates)) {
		*v = (struct gate_verdict){ .move = GATE_HALT, .code = OTA_E_FAILURES };
		(void)snprintf(v->text, sizeof v->text,
			"stage %s: %u devices failed, more than chance allows at a "
			"failure rate of %.2g %%",
			c->stage, c->rollout_soft + c->rollout_hard,
			(double)c->gates->p0_ppm / PPM * 100);
		return true;
	}
	if (is_lost(c)) {
		*v = (struct gate_verdict){ .move = GATE_HALT, .code = OTA_E_SUCCESS };
		(void)snprintf(v->text, sizeof v->text,
			"stage %s: %u of %u devices failed, so %llu.%llu %% success "
			"cannot be reached any more",
			c->stage, failed(&c->counts), wave, want / 10, want % 10);
		return true;
	}
	if (is_deserted(c)) {
		*v = (struct gate_verdict){ .move = GATE_HALT, .code = OTA_E_QUARANTINE };
		(void)snprintf(v->text, sizeof v->text,
			"stage %s: %u devices were set aside at the update, none is "
			"left and none has confirmed",
			c->stage, c->rollout_aside);
		return true;
	}
	if (worse_is_met(&c->worse, c->gates)) {
		*v = halt_as_worse(c);
		return true;
	}
	return false;
}

static uint32_t wanted_terminal(const struct gate_case *c)
{
	uint64_t all = reached(&c->counts);
	uint64_t share = (all * c->gates->terminal_permille + OTA_PERMILLE_ALL - 1) /
			 OTA_PERMILLE_ALL;

	if (all < GATE_ALL_BELOW)
		return (uint32_t)all;
	return (uint32_t)(share > GATE_ALL_BELOW ? share : GATE_ALL_BELOW);
}

static struct gate_verdict wait_for(const char *text)
{
	struct gate_verdict v = { .move = GATE_WAIT, .code = OTA_E_GATE };

	(void)snprintf(v.text, sizeof v.text, "%s", text);
	return v;
}

static struct gate_verdict judge_finished(const struct gate_case *c)
{
	const struct gate_counts *n = &c->counts;
	uint32_t terminal = n->confirmed + failed(n) + n->reverted;
	uint32_t want = wanted_terminal(c);
	struct gate_verdict v = wait_for("");

	if (terminal >= want) {
		v.move = GATE_PASS;
		v.code = OTA_OK;
		(void)snprintf(v.text, sizeof v.text, "%u of %u devices confirmed",
			n->confirmed, gate_wave(n));
		return v;
	}
	(void)snprintf(v.text, sizeof v.text,
		"%u of %u devices within reach have finished, %u must; %u under way, "
		"%u have not begun, %u out of reach",
		terminal, reached(n), want, n->working, n->pending, n->offline);
	return v;
}

struct gate_verdict gate_judge(const struct gate_case *c)
{
	struct gate_verdict v;

	if (gate_must_halt(c, &v))
		return v;
	if (c->counts.alarms > 0) {
		v = wait_for("");
		(void)snprintf(v.text, sizeof v.text,
			"%u devices were given forged or replayed documents; "
			"look at them, then resume",
			c->counts.alarms);
		return v;
	}
	if (gate_wave(&c->counts) == 0) {
		v = wait_for("no device is in this stage");
		v.move = GATE_PASS;
		v.code = OTA_OK;
		return v;
	}
	if (reached(&c->counts) == 0)
		return wait_for("no device of the stage is within reach");
	return judge_finished(c);
}

uint32_t gate_detects_permille(uint32_t devices)
{
	if (devices == 0)
		return OTA_PERMILLE_ALL;
	return (uint32_t)lround((1 - pow(0.05, 1.0 / devices)) * OTA_PERMILLE_ALL);
}

/* ---- failure classes */

/* clang-format off */
static const struct {
	enum ota_code code;
	enum failure_class class;
} classes[] = {
	/* The device is in trouble, or somebody attacks it. */
	{ OTA_E_SILENT,    FAILURE_HARD },
	{ OTA_E_ROLLBACK,  FAILURE_HARD },
	{ OTA_E_DECODER,   FAILURE_HARD },
	{ OTA_E_STATELOST, FAILURE_HARD },
	{ OTA_E_RESCUE,    FAILURE_HARD },
	{ OTA_E_SIGNATURE, FAILURE_HARD },
	{ OTA_E_THRESHOLD, FAILURE_HARD },
	{ OTA_E_DUPKEY,    FAILURE_HARD },
	{ OTA_E_SEQUENCE,  FAILURE_HARD },
	{ OTA_E_ROOTCHAIN, FAILURE_HARD },
	{ OTA_E_FLEET,     FAILURE_HARD },
	{ OTA_E_DOCTYPE,   FAILURE_HARD },
	{ OTA_E_AGREEMENT, FAILURE_HARD },
	{ OTA_E_POISON,    FAILURE_HARD },
	/* It was not attempted, for reasons that are not the release's. */
	{ OTA_E_NOSPACE,   FAILURE_EXCUSED },
	{ OTA_E_NORAM,     FAILURE_EXCUSED },
	{ OTA_E_WINDOW,    FAILURE_EXCUSED },
	{ OTA_E_OFFLINE,   FAILURE_EXCUSED },
	{ OTA_E_BUCKET,    FAILURE_EXCUSED },
	{ OTA_E_PAUSED,    FAILURE_EXCUSED },
	{ OTA_E_ABORTED,   FAILURE_EXCUSED },
	{ OTA_E_CANCELLED, FAILURE_EXCUSED },
	{ OTA_E_EXPIRED,   FAILURE_EXCUSED },
	{ OTA_E_UNLISTED,  FAILURE_EXCUSED },
	{ OTA_E_HARDWARE,  FAILURE_EXCUSED },
	{ OTA_E_PRODUCT,   FAILURE_EXCUSED },
	{ OTA_E_FLOOR,     FAILURE_EXCUSED },
	{ OTA_E_NOGRANT,   FAILURE_EXCUSED },
	{ OTA_E_BUSY,      FAILURE_EXCUSED },
	{ OTA_E_POWER,     FAILURE_EXCUSED },
	{ OTA_E_METERED,   FAILURE_EXCUSED },
	{ OTA_E_BUDGET,    FAILURE_EXCUSED },
	{ OTA_E_LOCKED,    FAILURE_EXCUSED },
	{ OTA_E_SLOWLINK,  FAILURE_EXCUSED },
};

static const enum ota_code alarms[] = {
	OTA_E_SIGNATURE, OTA_E_THRESHOLD, OTA_E_DUPKEY, OTA_E_SEQUENCE, OTA_E_ROOTCHAIN,
	OTA_E_FLEET, OTA_E_DOCTYPE, OTA_E_DEVICE, OTA_E_COHORT, OTA_E_AGREEMENT,
	OTA_E_SHARE, OTA_E_POISON, OTA_E_FORMAT, OTA_E_LIMIT, OTA_E_NAME,
};

static const enum ota_code inabilities[] = {
	OTA_E_NOSPACE, OTA_E_NORAM, OTA_E_HARDWARE, OTA_E_PRODUCT, OTA_E_FLOOR,
	OTA_E_BUDGET,
};
/* clang-format on */

static bool is_among(enum ota_code code, const enum ota_code *codes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (codes[i] == code)
			return true;
	return false;
}

#define CLASS_TEXT(name, text) text,
static const char *const class_texts[] = { FAILURE_CLASSES(CLASS_TEXT) };
#undef CLASS_TEXT

enum failure_class failure_class_of(enum ota_code code)
{
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
		if (classes[i].code == code)
			return classes[i].class;
	return FAILURE_SOFT;
}

const char *failure_class_text(enum failure_class class)
{
	return class_texts[class];
}

bool failure_is_inability(enum ota_code code)
{
	return is_among(code, inabilities, sizeof inabilities / sizeof inabilities[0]);
}

/* By their number: documents and content, the decision to install. */
bool failure_is_refusal(enum ota_code code)
{
	return (code >= OTA_E_FORMAT && code <= OTA_E_PRODUCT) ||
	       failure_is_inability(code);
}

bool failure_is_alarm(enum ota_code code)
{
	return is_among(code, alarms, sizeof alarms / sizeof alarms[0]);
}
