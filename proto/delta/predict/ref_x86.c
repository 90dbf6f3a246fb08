#include "proto/delta/predict/ref_machine.h"

/* x86 and x86-64 (Intel SDM volume 2, appendix A, and chapter 2 for prefixes). Code is
 * swept from instruction to instruction; only how long they are and where their numbers
 * stand is decoded. A sweep that begins inside an instruction is soon in step. */

enum {
	WARM_UP = 64,  /* bytes before a page, to get into step */
	INSN_MAX = 15, /* bytes of the longest instruction */
	UNLINKED = -5, /* a relocatable object has distances from here to 0 */
};

/* Distances count from the end of the instruction; a form for each number of bytes that
 * follow the field. */
enum {
	FORM_REL = OTA_FORMS_X86,
	FORM_REL_1,
	FORM_REL_2,
	FORM_REL_4,
};

static int64_t read_rel(const uint8_t *field, int64_t end)
{
	return ota_plus(end, ota_signed(ota_le32(field), 32));
}

static bool write_rel(uint8_t *field, int64_t end, int64_t target)
{
	int64_t distance = ota_minus(target, end);

	if (!ota_fits(distance, 32))
		return false;
	ota_le32_set(field, (uint32_t)distance);
	return true;
}

#define REL(after)                                                                     \
	static int64_t read_rel_##after(                                               \
		const uint8_t *field, const struct ota_spot *spot, int64_t like)       \
	{                                                                              \
		(void)like;                                                            \
		return read_rel(field, ota_plus(spot->address, 4 + (after)));          \
	}                                                                              \
                                                                                       \
	static bool write_rel_##after(                                                 \
		uint8_t *field, const struct ota_spot *spot, int64_t target)           \
	{                                                                              \
		return write_rel(field, ota_plus(spot->address, 4 + (after)), target); \
	}

REL(0)
REL(1)
REL(2)
REL(4)

#define X86(form) [(form)-OTA_FORMS_X86]
#define ALL4                           \
	{                              \
		0xff, 0xff, 0xff, 0xff \
	}

/* clang-format off */
const struct ota_ref_form ota_forms_x86[OTA_FAMILY_FORMS] = {
	X86(FORM_REL) = { "x86 rel32", 4, false, ALL4, read_rel_0, write_rel_0, OTA_SCOPE_OBJECT },
	X86(FORM_REL_1) = { "x86 rel32, imm8", 4, false, ALL4, read_rel_1, write_rel_1, OTA_SCOPE_OBJECT },
	X86(FORM_REL_2) = { "x86 rel32, imm16", 4, false, ALL4, read_rel_2, write_rel_2, OTA_SCOPE_OBJECT },
	X86(FORM_REL_4) = { "x86 rel32, imm32", 4, false, ALL4, read_rel_4, write_rel_4, OTA_SCOPE_OBJECT },
};

/* What follows an opcode, one letter for each of a map of 256:
 *   -  nothing                     M  a ModRM
 *   b  1 byte                      i  a ModRM and 1 byte
 *   w  2 bytes                     I  a ModRM and 2 or 4 bytes by operand size
 *   e  3 bytes                     t  a ModRM, and for its first two opcodes 1 byte
 *   f  6 bytes                     T  the same with 2 or 4 bytes
 *   z  2 or 4 by operand size      j  4 bytes: a branch
 *   q  the same, or 8              a  an address
 *   p  it is a prefix              R  it is a REX prefix
 *   o  8  A  another map           V  v  E  a VEX or EVEX prefix
 *   x  it is no opcode */
static const char one_byte[][17] = {
	/* 0123456789abcdef   in 64-bit mode */
	"MMMMbzxxMMMMbzxo",
	"MMMMbzxxMMMMbzxx",
	"MMMMbzpxMMMMbzpx",
	"MMMMbzpxMMMMbzpx",
	"RRRRRRRRRRRRRRRR",
	"----------------",
	"xxEMppppzIbi----",
	"bbbbbbbbbbbbbbbb",
	"iIxiMMMMMMMMMMMM",
	"----------x-----",
	"aaaa----bz------",
	"bbbbbbbbqqqqqqqq",
	"iiw-VviIe-w--bx-",
	"MMMMxxx-MMMMMMMM",
	"bbbbbbbbjjxb----",
	"p-pp--tT------MM",
};

static const char one_byte_32[][17] = {
	/* 0123456789abcdef   in 32-bit mode */
	"MMMMbz--MMMMbz-o",
	"MMMMbz--MMMMbz--",
	"MMMMbzp-MMMMbzp-",
	"MMMMbzp-MMMMbzp-",
	"----------------",
	"----------------",
	"--EMppppzIbi----",
	"bbbbbbbbbbbbbbbb",
	"iIiiMMMMMMMMMMMM",
	"----------f-----",
	"aaaa----bz------",
	"bbbbbbbbzzzzzzzz",
	"iiw-VviIe-w--b--",
	"MMMMbb--MMMMMMMM",
	"bbbbbbbbjjfb----",
	"p-pp--tT------MM",
};

