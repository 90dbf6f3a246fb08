#include "orchestrator/core/pace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/core/tree.h"
#include "proto/base/own.h"
#include "proto/wire/documents.h"

/* A site or a group. */
struct place {
	uint32_t devices; /* of a group: those it counts on */
	uint32_t busy;    /* under way */
	uint32_t up;      /* in service */
	uint32_t joining; /* of the bucket being looked at: those that would begin */
	uint32_t leaving; /* ... those that were in service */
};

struct pace {
	const struct pace_case *c;
	struct place *sites, *groups; /* owned */
	uint32_t *found;              /* owned: candidates */
	uint32_t found_count;
	uint32_t *order;                      /* owned: ... by bucket */
	uint32_t first[OTA_PERMILLE_ALL + 1]; /* of each bucket in order */
	uint64_t in_flight, rebooting, starts;
	struct pace_verdict verdict;
};

static void pace_fini(struct pace *p)
{
	free(p->sites);
	free(p->groups);
	free(p->found);
	free(p->order);
}

/* ---- classes */

enum pace_class pace_class_of_step(enum ota_update_state step)
{
	switch (step) {
	case OTA_UPDATE_REBOOTING:
	case OTA_UPDATE_PROVING:
	case OTA_UPDATE_ROLLING_BACK:
		return PACE_REBOOTING;
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_OFFERED:
	case OTA_UPDATE_FETCHING:
	case OTA_UPDATE_VERIFYING:
	case OTA_UPDATE_INSTALLING:
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
	case OTA_N_UPDATE_STATES:
		break;
	}
	return PACE_WORKING;
}

/* ---- counting */

static bool is_at_work(const struct pace_device *d)
{
	return d->class == PACE_WORKING || d->class == PACE_REBOOTING;
}

/* May begin at any moment. */
static bool is_about_to(const struct pace_device *d)
{
	return d->class == PACE_WAITING && d->open;
}

static bool is_under_way(const struct pace_device *d)
{
	return is_at_work(d) || (is_about_to(d) && !d->away && !d->held);
}

static bool is_up(const struct pace_device *d)
{
	return !d->away &&
	       (d->class == PACE_DONE || (d->class == PACE_WAITING && !d->open));
}

/* Would begin, at once or when it is back. */
static bool is_candidate(const struct pace_device *d, const struct pace_case *c)
{
	return d->mine && d->class == PACE_WAITING && !d->open &&
	       d->bucket >= c->opened && d->bucket < c->upto;
}

static void count_places(struct pace *p, const struct pace_device *d)
{
	if (d->site != PACE_NOWHERE) {
		p->sites[d->site].devices++;
		p->sites[d->site].busy += is_under_way(d);
	}
	if (d->group != PACE_NOWHERE && !d->gone) {
		p->groups[d->group].devices++;
		p->groups[d->group].up += is_up(d);
	}
}

static void count_all(struct pace *p)
{
	for (size_t i = 0; i < p->c->count; i++) {
		const struct pace_device *d = &p->c->devices[i];

		count_places(p, d);
		if (!d->mine)
			continue;
		p->in_flight += is_under_way(d);
		p->rebooting += d->class == PACE_REBOOTING;
		p->starts += d->recent || (is_about_to(d) && !d->away && !d->held);
		if (!is_candidate(d, p->c))
			continue;
		p->first[d->bucket + 1]++;
		p->found[p->found_count++] = (uint32_t)i;
	}
}

/* Candidates in the order of their buckets: a counting sort. */
static void sort(struct pace *p)
{
	uint32_t next[OTA_PERMILLE_ALL];

	for (uint32_t b = 0; b < OTA_PERMILLE_ALL; b++) {
		p->first[b + 1] += p->first[b];
		next[b] = p->first[b];
	}
	p->order = core_alloc((size_t)p->found_count + 1, sizeof *p->order);
	for (uint32_t i = 0; i < p->found_count; i++)
		p->order[next[p->c->devices[p->found[i]].bucket]++] = p->found[i];
}

/* ---- one bucket */

