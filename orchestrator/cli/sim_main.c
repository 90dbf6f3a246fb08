/* sluice-sim: a rollout file played through with a fleet that does not exist. */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/cli/output.h"
#include "orchestrator/cli/simulate.h"
#include "orchestrator/cli/spec_yaml.h"
#include "proto/base/own.h"
#include "proto/wire/json.h"

enum { DEVICES_USUAL = 1000, SMALL_PERCENT = 1, SMALL_LEAST = 5 };

static const char help[] =
	"usage: sluice-sim [options] ROLLOUT.yaml --fleet=FLEET.yaml\n"
	"\n"
	"Plays a rollout through, many times, with the orchestrator's own core, gates "
	"and\n"
	"grants above a fleet of simulated devices, and prints what is to be expected: "
	"how\n"
	"many devices are harmed, how often it halts and in which stage, how long it "
	"takes.\n"
	"Needs no server, no keys and no network. The same seed gives the same figures.\n"
	"\n"
	"options:\n"
	"  -f, --fleet=FILE          the fleet file with the cohorts\n"
	"  -n, --devices=N           devices of the fleet (1000)\n"
	"  -c, --cohort=NAME=COUNT   devices of a cohort; may be given again. The last\n"
	"                            cohort of the file has what the others leave; any\n"
	"                            other has 1 %, and at least 5\n"
	"      --fail=RATE[,RATE..]  share of devices on which the release fails, and "
	"which\n"
	"                            fall back to the old one (0.5%,2%,5%,100%)\n"
	"      --brick=RATE          share that is never heard of again (0%)\n"
	"      --offline=RATE        share that is out of reach all the time (0%)\n"
	"  -r, --runs=R              times it is played at each rate (200)\n"
	"  -s, --seed=S              of the first run; the others count up (1)\n"
	"  -O, --output=text|json    how to print the result\n"
	"  -h, --help                print this\n"
	"      --version             print the version\n"
	"\n"
	"A device that fails softly or is bricked is harmed. A release is granted whole, "
	"and\n"
	"nobody pauses or resumes; a rollout ends when it is completed or halts.\n"
	"\n"
	"exit status: 0, or 1 with one line that says what is wrong.\n"
	"\n"
	"example:\n"
	"  sluice-sim config/rollouts/staged.yaml --fleet=config/fleet.yaml -n 10000 "
	"--fail=2%\n";

struct options {
	const char *rollout, *fleet;
	uint64_t devices;
	const char *cohorts[OTA_COHORTS_MAX]; /* "NAME=COUNT" */
	uint32_t cohort_count;
	struct simulate_words words;
	bool json, done; /* done: printed what was asked for */
};

enum { OPT_FAIL = 256, OPT_BRICK, OPT_OFFLINE, OPT_VERSION };

static const struct option longs[] = {
	{ "fleet", required_argument, NULL, 'f' },
	{ "devices", required_argument, NULL, 'n' },
	{ "cohort", required_argument, NULL, 'c' },
	{ "fail", required_argument, NULL, OPT_FAIL },
	{ "brick", required_argument, NULL, OPT_BRICK },
	{ "offline", required_argument, NULL, OPT_OFFLINE },
	{ "runs", required_argument, NULL, 'r' },
	{ "seed", required_argument, NULL, 's' },
	{ "output", required_argument, NULL, 'O' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

/* ---- the command line */

static OTA_CHECKED enum ota_code take_devices(
	const char *text, uint64_t *out, struct ota_error *err)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || value == 0 ||
		value > TWIN_DEVICES_MAX)
		return ota_fail(err, OTA_E_USAGE,
			"'%s' is no number of devices (1 to %d)", text, TWIN_DEVICES_MAX);
	*out = value;
	return OTA_OK;
}

