#include "proto/delta/predict/ref_machine.h"

/* ARM code (Arm ARM for ARMv7-A, A5) as kernels have it, linked where it runs: branches,
 * words in literal pools, MOVW and MOVT. And the PLT of ARM objects. */

enum {
	INSN_LEN = 4,         /* bytes */
	PC_AHEAD = 8,         /* bytes that PC is ahead of an instruction */
	LOOK_AHEAD = 16,      /* instructions after a MOVW in which its MOVT is sought */
	PLT_LEN = 12,         /* bytes of a PLT entry */
	PLT_REACH = 1 << 28,  /* bytes that a PLT entry reaches ahead */
	CONDITION_NONE = 0xf, /* other instructions */
	REGISTERS = 16,
};

enum {
	FORM_B = OTA_FORMS_A32,
	FORM_MOVW,
	FORM_MOVT,
	FORM_PLT,
};

static int64_t read_b(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(
		spot->address, PC_AHEAD + ota_signed(ota_le32(field), 24) * INSN_LEN);
}

static bool write_b(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	int64_t distance = ota_minus(target, ota_plus(spot->address, PC_AHEAD));
	uint32_t bits = (uint32_t)(distance / INSN_LEN) & 0xffffff;

	if (distance % INSN_LEN != 0 || !ota_fits(distance / INSN_LEN, 24))
		return false;
	ota_le32_set(field, (ota_le32(field) & 0xff000000) | bits);
	return true;
}

/* The 16 bits of MOVW and MOVT. */
static uint32_t half_get(uint32_t insn)
{
	return (insn >> 4 & 0xf000) | (insn & 0xfff);
}

static void half_set(uint8_t *field, uint32_t half)
{
	ota_le32_set(field,
		(ota_le32(field) & 0xfff0f000) | (half & 0xf000) << 4 | (half & 0xfff));
}

static int64_t read_movw(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot;
	return (like & -0x10000) | half_get(ota_le32(field));
}

static bool write_movw(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	half_set(field, (uint32_t)target & 0xffff);
	return true;
}

static int64_t read_movt(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot;
	return (int64_t)half_get(ota_le32(field)) << 16 | (like & 0xffff);
}

static bool write_movt(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	if (target < 0 || target > UINT32_MAX)
		return false;
	half_set(field, (uint32_t)target >> 16);
	return true;
}

/* ADD ip, pc, a << 20; ADD ip, ip, b << 12; LDR pc, [ip, c]! */
static int64_t read_plt(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	int64_t distance = (int64_t)field[0] << 20 | (int64_t)field[4] << 12 |
			   (ota_le32(field + 8) & 0xfff);

	(void)like;
	return ota_plus(spot->address, PC_AHEAD + distance);
}

static bool write_plt(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	int64_t distance = ota_minus(target, ota_plus(spot->address, PC_AHEAD));

	if (distance < 0 || distance >= PLT_REACH)
		return false;
	field[0] = (uint8_t)(distance >> 20);
	field[4] = (uint8_t)(distance >> 12);
	ota_le32_set(field + 8,
		(ota_le32(field + 8) & ~0xfffu) | ((uint32_t)distance & 0xfff));
	return true;
}

#define A32(form) [(form)-OTA_FORMS_A32]

/* clang-format off */
const struct ota_ref_form ota_forms_a32[OTA_FAMILY_FORMS] = {
	A32(FORM_B) = { "a32 b", 4, false, { 0xff, 0xff, 0xff, 0x00 }, read_b, write_b, OTA_SCOPE_OBJECT },
	A32(FORM_MOVW) = { "a32 movw", 4, false, { 0xff, 0x0f, 0x0f, 0x00 },
		read_movw, write_movw, OTA_SCOPE_OBJECT },
	A32(FORM_MOVT) = { "a32 movt", 4, false, { 0xff, 0x0f, 0x0f, 0x00 },
		read_movt, write_movt, OTA_SCOPE_OBJECT },
	A32(FORM_PLT) = { "arm plt", PLT_LEN, false, { 0xff, 0, 0, 0, 0xff, 0, 0, 0, 0xff, 0x0f },
		read_plt, write_plt, OTA_SCOPE_OBJECT },
};
/* clang-format on */

struct sweep {
	const struct ota_scan *scan; /* borrowed */
	struct ota_refs *refs;       /* borrowed */
	bool has_absolute;           /* words may be addresses */
	int64_t pair[REGISTERS];     /* what a MOVW began .. */
	int32_t pair_at[REGISTERS];  /* .. and where its MOVT ends it */
};

static void add(struct sweep *sweep, int32_t at, unsigned form, int64_t target)
{
	struct ota_ref ref = { (uint32_t)at, (uint8_t)form, target, 0 };

	(void)ota_refs_add(sweep->refs, sweep->scan, &ref);
}

