#include "orchestrator/port/api_keys.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/own.h"
#include "proto/io/files.h"

enum {
	FILE_LEN_MAX = 256 * 1024,
	LINE_CAP = 256,
	SECRET_LEN = 43, /* base64url of 256 bits */
};

struct api_key {
	char id[OTA_NAME_CAP];
	enum api_scope scope;
	struct ota_digest hash; /* of the whole key */
};

struct api_keys {
	char *path;            /* owned */
	struct api_key *items; /* owned, count entries */
	size_t count;
	struct stat seen; /* of the file as it was read */
};

#define SCOPE_TEXT(name, text) [API_##name] = (text),
static const char *const texts[] = { API_SCOPES(SCOPE_TEXT) };
#undef SCOPE_TEXT

static bool scope_of(const char *text, enum api_scope *out)
{
	for (unsigned i = 0; i < N_API_SCOPES; i++)
		if (strcmp(text, texts[i]) == 0) {
			*out = (enum api_scope)i;
			return true;
		}
	return false;
}

static enum ota_code parse_line(
	const char *line, struct api_key *out, struct ota_error *err)
{
	char id[OTA_NAME_CAP + 1], scope[16], hash[OTA_DIGEST_HEX_CAP + 1], more[2];
	enum ota_code rc;

	if (sscanf(line, "%65s %15s %65s %1s", id, scope, hash, more) != 3)
		return ota_fail(err, OTA_E_CONFIG, "must be 'id scope hash'");
	rc = ota_name_copy(id, "key", out->id, err);
	if (rc == OTA_OK && !scope_of(scope, &out->scope))
		rc = ota_fail(
			err, OTA_E_CONFIG, "scope must be read, rollout, enrol or admin");
	return rc == OTA_OK ? ota_digest_parse(hash, &out->hash, err) : rc;
}

static bool is_known(const struct api_keys *keys, const char *id)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->items[i].id, id) == 0)
			return true;
	return false;
}

static enum ota_code take_line(
	struct api_keys *keys, const char *line, size_t len, struct ota_error *err)
{
	char text[LINE_CAP];
	struct api_key key = { 0 };
	struct api_key *grown;
	enum ota_code rc;

	if (len >= sizeof(text))
		return ota_fail(err, OTA_E_CONFIG, "line is too long");
	memcpy(text, line, len);
	text[len] = '\0';
	text[strcspn(text, "#\r")] = '\0';
	if (!text[strspn(text, " \t")])
		return OTA_OK;
	rc = parse_line(text, &key, err);
	if (rc != OTA_OK)
		return rc;
	if (is_known(keys, key.id) || keys->count == API_KEYS_MAX)
		return ota_fail(err, OTA_E_CONFIG, "key '%s' is one too many", key.id);
	grown = realloc(keys->items, (keys->count + 1) * sizeof(*grown));
	if (!grown)
		return ota_fail(err, OTA_E_NOMEM, "API keys");
	keys->items = grown;
	keys->items[keys->count++] = key;
	return OTA_OK;
}

static enum ota_code take_text(
	struct api_keys *keys, const char *text, struct ota_error *err)
{
	unsigned number = 1;

	for (const char *line = text; *line; number++) {
		size_t len = strcspn(line, "\n");
		enum ota_code rc = take_line(keys, line, len, err);

		if (rc != OTA_OK)
			return ota_wrap(err, rc == OTA_E_NOMEM ? rc : OTA_E_CONFIG,
				"%s:%u", keys->path, number);
		line += len + (line[len] == '\n');
	}
	return OTA_OK;
}

static void fini(struct api_keys *keys)
{
	free(keys->path);
	free(keys->items);
	*keys = (struct api_keys){ 0 };
}

static enum ota_code load(struct api_keys *out, const char *path, struct ota_error *err)
{
	OTA_AUTO(fini) struct api_keys keys = { .path = strdup(path) };
	OTA_AUTO(ota_buf_fini) struct ota_buf buf = { 0 };
	enum ota_code rc;
	const char *text;

