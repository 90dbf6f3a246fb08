#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/pace.h"

/* A fleet is written as text, a letter for each device in the order of their buckets:
 *   .  waits       ,  waits, in the bucket of the one before it
 *   o  is open and has not begun     w  works     r  reboots     f  failed     d  done
 *   a  waits, away          g  waits, away for long          h  waits, held by its owner
 * After a blank: its site (a digit) and group (a letter), or '-'. */

enum { MAX = 64 };

static const char *const places[] = { "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7" };

static enum pace_class class_of(char letter)
{
	switch (letter) {
	case 'w':
		return PACE_WORKING;
	case 'r':
		return PACE_REBOOTING;
	case 'f':
		return PACE_FAILED;
	case 'd':
		return PACE_DONE;
	default:
		return PACE_WAITING;
	}
}

static size_t read_fleet(const char *text, const char *sites, const char *groups,
	struct pace_device out[static MAX])
{
	size_t count = strlen(text);
	uint32_t bucket = 0;

	for (size_t i = 0; i < count; i++) {
		bucket += i > 0 && text[i] != ',';
		out[i] = (struct pace_device){ .class = class_of(text[i]),
			.bucket = bucket,
			.site = PACE_NOWHERE,
			.group = PACE_NOWHERE,
			.mine = true,
			.open = text[i] == 'o',
			.away = text[i] == 'a' || text[i] == 'g',
			.gone = text[i] == 'g',
			.held = text[i] == 'h' };
		if (sites != NULL && sites[i] != '-')
			out[i].site = (uint32_t)(sites[i] - '0');
		if (groups != NULL && groups[i] != '-')
			out[i].group = (uint32_t)(groups[i] - 'a');
	}
	return count;
}

static const struct row {
	const char *fleet, *sites, *groups;
	struct pace_limits limits;
	uint32_t permille; /* of as many as there are devices */
	enum ota_code code;
	const char *text;
} rows[] = {
	/* in flight */
	{ ".....", NULL, NULL, { 5, 0, 50, 200 }, 5, OTA_OK, "" },
	{ ".....", NULL, NULL, { 3, 0, 50, 200 }, 3, OTA_E_PACE,
		"3 devices are under way, 1 would begin next, the limit of the rollout "
		"is 3 "
		"(in_flight)" },
	{ "wr...", NULL, NULL, { 3, 0, 50, 200 }, 3, OTA_E_PACE,
		"3 devices are under way, 1 would begin next, the limit of the rollout "
		"is 3 "
		"(in_flight)" },
	{ "df...", NULL, NULL, { 3, 0, 50, 200 }, 5, OTA_OK, "" },
	{ "oo.", NULL, NULL, { 2, 0, 50, 200 }, 2, OTA_E_PACE,
		"2 devices are under way, 1 would begin next, the limit of the rollout "
		"is 2 "
		"(in_flight)" },
	{ "aaaaaa.", NULL, NULL, { 1, 0, 50, 200 }, 7, OTA_OK, "" },
	{ ".,,.", NULL, NULL, { 2, 0, 50, 200 }, 1, OTA_E_PACE,
		"3 devices are under way, 1 would begin next, the limit of the rollout "
		"is 2 "
		"(in_flight)" },
	/* starts, reboots */
	{ ".....", NULL, NULL, { 9, 0, 2, 200 }, 2, OTA_E_PACE,
		"2 devices begin within a minute, 1 would begin next, the limit of the "
		"rollout is 2 (starts_per_minute)" },
	{ "rrw.", NULL, NULL, { 9, 2, 50, 200 }, 3, OTA_E_PACE,
		"2 devices reboot or prove themselves, the limit of the rollout is 2 "
		"(rebooting)" },
	{ "rww.", NULL, NULL, { 9, 2, 50, 200 }, 4, OTA_OK, "" },
	/* sites: a fifth, but one */
	{ "....", "0000", NULL, { 9, 0, 50, 200 }, 1, OTA_E_SITE,
		"site p0: 1 of 4 devices are under way, 1 would begin next, the limit of "
		"the "
		"rollout is 1 (per_site)" },
	{ "....", "0123", NULL, { 9, 0, 50, 200 }, 4, OTA_OK, "" },
	{ "..........", "0000000000", NULL, { 9, 0, 50, 250 }, 2, OTA_E_SITE,
		"site p0: 2 of 10 devices are under way, 1 would begin next, the limit "
		"of "
		"the rollout is 2 (per_site)" },
	{ ".,..", "0000", NULL, { 9, 0, 50, 200 }, 1, OTA_E_SITE,
		"site p0: 2 of 4 devices are under way, 1 would begin next, the limit of "
		"the "
		"rollout is 1 (per_site)" },
	/* groups */
	{ "..", NULL, "aa", { 9, 0, 50, 200 }, 1, OTA_E_GROUP,
		"group p0: 1 of 2 devices are in service, 1 would begin next and leave "
		"none" },
	{ "...", NULL, "abc", { 9, 0, 50, 200 }, 3, OTA_OK, "" },
	{ "d.", NULL, "aa", { 9, 0, 50, 200 }, 2, OTA_OK, "" },
	{ "f.", NULL, "aa", { 9, 0, 50, 200 }, 1, OTA_E_GROUP,
		"group p0: 1 of 2 devices are in service, 1 would begin next and leave "
		"none" },
	{ "a.", NULL, "aa", { 9, 0, 50, 200 }, 1, OTA_E_GROUP,
		"group p0: 1 of 2 devices are in service, 1 would begin next and leave "
		"none" },
	{ "a,", NULL, "aa", { 9, 0, 50, 200 }, 0, OTA_E_GROUP,
		"all 2 devices of group p0 share a bucket and would begin together; a "
		"stage "
		"that names one of them takes them apart" },
	{ "g.", NULL, "aa", { 9, 0, 50, 200 }, 2, OTA_OK, "" },
	{ ".,", NULL, "aa", { 9, 0, 50, 200 }, 0, OTA_E_GROUP,
		"all 2 devices of group p0 share a bucket and would begin together; a "
		"stage "
		"that names one of them takes them apart" },
	{ ".,.", NULL, "aaa", { 9, 0, 50, 200 }, 1, OTA_E_GROUP,
		"group p0: 1 of 3 devices are in service, 1 would begin next and leave "
		"none" },
};