static OTA_CHECKED enum ota_code take_word(
	struct options *o, int option, struct ota_error *err)
{
	switch (option) {
	case 'f':
		o->fleet = optarg;
		return OTA_OK;
	case 'n':
		return take_devices(optarg, &o->devices, err);
	case 'c':
		if (o->cohort_count == OTA_COHORTS_MAX)
			return ota_fail(err, OTA_E_USAGE, "too many --cohort");
		o->cohorts[o->cohort_count++] = optarg;
		return OTA_OK;
	case OPT_FAIL:
		o->words.fail = optarg;
		return OTA_OK;
	case OPT_BRICK:
		o->words.brick = optarg;
		return OTA_OK;
	case OPT_OFFLINE:
		o->words.offline = optarg;
		return OTA_OK;
	case 'r':
		o->words.runs = optarg;
		return OTA_OK;
	case 's':
		o->words.seed = optarg;
		return OTA_OK;
	case 'O':
		o->json = strcmp(optarg, "json") == 0;
		if (!o->json && strcmp(optarg, "text") != 0)
			return ota_fail(err, OTA_E_USAGE,
				"--output is text or json, not '%s'", optarg);
		return OTA_OK;
	case 'h':
	case OPT_VERSION:
		o->done = true;
		fputs(option == 'h' ? help : "sluice-sim " SLUICE_VERSION "\n", stdout);
		return OTA_OK;
	default:
		return ota_fail(err, OTA_E_USAGE, "see sluice-sim --help");
	}
}

static OTA_CHECKED enum ota_code read_options(
	int argc, char **argv, struct options *o, struct ota_error *err)
{
	enum ota_code rc = OTA_OK;
	int option;

	while (rc == OTA_OK && !o->done &&
		(option = getopt_long(argc, argv, "f:n:c:r:s:O:h", longs, NULL)) != -1)
		rc = take_word(o, option, err);
	if (rc != OTA_OK || o->done)
		return rc;
	if (argc - optind != 1)
		return ota_fail(
			err, OTA_E_USAGE, "one rollout file is needed; see --help");
	if (o->fleet == NULL)
		return ota_fail(err, OTA_E_USAGE,
			"--fleet=FILE is needed: the cohorts of the rollout");
	o->rollout = argv[optind];
	return OTA_OK;
}

/* ---- the files */

/* What the simulation is made of. */
struct scene {
	struct fleet_spec fleet; /* owned */
	struct twin_cohort cohorts[OTA_COHORTS_MAX];
	struct rollout_spec spec;
};

static void scene_freep(struct scene **scene)
{
	if (*scene != NULL)
		fleet_spec_fini(&(*scene)->fleet);
	free(*scene);
}

static enum ota_code any_release(void *ctx, const char *product, const char *version,
	struct ota_digest *out, struct ota_error *err)
{
	(void)ctx;
	(void)product;
	(void)err;
	*out = ota_digest_of(ota_bytes_of(version));
	return OTA_OK;
}

static uint64_t devices_of(void *ctx, const char *cohort)
{
	const struct scene *scene = ctx;

	for (uint32_t i = 0; i < scene->fleet.cohort_count; i++)
		if (strcmp(scene->cohorts[i].name, cohort) == 0)
			return scene->cohorts[i].devices;
	return 0;
}

static OTA_CHECKED enum ota_code explained(
	struct ota_yaml *doc, const char *path, enum ota_code rc, struct ota_error *err)
{
	if (doc == NULL || ota_yaml_error_count(doc) == 0)
		return rc;
	fputs(ota_yaml_errors(doc), stderr);
	return ota_fail(err, OTA_E_CONFIG, "%s cannot be used", path);
}

static OTA_CHECKED enum ota_code read_fleet(
	const char *path, struct fleet_spec *out, struct ota_error *err)
{
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
	enum spec_kind kind;
	enum ota_code rc = ota_yaml_load(path, &doc);

	if (rc == OTA_OK)
		rc = spec_yaml_kind(doc, &kind);
	if (rc == OTA_OK && kind != SPEC_FLEET)
		return ota_fail(err, OTA_E_CONFIG, "%s is no fleet file", path);
	if (rc == OTA_OK)
		rc = spec_yaml_fleet(doc, out);
	return explained(doc, path, rc, err);
}

static OTA_CHECKED enum ota_code read_rollout(
	const char *path, struct scene *scene, struct ota_error *err)
{
	OTA_AUTO(ota_yaml_freep) struct ota_yaml *doc = NULL;
	const struct release_finder finder = {
		.ctx = scene, .find = any_release, .devices = devices_of
	};
	enum spec_kind kind;
	enum ota_code rc = ota_yaml_load(path, &doc);

	if (rc == OTA_OK)
		rc = spec_yaml_kind(doc, &kind);
	if (rc == OTA_OK && kind != SPEC_ROLLOUT)
		return ota_fail(err, OTA_E_CONFIG, "%s is no rollout file", path);
	if (rc == OTA_OK)
		rc = spec_yaml_rollout(doc, &scene->fleet, &finder, &scene->spec);
	return explained(doc, path, rc, err);
}

