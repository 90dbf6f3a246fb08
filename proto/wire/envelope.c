#include "proto/wire/envelope.h"

#include <string.h>

#include <sodium.h>

#include "proto/base/names.h"
#include "proto/base/own.h"

enum {
	MESSAGE_HEAD_LEN = 35, /* bytes of the signed message before the payload */
	PAYLOAD_LEN_MIN = 2,   /* bytes: "{}" */
};

static const uint8_t magic[4] = "OTA1";
static const uint8_t context[9] = "OTA1-sig"; /* with its NUL */

struct type_row {
	enum ota_doc_type type;
	const char *text;
	enum ota_role role;
};

#define ROW(name, number, text, role) { OTA_DOC_##name, text, OTA_ROLE_##role },
static const struct type_row types[] = { OTA_DOC_TYPES(ROW) };
#undef ROW

static const struct type_row *type_row_of(unsigned number)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (types[i].type == number)
			return &types[i];
	return NULL;
}

const char *ota_doc_type_text(enum ota_doc_type type)
{
	const struct type_row *row = type_row_of(type);

	return row != NULL ? row->text : "unknown";
}

enum ota_code ota_doc_type_of(
	const char *text, enum ota_doc_type *out, struct ota_error *err)
{
	char escaped[40];

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (strcmp(types[i].text, text) != 0)
			continue;
		*out = types[i].type;
		return OTA_OK;
	}
	ota_escape(text, escaped, sizeof escaped);
	return ota_fail(err, OTA_E_DOCTYPE, "no document is called '%s'", escaped);
}

enum ota_role ota_doc_role(enum ota_doc_type type)
{
	const struct type_row *row = type_row_of(type);

	return row != NULL ? row->role : OTA_ROLE_DEVICE;
}

const char *ota_role_text(enum ota_role role)
{
	static const char *const texts[] = { "root", "release", "operator", "online",
		"device" };

	return role <= OTA_ROLE_DEVICE ? texts[role] : "unknown";
}

/* Views of the parts; NULL and zero where the input was short. */
struct parts {
	const uint8_t *magic, *fleet_id, *sigs;
	uint8_t type, version, nsig;
	struct ota_bytes payload;
};

static OTA_CHECKED enum ota_code split(
	struct ota_bytes in, struct parts *out, struct ota_error *err)
{
	struct ota_reader r = ota_reader_of(in);
	uint32_t len;

	out->magic = ota_read(&r, sizeof magic);
	if (r.bad || memcmp(out->magic, magic, sizeof magic) != 0)
		return ota_fail(err, OTA_E_FORMAT, "not an envelope");
	out->type = ota_read_u8(&r);
	out->version = ota_read_u8(&r);
	out->fleet_id = ota_read(&r, OTA_FLEET_ID_LEN);
	len = ota_read_le32(&r);
	if (r.bad || len < PAYLOAD_LEN_MIN)
		return ota_fail(err, OTA_E_FORMAT, "payload of %u bytes", len);
	if (len > OTA_PAYLOAD_LEN_MAX)
		return ota_fail(err, OTA_E_LIMIT, "payload of %u bytes, at most %d", len,
			OTA_PAYLOAD_LEN_MAX);
	out->payload = (struct ota_bytes){ ota_read(&r, len), len };
	out->nsig = ota_read_u8(&r);
	if (out->nsig > OTA_SIGS_MAX)
		return ota_fail(err, OTA_E_LIMIT, "%u signatures, at most %d", out->nsig,
			OTA_SIGS_MAX);
	out->sigs = ota_read(&r, out->nsig * sizeof(struct ota_signature));
	if (r.bad)
		return ota_fail(err, OTA_E_FORMAT, "cut short");
	if (r.left > 0)
		return ota_fail(err, OTA_E_FORMAT, "%zu trailing bytes", r.left);
	return OTA_OK;
}

enum ota_code ota_envelope_parse(
	struct ota_bytes in, struct ota_envelope *out, struct ota_error *err)
{
	struct ota_envelope envelope = { 0 };
	const struct type_row *row;
	struct parts parts = { 0 };
	enum ota_code rc = split(in, &parts, err);

