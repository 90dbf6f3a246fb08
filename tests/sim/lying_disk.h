#ifndef TESTS_SIM_LYING_DISK_H
#define TESTS_SIM_LYING_DISK_H

/* A disk in memory that keeps what was synced and promises nothing of the rest. At a
 * power cut each write that was not synced is lost, kept, or torn at its sectors, in any
 * order; a rename that was not synced is there or is not. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DISK_SECTOR_LEN = 512,
	DISK_FILE_LEN = 8192, /* bytes; every file has this length */
	DISK_FILES = 24,
	DISK_PENDING_MAX = 64,
	DISK_WRITE_LEN_MAX = 4096,
};

/** A write or rename that may not survive. */
struct disk_write {
	bool renames; /* file gets the name of another */
	unsigned file, name;
	size_t offset, len;
	uint8_t data[DISK_WRITE_LEN_MAX];
};

struct lying_disk {
	uint64_t random;   /* state of the generator */
	long ops_left;     /* operations until the power goes; -1: never */
	bool cut;          /* the power is gone: nothing works any more */
	unsigned long ops; /* done, ever */
	uint8_t kept[DISK_FILES][DISK_FILE_LEN]; /* what a cut leaves */
	uint8_t seen[DISK_FILES][DISK_FILE_LEN]; /* what is read meanwhile */
	unsigned kept_names[DISK_FILES], seen_names[DISK_FILES]; /* name -> file */
	struct disk_write pending[DISK_PENDING_MAX];
	unsigned pending_count;
};

/** Empty, of zeros; each name is the file of its number. */
void disk_init(struct lying_disk *disk, uint64_t seed);

/** A number below n, from the disk's generator. */
uint32_t disk_random(struct lying_disk *disk, uint32_t below);

/** Write; false if the power is gone. Not durable before disk_sync(). */
bool disk_write(struct lying_disk *disk, unsigned file, size_t offset, const void *data,
	size_t len);

/** Everything written to a file survives. */
bool disk_sync(struct lying_disk *disk, unsigned file);

/** Let a name be another file; not durable before disk_sync_names(). */
bool disk_rename(struct lying_disk *disk, unsigned name, unsigned file);

/** All renames survive. */
bool disk_sync_names(struct lying_disk *disk);

/** What a file holds now. */
const uint8_t *disk_read(const struct lying_disk *disk, unsigned file);

/** The power comes back: settle what survived. */
void disk_power_on(struct lying_disk *disk);

#endif
