#include "tests/sim/laws_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/own.h"
#include "proto/wire/admit.h"

enum {
	LIFE_S = 10 * 365 * 86400,
	PERCENT = 100,
	REST_ROUNDS = 600,
	REST_STEP_S = 30,
	JUMP_S = 3600,
};

void lw_must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "laws world: %s\n", what);
	abort();
}

void lw_wrong(struct laws_world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->wrong[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(w->wrong, sizeof w->wrong, fmt, ap);
	va_end(ap);
}

void lw_member(const char *text, const char *name, char *out, size_t cap)
{
	char key[OTA_NAME_CAP];
	const char *at;
	size_t len;

	(void)snprintf(key, sizeof key, "\"%s\":", name);
	at = strstr(text, key);
	out[0] = '\0';
	if (at == NULL)
		return;
	at += strlen(key);
	at += *at == '"';
	len = strcspn(at, "\",}");
	(void)snprintf(out, cap, "%.*s", (int)len, at);
}

bool lw_happens(struct laws_world *w, uint64_t percent)
{
	return !w->calm && dice_below(&w->dice, PERCENT) < percent;
}

/* ---- the process: it starts from what is durable */

static void start(struct laws_world *w)
{
	const struct core_port port = lw_port(w);
	struct ota_error err = { .text = "?" };

	do {
		core_free(w->core);
		w->dead = w->in_transaction = false;
		w->asked_count = 0;
		w->core = core_new(&port, LW_FLEET);
		for (uint32_t i = 0; i < w->row_count; i++)
			if (core_load(w->core, w->rows[i].table, w->rows[i].key,
				    ota_bytes_of(w->rows[i].text), &err) != OTA_OK)
				lw_must(false, err.text);
		if (core_start(w->core, w->now, ota_buf_bytes(&w->root), &err) != OTA_OK)
			lw_must(false, err.text);
	} while (w->dead);
}

/* After every call: did it survive? */
void lw_after(struct laws_world *w)
{
	w->handing = -1;
	lw_must(w->dead || !w->in_transaction, "a transaction is left open");
	if (!w->dead)
		return;
	start(w);
}

static void tick(struct laws_world *w, uint64_t s)
{
	w->now.mono_ms += s * 1000;
	w->now.utc_s += s;
	(void)core_tick(w->core, w->now);
	lw_after(w);
}

static void make_patches(struct laws_world *w)
{
	while (w->asked_count > 0) {
		struct core_patch patch = w->asked[--w->asked_count];
		struct ota_bytes name = { (const uint8_t *)&patch,
			2 * sizeof patch.from };

		patch.patch = ota_digest_of(name);
		patch.codec = ota_digest_is_zero(&patch.from) ? 1 : 2;
		patch.full_len = patch.patch_len = 1000;
		core_patch_made(w->core, w->now, &patch);
		lw_after(w);
	}
}

/* ---- people */

static void hand_in(struct laws_world *w, enum ota_doc_type type,
	const struct ota_buf *payload, struct ota_digest *digest)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf envelope = { 0 };
	struct core_accepted accepted = { 0 };
	struct ota_error err = { .text = "?" };

	lw_seal(type, ota_buf_bytes(payload), &w->keys[ota_doc_role(type)], &envelope);
	if (core_document(w->core, w->now, "people", ota_buf_bytes(&envelope), &accepted,
		    &err) != OTA_OK)
		lw_must(false, err.text);
	if (digest != NULL)
		*digest = accepted.digest;
	lw_after(w);
}