static const char two_bytes[][17] = {
	/* 0123456789abcdef   after 0f */
	"MMMMx-----x-xM-i",
	"MMMMMMMMMMMMMMMM",
	"MMMMxxxxMMMMMMMM",
	"------x-8xAxxxxx",
	"MMMMMMMMMMMMMMMM",
	"MMMMMMMMMMMMMMMM",
	"MMMMMMMMMMMMMMMM",
	"iiiiMMM-MMxxMMMM",
	"jjjjjjjjjjjjjjjj",
	"MMMMMMMMMMMMMMMM",
	"---MiMxx---MiMMM",
	"MMMMMMMMMMiMMMMM",
	"MMiMiiiM--------",
	"MMMMMMMMMMMMMMMM",
	"MMMMMMMMMMMMMMMM",
	"MMMMMMMMMMMMMMMM",
};
/* clang-format on */

/* An instruction, and the cursor that decodes it. */
struct insn {
	const uint8_t *at; /* borrowed */
	uint32_t room;     /* bytes that may be read */
	uint32_t len;      /* bytes decoded */
	bool is_64;        /* the mode */
	bool is_word;      /* operands of 2 bytes */
	bool is_wide;      /* REX.W: operands of 8 bytes */
	bool is_short;     /* addresses of half the usual length */
	char operands;     /* see the maps */
	bool is_relative;  /* the displacement counts from the end */
	uint32_t disp;     /* where 4 bytes of displacement stand; 0: nowhere */
	uint32_t imm;      /* where the immediate or branch stands; 0: nowhere */
	uint32_t imm_len;  /* bytes */
};

/* The next byte; 0 beyond the end, which decode() finds out by the length. */
static uint8_t next(struct insn *insn)
{
	uint8_t byte = insn->len < insn->room ? insn->at[insn->len] : 0;

	insn->len++;
	return byte;
}

static uint8_t peek(const struct insn *insn)
{
	return insn->len < insn->room ? insn->at[insn->len] : 0;
}

static char in_map(const char (*map)[17], uint8_t opcode)
{
	return map[opcode >> 4][opcode & 15];
}

/* An opcode of map 1 (0f), 2 (0f 38), 3 (0f 3a), or 5 and 6 of EVEX. */
static char mapped(struct insn *insn, unsigned map)
{
	char operands = 'x';

	if (map == 1)
		operands = in_map(two_bytes, next(insn));
	if (map == 2 || map == 5 || map == 6 || operands == '8')
		return (void)next(insn), 'M';
	if (map == 3 || operands == 'A')
		return (void)next(insn), 'i';
	return operands;
}

/* What VEX and EVEX prefixes stand for; without a ModRM of registers behind them, 32-bit
 * code means LES, LDS and BOUND. */
static char extended(struct insn *insn, char kind)
{
	unsigned map = 1;

	if (!insn->is_64 && peek(insn) < 0xc0)
		return 'M';
	if (kind == 'V')
		map = next(insn) & 0x1f;
	if (kind == 'E')
		map = next(insn) & 0x07;
	(void)next(insn);
	if (kind == 'E')
		(void)next(insn);
	return mapped(insn, map);
}

/* Prefixes and opcode: what the operands are. */
static char operands_of(struct insn *insn)
{
	while (insn->len < INSN_MAX) {
		uint8_t byte = next(insn);
		char kind = in_map(insn->is_64 ? one_byte : one_byte_32, byte);

		if (kind == 'o')
			return mapped(insn, 1);
		if (kind == 'V' || kind == 'v' || kind == 'E')
			return extended(insn, kind);
		if (kind != 'p' && kind != 'R')
			return kind;
		insn->is_wide = kind == 'R' && (byte & 8) != 0; /* only the last counts */
		insn->is_word |= byte == 0x66;
		insn->is_short |= byte == 0x67;
	}
	return 'x';
}

/* ModRM, SIB and displacement. Gives the opcode's extension. */
static unsigned modrm(struct insn *insn)
{
	uint8_t byte = next(insn);
	unsigned mode = byte >> 6, base = byte & 7;
	bool has_sib = mode != 3 && base == 4;

	if (has_sib)
		base = next(insn) & 7;
	if (mode == 1)
		(void)next(insn);
	if (mode == 2 || (mode == 0 && base == 5)) {
		insn->disp = insn->len;
		insn->is_relative = mode == 0 && !has_sib && insn->is_64;
		insn->len += 4;
	}
	return byte >> 3 & 7;
}

