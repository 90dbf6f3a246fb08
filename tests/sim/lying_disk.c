#include "tests/sim/lying_disk.h"

#include <assert.h>
#include <string.h>

/* What becomes of a write at a cut. */
enum { FATE_LOST, FATE_KEPT, FATE_TORN, N_FATES };

void disk_init(struct lying_disk *d, uint64_t seed)
{
	memset(d->kept, 0, sizeof d->kept);
	memset(d->seen, 0, sizeof d->seen);
	for (unsigned i = 0; i < DISK_FILES; i++)
		d->kept_names[i] = d->seen_names[i] = i;
	d->random = seed;
	d->ops_left = -1;
	d->cut = false;
	d->ops = 0;
	d->pending_count = 0;
}

/* splitmix64 */
uint32_t disk_random(struct lying_disk *d, uint32_t below)
{
	uint64_t z = d->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}

/* True if the power goes before this operation. */
static bool is_dead(struct lying_disk *d)
{
	if (d->ops_left > 0)
		d->ops_left--;
	else if (d->ops_left == 0)
		d->cut = true;
	d->ops += !d->cut;
	return d->cut;
}

/* Half of the cuts come within an operation: it is begun, and may be anything. */
static bool dies_within(struct lying_disk *d)
{
	if (d->ops_left != 0 || disk_random(d, 2) == 0)
		return false;
	d->cut = true;
	return true;
}

static struct disk_write *add(struct lying_disk *d)
{
	assert(d->pending_count < DISK_PENDING_MAX);
	return &d->pending[d->pending_count++];
}

bool disk_write(
	struct lying_disk *d, unsigned file, size_t offset, const void *data, size_t len)
{
	struct disk_write *w;

	assert(len <= DISK_WRITE_LEN_MAX && offset + len <= DISK_FILE_LEN);
	if (is_dead(d))
		return false;
	w = add(d);
	w->renames = false;
	w->file = file;
	w->offset = offset;
	w->len = len;
	memcpy(w->data, data, len);
	memcpy(d->seen[file] + offset, data, len);
	return !dies_within(d);
}

/* Sectors of a write that get to the disk. */
static void put(struct lying_disk *d, const struct disk_write *w, bool torn)
{
	for (size_t at = 0; at < w->len; at += DISK_SECTOR_LEN) {
		size_t len = w->len - at;

		if (torn && disk_random(d, 2) == 0)
			continue;
		memcpy(d->kept[w->file] + w->offset + at, w->data + at,
			len < DISK_SECTOR_LEN ? len : DISK_SECTOR_LEN);
	}
}

static void apply(struct lying_disk *d, const struct disk_write *w)
{
	if (w->renames)
		d->kept_names[w->name] = w->file;
	else
		put(d, w, false);
}

static void drop(struct lying_disk *d, unsigned at)
{
	memmove(d->pending + at, d->pending + at + 1,
		(--d->pending_count - at) * sizeof d->pending[0]);
}

static bool is_of(const struct disk_write *w, bool renames, unsigned file)
{
	return w->renames == renames && (renames || w->file == file);
}

static bool settle(struct lying_disk *d, bool renames, unsigned file)
{
	if (is_dead(d) || dies_within(d))
		return false;
	for (unsigned i = 0; i < d->pending_count;)
		if (is_of(&d->pending[i], renames, file)) {
			apply(d, &d->pending[i]);
			drop(d, i);
		} else {
			i++;
		}
	return true;
}

bool disk_sync(struct lying_disk *d, unsigned file)
{
	return settle(d, false, file);
}

bool disk_sync_names(struct lying_disk *d)
{
	return settle(d, true, 0);
}

bool disk_rename(struct lying_disk *d, unsigned name, unsigned file)
{
	struct disk_write *w;

	if (is_dead(d))
		return false;
	w = add(d);
	w->renames = true;
	w->file = file;
	w->name = name;
	d->seen_names[name] = file;
	return !dies_within(d);
}

const uint8_t *disk_read(const struct lying_disk *d, unsigned file)
{
	return d->seen[file];
}

void disk_power_on(struct lying_disk *d)
{
	while (d->pending_count > 0) {
		unsigned at = disk_random(d, d->pending_count);
		const struct disk_write *w = &d->pending[at];

		switch (disk_random(d, N_FATES)) {
		case FATE_KEPT:
			apply(d, w);
			break;
		case FATE_TORN:
			if (!w->renames)
				put(d, w, true);
			break;
		default:
			break;
		}
		drop(d, at);
	}
	memcpy(d->seen, d->kept, sizeof d->seen);
	memcpy(d->seen_names, d->kept_names, sizeof d->seen_names);
	d->cut = false;
	d->ops_left = -1;
}
