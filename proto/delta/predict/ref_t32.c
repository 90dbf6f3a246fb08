#include "proto/delta/predict/ref_machine.h"

/* Thumb-2 (Arm ARM for ARMv7-A, A6). Long branches hold distances. Addresses of data are
 * words in literal pools among the code: LDR takes a word from a pool, then either ADD
 * makes it an address by adding PC, or it is an offset from such an address in another
 * register, as those of GOT entries are. So a word's meaning is found at its users, up to
 * 4 KiB before it. Code linked where it runs has whole addresses in pools, and in pairs
 * of MOVW and MOVT. */

enum {
	LIFE = 64,    /* instructions after which a register is forgotten */
	PAIR = 24,    /* instructions after a MOVW in which its MOVT is sought */
	AFTER = 1024, /* bytes behind a page in which words of pools are looked up */
	WORDS = (OTA_REF_MARGIN + OTA_REF_PAGE + AFTER) / 4 + 1,
	REGISTERS = 16,
};

enum {
	FORM_BL = OTA_FORMS_T32,
	FORM_BLX,
	FORM_B_COND,
	FORM_MOVW,
	FORM_MOVT,
};

/* The two halves of a 32-bit instruction, the first on top. */
static uint32_t insn32(const uint8_t *at)
{
	return ota_le16(at) << 16 | ota_le16(at + 2);
}

static void insn32_set(uint8_t *at, uint32_t insn)
{
	ota_le16_set(at, insn >> 16);
	ota_le16_set(at + 2, insn);
}

/* BL, BLX and B.W (T4): 25 bits; the next to highest two are held as whether they equal
 * the sign. */
static int64_t far_get(uint32_t insn)
{
	uint32_t sign = insn >> 26 & 1;
	uint32_t i1 = (insn >> 13 & 1) == sign, i2 = (insn >> 11 & 1) == sign;

	return ota_signed(sign << 24 | i1 << 23 | i2 << 22 | (insn >> 16 & 0x3ff) << 12 |
				  (insn & 0x7ff) << 1,
		25);
}

static bool far_set(uint8_t *field, int64_t distance)
{
	uint32_t bits = (uint32_t)distance, sign = bits >> 24 & 1;
	uint32_t j1 = (bits >> 23 & 1) == sign, j2 = (bits >> 22 & 1) == sign;

	if ((bits & 1) != 0 || !ota_fits(distance, 25))
		return false;
	insn32_set(field, (insn32(field) & 0xf800d000) | sign << 26 | j1 << 13 |
				  j2 << 11 | (bits >> 12 & 0x3ff) << 16 |
				  (bits >> 1 & 0x7ff));
	return true;
}

/* What PC reads as in an instruction. */
static int64_t pc_of(int64_t address)
{
	return ota_plus(address, 4);
}

/* The same where it counts in words. */
static int64_t word_pc_of(int64_t address)
{
	return pc_of(address) & -4;
}

static int64_t read_bl(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(pc_of(spot->address), far_get(insn32(field)));
}

static bool write_bl(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	return far_set(field, ota_minus(target, pc_of(spot->address)));
}

/* BLX goes to ARM code, which is aligned; its lowest bit is none of the distance. */
static int64_t read_blx(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)like;
	return ota_plus(word_pc_of(spot->address), far_get(insn32(field) & ~1u));
}

static bool write_blx(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	int64_t distance = ota_minus(target, word_pc_of(spot->address));
	uint32_t kept = insn32(field) & 1;

	if (distance % 4 != 0 || !far_set(field, distance))
		return false;
	insn32_set(field, insn32(field) | kept);
	return true;
}

/* B.W with a condition (T3): 21 bits. */
static int64_t read_b_cond(
	const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	uint32_t insn = insn32(field);
	uint32_t bits = (insn >> 26 & 1) << 20 | (insn >> 11 & 1) << 19 |
			(insn >> 13 & 1) << 18 | (insn >> 16 & 0x3f) << 12 |
			(insn & 0x7ff) << 1;

	(void)like;
	return ota_plus(pc_of(spot->address), ota_signed(bits, 21));
}