static void make_root(struct laws_world *w)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_root root = { .version = 1,
		.fleet = LW_FLEET,
		.issued_utc_s = LW_UTC_S,
		.expires_utc_s = LW_UTC_S + (uint64_t)LIFE_S };
	uint8_t seed[32];

	memcpy(root.fleet_id, LW_FLEET_ID, sizeof root.fleet_id);
	for (int role = 0; role < OTA_N_ROLES; role++) {
		struct ota_keyset *set = &root.roles[role].set;

		memset(seed, role + 1, sizeof seed);
		w->keys[role] = ota_secret_key_from_seed(seed);
		root.roles[role].epoch = 1;
		set->keys[set->count++] = ota_secret_key_public(&w->keys[role]);
		set->threshold = 1;
	}
	lw_must(ota_root_encode(&root, &payload, NULL) == OTA_OK, "root");
	lw_seal(OTA_DOC_ROOT, ota_buf_bytes(&payload), &w->keys[OTA_ROLE_ROOT], &w->root);
}

static void make_release(struct laws_world *w)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 }, list = { 0 };
	ota_autofree struct ota_catalog *catalog = calloc(1, sizeof *catalog);
	const struct ota_release release = { .product = "gateway",
		.version = "2.0",
		.counter = 2,
		.hardware = { "gw-100" },
		.hardware_count = 1,
		.image = w->image,
		.image_len = 1000 };

	lw_must(ota_release_encode(&release, &payload, NULL) == OTA_OK, "release");
	hand_in(w, OTA_DOC_RELEASE, &payload, &w->release);
	catalog->seq = ++w->document_seq;
	catalog->issued_utc_s = LW_UTC_S;
	catalog->expires_utc_s = LW_UTC_S + (uint64_t)LIFE_S;
	catalog->releases[catalog->release_count++] = w->release;
	lw_must(ota_catalog_encode(catalog, &list, NULL) == OTA_OK, "catalog");
	hand_in(w, OTA_DOC_CATALOG, &list, NULL);
	core_image(w->core, w->now, "people", &(struct core_image){ w->image, 1000, "" });
}

static const uint8_t *salt_of(const struct laws_world *w, uint8_t salt[OTA_SALT_LEN])
{
	memset(salt, 0, OTA_SALT_LEN);
	memcpy(salt, &w->seed, sizeof w->seed);
	return salt;
}

static void make_grant(struct laws_world *w, uint64_t permille)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf payload = { 0 };
	struct ota_grant grant = { .seq = ++w->document_seq,
		.release = w->release,
		.max_permille = permille,
		.not_before_utc_s = LW_UTC_S - JUMP_S * 100,
		.issued_utc_s = LW_UTC_S,
		.expires_utc_s = LW_UTC_S + (uint64_t)LIFE_S / 2 };
	uint64_t before = w->granted;

	(void)salt_of(w, grant.salt);
	lw_must(ota_grant_encode(&grant, &payload, NULL) == OTA_OK, "grant");
	w->granted = permille > before ? permille : before; /* as soon as it is seen */
	hand_in(w, OTA_DOC_GRANT, &payload, NULL);
}

static void apply(struct laws_world *w)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct ota_error err = { .text = "?" };
	char hex[OTA_DIGEST_HEX_CAP], text[1200];

	ota_digest_hex(&w->release, hex);
	for (int i = 0; i < LW_STAGES; i++)
		w->soak_s[i] = dice_below(&w->dice, 3) * 60;
	w->in_flight = 1 + dice_below(&w->dice, 4);
	(void)snprintf(text, sizeof text,
		"{\"rollout\":\"r\",\"release\":\"%s\",\"stages\":["
		"{\"name\":\"lab\",\"cohort\":\"lab\",\"permille\":1000,\"soak_s\":%d},"
		"{\"name\":\"few\",\"cohort\":\"fleet\",\"count\":2,\"soak_s\":%d},"
		"{\"name\":\"all\",\"cohort\":\"fleet\",\"permille\":1000,\"soak_s\":%d}]"
		","
		"\"gates\":{\"silence_s\":600},\"deadlines\":{\"fetch_s\":4000,"
		"\"install_s\":4000,\"prove_s\":2000},"
		"\"limits\":{\"in_flight\":%d},\"on_halt\":\"%s\"}",
		hex, (int)w->soak_s[0], (int)w->soak_s[1], (int)w->soak_s[2],
		(int)w->in_flight, dice_below(&w->dice, 2) == 0 ? "pause" : "revert");
	lw_must(ota_json_parse(ota_bytes_of(text), false, &tree, NULL) == OTA_OK, "json");
	for (int i = 0; w->ledger.state == ROLLOUT_DRAFT; i++) { /* until it is durable */
		lw_must(i < PERCENT, "a rollout that is never there");
		if (core_apply(w->core, w->now, "people", tree, &err) != OTA_OK)
			lw_must(false, err.text);
		lw_after(w);
	}
}

