#include <criterion/criterion.h>

#include <dirent.h>
#include <string.h>

#include "agent/port/boot_entries.h"
#include "tests/unit/faults_kit.h"
#include "tests/unit/temporary.h"

static char cmdline[512];
static struct boot_entries entries;
static struct boot_loader loader;
static struct ota_error err;

static void run_slot(unsigned slot)
{
	temporary_write("cmdline", slot == 0 ? "sluice.slot=a\n" : "sluice.slot=b\n");
}

static void set_up(void)
{
	temporary_make();
	(void)snprintf(cmdline, sizeof cmdline, "%s/cmdline", temporary_dir);
	(void)snprintf(entries.dir, sizeof entries.dir, "%s", temporary_dir);
	entries.running =
		(struct boot_running){ .cmdline_file = cmdline, .root_dir = "/" };
	loader = boot_entries_loader(&entries);
	run_slot(0);
	temporary_write("sluice-a.template", "linux /a\n");
	temporary_write("sluice-b.template", "linux /b\n");
	temporary_write("sluice-2-a.conf", "linux /a\n");
	temporary_write("sluice-1-b.off", "linux /b\n");
}

TestSuite(boot_entries, .init = set_up, .fini = temporary_remove);

static bool is_there(const char *name)
{
	char path[512];

	(void)snprintf(path, sizeof path, "%s/%s", temporary_dir, name);
	return access(path, F_OK) == 0;
}

/* What systemd-boot does to a name when it boots it. */
static void boot_renames(const char *from, const char *to)
{
	char from_path[512], to_path[512];

	(void)snprintf(from_path, sizeof from_path, "%s/%s", temporary_dir, from);
	(void)snprintf(to_path, sizeof to_path, "%s/%s", temporary_dir, to);
	cr_assert_eq(rename(from_path, to_path), 0, "%s", from);
}

static enum slot_state state_of(unsigned slot)
{
	enum slot_state state = N_SLOT_STATES;

	cr_assert_eq(loader.get_state(loader.ctx, slot, &state, &err), OTA_OK);
	return state;
}

static unsigned primary(void)
{
	unsigned slot = SLOT_COUNT;

	cr_assert_eq(loader.get_primary(loader.ctx, &slot, &err), OTA_OK, "%s", err.text);
	return slot;
}

Test(boot_entries, a_name_is_read_and_written_the_same)
{
	static const char *const names[] = { "sluice-1-a.conf", "sluice-0-b.off",
		"sluice-12-b.trial", "sluice-3-a+3.conf", "sluice-3-a+0-3.conf",
		"sluice-999999999-b+99-1.conf" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char again[BOOT_ENTRY_NAME_CAP];
		struct boot_entry entry;

		cr_assert(boot_entry_parse(names[i], &entry), "%s", names[i]);
		boot_entry_name(&entry, again);
		cr_expect_str_eq(again, names[i]);
	}
}

Test(boot_entries, other_names_are_not_ours)
{
	static const char *const names[] = { "", "sluice-", "sluice-1-c.conf",
		"sluice-a.conf", "sluice-01-a.conf", "sluice-1-a", "sluice-1-a.conf.bak",
		"sluice-1-a+.conf", "sluice-1-a+3-.conf", "sluice-1-a+100.conf",
		"sluice-1000000000-a.conf", "sluice-1-a+3.off", "sluice-1-aa.conf",
		"debian.conf", "sluice-1-a+-1.conf", "sluice-1a.conf",
		"sluice-a.template" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct boot_entry entry = { .rank = 77 };

		cr_expect_not(boot_entry_parse(names[i], &entry), "%s", names[i]);
		cr_expect_eq(entry.rank, 77);
	}
}

Test(boot_entries, an_update_from_a_to_b_is_a_chain_of_renames)
{
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_BAD, &err), OTA_OK);
	cr_expect(is_there("sluice-1-b.off"));
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK);
	cr_expect(is_there("sluice-1-b.trial"));
	cr_expect_eq(state_of(1), SLOT_TRIAL);
	cr_expect_eq(primary(), 0);
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_OK);
	cr_expect(is_there("sluice-3-b+3.conf"));
	cr_expect_eq(primary(), 1);
	boot_renames("sluice-3-b+3.conf", "sluice-3-b+2-1.conf");
	run_slot(1);
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK);
	cr_expect(is_there("sluice-3-b+2-1.conf"), "still on trial: nothing changes");
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_GOOD, &err), OTA_OK);
	cr_expect(is_there("sluice-3-b.conf"));
	cr_expect_eq(state_of(0), SLOT_GOOD);
	cr_expect_eq(primary(), 1);
}