static bool write_b_cond(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	int64_t distance = ota_minus(target, pc_of(spot->address));
	uint32_t bits = (uint32_t)distance;

	if ((bits & 1) != 0 || !ota_fits(distance, 21))
		return false;
	insn32_set(field, (insn32(field) & 0xfbc0d000) | (bits >> 20 & 1) << 26 |
				  (bits >> 19 & 1) << 11 | (bits >> 18 & 1) << 13 |
				  (bits >> 12 & 0x3f) << 16 | (bits >> 1 & 0x7ff));
	return true;
}

/* The 16 bits of MOVW (T3) and MOVT. */
static uint32_t half_get(uint32_t insn)
{
	return (insn >> 4 & 0xf000) | (insn >> 15 & 0x800) | (insn >> 4 & 0x700) |
	       (insn & 0xff);
}

static void half_set(uint8_t *field, uint32_t half)
{
	insn32_set(field, (insn32(field) & 0xfbf08f00) | (half & 0xf000) << 4 |
				  (half & 0x800) << 15 | (half & 0x700) << 4 |
				  (half & 0xff));
}

static int64_t read_movw(const uint8_t *field, const struct ota_spot *spot, int64_t like)
{
	(void)spot;
	return (like & -0x10000) | half_get(insn32(field));
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
	return (int64_t)half_get(insn32(field)) << 16 | (like & 0xffff);
}

static bool write_movt(uint8_t *field, const struct ota_spot *spot, int64_t target)
{
	(void)spot;
	if (target < 0 || target > UINT32_MAX)
		return false;
	half_set(field, (uint32_t)target >> 16);
	return true;
}

#define T32(form) [(form)-OTA_FORMS_T32]

/* clang-format off */
const struct ota_ref_form ota_forms_t32[OTA_FAMILY_FORMS] = {
	T32(FORM_BL) = { "t32 bl", 4, false, { 0xff, 0x07, 0xff, 0x2f }, read_bl, write_bl, OTA_SCOPE_OBJECT },
	T32(FORM_BLX) = { "t32 blx", 4, false, { 0xff, 0x07, 0xfe, 0x2f },
		read_blx, write_blx, OTA_SCOPE_OBJECT },
	T32(FORM_B_COND) = { "t32 b.cond", 4, false, { 0x3f, 0x04, 0xff, 0x2f },
		read_b_cond, write_b_cond, OTA_SCOPE_OBJECT },
	T32(FORM_MOVW) = { "t32 movw", 4, false, { 0x0f, 0x04, 0xff, 0x70 },
		read_movw, write_movw, OTA_SCOPE_OBJECT },
	T32(FORM_MOVT) = { "t32 movt", 4, false, { 0x0f, 0x04, 0xff, 0x70 },
		read_movt, write_movt, OTA_SCOPE_OBJECT },
};

/* By the bits of the second half that tell the branches apart; conditions 14 and 15 are
 * other instructions. */
static const struct row {
	uint32_t mask, value;
	uint8_t form;
} rows[] = {
	{ 0xf800d000, 0xf000d000, FORM_BL },      /* BL */
	{ 0xf800d000, 0xf0009000, FORM_BL },      /* B.W */
	{ 0xf800d001, 0xf000c000, FORM_BLX },
	{ 0xfb80d000, 0xf3808000, 0 },            /* MSR, hints, barriers */
	{ 0xf800d000, 0xf0008000, FORM_B_COND },
};
/* clang-format on */

/* The form of a 32-bit instruction that is a branch, or 0. */
static uint8_t branch_form(uint32_t insn)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if ((insn & rows[i].mask) == rows[i].value)
			return rows[i].form;
	return 0;
}

