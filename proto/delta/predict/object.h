#ifndef PROTO_DELTA_PREDICT_OBJECT_H
#define PROTO_DELTA_PREDICT_OBJECT_H

/* Encoder only: what an executable is made of. The offsets here count from the object's
 * first byte; whoever knows where its extents lie in an image places them. Parsed are ELF
 * (executables, shared libraries, relocatable objects such as kernel modules), PE (EFI
 * programs) and raw kernels; the input is an operator's image and yet not trusted. */

#include "proto/delta/predict/tables.h"

enum { OTA_SECTION_NAME_MAX = 64 };

/** A named range of addresses, by which old and new are matched when nothing else tells
 *  (.bss, starts of tables). */
struct ota_section {
	char name[OTA_SECTION_NAME_MAX];
	int64_t address;
	uint64_t len;    /* bytes */
	uint64_t offset; /* in the object; UINT64_MAX if it has no bytes there */
};

struct ota_object {
	const char *format; /* "elf", "elf-rel", "pe", "kernel": static text */
	uint16_t machine;   /* e_machine */
	bool is_64;
	uint64_t len; /* bytes from its first byte to its last */
	struct ota_bounds bounds;
	struct ota_span *spans;       /* owned: what is loaded, by offset */
	struct ota_region *regions;   /* owned: by offset, without overlap */
	struct ota_section *sections; /* owned: by address */
	uint32_t span_count, region_count, section_count;
};

/**
 * Parse the object at the start of in.
 *
 * Returns OTA_OK (out is the caller's, ota_object_fini()), OTA_E_NOTFOUND if no
 * executable of a known kind begins there, OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_object_parse(struct ota_bytes in, struct ota_object *out);

/**
 * The next place where an object may begin: the first multiple of 4 at or behind start
 * that has the magic of one, for raw images and for objects within objects (modules in a
 * boot loader). What it finds is likely, not certain, to parse. Takes time linear in what
 * it passes.
 *
 * offset   written if true
 */
bool ota_object_find(struct ota_bytes in, uint64_t start, uint64_t *offset);

/** Release. Accepts a zeroed object. */
void ota_object_fini(struct ota_object *object);

/**
 * A copy of an object for finding what is alike: every reference masked, and fields that
 * stand for a symbol (PLT entries, GOT slots, relocations, symbols) replaced by a hash of
 * the symbol's name, so that what moved looks as it did.
 *
 * in    the object's bytes, object->len of them
 * out   as many
 *
 * OTA_OK or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_object_mask(
	const struct ota_object *object, struct ota_bytes in, uint8_t *out);

#endif