static bool is_movw(uint32_t insn)
{
	return (insn & 0x0ff00000) == 0x03000000;
}

static bool is_movt(uint32_t insn)
{
	return (insn & 0x0ff00000) == 0x03400000;
}

static bool is_branch(uint32_t insn)
{
	return (insn & 0x0e000000) == 0x0a000000 && insn >> 28 != CONDITION_NONE;
}

/* Where the MOVT after a MOVW is; INT32_MAX if there is none. */
static int32_t find_movt(const struct ota_scan *scan, int32_t at)
{
	uint32_t movw = ota_le32(scan->at + at);

	for (int i = 1; i <= LOOK_AHEAD; i++) {
		int32_t next = at + i * INSN_LEN;
		uint32_t insn;

		if (next + INSN_LEN > ota_scan_end(scan))
			break;
		insn = ota_le32(scan->at + next);
		if ((is_movw(insn) || is_movt(insn)) && ((insn ^ movw) & 0xf000) == 0)
			return is_movt(insn) ? next : INT32_MAX;
	}
	return INT32_MAX;
}

static void step_movw(struct sweep *sweep, int32_t at, uint32_t insn)
{
	const struct ota_scan *scan = sweep->scan;
	uint32_t reg = insn >> 12 & 15;
	int32_t movt = find_movt(scan, at);
	int64_t target;

	sweep->pair_at[reg] = INT32_MAX;
	if (movt == INT32_MAX)
		return;
	target = (int64_t)half_get(ota_le32(scan->at + movt)) << 16 | half_get(insn);
	if (!ota_in_object(scan, target))
		return;
	add(sweep, at, FORM_MOVW, target);
	sweep->pair[reg] = target;
	sweep->pair_at[reg] = movt;
}

static void step_movt(struct sweep *sweep, int32_t at, uint32_t insn)
{
	uint32_t reg = insn >> 12 & 15;

	if (at == sweep->pair_at[reg])
		add(sweep, at, FORM_MOVT, sweep->pair[reg]);
}

/* A branch to itself is what the linker has still to fill in. */
static void step_branch(struct sweep *sweep, int32_t at)
{
	struct ota_spot spot = { ota_plus(sweep->scan->address, at), 0 };
	int64_t target = read_b(sweep->scan->at + at, &spot, 0);

	if (ota_in_text(sweep->scan, target) && target != spot.address)
		add(sweep, at, FORM_B, target);
}

static void step(struct sweep *sweep, int32_t at)
{
	uint32_t insn = ota_le32(sweep->scan->at + at);

	if (sweep->has_absolute && ota_in_object(sweep->scan, insn))
		add(sweep, at, OTA_WORD_ABS32, insn);
	else if (is_branch(insn))
		step_branch(sweep, at);
	else if (sweep->has_absolute && is_movw(insn))
		step_movw(sweep, at, insn);
	else if (sweep->has_absolute && is_movt(insn))
		step_movt(sweep, at, insn);
}

static void scan_a32(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = {
		.scan = scan, .refs = refs, .has_absolute = ota_is_fixed(scan)
	};

	for (int i = 0; i < REGISTERS; i++)
		sweep.pair_at[i] = INT32_MAX;
	for (int32_t at = ota_first_aligned(scan, INSN_LEN);
		at < (int32_t)scan->len && at + INSN_LEN <= ota_scan_end(scan);
		at += INSN_LEN)
		step(&sweep, at);
}

static bool is_plt_entry(const uint8_t *at)
{
	return (ota_le32(at) & 0xffffff00) == 0xe28fc600 &&
	       (ota_le32(at + 4) & 0xffffff00) == 0xe28cca00 &&
	       (ota_le32(at + 8) & 0xfffff000) == 0xe5bcf000;
}

static void scan_arm_plt(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep = { .scan = scan, .refs = refs };
	int32_t at = ota_first_aligned(scan, INSN_LEN);

	for (; at < (int32_t)scan->len && at + PLT_LEN <= ota_scan_end(scan); at += 4) {
		struct ota_spot spot = { ota_plus(scan->address, at), 0 };
		int64_t target = read_plt(scan->at + at, &spot, 0);

		if (is_plt_entry(scan->at + at) && ota_in_object(scan, target))
			add(&sweep, at, FORM_PLT, target);
	}
}

const struct ota_ref_kind ota_kind_a32 = {
	.before = LOOK_AHEAD * INSN_LEN,
	.after = LOOK_AHEAD * INSN_LEN,
	.scan = scan_a32,
};

const struct ota_ref_kind ota_kind_arm_plt = {
	.before = 0,
	.after = PLT_LEN,
	.scan = scan_arm_plt,
};