static void meddle(struct laws_world *w)
{
	static const char *const verbs[] = { "pause", "resume", "resume", "abort",
		"revert" };
	const struct core_steer steer = { .rollout = "r",
		.verb = verbs[dice_below(&w->dice, 5)],
		.reason = "why",
		.at_once = dice_below(&w->dice, 2) == 0 };

	if (core_command(w->core, w->now, "people", &steer, NULL) == OTA_OK)
		lw_after(w);
	else
		lw_must(!w->in_transaction, "a refusal leaves a transaction");
}

/* ---- the fleet */

static void add_device(struct laws_world *w, uint32_t cohort)
{
	static const char key[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	OTA_AUTO(ota_json_fini) cJSON *tree = cJSON_CreateObject();
	struct lw_device *d = &w->devices[w->device_count];
	uint8_t salt[OTA_SALT_LEN];
	cJSON *labels;

	(void)snprintf(d->id, sizeof d->id, "d-%u", w->device_count++);
	d->cohort = cohort;
	d->bucket = ota_bucket(salt_of(w, salt), d->id);
	d->report = (struct ota_report){ .boot = 1,
		.agent = "0.1.0",
		.product = "gateway",
		.hardware = "gw-100",
		.version = "1.0",
		.running = w->old,
		.running_counter = 1,
		.root = 1,
		.confirmed = true };
	memcpy(d->report.device, d->id, sizeof d->report.device);
	cJSON_AddStringToObject(tree, "id", d->id);
	cJSON_AddStringToObject(tree, "key", key);
	labels = cJSON_AddArrayToObject(tree, "labels");
	cJSON_AddItemToArray(
		labels, cJSON_CreateString(cohort == 0 ? "ring=lab" : "ring=fleet"));
	lw_must(core_add_device(w->core, w->now, "people", tree, NULL) == OTA_OK,
		"register");
	lw_after(w);
	d->report.counter = 1;
	lw_hear_again(w, d);
}

static void make_fleet(struct laws_world *w)
{
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	static const char text[] =
		"{\"fleet\":\"laws\",\"cohorts\":["
		"{\"name\":\"lab\",\"labels\":{\"ring\":[\"lab\"]}},"
		"{\"name\":\"fleet\",\"labels\":{\"ring\":[\"fleet\"]}}]}";
	uint64_t size = 3 + dice_below(&w->dice, 5);

	lw_must(ota_json_parse(ota_bytes_of(text), false, &tree, NULL) == OTA_OK &&
			core_set_fleet(w->core, w->now, "people", tree, NULL) == OTA_OK,
		"fleet");
	lw_after(w);
	for (uint64_t i = 0; i < size + 2; i++)
		add_device(w, i < 2 ? 0 : 1);
}

/* Four worlds of ten are good; in the others a device or two fares badly. */
static void deal(struct laws_world *w)
{
	bool good = dice_below(&w->dice, 10) < 4;

	for (uint32_t i = 0; i < w->device_count; i++) {
		uint64_t throw = dice_below(&w->dice, 24);
		struct lw_device *d = &w->devices[i];

		if (throw == 0)
			d->fate = LW_AWAY;
		else if (!good && throw <= 2)
			d->fate = throw == 1 ? LW_UNHEALTHY : LW_BRICK;
		if (d->fate == LW_AWAY)
			lw_presence(w, d, false);
	}
	w->people = dice_below(&w->dice, 4) == 0;
	w->clock_steps = dice_below(&w->dice, 4) == 0;
}

void lw_init(struct laws_world *w, uint64_t seed)
{
	*w = (struct laws_world){ .seed = seed,
		.dice = { seed },
		.now = { .mono_ms = 1000, .utc_s = LW_UTC_S },
		.old = ota_digest_of(ota_bytes_of("1.0")),
		.image = ota_digest_of(ota_bytes_of("2.0")),
		.calm = true,
		.handing = -1 };
	make_root(w);
	start(w);
	make_fleet(w);
	make_release(w);
	deal(w);
	make_grant(w, dice_below(&w->dice, 2) == 0 ? OTA_PERMILLE_ALL : 500);
	w->calm = false;
	apply(w);
}

void lw_fini(struct laws_world *w)
{
	core_free(w->core);
	lw_store_fini(w);
	ota_buf_fini(&w->root);
}

/* ---- one thing after another */

static void step_clock(struct laws_world *w)
{
	bool back = dice_below(&w->dice, 2) == 0;
	uint64_t by = dice_below(&w->dice, JUMP_S);

	w->seen.steps++;
	w->now.utc_s = back ? w->now.utc_s - by : w->now.utc_s + by;
	tick(w, 1);
}

static void happen_rarely(struct laws_world *w, struct lw_device *d)
{
	uint64_t what = dice_below(&w->dice, 16);

	if (what < 6)
		lw_hear_again(w, d);
	else if (what < 9 && d->fate != LW_AWAY && !d->dead)
		lw_presence(w, d, !d->heard.online);
	else if (what < 11) {
		w->seen.restarted++;
		start(w);
	} else if (what < 13)
		make_grant(w, 500 + dice_below(&w->dice, 501));
	else if (what < 15 && w->people)
		meddle(w);
	else if (what == 15 && w->clock_steps)
		step_clock(w);
}

void lw_step(struct laws_world *w)
{
	uint64_t what = dice_below(&w->dice, PERCENT);
	struct lw_device *d = &w->devices[dice_below(&w->dice, w->device_count)];

	if (what < 45) {
		if (dice_below(&w->dice, 2) == 0)
			lw_read_order(w, d);
		lw_act(w, d);
	} else if (what < 75 && w->channel_count > 0)
		lw_deliver(w, (uint32_t)dice_below(&w->dice, w->channel_count));
	else if (what < 88)
		tick(w, 1 + dice_below(&w->dice, 20)); /* no deadline passes */
	else if (what < 94)
		make_patches(w);
	else
		happen_rarely(w, d);
}

static bool rests(enum rollout_state state)
{
	return state == ROLLOUT_COMPLETED || state == ROLLOUT_HALTED ||
	       state == ROLLOUT_PAUSED || state == ROLLOUT_ABORTED;
}

/* One round in which everybody gets a turn; false if nothing was left to do. */
static bool round_of_all(struct laws_world *w)
{
	bool busy = w->channel_count > 0 || w->asked_count > 0;

	make_patches(w);
	while (w->channel_count > 0)
		lw_deliver(w, 0);
	for (uint32_t i = 0; i < w->device_count; i++) {
		struct lw_device *d = &w->devices[i];

		lw_read_order(w, d);
		lw_act(w, d);
		busy = busy || w->channel_count > 0;
	}
	tick(w, REST_STEP_S);
	return busy;
}

void lw_settle(struct laws_world *w)
{
	bool busy = true;

	w->calm = true;
	make_grant(w, OTA_PERMILLE_ALL);
	for (uint32_t i = 0; i < w->device_count; i++)
		lw_hear_again(w, &w->devices[i]);
	for (int i = 0; i < REST_ROUNDS && w->wrong[0] == '\0'; i++) {
		if (!busy && rests(w->ledger.state))
			return;
		busy = round_of_all(w);
	}
}