Test(pace, each_limit_holds_where_it_should)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *row = &rows[i];
		struct pace_device fleet[MAX];
		size_t count = read_fleet(row->fleet, row->sites, row->groups, fleet);
		const struct pace_case c = { row->limits, 0, (uint32_t)count, fleet,
			count, places, 8, places, 8 };
		struct pace_verdict v = pace_judge(&c);

		cr_expect_eq(v.permille, row->permille, "row %zu '%s': %u, %s", i,
			row->fleet, v.permille, v.text);
		cr_expect_eq(v.code, row->code, "row %zu '%s'", i, row->fleet);
		cr_expect_str_eq(v.text, row->text, "row %zu: %s", i, v.text);
	}
}

Test(pace, what_its_owner_holds_back_counts_for_its_group_only)
{
	struct pace_device fleet[MAX];
	size_t count = read_fleet("hhh.", NULL, "--bb", fleet);
	struct pace_case c = { { 1, 0, 1, 200 }, 3, 4, fleet, count, places, 8, places,
		8 };

	for (size_t i = 0; i < 3; i++)
		fleet[i].open = true;
	cr_expect_eq(pace_judge(&c).code, OTA_E_GROUP);
	fleet[2].group = PACE_NOWHERE;
	cr_expect_eq(pace_judge(&c).permille, 4);
}

Test(pace, devices_of_others_count_for_their_places_only)
{
	struct pace_device fleet[MAX];
	size_t count = read_fleet("ww.", "001", "-aa", fleet);
	const struct pace_case c = { { 1, 0, 1, 200 }, 0, 3, fleet, count, places, 8,
		places, 8 };

	fleet[0].mine = fleet[1].mine = false;
	cr_expect_eq(pace_judge(&c).code, OTA_E_GROUP, "its mate is at work elsewhere");
	fleet[2].group = PACE_NOWHERE;
	cr_expect_eq(pace_judge(&c).permille, 3);
	fleet[2].site = 0;
	cr_expect_eq(pace_judge(&c).code, OTA_E_SITE);
}