static bool hold(struct pace *p, enum ota_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool hold(struct pace *p, enum ota_code code, const char *fmt, ...)
{
	va_list ap;

	p->verdict.code = code;
	va_start(ap, fmt);
	(void)vsnprintf(p->verdict.text, sizeof p->verdict.text, fmt, ap);
	va_end(ap);
	return false;
}

static const struct pace_device *candidate(const struct pace *p, uint32_t i)
{
	return &p->c->devices[p->order[i]];
}

/* Enter a bucket's devices at their places. Returns how many would begin at once. */
static uint32_t enter(struct pace *p, uint32_t bucket)
{
	uint32_t beginning = 0;

	for (uint32_t i = p->first[bucket]; i < p->first[bucket + 1]; i++) {
		const struct pace_device *d = candidate(p, i);

		beginning += !d->away;
		if (d->site != PACE_NOWHERE)
			p->sites[d->site].joining += !d->away;
		if (d->group != PACE_NOWHERE && !d->gone) {
			p->groups[d->group].joining++;
			p->groups[d->group].leaving += is_up(d);
		}
	}
	return beginning;
}

static bool fits_fleet(struct pace *p, uint32_t beginning)
{
	const struct pace_limits *l = &p->c->limits;

	if (beginning == 0)
		return true;
	if (l->rebooting > 0 && p->rebooting >= l->rebooting)
		return hold(p, OTA_E_PACE,
			"%" PRIu64 " devices reboot or prove themselves, the limit of "
			"the rollout is %" PRIu64 " (rebooting)",
			p->rebooting, l->rebooting);
	if (p->in_flight > 0 && p->in_flight + beginning > l->in_flight)
		return hold(p, OTA_E_PACE,
			"%" PRIu64
			" devices are under way, %u would begin next, the limit of "
			"the rollout is %" PRIu64 " (in_flight)",
			p->in_flight, beginning, l->in_flight);
	if (p->starts > 0 && p->starts + beginning > l->starts)
		return hold(p, OTA_E_PACE,
			"%" PRIu64
			" devices begin within a minute, %u would begin next, the "
			"limit of the rollout is %" PRIu64 " (starts_per_minute)",
			p->starts, beginning, l->starts);
	return true;
}

static bool fits_site(struct pace *p, uint32_t site)
{
	const struct place *s = &p->sites[site];
	uint64_t max = s->devices * p->c->limits.per_site_permille / OTA_PERMILLE_ALL;

	if (max == 0)
		max = 1;
	if (s->joining == 0 || s->busy == 0 || s->busy + s->joining <= max)
		return true;
	return hold(p, OTA_E_SITE,
		"site %.64s: %u of %u devices are under way, %u would begin next, the "
		"limit of "
		"the rollout is %" PRIu64 " (per_site)",
		p->c->sites[site], s->busy, s->devices, s->joining, max);
}

static bool fits_group(struct pace *p, uint32_t group)
{
	const struct place *g = &p->groups[group];

	if (g->joining == 0 || g->devices == 1 || g->up > g->leaving)
		return true;
	if (g->joining == g->devices)
		return hold(p, OTA_E_GROUP,
			"all %u devices of group %.64s share a bucket and would begin "
			"together; a stage that names one of them takes them apart",
			g->devices, p->c->groups[group]);
	return hold(p, OTA_E_GROUP,
		"group %.64s: %u of %u devices are in service, %u would begin next and "
		"leave none",
		p->c->groups[group], g->up, g->devices, g->joining);
}

static bool fits(struct pace *p, uint32_t bucket, uint32_t beginning)
{
	bool fit = fits_fleet(p, beginning);

	for (uint32_t i = p->first[bucket]; fit && i < p->first[bucket + 1]; i++) {
		const struct pace_device *d = candidate(p, i);

		if (d->site != PACE_NOWHERE)
			fit = fits_site(p, d->site);
		if (fit && d->group != PACE_NOWHERE)
			fit = fits_group(p, d->group);
	}
	return fit;
}

static void begin(struct pace *p, uint32_t bucket, uint32_t beginning)
{
	for (uint32_t i = p->first[bucket]; i < p->first[bucket + 1]; i++) {
		const struct pace_device *d = candidate(p, i);

		if (d->site != PACE_NOWHERE) {
			p->sites[d->site].busy += !d->away;
			p->sites[d->site].joining = 0;
		}
		if (d->group != PACE_NOWHERE && !d->gone) {
			p->groups[d->group].up -= is_up(d);
			p->groups[d->group].joining = p->groups[d->group].leaving = 0;
		}
	}
	p->in_flight += beginning;
	p->starts += beginning;
}

uint64_t pace_in_flight(const struct pace_case *c)
{
	uint64_t count = 0;

	for (size_t i = 0; i < c->count; i++)
		count += c->devices[i].mine && is_under_way(&c->devices[i]);
	return count;
}

struct pace_verdict pace_judge(const struct pace_case *c)
{
	OTA_AUTO(pace_fini)
	struct pace p = { .c = c, .verdict = { .permille = c->opened } };

	p.sites = core_alloc((size_t)c->site_count + 1, sizeof *p.sites);
	p.groups = core_alloc((size_t)c->group_count + 1, sizeof *p.groups);
	p.found = core_alloc(c->count + 1, sizeof *p.found);
	count_all(&p);
	sort(&p);
	for (uint32_t b = c->opened; b < c->upto; b++) {
		uint32_t beginning = enter(&p, b);

		if (!fits(&p, b, beginning))
			break;
		begin(&p, b, beginning);
		p.verdict.permille = b + 1;
	}
	p.verdict.in_flight = (uint32_t)p.in_flight;
	return p.verdict;
}