	if (rc != OTA_OK)
		return ota_wrap(err, rc, "envelope");
	row = type_row_of(parts.type);
	if (row == NULL || parts.version != OTA_DOC_VERSION)
		return ota_fail(err, OTA_E_DOCTYPE, "envelope: type %u version %u",
			parts.type, parts.version);
	envelope.type = row->type;
	envelope.version = parts.version;
	memcpy(envelope.fleet_id, parts.fleet_id, OTA_FLEET_ID_LEN);
	envelope.payload = parts.payload;
	envelope.nsig = parts.nsig;
	if (parts.nsig > 0)
		memcpy(envelope.sigs, parts.sigs,
			parts.nsig * sizeof(struct ota_signature));
	*out = envelope;
	return OTA_OK;
}

static void message_head(
	const struct ota_envelope *envelope, uint8_t out[static MESSAGE_HEAD_LEN])
{
	uint64_t len = envelope->payload.len;

	memcpy(out, context, sizeof context);
	out[9] = (uint8_t)envelope->type;
	out[10] = envelope->version;
	memcpy(out + 11, envelope->fleet_id, OTA_FLEET_ID_LEN);
	for (size_t i = 0; i < 8; i++)
		out[27 + i] = (uint8_t)(len >> (8 * i));
}

static OTA_CHECKED enum ota_code message_of(
	const struct ota_envelope *envelope, struct ota_buf *out)
{
	uint8_t head[MESSAGE_HEAD_LEN];
	enum ota_code rc;

	message_head(envelope, head);
	rc = ota_buf_add(out, (struct ota_bytes){ head, sizeof head });
	return rc != OTA_OK ? rc : ota_buf_add(out, envelope->payload);
}

struct ota_digest ota_envelope_digest(const struct ota_envelope *envelope)
{
	uint8_t head[MESSAGE_HEAD_LEN];
	struct ota_hasher hasher;

	message_head(envelope, head);
	ota_hasher_init(&hasher);
	ota_hasher_add(&hasher, (struct ota_bytes){ head, sizeof head });
	ota_hasher_add(&hasher, envelope->payload);
	return ota_hasher_result(&hasher);
}

/* The first OTA_PK_HASH_LEN bytes of it stand beside a signature. */
static struct ota_digest hash_of(const struct ota_public_key *key)
{
	return ota_digest_of((struct ota_bytes){ key->at, OTA_PK_LEN });
}

/* Distinct keys that signed. */
struct signers {
	const struct ota_public_key *keys[OTA_KEYS_MAX]; /* borrowed from the key set */
	uint32_t count;
};

static void count_signer(struct signers *signers, const struct ota_public_key *key)
{
	for (uint32_t i = 0; i < signers->count; i++)
		if (ota_public_key_equal(signers->keys[i], key))
			return;
	signers->keys[signers->count++] = key;
}

/* Check every signature that claims to be by this key. */
static OTA_CHECKED enum ota_code check_key(const struct ota_envelope *envelope,
	const struct ota_public_key *key, struct ota_bytes message,
	struct signers *signers, struct ota_error *err)
{
	struct ota_digest hash = hash_of(key);

	for (uint32_t i = 0; i < envelope->nsig; i++) {
		const struct ota_signature *sig = &envelope->sigs[i];

		if (memcmp(sig->pk_hash, hash.at, OTA_PK_HASH_LEN) != 0)
			continue;
		if (crypto_sign_verify_detached(
			    sig->sig, message.at, message.len, key->at) != 0)
			return ota_fail(err, OTA_E_SIGNATURE,
				"signature %u does not verify", i + 1);
		count_signer(signers, key);
	}
	return OTA_OK;
}

static OTA_CHECKED enum ota_code count_keys(const struct ota_envelope *envelope,
	const struct ota_keyset *keys, uint32_t *count, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf message = { 0 };
	struct signers signers = { 0 };
	enum ota_code rc = message_of(envelope, &message);

	if (rc != OTA_OK)
		return ota_fail(err, rc, "signed message");
	for (uint32_t i = 0; i < keys->count && rc == OTA_OK; i++)
		rc = check_key(
			envelope, &keys->keys[i], ota_buf_bytes(&message), &signers, err);
	if (rc == OTA_OK)
		*count = signers.count;
	return rc;
}

enum ota_code ota_envelope_verify(const struct ota_envelope *envelope,
	const uint8_t fleet_id[static OTA_FLEET_ID_LEN], const struct ota_keyset *keys,
	struct ota_error *err)
{
	const char *text = ota_doc_type_text(envelope->type);
	uint32_t count = 0;
	enum ota_code rc;

