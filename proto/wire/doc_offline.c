/* The documents that people sign: root, release, catalog, grant. */

#include "proto/wire/doc_table.h"

#include <string.h>

#define NUMBER_MAX OTA_JSON_NUMBER_MAX

/* clang-format off */
static const struct ota_doc_member keys_rows[] = {
	OTA_ROW_HEXES(ota_role_keys, set.keys, set.count, "keys", 1),
	OTA_ROW_NUMBER(ota_role_keys, set.threshold, "threshold", 1, OTA_KEYS_MAX),
	OTA_ROW_NUMBER(ota_role_keys, epoch, "epoch", 1, NUMBER_MAX),
};
static const struct ota_doc_table keys_table = OTA_TABLE_OF(keys_rows);

static const struct ota_doc_member operators_rows[] = {
	OTA_ROW_HEXES(ota_role_keys, set.keys, set.count, "keys", 1),
	OTA_ROW_NUMBER(ota_role_keys, set.threshold, "threshold", 1, OTA_KEYS_MAX),
	OTA_ROW_NUMBER(ota_role_keys, epoch, "epoch", 1, NUMBER_MAX),
	OTA_ROW_NUMBER_IF_ANY(ota_role_keys, wide, "wide", OTA_KEYS_MAX),
};
static const struct ota_doc_table operators_table = OTA_TABLE_OF(operators_rows);

struct roles {
	struct ota_role_keys at[OTA_N_ROLES];
};

static const struct ota_doc_member roles_rows[] = {
	OTA_ROW_OBJECT(roles, at[OTA_ROLE_ROOT], "root", &keys_table),
	OTA_ROW_OBJECT(roles, at[OTA_ROLE_RELEASE], "release", &keys_table),
	OTA_ROW_OBJECT(roles, at[OTA_ROLE_OPERATOR], "operator", &operators_table),
	OTA_ROW_OBJECT(roles, at[OTA_ROLE_ONLINE], "online", &keys_table),
};
static const struct ota_doc_table roles_table = OTA_TABLE_OF(roles_rows);

static const struct ota_doc_member root_rows[] = {
	OTA_ROW_NUMBER(ota_root, version, "version", 1, NUMBER_MAX),
	OTA_ROW_NAME(ota_root, fleet, "fleet"),
	OTA_ROW_HEX(ota_root, fleet_id, "fleet_id"),
	OTA_ROW_NUMBER(ota_root, issued_utc_s, "issued", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_root, expires_utc_s, "expires", 0, NUMBER_MAX),
	OTA_ROW_OBJECT(ota_root, roles, "roles", &roles_table),
};

static const char *const classes[] = { "feature", "security" };

static const struct ota_doc_member release_rows[] = {
	OTA_ROW_NAME(ota_release, product, "product"),
	OTA_ROW_NAME(ota_release, version, "version"),
	OTA_ROW_NUMBER(ota_release, counter, "counter", 1, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_release, floor, "floor", 0, NUMBER_MAX),
	OTA_ROW_NAMES(ota_release, hardware, hardware_count, "hardware", 1),
	OTA_ROW_HEX(ota_release, image, "image"),
	OTA_ROW_NUMBER(ota_release, image_len, "image_len", 1, NUMBER_MAX),
	OTA_ROW_CHOICE(ota_release, class, "class", classes, 2),
	OTA_ROW_TEXT(ota_release, notes, "notes"),
	OTA_ROW_NAMES(ota_release, needs, needs_count, "needs", 0),
};

static const struct ota_doc_member minimum_rows[] = {
	OTA_ROW_NAME(ota_product_floor, product, "product"),
	OTA_ROW_NUMBER(ota_product_floor, counter, "counter", 0, NUMBER_MAX),
};
static const struct ota_doc_table minimum_table = OTA_TABLE_OF(minimum_rows);

static const struct ota_doc_member catalog_rows[] = {
	OTA_ROW_NUMBER(ota_catalog, seq, "seq", 1, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_catalog, issued_utc_s, "issued", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_catalog, expires_utc_s, "expires", 0, NUMBER_MAX),
	OTA_ROW_HEXES(ota_catalog, releases, release_count, "releases", 0),
	OTA_ROW_HEXES(ota_catalog, revoked, revoked_count, "revoked", 0),
	OTA_ROW_OBJECTS(ota_catalog, minimum, minimum_count, "minimum", &minimum_table),
};

static const struct ota_doc_member grant_rows[] = {
	OTA_ROW_NUMBER(ota_grant, seq, "seq", 1, NUMBER_MAX),
	OTA_ROW_HEX(ota_grant, release, "release"),
	OTA_ROW_NUMBER(ota_grant, max_permille, "max_permille", 0, OTA_PERMILLE_ALL),
	OTA_ROW_NAMES(ota_grant, canaries, canary_count, "canaries", 0),
	OTA_ROW_HEX(ota_grant, salt, "salt"),
	OTA_ROW_NUMBER(ota_grant, not_before_utc_s, "not_before", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_grant, issued_utc_s, "issued", 0, NUMBER_MAX),
	OTA_ROW_NUMBER(ota_grant, expires_utc_s, "expires", 0, NUMBER_MAX),
};
/* clang-format on */