Test(pace, those_that_began_within_the_minute_count_as_starts)
{
	struct pace_device fleet[MAX];
	size_t count = read_fleet("dd...", NULL, NULL, fleet);
	const struct pace_case c = { { 9, 0, 3, 200 }, 0, 5, fleet, count, places, 8,
		places, 8 };

	fleet[0].recent = fleet[1].recent = true;
	cr_expect_eq(pace_judge(&c).permille, 3);
}

/* ---- laws, on random fleets with random events */

struct law {
	struct pace_device fleet[MAX], before[MAX];
	struct pace_case c;
	uint32_t was_opened;
	uint64_t seed;
};

static uint32_t draw(struct law *law, uint32_t below)
{
	law->seed = law->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(law->seed >> 33) % below;
}

static void make_fleet(struct law *law)
{
	law->c = (struct pace_case){
		.limits = { 1 + draw(law, 8), draw(law, 4), 1 + draw(law, 10),
			100 + 100 * draw(law, 5) },
		.upto = 1 + draw(law, 40),
		.devices = law->fleet,
		.count = 1 + draw(law, MAX - 1),
		.sites = places,
		.site_count = 8,
		.groups = places,
		.group_count = 8,
	};
	for (size_t i = 0; i < law->c.count; i++)
		law->fleet[i] = (struct pace_device){
			.bucket = draw(law, 40),
			.site = draw(law, 3) == 0 ? PACE_NOWHERE : draw(law, 8),
			.group = draw(law, 3) == 0 ? PACE_NOWHERE : draw(law, 8),
			.mine = draw(law, 10) != 0,
			.away = draw(law, 8) == 0,
		};
}

static bool is_busy(const struct pace_device *d)
{
	return d->class == PACE_WORKING || d->class == PACE_REBOOTING ||
	       (d->class == PACE_WAITING && d->open && !d->away);
}

static bool is_new(const struct law *law, size_t i)
{
	return law->fleet[i].open && !law->before[i].open;
}

static void open_up(struct law *law, uint32_t permille)
{
	memcpy(law->before, law->fleet, sizeof law->fleet);
	for (size_t i = 0; i < law->c.count; i++)
		law->fleet[i].open =
			law->fleet[i].mine && law->fleet[i].bucket < permille;
	law->was_opened = law->c.opened;
	law->c.opened = permille;
}

/* True if everybody new is of one bucket. */
static bool is_one_bucket(const struct law *law)
{
	uint32_t bucket = UINT32_MAX;

	for (size_t i = 0; i < law->c.count; i++) {
		if (!is_new(law, i) || law->fleet[i].away ||
			law->fleet[i].class != PACE_WAITING)
			continue;
		if (bucket != UINT32_MAX && bucket != law->fleet[i].bucket)
			return false;
		bucket = law->fleet[i].bucket;
	}
	return true;
}

static void expect_fleet_caps(const struct law *law)
{
	uint64_t was = 0, is = 0, started = 0, starts = 0;

	for (size_t i = 0; i < law->c.count; i++) {
		const struct pace_device *d = &law->fleet[i];
		bool waits = d->mine && d->class == PACE_WAITING && !d->away;

		was += d->mine && is_busy(&law->before[i]);
		is += d->mine && is_busy(d);
		started += d->mine && (d->recent || (waits && law->before[i].open));
		starts += d->mine && (d->recent || (waits && d->open));
	}
	cr_assert(is == was || is <= law->c.limits.in_flight ||
			  (was == 0 && is_one_bucket(law)),
		"seed %llu: %llu in flight", (unsigned long long)law->seed,
		(unsigned long long)is);
	cr_assert(starts == started || starts <= law->c.limits.starts ||
			  (started == 0 && is_one_bucket(law)),
		"seed %llu: %llu starts", (unsigned long long)law->seed,
		(unsigned long long)starts);
}