	if (memcmp(envelope->fleet_id, fleet_id, OTA_FLEET_ID_LEN) != 0)
		return ota_fail(err, OTA_E_FLEET, "%s of another fleet", text);
	if (keys->count > OTA_KEYS_MAX || keys->threshold < 1 ||
		keys->threshold > keys->count)
		return ota_fail(err, OTA_E_THRESHOLD, "%s: threshold %u of %u keys", text,
			keys->threshold, keys->count);
	rc = count_keys(envelope, keys, &count, err);
	if (rc != OTA_OK)
		return ota_wrap(err, rc, "%s", text);
	if (count == 0)
		return ota_fail(
			err, OTA_E_SIGNATURE, "%s: no key of the role signed", text);
	if (count < keys->threshold)
		return ota_fail(err, OTA_E_THRESHOLD, "%s: signed by %u of %u keys", text,
			count, keys->threshold);
	return OTA_OK;
}

static OTA_CHECKED enum ota_code add_head(
	const struct ota_envelope *envelope, struct ota_buf *out)
{
	const uint8_t head[] = { (uint8_t)envelope->type, envelope->version };
	enum ota_code rc = ota_buf_add(out, (struct ota_bytes){ magic, sizeof magic });

	if (rc == OTA_OK)
		rc = ota_buf_add(out, (struct ota_bytes){ head, sizeof head });
	if (rc == OTA_OK)
		rc = ota_buf_add(
			out, (struct ota_bytes){ envelope->fleet_id, OTA_FLEET_ID_LEN });
	if (rc == OTA_OK)
		rc = ota_buf_add_le32(out, (uint32_t)envelope->payload.len);
	return rc;
}

/* Append all of an envelope, or nothing. */
static OTA_CHECKED enum ota_code add_envelope(
	const struct ota_envelope *envelope, struct ota_buf *out)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf whole = { 0 };
	enum ota_code rc = add_head(envelope, &whole);

	if (rc == OTA_OK)
		rc = ota_buf_add(&whole, envelope->payload);
	if (rc == OTA_OK)
		rc = ota_buf_add_u8(&whole, (uint8_t)envelope->nsig);
	for (uint32_t i = 0; i < envelope->nsig && rc == OTA_OK; i++) {
		const struct ota_signature *sig = &envelope->sigs[i];

		rc = ota_buf_add(
			&whole, (struct ota_bytes){ sig->pk_hash, OTA_PK_HASH_LEN });
		if (rc == OTA_OK)
			rc = ota_buf_add(
				&whole, (struct ota_bytes){ sig->sig, OTA_SIG_LEN });
	}
	return rc == OTA_OK ? ota_buf_add(out, ota_buf_bytes(&whole)) : rc;
}

enum ota_code ota_envelope_seal(enum ota_doc_type type,
	const uint8_t fleet_id[static OTA_FLEET_ID_LEN], struct ota_bytes payload,
	struct ota_buf *out, struct ota_error *err)
{
	struct ota_envelope envelope = {
		.type = type, .version = OTA_DOC_VERSION, .payload = payload
	};
	enum ota_code rc;

	if (payload.len < PAYLOAD_LEN_MIN || payload.len > OTA_PAYLOAD_LEN_MAX)
		return ota_fail(err, OTA_E_LIMIT, "%s: payload of %zu bytes, %d .. %d",
			ota_doc_type_text(type), payload.len, PAYLOAD_LEN_MIN,
			OTA_PAYLOAD_LEN_MAX);
	memcpy(envelope.fleet_id, fleet_id, OTA_FLEET_ID_LEN);
	rc = add_envelope(&envelope, out);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "%s", ota_doc_type_text(type));
}

/* Where the signature of a key belongs: over its old one, or behind the last. */
static uint32_t seat_of(
	const struct ota_envelope *envelope, const struct ota_digest *hash)
{
	uint32_t i = 0;

	while (i < envelope->nsig &&
		memcmp(envelope->sigs[i].pk_hash, hash->at, OTA_PK_HASH_LEN) != 0)
		i++;
	return i;
}