static bool is_long(uint32_t half)
{
	return half >= 0xe800;
}

/* What is known of a register. */
struct reg {
	enum { NOTHING, LITERAL, ADDRESS } holds;
	int32_t at;      /* LITERAL: position of the word it was loaded from */
	int64_t address; /* ADDRESS */
	uint32_t until;  /* instructions */
};

/* What is known of a word of the window. */
enum use { CODE, DATA, OFFSET };

struct sweep {
	const struct ota_scan *scan; /* borrowed */
	struct ota_refs *refs;       /* borrowed */
	int32_t origin;              /* position of the first word */
	uint32_t insns;              /* instructions seen */
	struct reg regs[REGISTERS];
	uint8_t use[WORDS];         /* enum use */
	int64_t pair[REGISTERS];    /* what a MOVW began .. */
	int32_t pair_at[REGISTERS]; /* .. and where its MOVT ends it */
	int64_t base[WORDS];        /* OFFSET: what the word counts from */
};

static size_t word_of(const struct sweep *sweep, int32_t at)
{
	return (size_t)((at - sweep->origin) / 4);
}

/* True if a whole aligned word stands there, in sight. */
static bool in_sight(const struct sweep *sweep, int32_t at)
{
	return at >= sweep->origin && at + 4 <= ota_scan_end(sweep->scan) &&
	       (at - sweep->origin) % 4 == 0 && word_of(sweep, at) < WORDS;
}

static enum use use_at(const struct sweep *sweep, int32_t at)
{
	return at >= sweep->origin ? sweep->use[word_of(sweep, at)] : CODE;
}

/* The register, if it still holds that. */
static struct reg *holding(struct sweep *sweep, uint32_t number, int what)
{
	struct reg *reg = &sweep->regs[number];

	return (int)reg->holds == what && sweep->insns < reg->until ? reg : NULL;
}

/* LDR (literal): a register takes a word of a pool, `distance` from PC. */
static void load(struct sweep *sweep, int32_t at, uint32_t number, int32_t distance)
{
	int64_t pc = word_pc_of(ota_plus(sweep->scan->address, at));
	int32_t word = (int32_t)ota_minus(pc, sweep->scan->address) + distance;

	sweep->regs[number].holds = NOTHING;
	if (!in_sight(sweep, word))
		return;
	sweep->regs[number] = (struct reg){
		.holds = LITERAL, .at = word, .until = sweep->insns + LIFE
	};
	if (sweep->use[word_of(sweep, word)] == CODE)
		sweep->use[word_of(sweep, word)] = DATA;
}

/* The word that a register holds turns out to count from base. */
static int64_t resolve(struct sweep *sweep, const struct reg *reg, int64_t base)
{
	size_t word = word_of(sweep, reg->at);

	if (sweep->use[word] != OFFSET)
		sweep->base[word] = base;
	sweep->use[word] = OFFSET;
	return ota_plus(base, ota_signed(ota_le32(sweep->scan->at + reg->at), 32));
}

/* ADD Rd, PC: the word becomes an address. */
static void add_pc(struct sweep *sweep, int32_t at, uint32_t number)
{
	const struct reg *reg = holding(sweep, number, LITERAL);
	int64_t base = pc_of(ota_plus(sweep->scan->address, at));

	if (reg != NULL)
		sweep->regs[number] = (struct reg){ .holds = ADDRESS,
			.address = resolve(sweep, reg, base),
			.until = sweep->insns + LIFE };
}

/* LDR Rt, [Rn, Rm]: if Rn is an address, Rm is an offset from there. */
static void load_indexed(struct sweep *sweep, uint32_t t, uint32_t n, uint32_t m)
{
	const struct reg *base = holding(sweep, n, ADDRESS);
	const struct reg *offset = holding(sweep, m, LITERAL);

	if (base != NULL && offset != NULL)
		(void)resolve(sweep, offset, base->address);
	sweep->regs[t].holds = NOTHING;
}

