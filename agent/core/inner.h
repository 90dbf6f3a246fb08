#ifndef AGENT_CORE_INNER_H
#define AGENT_CORE_INNER_H

/* How the files of the core divide the work among themselves; not for others.
 *
 *   core.c    starts, takes events in, moves the state
 *   judge.c   what the documents mean for this device now
 *   work.c    what is done in each state
 *   offer.c   ... from the offer until the patch is in the spool
 *   repair.c  ... when the running slot is not what it should be
 *   hold.c    ... but not while the device's own policy holds it back
 *   report.c  what the device says of itself */

#include "agent/core/core.h"
#include "agent/core/update.h"
#include "proto/wire/manifest.h"

enum { WORK_RETRY_MS = 60000 }; /* what could not be done is tried again after this */

/** The only place where the state changes: look up, store, then act. OTA_OK, or the code
 *  of a port. */
OTA_CHECKED enum ota_code agent_move(
	struct agent *agent, enum update_event event, struct ota_error *err);

/** Store the journal as it stands. */
OTA_CHECKED enum ota_code agent_store(struct agent *agent, struct ota_error *err);

/** Say something of that type about a patch to net. */
void agent_tell(struct agent *agent, enum ipc_type type, const struct ota_digest *patch);

/** Put a timer ahead of now, or switch it off with 0. */
void agent_set_timer(struct agent *agent, enum agent_timer timer, uint64_t after_ms);

/** Record why the update ends, for the journal that is about to be stored. */
void agent_record_error(struct agent *agent, enum ota_code code, const char *text);

/** Decide what the documents held mean now, and act on it. */
OTA_CHECKED enum ota_code judge(struct agent *agent, struct ota_error *err);

/** Hold the release of the newest order back until there is another order. */
void judge_block(struct agent *agent);

/** True if nothing is under way and the running image never proved itself. */
bool judge_is_in_rescue(const struct agent *agent);

/** True if no update is under way. */
bool judge_is_at_rest(const struct agent *agent);

/** Ask ota_admit() for this device. verdict gets the refusal; patch may be NULL. A patch
 *  from the image that the running slot was recorded with, if it is another than what was
 *  hashed, goes before a full one: the slot is then mended for it (repair.c). */
OTA_CHECKED enum ota_code judge_admit(
	struct agent *agent, struct ota_patch_ref *patch, struct ota_error *verdict);

/** True if a refusal is the fault of somebody, false if it is only a matter of time. */
bool judge_is_error(const struct agent *agent, enum ota_code code);

/** True if the order in force asks this update to stand still. */
bool judge_is_paused(const struct agent *agent);

/** Begin, or begin again, the work of the state. */
OTA_CHECKED enum ota_code work_enter(struct agent *agent, struct ota_error *err);

/** Begin the work of the state, or go on with what comes before it. */
OTA_CHECKED enum ota_code work_begin(struct agent *agent, struct ota_error *err);

/** True, with WINDOW, while the download windows of the policy are closed. */
bool hold_download(const struct agent *agent, struct ota_error *why);

/** Look whether the policy holds the work of the state back. *held: it waits for the
 *  answer of a script, or is parked. OTA_OK or the code of a port. */
OTA_CHECKED enum ota_code hold_work(
	struct agent *agent, bool *held, struct ota_error *err);

/** A script of the policy answered. */
OTA_CHECKED enum ota_code hold_answered(
	struct agent *agent, const struct ota_error *answer, struct ota_error *err);

/** Fetching begins: look at the policy again each minute, while chunks come in. */
void hold_watch(struct agent *agent);

/** That minute is over. */
OTA_CHECKED enum ota_code hold_recheck(struct agent *agent, struct ota_error *err);

/** OTA_OK if the patch that the spool is for is within the byte budget of the rollout, or
 *  BUDGET. */
OTA_CHECKED enum ota_code hold_budget(
	const struct agent *agent, uint64_t patch_len, struct ota_error *why);

/** So many bytes of the patch being fetched were received, ever. */
void hold_count(struct agent *agent, uint64_t bytes);

/** True if more was received for the rollout than is allowed. */
bool hold_is_overspent(const struct agent *agent);

/** The spool is emptied of every patch but one (zero: of all). */
void hold_forget_spool(struct agent *agent, const struct ota_digest *but);

/** Stop the work of the state, wherever it is. */
void work_stop(struct agent *agent);