static void expect_site(const struct law *law, uint32_t site)
{
	uint64_t was = 0, is = 0, devices = 0, max;

	for (size_t i = 0; i < law->c.count; i++) {
		if (law->fleet[i].site != site)
			continue;
		devices++;
		was += is_busy(&law->before[i]);
		is += is_busy(&law->fleet[i]);
	}
	max = devices * law->c.limits.per_site_permille / 1000;
	max = max == 0 ? 1 : max;
	if (is > was && is > max)
		cr_assert_eq(was, 0, "seed %llu: %llu of %llu at site %u",
			(unsigned long long)law->seed, (unsigned long long)is,
			(unsigned long long)devices, site);
}

static void expect_group(const struct law *law, uint32_t group)
{
	unsigned up = 0, devices = 0, begun = 0;

	for (size_t i = 0; i < law->c.count; i++) {
		const struct pace_device *d = &law->fleet[i];

		if (d->group != group || d->gone)
			continue;
		devices++;
		begun += is_new(law, i) && d->class == PACE_WAITING;
		up += !d->away && d->class != PACE_FAILED && !is_busy(d);
	}
	if (begun > 0 && devices > 1)
		cr_assert_gt(up, 0, "seed %llu: group %u of %u has nobody left",
			(unsigned long long)law->seed, group, devices);
}

static bool nothing_goes_on(const struct law *law)
{
	for (size_t i = 0; i < law->c.count; i++)
		if (is_busy(&law->before[i]) || law->fleet[i].recent)
			return false;
	return true;
}

static void expect_laws(const struct law *law, const struct pace_verdict *v)
{
	cr_assert_eq(v->code == OTA_OK, v->permille == law->c.upto);
	cr_assert_eq(v->code == OTA_OK, v->text[0] == '\0', "a wait has a reason");
	if (v->permille == law->was_opened && nothing_goes_on(law))
		cr_assert(v->code == OTA_OK || v->code == OTA_E_GROUP,
			"seed %llu: %s holds an idle fleet",
			(unsigned long long)law->seed, v->text);
	expect_fleet_caps(law);
	for (uint32_t place = 0; place < 8; place++) {
		expect_site(law, place);
		expect_group(law, place);
	}
}

/* Devices begin, go on, come and go; now and then a minute passes. */
static void let_happen(struct law *law)
{
	bool minute = draw(law, 4) == 0;

	for (size_t i = 0; i < law->c.count; i++) {
		struct pace_device *d = &law->fleet[i];

		d->recent = d->recent && !minute;
		if (draw(law, 12) == 0)
			d->away = !d->away;
		d->gone = d->away && (d->gone || draw(law, 4) == 0);
		if (draw(law, 2) == 0)
			continue;
		if (d->class == PACE_WAITING && d->open && !d->away) {
			d->class = PACE_WORKING;
			d->recent = true;
		} else if (d->class == PACE_WORKING) {
			d->class = PACE_REBOOTING;
		} else if (d->class == PACE_REBOOTING) {
			d->class = draw(law, 12) == 0 ? PACE_FAILED : PACE_DONE;
		} else if (d->class == PACE_FAILED && draw(law, 8) == 0) {
			d->class = PACE_DONE; /* acknowledged */
		}
	}
}

Test(pace, never_over_a_limit_and_never_idle_without_a_reason)
{
	unsigned whole = 0;

	for (unsigned fleet = 0; fleet < 2000; fleet++) {
		struct law law = { .seed = fleet };

		make_fleet(&law);
		for (unsigned step = 0; step < 120 && law.c.opened < law.c.upto; step++) {
			struct pace_verdict v = pace_judge(&law.c);

			cr_assert_geq(v.permille, law.c.opened);
			open_up(&law, v.permille);
			expect_laws(&law, &v);
			let_happen(&law);
		}
		whole += law.c.opened == law.c.upto;
	}
	cr_expect_gt(whole, 1000, "%u of 2000 fleets were opened whole", whole);
}