Test(boot_entries, tries_that_are_used_up_are_bad_but_for_the_last_one)
{
	boot_renames("sluice-1-b.off", "sluice-3-b+0-3.conf");
	cr_expect_eq(state_of(1), SLOT_BAD);
	cr_expect_eq(primary(), 0);
	run_slot(1);
	cr_expect_eq(state_of(1), SLOT_TRIAL);
	cr_expect_eq(loader.set_primary(loader.ctx, 0, 3, &err), OTA_OK);
	cr_expect(is_there("sluice-4-a.conf"));
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_BAD, &err), OTA_OK);
	cr_expect(is_there("sluice-3-b.off"));
}

Test(boot_entries, the_last_slot_that_boots_stays)
{
	cr_expect_eq(loader.set_state(loader.ctx, 0, SLOT_BAD, &err), OTA_E_CONFLICT);
	cr_expect_str_eq(err.text, "slot a stays: slot b is bad, and one must boot");
	cr_expect(is_there("sluice-2-a.conf"));
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_E_CONFLICT);
}

/* FAT has no journal: a cut in a rename can leave both names, or none. */
Test(boot_entries, a_cut_that_leaves_two_names_is_put_right)
{
	temporary_write("sluice-3-b+3.conf", "linux /b\n");
	cr_expect_eq(state_of(1), SLOT_TRIAL, "what systemd-boot would take");
	cr_expect_eq(primary(), 1);
	cr_expect_eq(
		loader.set_state(loader.ctx, 1, SLOT_BAD, &err), OTA_OK, "%s", err.text);
	cr_expect(is_there("sluice-3-b.off"));
	cr_expect_not(is_there("sluice-1-b.off"));
	cr_expect(is_there("sluice-aside.0"), "not removed: bytes may be shared");
	cr_expect_eq(primary(), 0);
	cr_expect_eq(state_of(0), SLOT_GOOD);
}

Test(boot_entries, a_cut_that_leaves_no_name_is_put_right_from_the_template)
{
	boot_renames("sluice-1-b.off", "gone");
	cr_expect_eq(state_of(1), SLOT_BAD);
	cr_expect_eq(primary(), 0);
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK, "%s",
		err.text);
	cr_expect(is_there("sluice-0-b.trial"));
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_OK);
	cr_expect(is_there("sluice-3-b+3.conf"));
}

Test(boot_entries, what_is_done_is_not_done_again)
{
	for (unsigned i = 0; i < 2; i++) {
		cr_expect_eq(loader.set_state(loader.ctx, 0, SLOT_GOOD, &err), OTA_OK);
		cr_expect_eq(loader.set_primary(loader.ctx, 0, 3, &err), OTA_OK);
	}
	cr_expect(is_there("sluice-2-a.conf"));
}

/* As a person may have left them; systemd-boot then goes by the letter, the last first.
 */
Test(boot_entries, of_two_entries_of_one_rank_the_second_is_first)
{
	boot_renames("sluice-1-b.off", "sluice-2-b+3.conf");
	cr_expect_eq(primary(), 1);
	cr_expect_eq(loader.set_primary(loader.ctx, 0, 3, &err), OTA_OK);
	cr_expect(is_there("sluice-3-a.conf"));
	cr_expect_eq(primary(), 0);
}

Test(boot_entries, a_directory_that_is_not_there_is_named)
{
	unsigned slot = 9;

	(void)snprintf(entries.dir, sizeof entries.dir, "%s/no", temporary_dir);
	cr_expect_eq(loader.get_primary(loader.ctx, &slot, &err), OTA_E_NOTFOUND);
	cr_expect(strstr(err.text, "/no: No such file") != NULL, "%s", err.text);
}

/* The names of slot b's entry, of which there is at most one. */
static void name_of_b(char out[static BOOT_ENTRY_NAME_CAP])
{
	struct boot_entry entry;
	struct dirent *file;
	DIR *dir = opendir(temporary_dir);

	cr_assert_not_null(dir);
	out[0] = '\0';
	while ((file = readdir(dir)) != NULL)
		if (boot_entry_parse(file->d_name, &entry) && entry.slot == 1) {
			cr_assert_eq(out[0], '\0', "%s and %s", out, file->d_name);
			boot_entry_name(&entry, out);
		}
	(void)closedir(dir);
}

static enum ota_code speak(unsigned verb)
{
	return verb == 3 ? loader.set_primary(loader.ctx, 1, 3, &err)
			 : loader.set_state(loader.ctx, 1, (enum slot_state)verb, &err);
}