/** Stop the work of the state until judged otherwise, or for retry_ms if that is not 0.
 */
void work_park(
	struct agent *agent, enum ota_code code, const char *text, uint64_t retry_ms);

/** End the update of this state as failed. */
OTA_CHECKED enum ota_code work_fail(
	struct agent *agent, enum ota_code code, const char *text, struct ota_error *err);

/** A job answered. */
OTA_CHECKED enum ota_code work_result(
	struct agent *agent, const struct agent_result *result, struct ota_error *err);

/** A job of OFFERED answered. */
OTA_CHECKED enum ota_code offer_result(
	struct agent *agent, const struct agent_result *result, struct ota_error *err);

/** Refuse what was offered, or wait where only time is lacking. */
OTA_CHECKED enum ota_code offer_refuse(
	struct agent *agent, const struct ota_error *why, struct ota_error *err);

/** The manifest is in the spool, and more may be known: go on as far as it reaches. */
OTA_CHECKED enum ota_code offer_weigh(struct agent *agent, struct ota_error *err);

/** Ask net for the chunks of the patch, or for the blocks that the scan lacks. */
void offer_fetch(struct agent *agent, enum ipc_part part);

/** More was received for the rollout than is allowed. */
OTA_CHECKED enum ota_code offer_overspent(struct agent *agent, struct ota_error *err);

/** True if a patch from that image needs the running slot, which was hashed, mended. */
bool repair_is_for(const struct agent *agent, const struct ota_digest *from);

/** The patch being offered is not to be had by mending its source: take a full image, or
 *  refuse with why. */
OTA_CHECKED enum ota_code repair_give_up(
	struct agent *agent, const struct ota_error *why, struct ota_error *err);

/** Ask net for the block table that the manifest names. */
void repair_ask_table(struct agent *agent);

/** OTA_OK if mending what was scanned is worth it and allowed, or PRECURSOR with the
 *  numbers. */
OTA_CHECKED enum ota_code repair_check(const struct agent *agent,
	const struct ota_manifest *manifest, struct ota_error *why);

/** A SCAN answered. */
OTA_CHECKED enum ota_code repair_scanned(
	struct agent *agent, const struct agent_result *result, struct ota_error *err);

/** Something came from net about table or blocks: SPOOLED, CHUNKS or FETCHED. */
OTA_CHECKED enum ota_code repair_from_net(
	struct agent *agent, const struct ipc_message *message, struct ota_error *err);

/** Compare the running slot with the block table, as the job of this state. */
OTA_CHECKED enum ota_code work_start_scan(struct agent *agent, struct ota_error *err);

/** Ask net for a manifest, and to forget all other patches. */
void offer_ask_manifest(struct agent *agent, const struct ota_digest *patch);

/** Run a hook as the job of this state. */
OTA_CHECKED enum ota_code work_start_hook(
	struct agent *agent, const char *hook, struct ota_error *err);

/** A hook refused, or asked to come again later. */
OTA_CHECKED enum ota_code work_hook_failed(
	struct agent *agent, const struct ota_error *why, struct ota_error *err);

/** Let net forget every patch. */
void work_purge(struct agent *agent);

/** Something came from net about the patch: SPOOLED, CHUNKS, FETCHED or FAILED. */
OTA_CHECKED enum ota_code offer_from_net(
	struct agent *agent, const struct ipc_message *message, struct ota_error *err);

/** A fresh document was verified that came to this process: confirm if that was all that
 *  was lacking. */
OTA_CHECKED enum ota_code work_confirm_if_proved(
	struct agent *agent, struct ota_error *err);

/** Time to try again what could not be done. */
OTA_CHECKED enum ota_code work_retry(struct agent *agent, struct ota_error *err);

/** The deadline of the state has passed: INSTALLING or PROVING, no other has one. */
OTA_CHECKED enum ota_code work_deadline(struct agent *agent, struct ota_error *err);

/** What is waited for has been so for a moment. */
void report_settle(struct agent *agent);

/** Send a report if it would say something new. OTA_OK or the code of a port. */
OTA_CHECKED enum ota_code report_if_changed(struct agent *agent, struct ota_error *err);

/** Send a report if net is connected. */
OTA_CHECKED enum ota_code report_send(struct agent *agent, struct ota_error *err);

/** Tell people who watch how far the fetching is, at most once a second. */
void report_progress(struct agent *agent);

#endif