static void learn_short(struct sweep *sweep, int32_t at, uint32_t insn)
{
	if ((insn & 0xf800) == 0x4800)
		load(sweep, at, insn >> 8 & 7, (int32_t)(insn & 0xff) * 4);
	else if ((insn & 0xff78) == 0x4478)
		add_pc(sweep, at, (insn & 7) | (insn >> 4 & 8));
	else if ((insn & 0xfe00) == 0x5800)
		load_indexed(sweep, insn & 7, insn >> 3 & 7, insn >> 6 & 7);
}

static void learn_long(struct sweep *sweep, int32_t at, uint32_t insn)
{
	int32_t distance = (int32_t)(insn & 0xfff);

	if ((insn & 0xff7f0000) == 0xf85f0000)
		load(sweep, at, insn >> 12 & 15,
			(insn & 0x00800000) != 0 ? distance : -distance);
	else if ((insn & 0xfff00ff0) == 0xf8500000)
		load_indexed(sweep, insn >> 12 & 15, insn >> 16 & 15, insn & 15);
}

/* Where the word that holds this position ends. */
static int32_t word_end(const struct sweep *sweep, int32_t at)
{
	return at + 4 - (at - sweep->origin) % 4;
}

/* Learn what words are, up to the page's end. Gives the position of an instruction before
 * which no MOVW has its MOVT in the page. */
static int32_t learn(struct sweep *sweep)
{
	const struct ota_scan *scan = sweep->scan;
	int32_t at = ota_first_aligned(scan, 2), first = INT32_MAX;

	while (at < (int32_t)scan->len && at + 4 <= ota_scan_end(scan)) {
		uint32_t half = ota_le16(scan->at + at);

		if (at >= -4 * PAIR && at < first)
			first = at;
		if (use_at(sweep, at) != CODE) {
			at = word_end(sweep, at);
			continue;
		}
		sweep->insns++;
		if (is_long(half))
			learn_long(sweep, at, insn32(scan->at + at));
		else
			learn_short(sweep, at, half);
		at += is_long(half) ? 4 : 2;
	}
	return first;
}

static void add(struct sweep *sweep, const struct ota_ref *ref)
{
	(void)ota_refs_add(sweep->refs, sweep->scan, ref);
}

static void add_branch(struct sweep *sweep, int32_t at, uint8_t form)
{
	const struct ota_scan *scan = sweep->scan;
	struct ota_spot spot = { ota_plus(scan->address, at), 0 };
	int64_t target = ota_ref_form(form)->read(scan->at + at, &spot, 0);

	/* to itself: what the linker has still to fill in */
	if (ota_in_text(scan, target) && (target & -4) != (spot.address & -4))
		add(sweep, &(struct ota_ref){ (uint32_t)at, form, target, 0 });
}

/* A word that counts from what a register held. */
static void add_offset(struct sweep *sweep, int32_t at)
{
	const struct ota_scan *scan = sweep->scan;
	int64_t base = sweep->base[word_of(sweep, at)];
	int64_t target = ota_plus(base, ota_signed(ota_le32(scan->at + at), 32));

	if (ota_in_object(scan, target))
		add(sweep,
			&(struct ota_ref){ (uint32_t)at, OTA_WORD_BASE32, target, base });
}

/* A word of which nothing is known but that it was loaded. */
static void add_number(struct sweep *sweep, int32_t at)
{
	const struct ota_scan *scan = sweep->scan;
	uint32_t value = ota_le32(scan->at + at);
	bool thumb = (value & 1) != 0 && ota_in_text(scan, value);
	uint8_t form = thumb ? OTA_WORD_CODE32 : OTA_WORD_ABS32;

	if (ota_is_fixed(scan) && ota_in_object(scan, value))
		add(sweep, &(struct ota_ref){ (uint32_t)at, form, value - thumb, 0 });
}