static void clean_b(void)
{
	char name[BOOT_ENTRY_NAME_CAP];

	for (name_of_b(name); name[0] != '\0'; name_of_b(name))
		boot_renames(name, "swept");
}

/* A cut in the rename of a verb: the old name, the new one, both, or none. Slot a stays
 * as it is, something boots, and the verb said again comes to the same end. */
static void cut_and_repeat(
	const char *before, const char *after, unsigned verb, unsigned cut)
{
	char end[BOOT_ENTRY_NAME_CAP];
	unsigned slot = SLOT_COUNT;

	clean_b();
	if (cut & 1)
		temporary_write(before, "linux /b\n");
	if (cut & 2)
		temporary_write(after, "linux /b\n");
	cr_assert_eq(state_of(0), SLOT_GOOD);
	cr_assert_eq(loader.get_primary(loader.ctx, &slot, &err), OTA_OK);
	if (cut == 0 && verb == 3)
		cr_assert_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_OK,
			"the core tells both");
	cr_assert_eq(speak(verb), OTA_OK, "%s, cut %u: %s", before, cut, err.text);
	name_of_b(end);
	cr_assert_neq(end[0], '\0');
	cr_assert(verb == 3 ? primary() == 1 : state_of(1) == verb, "%s, verb %u, cut %u",
		before, verb, cut);
	cr_assert_eq(state_of(0), SLOT_GOOD);
}

Test(boot_entries, a_cut_in_any_rename_is_survived_and_repeated)
{
	static const char *const begins[] = { "sluice-1-b.off", "sluice-1-b.trial",
		"sluice-3-b+3.conf", "sluice-3-b+0-3.conf", "sluice-3-b.conf",
		"sluice-1-b.conf" };
	unsigned cuts = 0;

	for (unsigned i = 0; i < sizeof begins / sizeof begins[0] * 4; i++) {
		char after[BOOT_ENTRY_NAME_CAP];

		clean_b();
		temporary_write(begins[i / 4], "linux /b\n");
		if (speak(i % 4) != OTA_OK)
			continue;
		name_of_b(after);
		for (unsigned cut = 0; strcmp(after, begins[i / 4]) != 0 && cut < 4;
			cut++, cuts++)
			cut_and_repeat(begins[i / 4], after, i % 4, cut);
	}
	cr_expect_gt(cuts, 50);
}

/* ---- each call that fails ---- */

static enum ota_code update_to_b(void)
{
	enum slot_state state;
	unsigned slot;
	enum ota_code rc = loader.get_current(loader.ctx, &slot, &err);

	if (rc == OTA_OK)
		rc = loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err);
	if (rc == OTA_OK)
		rc = loader.set_primary(loader.ctx, 1, 3, &err);
	if (rc == OTA_OK)
		rc = loader.get_primary(loader.ctx, &slot, &err);
	if (rc == OTA_OK)
		rc = loader.get_state(loader.ctx, 0, &state, &err);
	if (rc == OTA_OK)
		rc = loader.set_state(loader.ctx, 1, SLOT_GOOD, &err);
	return rc;
}

static unsigned walk_update(const char *b)
{
	struct faults walk = { 0 };
	unsigned refused = 0;

	temporary_in_memory = true;
	while (faults_next(&walk)) {
		temporary_remove();
		set_up();
		clean_b();
		if (b != NULL)
			temporary_write(b, "linux /b\n");
		faults_arm(&walk);
		refused += update_to_b() != OTA_OK;
		(void)faults_disarm(&walk);
		cr_expect_eq(state_of(0), SLOT_GOOD, "after %s", faults_text(&walk));
		cr_expect_eq(update_to_b(), OTA_OK, "after %s: %s", faults_text(&walk),
			err.text);
		cr_expect_eq(primary(), 1);
		cr_expect_eq(state_of(1), SLOT_GOOD);
	}
	return refused;
}

Test(boot_entries, any_call_may_fail, .timeout = 60)
{
	cr_expect_gt(walk_update("sluice-1-b.off"), 10);
}

Test(boot_entries, any_call_may_fail_while_an_entry_is_made_from_its_template,
	.timeout = 60)
{
	cr_expect_gt(walk_update(NULL), 10);
}