/* ---- how many devices where */

static OTA_CHECKED enum ota_code fix_cohort(const char *word,
	const struct fleet_spec *fleet, struct twin_cohort *cohorts,
	struct ota_error *err)
{
	const char *equals = strchr(word, '=');
	uint64_t count = 0;

	for (uint32_t i = 0; equals != NULL && i < fleet->cohort_count; i++) {
		size_t len = strlen(cohorts[i].name);
		enum ota_code rc;

		if (len != (size_t)(equals - word) ||
			memcmp(word, cohorts[i].name, len) != 0)
			continue;
		rc = take_devices(equals + 1, &count, err);
		cohorts[i].devices = (uint32_t)count;
		return rc;
	}
	return ota_fail(err, OTA_E_USAGE,
		"--cohort is NAME=COUNT with a cohort of the fleet file, not '%s'", word);
}

static OTA_CHECKED enum ota_code share_out(const struct options *o,
	const struct fleet_spec *fleet, struct twin_cohort *cohorts,
	struct ota_error *err)
{
	uint32_t last = fleet->cohort_count - 1;
	uint64_t small = o->devices * SMALL_PERCENT / 100, used = 0;

	for (uint32_t i = 0; i < fleet->cohort_count; i++) {
		memcpy(cohorts[i].name, fleet->cohorts[i].name, sizeof cohorts[i].name);
		if (i < last)
			cohorts[i].devices =
				(uint32_t)(small < SMALL_LEAST ? SMALL_LEAST : small);
	}
	for (uint32_t i = 0; i < o->cohort_count; i++) {
		enum ota_code rc = fix_cohort(o->cohorts[i], fleet, cohorts, err);

		if (rc != OTA_OK)
			return rc;
	}
	for (uint32_t i = 0; i < last; i++)
		used += cohorts[i].devices;
	if (cohorts[last].devices == 0 && o->devices > used)
		cohorts[last].devices = (uint32_t)(o->devices - used);
	return OTA_OK;
}

/* ---- */

static OTA_CHECKED enum ota_code read_scene(
	const struct options *o, struct scene *scene, struct ota_error *err)
{
	enum ota_code rc = read_fleet(o->fleet, &scene->fleet, err);

	if (rc == OTA_OK)
		rc = share_out(o, &scene->fleet, scene->cohorts, err);
	if (rc == OTA_OK)
		rc = read_rollout(o->rollout, scene, err);
	return rc;
}

static OTA_CHECKED enum ota_code play(const struct options *o, struct ota_error *err)
{
	OTA_AUTO(scene_freep) struct scene *scene = calloc(1, sizeof *scene);
	OTA_AUTO(ota_json_fini) cJSON *tree = NULL;
	struct simulate_plan plan;
	struct twin_case c = { 0 };
	enum ota_code rc = simulate_read(&o->words, &plan, err);

	if (rc == OTA_OK && scene == NULL)
		rc = ota_fail(err, OTA_E_NOMEM, "rollout file");
	if (rc == OTA_OK)
		rc = read_scene(o, scene, err);
	if (rc != OTA_OK)
		return rc;
	c = (struct twin_case){ &scene->spec, scene->cohorts, scene->fleet.cohort_count };
	rc = simulate(&c, &plan, &tree, err);
	if (rc != OTA_OK)
		return rc;
	if (o->json)
		output_json(tree);
	else
		simulate_print(tree);
	return OTA_OK;
}

int main(int argc, char **argv)
{
	struct options o = { .devices = DEVICES_USUAL };
	struct ota_error err = { 0 };
	enum ota_code rc;

	if (sodium_init() < 0) {
		fprintf(stderr, "sluice-sim: libsodium does not start\n");
		return EXIT_FAILURE;
	}
	rc = read_options(argc, argv, &o, &err);
	if (rc == OTA_OK && !o.done)
		rc = play(&o, &err);
	if (rc == OTA_OK)
		return EXIT_SUCCESS;
	fprintf(stderr, "sluice-sim: %s\n",
		err.text[0] != '\0' ? err.text : ota_code_text(rc));
	return EXIT_FAILURE;
}