static bool is_movw(uint32_t insn)
{
	return (insn & 0xfbf08000) == 0xf2400000;
}

static bool is_movt(uint32_t insn)
{
	return (insn & 0xfbf08000) == 0xf2c00000;
}

static uint32_t register_of(uint32_t insn)
{
	return insn >> 8 & 15;
}

/* Where the MOVT after a MOVW is; INT32_MAX if there is none. */
static int32_t find_movt(const struct ota_scan *scan, int32_t at)
{
	uint32_t reg = register_of(insn32(scan->at + at));

	at += 4;
	for (int i = 0; i < PAIR && at + 4 <= ota_scan_end(scan); i++) {
		uint32_t insn = insn32(scan->at + at);

		if ((is_movw(insn) || is_movt(insn)) && register_of(insn) == reg)
			return is_movt(insn) ? at : INT32_MAX;
		at += is_long(insn >> 16) ? 4 : 2;
	}
	return INT32_MAX;
}

static void add_movw(struct sweep *sweep, int32_t at, uint32_t insn)
{
	const struct ota_scan *scan = sweep->scan;
	uint32_t reg = register_of(insn);
	int32_t movt = find_movt(scan, at);
	int64_t target;

	sweep->pair_at[reg] = INT32_MAX;
	if (movt == INT32_MAX)
		return;
	target = (int64_t)half_get(insn32(scan->at + movt)) << 16 | half_get(insn);
	if (!ota_in_object(scan, target))
		return;
	add(sweep, &(struct ota_ref){ (uint32_t)at, FORM_MOVW, target, 0 });
	sweep->pair[reg] = target;
	sweep->pair_at[reg] = movt;
}

static void add_movt(struct sweep *sweep, int32_t at, uint32_t insn)
{
	uint32_t reg = register_of(insn);

	if (at == sweep->pair_at[reg])
		add(sweep, &(struct ota_ref){
				   (uint32_t)at, FORM_MOVT, sweep->pair[reg], 0 });
}

static void add_long(struct sweep *sweep, int32_t at)
{
	uint32_t insn = insn32(sweep->scan->at + at);
	uint8_t form = branch_form(insn);

	if (form != 0)
		add_branch(sweep, at, form);
	else if (is_movw(insn) && ota_is_fixed(sweep->scan))
		add_movw(sweep, at, insn);
	else if (is_movt(insn))
		add_movt(sweep, at, insn);
}

static void add_word(struct sweep *sweep, int32_t at, enum use use)
{
	if (!in_sight(sweep, at))
		return;
	if (use == OFFSET)
		add_offset(sweep, at);
	else
		add_number(sweep, at);
}

/* The second way through the page, when all words are known. */
static void collect(struct sweep *sweep, int32_t at)
{
	const struct ota_scan *scan = sweep->scan;

	while (at < (int32_t)scan->len && at + 4 <= ota_scan_end(scan)) {
		enum use use = use_at(sweep, at);

		if (use != CODE) {
			add_word(sweep, at, use);
			at = word_end(sweep, at);
		} else if (is_long(ota_le16(scan->at + at))) {
			add_long(sweep, at);
			at += 4;
		} else {
			at += 2;
		}
	}
}

static void scan_t32(const struct ota_scan *scan, struct ota_refs *refs)
{
	struct sweep sweep;

	sweep.scan = scan;
	sweep.refs = refs;
	sweep.origin = ota_first_aligned(scan, 4);
	sweep.insns = 0;
	for (int i = 0; i < REGISTERS; i++) {
		sweep.regs[i] = (struct reg){ .holds = NOTHING };
		sweep.pair_at[i] = INT32_MAX;
	}
	for (int i = 0; i < WORDS; i++)
		sweep.use[i] = CODE;
	collect(&sweep, learn(&sweep));
}

const struct ota_ref_kind ota_kind_t32 = { OTA_REF_MARGIN, AFTER, scan_t32 };
