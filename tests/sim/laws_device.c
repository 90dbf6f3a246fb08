/* The devices of a hostile world. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/laws_world.h"

static bool runs_new(const struct laws_world *w, const struct lw_device *d)
{
	return ota_digest_equal(&d->report.running, &w->image);
}

/* ---- devices: reports on their way */

static void post(struct laws_world *w, struct lw_device *d)
{
	uint32_t at = w->channel_count < LW_CHANNEL_MAX
			      ? w->channel_count++
			      : (uint32_t)dice_below(&w->dice, LW_CHANNEL_MAX);

	d->report.counter++;
	w->channel[at].device = (uint32_t)(d - w->devices);
	w->channel[at].report = d->report;
}

static void hear(struct laws_world *w, uint32_t device, const struct ota_report *report)
{
	struct lw_device *d = &w->devices[device];
	struct ota_digest digest = { { 1 } };
	enum ota_code rc;

	memcpy(digest.at + 1, &report->counter, sizeof report->counter);
	w->handing = (int)device;
	w->before = d->heard;
	if (report->counter > d->heard.counter) {
		d->heard.counter = report->counter;
		d->heard.state = report->state;
		d->heard.is_new = ota_digest_equal(&report->running, &w->image);
	}
	rc = core_opened_report(w->core, w->now, report, &digest, NULL);
	lw_must(rc == OTA_OK || rc == OTA_E_SEQUENCE, "a report is refused");
	lw_after(w);
}

void lw_deliver(struct laws_world *w, uint32_t at)
{
	struct ota_report report = w->channel[at].report;
	uint32_t device = w->channel[at].device;

	if (lw_happens(w, 20)) {
		w->seen.doubled++;
	} else {
		w->channel[at] = w->channel[--w->channel_count];
		if (lw_happens(w, 20)) {
			w->seen.dropped++;
			return;
		}
	}
	hear(w, device, &report);
}

void lw_presence(struct laws_world *w, struct lw_device *d, bool online)
{
	const struct ota_online presence = { .online = online,
		.nonce = "00112233445566778899aabbccddeeff" };

	w->handing = (int)(d - w->devices);
	w->before = d->heard;
	d->heard.online = online;
	lw_must(core_presence(w->core, w->now, d->id, &presence, NULL) == OTA_OK,
		"presence is refused");
	lw_after(w);
}

void lw_hear_again(struct laws_world *w, struct lw_device *d)
{
	lw_presence(w, d, !d->dead && d->fate != LW_AWAY);
	if (d->report.counter > 0)
		hear(w, (uint32_t)(d - w->devices), &d->report);
}

void lw_read_order(struct laws_world *w, struct lw_device *d)
{
	d->seq = w->ledger.seq[d->cohort];
	d->permille = w->ledger.opened[d->cohort];
	d->order = w->ledger.order[d->cohort];
	d->report.order_seq = d->seq;
	(void)snprintf(d->report.cohort, sizeof d->report.cohort, "%s",
		d->cohort == 0 ? "lab" : "fleet");
}

/* ---- devices: what they do */

static void say(struct laws_world *w, struct lw_device *d, enum ota_update_state state)
{
	d->report.state = state;
	if (state == OTA_UPDATE_CONFIRMED &&
		ota_digest_equal(&d->report.running, &w->image))
		d->told_success = true;
	post(w, d);
}

static void flip(struct lw_device *d, const struct ota_digest *image, const char *version)
{
	d->report.running = *image;
	d->report.boot++;
	(void)snprintf(d->report.version, sizeof d->report.version, "%s", version);
}

static void go_back(struct laws_world *w, struct lw_device *d)
{
	if (runs_new(w, d)) {
		flip(d, &w->old, "1.0");
		d->report.confirmed = true;
		say(w, d, OTA_UPDATE_CONFIRMED);
	} else if (d->report.state != OTA_UPDATE_IDLE &&
		   d->report.state != OTA_UPDATE_CONFIRMED &&
		   d->report.state != OTA_UPDATE_FAILED) {
		say(w, d, OTA_UPDATE_IDLE);
	}
}

static void consider(struct laws_world *w, struct lw_device *d)
{
	if (d->order != OTA_ORDER_GO || d->seq == 0 || d->bucket >= d->permille ||
		runs_new(w, d) || d->tried_seq == d->seq)
		return;
	d->report.error = 0;
	(void)snprintf(d->report.rollout, sizeof d->report.rollout, "r");
	d->report.release = w->release;
	say(w, d, OTA_UPDATE_OFFERED);
}

static void reboot(struct laws_world *w, struct lw_device *d)
{
	if (d->fate == LW_BRICK) {
		d->dead = true;
		return;
	}
	flip(d, &w->image, "2.0");
	d->report.confirmed = false;
	say(w, d, OTA_UPDATE_PROVING);
}

static void prove(struct laws_world *w, struct lw_device *d)
{
	d->report.confirmed = true;
	if (d->fate == LW_UNHEALTHY) {
		flip(d, &w->old, "1.0");
		d->report.error = OTA_E_HEALTH;
		d->tried_seq = d->seq;
	}
	say(w, d, d->fate == LW_UNHEALTHY ? OTA_UPDATE_FAILED : OTA_UPDATE_CONFIRMED);
}

static void move_on(struct laws_world *w, struct lw_device *d)
{
	switch (d->report.state) {
	case OTA_UPDATE_OFFERED:
		say(w, d, OTA_UPDATE_INSTALLING);
		break;
	case OTA_UPDATE_INSTALLING:
		say(w, d, OTA_UPDATE_REBOOTING);
		break;
	case OTA_UPDATE_REBOOTING:
		reboot(w, d);
		break;
	case OTA_UPDATE_PROVING:
		prove(w, d);
		break;
	case OTA_UPDATE_IDLE:
	case OTA_UPDATE_CONFIRMED:
	case OTA_UPDATE_FAILED:
		consider(w, d);
		break;
	case OTA_UPDATE_FETCHING:
	case OTA_UPDATE_VERIFYING:
	case OTA_UPDATE_ARMED:
	case OTA_UPDATE_ROLLING_BACK:
	case OTA_N_UPDATE_STATES:
		lw_must(false, "a state no device is in");
	}
}

void lw_act(struct laws_world *w, struct lw_device *d)
{
	bool committed = d->report.state == OTA_UPDATE_REBOOTING ||
			 d->report.state == OTA_UPDATE_PROVING;

	if (d->dead || d->fate == LW_AWAY)
		return;
	if (d->order == OTA_ORDER_REVERT)
		go_back(w, d);
	else if (d->order == OTA_ORDER_GO || committed)
		move_on(w, d);
	else if (d->order == OTA_ORDER_ABORT && d->report.state != OTA_UPDATE_IDLE &&
		 d->report.state != OTA_UPDATE_CONFIRMED &&
		 d->report.state != OTA_UPDATE_FAILED)
		say(w, d, OTA_UPDATE_IDLE);
}
