#ifndef PROTO_DELTA_PREDICT_TALLY_H
#define PROTO_DELTA_PREDICT_TALLY_H

/* Encoder only: counts what each item of the new image takes of a patch. The writer of
 * the patch tells all that it writes, in the order of the new image; items that come back
 * are added up. Every function takes NULL for a tally that nobody asked for, and does
 * nothing then. */

#include "proto/delta/explain.h"
#include "proto/delta/predict/items.h"
#include "proto/delta/predict/lay.h"

struct ota_tally;

/** Begin. items is borrowed for its life. Keeps what is told, uncompressed, until it is
 *  released. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_tally_new(
	const struct ota_items *items, struct ota_tally **out);

/** Release. */
void ota_tally_free(struct ota_tally *tally);

/** The tables were written. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_tally_tables(
	struct ota_tally *tally, struct ota_bytes tables);

/** A cover begins. */
void ota_tally_cover(struct ota_tally *tally, const struct ota_cover *cover);

/** A guess was answered: guess as ota_lay handed it out, answer as it goes back. OTA_OK
 * or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_tally_guess(struct ota_tally *tally,
	const struct ota_guess *guess, const struct ota_guess *answer);

/** Covered bytes were written, from offset `to`: what was laid out. OTA_OK or
 *  OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_tally_covered(
	struct ota_tally *tally, uint64_t to, const uint8_t *laid, uint32_t len);

/** Bytes that no cover has were written, from offset `to`. OTA_OK or OTA_E_NOMEM. */
OTA_CHECKED enum ota_code ota_tally_extra(
	struct ota_tally *tally, uint64_t to, uint64_t len);

/** Tell of a patch of patch_len bytes that is complete. OTA_OK, OTA_E_NOMEM, or what the
 *  port returned. Compresses all that was told once more. */
OTA_CHECKED enum ota_code ota_tally_report(struct ota_tally *tally, uint64_t patch_len,
	const struct ota_explain *explain, struct ota_error *err);

#endif