/* Different keys in a set; the same one twice counts once. */
static uint32_t distinct_keys(const struct ota_keyset *set)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < set->count; i++) {
		uint32_t j = 0;

		while (j < i && !ota_public_key_equal(&set->keys[i], &set->keys[j]))
			j++;
		if (j == i)
			count++;
	}
	return count;
}

static enum ota_code root_check(const void *doc, struct ota_error *err)
{
	const struct ota_root *root = doc;

	for (unsigned i = 0; i < OTA_N_ROLES; i++) {
		const struct ota_keyset *set = &root->roles[i].set;
		uint32_t distinct = distinct_keys(set);

		uint32_t wide = root->roles[i].wide;

		if (set->threshold > distinct)
			return ota_fail(err, OTA_E_LIMIT,
				"roles: %s: threshold %u of %u distinct keys",
				ota_role_text(i), set->threshold, distinct);
		if (wide != 0 && (wide < set->threshold || wide > distinct))
			return ota_fail(err, OTA_E_LIMIT,
				"roles: %s: wide %u is not in threshold %u .. %u keys",
				ota_role_text(i), wide, set->threshold, distinct);
	}
	return ota_doc_check_times(root->issued_utc_s, root->expires_utc_s, err);
}

static enum ota_code release_check(const void *doc, struct ota_error *err)
{
	const struct ota_release *release = doc;

	if (ota_digest_is_zero(&release->image))
		return ota_fail(err, OTA_E_FORMAT, "image is zero");
	if (release->floor > release->counter)
		return ota_fail(err, OTA_E_LIMIT, "floor %llu is above counter %llu",
			(unsigned long long)release->floor,
			(unsigned long long)release->counter);
	return OTA_OK;
}

static enum ota_code catalog_check(const void *doc, struct ota_error *err)
{
	const struct ota_catalog *catalog = doc;

	for (uint32_t i = 0; i < catalog->minimum_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(catalog->minimum[i].product,
				    catalog->minimum[j].product) == 0)
				return ota_fail(err, OTA_E_FORMAT,
					"minimum: product '%s' twice",
					catalog->minimum[i].product);
	return ota_doc_check_times(catalog->issued_utc_s, catalog->expires_utc_s, err);
}

static enum ota_code grant_check(const void *doc, struct ota_error *err)
{
	const struct ota_grant *grant = doc;

	if (ota_digest_is_zero(&grant->release))
		return ota_fail(err, OTA_E_FORMAT, "release is zero");
	return ota_doc_check_times(grant->issued_utc_s, grant->expires_utc_s, err);
}

const struct ota_doc_spec ota_doc_root = { OTA_DOC_ROOT, sizeof(struct ota_root),
	OTA_TABLE_OF(root_rows), root_check };
const struct ota_doc_spec ota_doc_release = { OTA_DOC_RELEASE, sizeof(struct ota_release),
	OTA_TABLE_OF(release_rows), release_check };
const struct ota_doc_spec ota_doc_catalog = { OTA_DOC_CATALOG, sizeof(struct ota_catalog),
	OTA_TABLE_OF(catalog_rows), catalog_check };
const struct ota_doc_spec ota_doc_grant = { OTA_DOC_GRANT, sizeof(struct ota_grant),
	OTA_TABLE_OF(grant_rows), grant_check };

enum ota_code ota_root_parse(
	struct ota_bytes payload, struct ota_root *out, struct ota_error *err)
{
	return ota_doc_parse(&ota_doc_root, payload, out, err);
}

enum ota_code ota_root_encode(
	const struct ota_root *root, struct ota_buf *out, struct ota_error *err)
{
	return ota_doc_encode(&ota_doc_root, root, out, err);
}

enum ota_code ota_release_parse(
	struct ota_bytes payload, struct ota_release *out, struct ota_error *err)
{
	return ota_doc_parse(&ota_doc_release, payload, out, err);
}

enum ota_code ota_release_encode(
	const struct ota_release *release, struct ota_buf *out, struct ota_error *err)
{
	return ota_doc_encode(&ota_doc_release, release, out, err);
}

enum ota_code ota_catalog_parse(
	struct ota_bytes payload, struct ota_catalog *out, struct ota_error *err)
{
	return ota_doc_parse(&ota_doc_catalog, payload, out, err);
}

enum ota_code ota_catalog_encode(
	const struct ota_catalog *catalog, struct ota_buf *out, struct ota_error *err)
{
	return ota_doc_encode(&ota_doc_catalog, catalog, out, err);
}

enum ota_code ota_grant_parse(
	struct ota_bytes payload, struct ota_grant *out, struct ota_error *err)
{
	return ota_doc_parse(&ota_doc_grant, payload, out, err);
}

enum ota_code ota_grant_encode(
	const struct ota_grant *grant, struct ota_buf *out, struct ota_error *err)
{
	return ota_doc_encode(&ota_doc_grant, grant, out, err);
}