	if (!keys.path)
		return ota_fail(err, OTA_E_NOMEM, "API keys");
	if (stat(path, &keys.seen) != 0)
		return ota_fail(err, OTA_E_NOTFOUND, "no file of API keys at %s", path);
	rc = ota_file_read(path, FILE_LEN_MAX, &buf, err);
	if (rc != OTA_OK)
		return rc;
	text = ota_buf_text(&buf);
	rc = text ? take_text(&keys, text, err) : ota_fail(err, OTA_E_NOMEM, "API keys");
	if (rc != OTA_OK)
		return rc;
	*out = keys;
	keys = (struct api_keys){ 0 };
	return OTA_OK;
}

enum ota_code api_keys_open(
	const char *path, struct api_keys **out, struct ota_error *err)
{
	ota_autofree struct api_keys *keys = calloc(1, sizeof(*keys));
	enum ota_code rc;

	if (!keys)
		return ota_fail(err, OTA_E_NOMEM, "API keys");
	rc = load(keys, path, err);
	if (rc == OTA_OK)
		*out = ota_take(&keys);
	return rc;
}

void api_keys_free(struct api_keys *keys)
{
	if (keys)
		fini(keys);
	free(keys);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

enum ota_code api_keys_refresh(struct api_keys *keys, struct ota_error *err)
{
	struct api_keys fresh = { 0 };
	struct stat now;
	enum ota_code rc;

	if (stat(keys->path, &now) != 0)
		return ota_fail(
			err, OTA_E_NOTFOUND, "no file of API keys at %s", keys->path);
	if (is_same(&now, &keys->seen))
		return OTA_OK;
	rc = load(&fresh, keys->path, err);
	if (rc != OTA_OK) {
		keys->seen = now; /* told once, not at every request */
		return rc;
	}
	fini(keys);
	*keys = fresh;
	return OTA_OK;
}

/* The id inside a key; false if it has another form. */
static bool id_of(const char *key, char id[static OTA_NAME_CAP])
{
	static const char prefix[] = "sluice_";
	const size_t around = sizeof(prefix) - 1 + 1 + SECRET_LEN;
	size_t len = strlen(key);

	if (strncmp(key, prefix, sizeof(prefix) - 1) != 0 || len <= around ||
		len - around >= OTA_NAME_CAP || key[len - SECRET_LEN - 1] != '_')
		return false;
	memcpy(id, key + sizeof(prefix) - 1, len - around);
	id[len - around] = '\0';
	return true;
}

bool api_keys_check(const struct api_keys *keys, const char *key,
	char id[static OTA_NAME_CAP], enum api_scope *scope)
{
	static const struct api_key nobody = { 0 };
	const struct api_key *entry = &nobody;
	struct ota_digest hash = ota_digest_of(ota_bytes_of(key));
	char named[OTA_NAME_CAP] = "";
	bool equal;

	if (id_of(key, named))
		for (size_t i = 0; i < keys->count; i++)
			if (strcmp(keys->items[i].id, named) == 0)
				entry = &keys->items[i];
	equal = sodium_memcmp(hash.at, entry->hash.at, OTA_DIGEST_LEN) == 0;
	if (!equal || entry == &nobody)
		return false;
	(void)snprintf(id, OTA_NAME_CAP, "%s", entry->id);
	*scope = entry->scope;
	return true;
}

bool api_keys_has(const struct api_keys *keys, const char *id,
	const struct ota_digest *hash, enum api_scope *scope)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->items[i].id, id) == 0 &&
			ota_digest_equal(&keys->items[i].hash, hash)) {
			*scope = keys->items[i].scope;
			return true;
		}
	return false;
}

const char *api_scope_text(enum api_scope scope)
{
	return texts[scope];
}

bool api_scope_allows(enum api_scope scope, enum api_scope wanted)
{
	return scope == wanted || scope == API_ADMIN || wanted == API_READ;
}
