#ifndef ORCHESTRATOR_PORT_CONFIG_H
#define ORCHESTRATOR_PORT_CONFIG_H

/* sluiced.yaml, read once at start. config/README.md tells every key. */

#include "proto/base/bytes.h"
#include "proto/base/names.h"
#include "proto/io/log.h"
#include "proto/wire/manifest.h"

enum {
	CONFIG_PATH_CAP = 1024, /* bytes with the NUL */
	CONFIG_URL_CAP = 512,   /* bytes with the NUL */
	CONFIG_HOST_CAP = 64,   /* bytes with the NUL, a numeric address */
	CONFIG_WORKERS_MAX = 16,
	CONFIG_LEVEL_MAX = 19,
	CONFIG_WEBHOOKS_MAX = 16,
	CONFIG_PREFIX_CAP = 65, /* bytes with the NUL, of a prefix of topics */
};

/** An address that is told of events. */
struct config_webhook {
	char name[OTA_NAME_CAP];
	char url[CONFIG_URL_CAP];
	char secret_file[CONFIG_PATH_CAP]; /* was good when the file was read */
	char ca_file[CONFIG_PATH_CAP];
	uint64_t kinds;     /* a set (core/webhook_kinds.h) */
	uint32_t timeout_s; /* of a request */
	uint64_t keep_s;    /* an event that fails is tried for so long */
};

/** Texts are "" where the file leaves out what may be left out. */
struct sluiced_config {
	char fleet[OTA_NAME_CAP];
	char state_dir[CONFIG_PATH_CAP];
	char root[CONFIG_PATH_CAP];       /* the anchor: the first root's envelope */
	char online_key[CONFIG_PATH_CAP]; /* 64 hex digits of seed, mode 0600 */
	char api_keys[CONFIG_PATH_CAP];
	char database[CONFIG_PATH_CAP]; /* path of the SQLite file, or a URL */
	char images[CONFIG_PATH_CAP];   /* directory */
	struct {
		char url[CONFIG_URL_CAP];
		char ca[CONFIG_PATH_CAP], cert[CONFIG_PATH_CAP], key[CONFIG_PATH_CAP];
		char user[OTA_NAME_CAP];
		char password_file[CONFIG_PATH_CAP];
		char client_id[OTA_NAME_CAP];
	} broker;
	struct {
		char host[CONFIG_HOST_CAP]; /* numeric, IPv6 without brackets */
		uint16_t port;              /* 0: any free one */
	} http;
	struct {
		char dir[CONFIG_PATH_CAP];
		uint32_t workers;        /* patches made at a time */
		enum ota_codec_id codec; /* of deltas */
		int level;               /* zstd; 0: the codec's default */
	} patches;
	struct {
		struct config_webhook items[CONFIG_WEBHOOKS_MAX];
		size_t count;
	} webhooks;
	struct {
		bool there;   /* the file has the section */
		bool enabled; /* else what is at the broker is taken away */
		char discovery_prefix[CONFIG_PREFIX_CAP];
		char topic_prefix[CONFIG_PREFIX_CAP];
		char cohort[OTA_NAME_CAP]; /* "": all devices */
	} home_assistant;
	enum ota_log_level log;
};

/**
 * Read a file.
 *
 * path          of the file; relative paths inside begin where it lies
 * database_url  of the environment, overrides "database"; NULL: not set
 * out           filled on success only
 * messages      every error of the file, one after another, is appended on failure
 *
 * Returns OTA_OK, OTA_E_CONFIG or OTA_E_NOMEM.
 */
OTA_CHECKED enum ota_code sluiced_config_load(const char *path, const char *database_url,
	struct sluiced_config *out, struct ota_buf *messages);

#endif
