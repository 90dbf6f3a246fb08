#include "proto/wire/admit.h"

#include <string.h>

uint32_t ota_bucket(const uint8_t salt[static OTA_SALT_LEN], const char *device)
{
	struct ota_hasher hasher;
	struct ota_digest digest;
	struct ota_reader r;

	ota_hasher_init(&hasher);
	ota_hasher_add(&hasher, (struct ota_bytes){ salt, OTA_SALT_LEN });
	ota_hasher_add(&hasher, ota_bytes_of(device));
	digest = ota_hasher_result(&hasher);
	r = ota_reader_of((struct ota_bytes){ digest.at, 8 });
	return (uint32_t)(ota_read_le64(&r) % OTA_PERMILLE_ALL);
}

bool ota_window_is_open(const struct ota_window *window, uint32_t minute)
{
	if (window->from_min < window->to_min)
		return minute >= window->from_min && minute < window->to_min;
	/* over midnight; with equal ends always */
	return minute >= window->from_min || minute < window->to_min;
}

static bool is_listed(const char names[][OTA_NAME_CAP], uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

bool ota_is_canary(
	const char canaries[][OTA_NAME_CAP], uint32_t count, const char *device)
{
	return is_listed(canaries, count, device);
}

static bool has_digest(
	const struct ota_digest *list, uint32_t count, const struct ota_digest *digest)
{
	for (uint32_t i = 0; i < count; i++)
		if (ota_digest_equal(&list[i], digest))
			return true;
	return false;
}

/* What every check looks at. */
struct question {
	const struct ota_self *self; /* borrowed */
	const struct ota_case *c;    /* borrowed */
};

static OTA_CHECKED enum ota_code check_expiry(const struct question *q, const char *what,
	uint64_t expires_utc_s, struct ota_error *err)
{
	if (expires_utc_s <= q->c->trusted_utc_s)
		return ota_fail(err, OTA_E_EXPIRED, "%s expired at %llu", what,
			(unsigned long long)expires_utc_s);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_root(
	const struct question *q, struct ota_error *err)
{
	if (q->c->root == NULL)
		return ota_fail(err, OTA_E_ROOTCHAIN, "no root is held");
	if (q->c->fresh != NULL && q->c->fresh->root > q->c->root->version)
		return ota_fail(err, OTA_E_ROOTCHAIN, "root %llu is held, %llu in force",
			(unsigned long long)q->c->root->version,
			(unsigned long long)q->c->fresh->root);
	return check_expiry(q, "root", q->c->root->expires_utc_s, err);
}

static bool lists_order(const struct ota_fresh *fresh, const struct ota_order *order,
	const struct ota_digest *digest)
{
	for (uint32_t i = 0; i < fresh->order_count; i++) {
		const struct ota_fresh_order *row = &fresh->orders[i];

		if (strcmp(row->cohort, order->cohort) == 0)
			return row->seq == order->seq &&
			       ota_digest_equal(&row->order, digest);
	}
	return false;
}

static OTA_CHECKED enum ota_code check_fresh(
	const struct question *q, struct ota_error *err)
{
	enum ota_code rc = q->c->fresh == NULL ? OTA_OK
					       : check_expiry(q, "fresh",
							 q->c->fresh->expires_utc_s, err);

	if (rc != OTA_OK)
		return rc;
	if (q->c->order == NULL)
		return ota_fail(err, OTA_E_NOROLLOUT, "no order is there");
	if (q->c->fresh == NULL)
		return ota_fail(err, OTA_E_SEQUENCE, "no fresh is there");
	if (!lists_order(q->c->fresh, q->c->order, &q->c->order_digest))
		return ota_fail(err, OTA_E_SEQUENCE,
			"order %llu is not the one that fresh lists",
			(unsigned long long)q->c->order->seq);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_catalog(
	const struct question *q, struct ota_error *err)
{
	const struct ota_catalog *catalog = q->c->catalog;
	enum ota_code rc;

	if (catalog == NULL)
		return ota_fail(err, OTA_E_UNLISTED, "no catalog is there");
	if (!ota_digest_equal(&q->c->catalog_digest, &q->c->fresh->catalog))
		return ota_fail(err, OTA_E_UNLISTED, "fresh names another catalog");
	rc = check_expiry(q, "catalog", catalog->expires_utc_s, err);
	if (rc != OTA_OK)
		return rc;
	if (has_digest(catalog->revoked, catalog->revoked_count, &q->c->release_digest))
		return ota_fail(err, OTA_E_UNLISTED, "release is revoked");
	if (!has_digest(catalog->releases, catalog->release_count, &q->c->release_digest))
		return ota_fail(err, OTA_E_UNLISTED, "release is not in the catalog");
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_minimum(
	const struct question *q, struct ota_error *err)
{
	const struct ota_catalog *catalog = q->c->catalog;

	if (q->c->release == NULL)
		return ota_fail(err, OTA_E_NOTFOUND, "the release is not there yet");
	for (uint32_t i = 0; i < catalog->minimum_count; i++) {
		const struct ota_product_floor *row = &catalog->minimum[i];

		if (strcmp(row->product, q->c->release->product) == 0 &&
			q->c->release->counter < row->counter)
			return ota_fail(err, OTA_E_UNLISTED,
				"counter %llu is below the catalog's minimum %llu",
				(unsigned long long)q->c->release->counter,
				(unsigned long long)row->counter);
	}
	return OTA_OK;
}

static bool is_same_hardware(
	const struct ota_release *release, const struct ota_order *order)
{
	for (uint32_t i = 0; i < order->hardware_count; i++)
		if (!is_listed(release->hardware, release->hardware_count,
			    order->hardware[i]))
			return false;
	for (uint32_t i = 0; i < release->hardware_count; i++)
		if (!is_listed(
			    order->hardware, order->hardware_count, release->hardware[i]))
			return false;
	return true;
}

static OTA_CHECKED enum ota_code check_agreement(
	const struct question *q, struct ota_error *err)
{
	const struct ota_release *release = q->c->release;
	const struct ota_order *order = q->c->order;
	const char *differs = NULL;

	if (!ota_digest_equal(&order->release, &q->c->release_digest))
		differs = "release";
	else if (!ota_digest_equal(&order->image, &release->image))
		differs = "image";
	else if (order->image_len != release->image_len)
		differs = "image_len";
	else if (!is_same_hardware(release, order))
		differs = "hardware";
	else if (order->counter != release->counter)
		differs = "counter";
	if (differs != NULL)
		return ota_fail(
			err, OTA_E_AGREEMENT, "order and release differ in %s", differs);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_target(
	const struct question *q, struct ota_error *err)
{
	const struct ota_release *release = q->c->release;

	if (strcmp(release->product, q->self->product) != 0)
		return ota_fail(err, OTA_E_PRODUCT, "release is for %s, device is a %s",
			release->product, q->self->product);
	if (!is_listed(release->hardware, release->hardware_count, q->self->hardware))
		return ota_fail(err, OTA_E_HARDWARE,
			"release %s is not for hardware '%s'", release->version,
			q->self->hardware);
	if (release->counter < q->self->floor)
		return ota_fail(err, OTA_E_FLOOR, "counter %llu is below the floor %llu",
			(unsigned long long)release->counter,
			(unsigned long long)q->self->floor);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_running(
	const struct question *q, struct ota_error *err)
{
	const struct ota_release *release = q->c->release;

	if (ota_digest_equal(&q->self->running, &release->image))
		return ota_fail(err, OTA_E_CURRENT, "device runs %s", release->version);
	if (release->needs_count > 0 &&
		!is_listed(release->needs, release->needs_count, q->self->version))
		return ota_fail(err, OTA_E_PRECURSOR,
			"release needs another version first, device runs '%s'",
			q->self->version);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_state(
	const struct question *q, struct ota_error *err)
{
	switch (q->c->order->state) {
	case OTA_ORDER_GO:
		return OTA_OK;
	case OTA_ORDER_PAUSE:
		return ota_fail(err, OTA_E_PAUSED, "the order says pause");
	case OTA_ORDER_ABORT:
	case OTA_ORDER_REVERT:
	case OTA_N_ORDER_STATES:
		break;
	}
	return ota_fail(err, OTA_E_ABORTED, "the order says %s",
		ota_order_state_text(q->c->order->state));
}

static OTA_CHECKED enum ota_code check_grant(
	const struct question *q, struct ota_error *err)
{
	const struct ota_grant *grant = q->c->grant;
	enum ota_code rc;

	if (grant == NULL || !ota_digest_equal(&grant->release, &q->c->release_digest))
		return ota_fail(err, OTA_E_NOGRANT, "no grant for release %s",
			q->c->release->version);
	rc = check_expiry(q, "grant", grant->expires_utc_s, err);
	if (rc != OTA_OK)
		return rc;
	if (grant->not_before_utc_s > q->c->trusted_utc_s)
		return ota_fail(err, OTA_E_NOGRANT, "grant begins at %llu",
			(unsigned long long)grant->not_before_utc_s);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_share(
	const struct question *q, struct ota_error *err)
{
	const struct ota_order *order = q->c->order;
	const struct ota_grant *grant = q->c->grant;

	if (order->permille > grant->max_permille)
		return ota_fail(err, OTA_E_SHARE,
			"order opens %llu permille, the grant %llu",
			(unsigned long long)order->permille,
			(unsigned long long)grant->max_permille);
	for (uint32_t i = 0; i < order->canary_count; i++)
		if (!is_listed(grant->canaries, grant->canary_count, order->canaries[i]))
			return ota_fail(err, OTA_E_SHARE,
				"canary '%s' is not in the grant", order->canaries[i]);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_bucket(
	const struct question *q, struct ota_error *err)
{
	const struct ota_order *order = q->c->order;
	uint32_t bucket = ota_bucket(q->c->grant->salt, q->self->device);

	if (bucket < order->permille ||
		is_listed(order->canaries, order->canary_count, q->self->device))
		return OTA_OK;
	return ota_fail(err, OTA_E_BUCKET, "bucket %u, released are those below %llu",
		bucket, (unsigned long long)order->permille);
}

/* The patch from the image, or NULL. */
static const struct ota_patch_ref *patch_from(
	const struct ota_order *order, const struct ota_digest *image)
{
	for (uint32_t i = 0; i < order->patch_count; i++)
		if (ota_digest_equal(&order->patches[i].from, image))
			return &order->patches[i];
	return NULL;
}

/* The delta from the running image, else the full image, else NULL. */
static const struct ota_patch_ref *patch_for(
	const struct ota_self *self, const struct ota_order *order)
{
	static const struct ota_digest none = { { 0 } };
	const struct ota_patch_ref *delta = patch_from(order, &self->running);

	return delta != NULL ? delta : patch_from(order, &none);
}

static OTA_CHECKED enum ota_code check_patch(
	const struct question *q, struct ota_error *err)
{
	if (patch_for(q->self, q->c->order) == NULL)
		return ota_fail(err, OTA_E_PRECURSOR,
			"none of %u patches applies to the running image",
			q->c->order->patch_count);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_window(
	const struct question *q, struct ota_error *err)
{
	const struct ota_window *w = &q->c->order->window;

	if (ota_window_is_open(w, q->self->local_min))
		return OTA_OK;
	return ota_fail(err, OTA_E_WINDOW, "window opens at %02u:%02u local time",
		w->from_min / 60, w->from_min % 60);
}

/* In the order that the header promises. */
static enum ota_code (*const checks[])(
	const struct question *, struct ota_error *) = { check_root, check_fresh,
	check_catalog, check_minimum, check_agreement, check_target, check_running,
	check_state, check_grant, check_share, check_bucket, check_patch, check_window };

enum ota_code ota_admit(const struct ota_self *self, const struct ota_case *c,
	struct ota_patch_ref *patch, struct ota_error *err)
{
	const struct question question = { self, c };
	enum ota_code rc = OTA_OK;

	for (size_t i = 0; i < sizeof checks / sizeof checks[0] && rc == OTA_OK; i++)
		rc = checks[i](&question, err);
	if (rc == OTA_OK && patch != NULL)
		*patch = *patch_for(self, c->order);
	return rc;
}
