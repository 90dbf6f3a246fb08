#ifndef PROTO_DELTA_PREDICT_LAY_H
#define PROTO_DELTA_PREDICT_LAY_H

/* Lays the old bytes out in the order of the new image, with every reference re-targeted:
 * the prediction. One implementation serves both ends, so they cannot disagree. At each
 * reference a port is asked whether the guess is right: the decoder reads the answer from
 * the patch, the encoder finds it in the new image and writes it down. What was learnt is
 * remembered: a later reference to the same old address is guessed accordingly. */

#include "proto/delta/predict/map.h"
#include "proto/delta/source_cache.h"

/** A reference about to be written. */
struct ota_guess {
	const struct ota_ref *ref; /* borrowed: what the old image has */
	const struct ota_ref_form *form;
	const uint8_t *field;  /* borrowed: the old bytes of the field */
	uint64_t to;           /* offset of the field in the new image */
	uint32_t pair, region; /* indices: where the reference was found */
	struct ota_spot spot;  /* where it stands in the new object */
	int64_t target;        /* the new address guessed; may be changed */
	bool plain;            /* set: leave the field as it was */
};

/** Asked once for each reference, in the order of the new image. */
struct ota_fix {
	void *ctx;
	/** Leave the guess, change its target, or set plain. OTA_OK or OTA_E_DECODER. */
	enum ota_code (*fix)(void *ctx, struct ota_guess *guess, struct ota_error *err);
};

struct ota_lay;

/**
 * Begin.
 *
 * tables, from, fix   borrowed for its life
 * heap                every allocation; never NULL
 *
 * Returns OTA_OK or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_lay_new(const struct ota_tables *tables,
	const struct ota_source *from, const struct ota_fix *fix, struct ota_heap *heap,
	struct ota_lay **lay);

/** Release. NULL is allowed. */
void ota_lay_free(struct ota_lay *lay);

/** Forget what was learnt: at the start of each segment, so that segments stand alone. */
void ota_lay_forget(struct ota_lay *lay);

/** Which bytes of a cover to lay out. */
struct ota_lay_part {
	const struct ota_cover *cover; /* borrowed: one of the tables' */
	uint32_t done; /* bytes of it laid out before; less than its len */
	uint32_t max;  /* bytes to lay out, at most; up to OTA_REF_FIELD_MAX more may
			* come, so that no reference is cut, if the cover goes on */
};

/**
 * Lay out the next bytes of a cover. After a first call with done 0, calls go on where
 * the last one ended.
 *
 * out   has room for part->max + OTA_REF_FIELD_MAX bytes
 * len   bytes laid out, at least 1; never beyond the cover's end
 *
 * Returns OTA_OK, what fix returned, what the source returned, or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code ota_lay_next(struct ota_lay *lay,
	const struct ota_lay_part *part, uint8_t *out, uint32_t *len,
	struct ota_error *err);

#endif
