#include "orchestrator/port/audit_chain.h"

#include <string.h>

static void add_u64(struct ota_hasher *hasher, uint64_t value)
{
	uint8_t le[8];

	for (int i = 0; i < 8; i++)
		le[i] = (uint8_t)(value >> (8 * i));
	ota_hasher_add(hasher, (struct ota_bytes){ le, sizeof(le) });
}

static void add_text(struct ota_hasher *hasher, const char *text)
{
	struct ota_bytes bytes = ota_bytes_of(text);

	add_u64(hasher, bytes.len);
	ota_hasher_add(hasher, bytes);
}

struct ota_digest audit_entry_hash(const struct audit_entry *entry)
{
	static const char label[] = "sluice-audit-1";
	struct ota_hasher hasher;

	ota_hasher_init(&hasher);
	ota_hasher_add(
		&hasher, (struct ota_bytes){ (const uint8_t *)label, sizeof(label) });
	ota_hasher_add(&hasher, (struct ota_bytes){ entry->prev.at, OTA_DIGEST_LEN });
	add_u64(&hasher, entry->seq);
	add_u64(&hasher, entry->at_utc_s);
	add_text(&hasher, entry->who);
	add_text(&hasher, entry->action);
	add_text(&hasher, entry->detail);
	return ota_hasher_result(&hasher);
}

bool audit_walk_take(struct audit_walk *walk, const struct audit_entry *entry)
{
	struct ota_digest hash = audit_entry_hash(entry);

	if (walk->broken_at)
		return false;
	if (entry->seq != walk->entries + 1 ||
		!ota_digest_equal(&entry->prev, &walk->head) ||
		!ota_digest_equal(&entry->hash, &hash)) {
		walk->broken_at = entry->seq;
		return false;
	}
	walk->entries++;
	walk->head = hash;
	return true;
}