enum ota_code ota_envelope_sign(struct ota_bytes in, const struct ota_secret_key *key,
	struct ota_buf *out, struct ota_error *err)
{
	OTA_AUTO(ota_buf_fini) struct ota_buf message = { 0 };
	struct ota_public_key public_key = ota_secret_key_public(key);
	struct ota_digest hash = hash_of(&public_key);
	struct ota_envelope envelope = { 0 };
	uint32_t seat;
	enum ota_code rc = ota_envelope_parse(in, &envelope, err);

	if (rc != OTA_OK)
		return rc;
	seat = seat_of(&envelope, &hash);
	if (seat == OTA_SIGS_MAX)
		return ota_fail(
			err, OTA_E_LIMIT, "%d keys have signed already", OTA_SIGS_MAX);
	rc = message_of(&envelope, &message);
	if (rc != OTA_OK)
		return ota_fail(err, rc, "signed message");
	memcpy(envelope.sigs[seat].pk_hash, hash.at, OTA_PK_HASH_LEN);
	(void)crypto_sign_detached(
		envelope.sigs[seat].sig, NULL, message.at, message.len, key->at);
	if (seat == envelope.nsig)
		envelope.nsig++;
	rc = add_envelope(&envelope, out);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "signed envelope");
}

void ota_public_key_hash(
	const struct ota_public_key *key, uint8_t out[static OTA_PK_HASH_LEN])
{
	struct ota_digest hash = hash_of(key);

	memcpy(out, hash.at, OTA_PK_HASH_LEN);
}

uint32_t ota_envelope_signed_by(const struct ota_envelope *envelope,
	const struct ota_keyset *keys, bool by[static OTA_KEYS_MAX])
{
	struct signers signers = { 0 };

	for (uint32_t i = 0; i < keys->count; i++) {
		struct ota_digest hash = hash_of(&keys->keys[i]);

		by[i] = seat_of(envelope, &hash) < envelope->nsig;
		if (by[i])
			count_signer(&signers, &keys->keys[i]);
	}
	return signers.count;
}

/* Add the signatures by keys of the set that are not in out yet. */
static void add_signers(struct ota_envelope *out, const struct ota_envelope *from,
	const struct ota_keyset *keys)
{
	for (uint32_t i = 0; i < keys->count; i++) {
		struct ota_digest hash = hash_of(&keys->keys[i]);
		uint32_t seat = seat_of(from, &hash);

		if (seat < from->nsig && seat_of(out, &hash) == out->nsig)
			out->sigs[out->nsig++] = from->sigs[seat];
	}
}

enum ota_code ota_envelope_join(struct ota_bytes a, struct ota_bytes b,
	const struct ota_keyset *keys, struct ota_buf *out, struct ota_error *err)
{
	struct ota_envelope one = { 0 }, other = { 0 }, joined;
	struct ota_digest digest_of_one, digest_of_other;
	enum ota_code rc = ota_envelope_parse(a, &one, err);

	if (rc == OTA_OK)
		rc = ota_envelope_parse(b, &other, err);
	if (rc != OTA_OK)
		return rc;
	digest_of_one = ota_envelope_digest(&one);
	digest_of_other = ota_envelope_digest(&other);
	if (!ota_digest_equal(&digest_of_one, &digest_of_other))
		return ota_fail(err, OTA_E_CONFLICT, "signatures of two documents");
	joined = one;
	joined.nsig = 0;
	add_signers(&joined, &one, keys);
	add_signers(&joined, &other, keys);
	rc = add_envelope(&joined, out);
	return rc == OTA_OK ? rc : ota_fail(err, rc, "joined envelope");
}

struct ota_public_key ota_secret_key_public(const struct ota_secret_key *key)
{
	struct ota_public_key out;

	memcpy(out.at, key->at + OTA_SK_LEN - OTA_PK_LEN, OTA_PK_LEN);
	return out;
}

struct ota_secret_key ota_secret_key_from_seed(const uint8_t seed[static 32])
{
	struct ota_secret_key key;
	struct ota_public_key ignored;

	(void)crypto_sign_seed_keypair(ignored.at, key.at, seed);
	return key;
}

void ota_secret_key_fini(struct ota_secret_key *key)
{
	sodium_memzero(key, sizeof *key);
}

bool ota_public_key_equal(const struct ota_public_key *a, const struct ota_public_key *b)
{
	return memcmp(a->at, b->at, OTA_PK_LEN) == 0;
}