Test(boot_entries, any_path_of_a_cut_that_is_put_right_may_be_too_long)
{
	struct faults walk = { .only = "ota_path_join readdir64 ", .wants_each = true };
	unsigned refused = 0;

	temporary_in_memory = true;
	while (faults_next(&walk)) {
		temporary_remove();
		set_up();
		temporary_write("sluice-3-b+3.conf", "linux /b\n");
		faults_arm(&walk);
		refused += loader.set_state(loader.ctx, 1, SLOT_BAD, &err) != OTA_OK;
		(void)faults_disarm(&walk);
		cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_BAD, &err), OTA_OK,
			"after %s: %s", faults_text(&walk), err.text);
		cr_expect_eq(state_of(1), SLOT_BAD);
		cr_expect_eq(primary(), 0);
	}
	cr_expect_gt(refused, 6);
}

Test(boot_entries, a_file_system_that_is_full_is_told_as_that)
{
	cr_assert(faults_arm_text("rename,28,0"));
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_E_NOSPACE);
	cr_expect(faults_fired());
	cr_expect_not_null(
		strstr(err.text, "sluice-1-b.trial: No space"), "%s", err.text);
	boot_renames("sluice-1-b.off", "gone");
	cr_assert(faults_arm_text("open64,28,2")); /* cmdline, template */
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_E_NOSPACE,
		"%s", err.text);
	cr_expect(faults_fired());
	cr_expect_not_null(strstr(err.text, "sluice.new: No space"), "%s", err.text);
}

/* FAT, once more: it said that it did. */
Test(boot_entries, a_rename_that_did_nothing_is_found_out)
{
	faults_pretend("rename ");
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err), OTA_E_MEDIA);
	faults_pretend(NULL);
	cr_expect_not_null(
		strstr(err.text, "sluice-1-b.trial is not there after a rename"), "%s",
		err.text);
	cr_expect_eq(state_of(1), SLOT_BAD);
}

/* More than are looked at in one go: those that are left are found behind the rename. */
Test(boot_entries, a_heap_of_names_is_cleared_in_more_than_one_go)
{
	unsigned tries = 0;

	for (unsigned i = 100; i < 140; i++) {
		char name[64];

		(void)snprintf(name, sizeof name, "sluice-%u-b.off", i);
		temporary_write(name, "linux /b\n");
	}
	while (tries++ < 10 &&
		loader.set_state(loader.ctx, 1, SLOT_TRIAL, &err) == OTA_E_MEDIA)
		;
	cr_expect_geq(tries, 3);
	cr_expect_leq(tries, 5);
	cr_expect_eq(state_of(1), SLOT_TRIAL);
	clean_b();
}

Test(boot_entries, no_more_than_so_many_are_put_aside)
{
	temporary_write("sluice-3-b+3.conf", "linux /b\n");
	for (unsigned i = 0; i < 1000; i++) {
		char name[64];

		(void)snprintf(name, sizeof name, "sluice-aside.%u", i);
		temporary_write(name, "");
	}
	cr_expect_eq(loader.set_state(loader.ctx, 1, SLOT_BAD, &err), OTA_E_LIMIT);
	cr_expect_not_null(strstr(err.text, "1000 files sluice-aside.*"), "%s", err.text);
}

Test(boot_entries, tries_that_were_used_are_given_back)
{
	boot_renames("sluice-1-b.off", "sluice-3-b+3-1.conf");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_OK);
	cr_expect(is_there("sluice-3-b+3.conf"));
}

Test(boot_entries, tries_and_ranks_have_limits)
{
	boot_renames("sluice-1-b.off", "sluice-1-b.trial");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 0, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "0 tries, rank 3");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 100, &err), OTA_E_LIMIT);
	boot_renames("sluice-2-a.conf", "sluice-999999999-a.conf");
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_E_LIMIT);
	cr_expect_str_eq(err.text, "3 tries, rank 1000000000");
	cr_expect(is_there("sluice-1-b.trial"));
}

Test(boot_entries, without_entries_nothing_is_primary)
{
	enum slot_state state = SLOT_GOOD;
	unsigned slot = 9;

	boot_renames("sluice-1-b.off", "gone");
	boot_renames("sluice-2-a.conf", "gone");
	cr_expect_eq(loader.get_primary(loader.ctx, &slot, &err), OTA_E_NOTFOUND);
	cr_expect_not_null(strstr(err.text, " holds no entry of a slot"), "%s", err.text);
	(void)snprintf(entries.dir, sizeof entries.dir, "%s/no", temporary_dir);
	cr_expect_eq(loader.set_primary(loader.ctx, 1, 3, &err), OTA_E_NOTFOUND);
	cr_expect_eq(loader.get_state(loader.ctx, 1, &state, &err), OTA_E_NOTFOUND);
	cr_expect_eq(slot, 9);
	cr_expect_eq(state, SLOT_GOOD);
}