/* Bytes of immediate behind a ModRM with this extension. */
static uint32_t imm_len(const struct insn *insn, unsigned extension)
{
	uint32_t by_operand = insn->is_word && !insn->is_wide ? 2 : 4;

	switch (insn->operands) {
	case 'b':
	case 'i':
		return 1;
	case 't':
		return extension < 2 ? 1 : 0;
	case 'T':
		return extension < 2 ? by_operand : 0;
	case 'w':
		return 2;
	case 'e':
		return 3;
	case 'f':
		return 6;
	case 'z':
	case 'I':
		return by_operand;
	case 'q':
		return insn->is_wide ? 8 : by_operand;
	case 'j':
		return 4;
	case 'a':
		return (insn->is_64 ? 8u : 4u) >> insn->is_short;
	default:
		return 0;
	}
}

static bool has_modrm(char operands)
{
	return operands == 'M' || operands == 'i' || operands == 'I' || operands == 't' ||
	       operands == 'T';
}

/* Decode one instruction. False if there is none. */
static bool decode(struct insn *insn)
{
	unsigned extension = 0;

	insn->operands = operands_of(insn);
	if (insn->operands == 'x' || insn->len > INSN_MAX)
		return false;
	if (has_modrm(insn->operands)) {
		/* addresses of 16 bits have another layout, and are not met */
		if (insn->is_short && !insn->is_64)
			return false;
		extension = modrm(insn);
	}
	insn->imm = insn->len;
	insn->imm_len = imm_len(insn, extension);
	insn->len += insn->imm_len;
	return insn->len <= insn->room && insn->len <= INSN_MAX;
}

struct sweep {
	const struct ota_scan *scan; /* borrowed */
	struct ota_refs *refs;       /* borrowed */
	bool is_64;
	bool has_absolute; /* numbers may be addresses */
};

static void add(struct sweep *sweep, int32_t at, unsigned form, int64_t target)
{
	struct ota_ref ref = { (uint32_t)at, (uint8_t)form, target, 0 };

	(void)ota_refs_add(sweep->refs, sweep->scan, &ref);
}

/* A distance, with so many bytes of the instruction behind it. */
static void add_distance(struct sweep *sweep, int32_t at, uint32_t after, bool is_branch)
{
	static const uint8_t forms[] = { FORM_REL, FORM_REL_1, FORM_REL_2, 0,
		FORM_REL_4 };
	const struct ota_scan *scan = sweep->scan;
	int64_t distance = ota_signed(ota_le32(scan->at + at), 32);
	int64_t target =
		ota_plus(ota_plus(scan->address, at + 4 + (int32_t)after), distance);

	if (distance >= UNLINKED && distance <= 0)
		return;
	if (is_branch ? ota_in_text(scan, target) : ota_in_object(scan, target))
		add(sweep, at, forms[after], target);
}

/* A number of 4 bytes, which may be an address. */
static void add_absolute(struct sweep *sweep, int32_t at)
{
	unsigned form = sweep->is_64 ? OTA_WORD_SIGNED32 : OTA_WORD_ABS32;
	struct ota_spot spot = { 0 };
	int64_t target =
		ota_ref_form((uint8_t)form)->read(sweep->scan->at + at, &spot, 0);

	if (sweep->has_absolute && ota_in_object(sweep->scan, target))
		add(sweep, at, form, target);
}

static void add_all(struct sweep *sweep, int32_t at, const struct insn *insn)
{
	if (insn->disp != 0 && insn->is_relative)
		add_distance(sweep, at + (int32_t)insn->disp, insn->len - insn->disp - 4,
			false);
	else if (insn->disp != 0)
		add_absolute(sweep, at + (int32_t)insn->disp);
	if (insn->operands == 'j')
		add_distance(sweep, at + (int32_t)insn->imm, 0, true);
	else if (insn->imm_len == 4)
		add_absolute(sweep, at + (int32_t)insn->imm);
}

static void scan_code(const struct ota_scan *scan, struct ota_refs *refs, bool is_64)
{
	struct sweep sweep = { scan, refs, is_64, ota_is_fixed(scan) };
	int32_t at = -(int32_t)scan->before, end = ota_scan_end(scan);

	while (at < (int32_t)scan->len) {
		struct insn insn = {
			.at = scan->at + at, .room = (uint32_t)(end - at), .is_64 = is_64
		};

		if (!decode(&insn)) {
			at++;
			continue;
		}
		add_all(&sweep, at, &insn);
		at += (int32_t)insn.len;
	}
}

static void scan_x64(const struct ota_scan *scan, struct ota_refs *refs)
{
	scan_code(scan, refs, true);
}

static void scan_x86(const struct ota_scan *scan, struct ota_refs *refs)
{
	scan_code(scan, refs, false);
}

const struct ota_ref_kind ota_kind_x64 = { WARM_UP, INSN_MAX, scan_x64 };
const struct ota_ref_kind ota_kind_x86 = { WARM_UP, INSN_MAX, scan_x86 };
