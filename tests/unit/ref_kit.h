#ifndef TESTS_UNIT_REF_KIT_H
#define TESTS_UNIT_REF_KIT_H

/* Pages to scan for references, and what a scan must find in them. */

#include "proto/delta/predict/ref.h"

enum { KIT_REFS_MAX = 8 };

/** A page of hand-assembled bytes. */
struct kit_ref_case {
	const char *name;
	uint8_t kind;
	const char *bytes; /* hex digits; spaces and what follows a ';' up to the end of
			    * the line are for the reader */
	int64_t address;   /* of the first byte; the object lies at kit_bounds */
	int64_t base;
	/** What is found: form, place and target. */
	struct {
		const char *form; /* NULL: the end */
		uint32_t at;
		int64_t target;
	} refs[KIT_REFS_MAX];
};

/** Where the objects of all cases lie: 0 .. 0x100000, the code at 0x1000 .. 0x20000. */
extern const struct ota_bounds kit_bounds;

/** Scan the case's bytes as one page and compare: prints what differs to stderr. */
bool kit_ref_case_holds(const struct ota_bounds *bounds, const struct kit_ref_case *test);

/** What is wrong with the references of a page, or NULL: they are in order, inside, do
 *  not overlap, and each form reads the target and writes it back. */
const char *kit_refs_breach(const struct ota_scan *scan, const struct ota_refs *refs);

/** The next number of a sequence that the seed begins; equal on every machine. */
uint64_t kit_random(uint64_t *seed);

#endif
