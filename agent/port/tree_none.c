#include "agent/port/tree.h"

/* In place of tree_unpack.c where there is no libarchive. */

enum ota_code tree_unpack(int archive, const char *into, const struct tree_limits *limits,
	struct ota_error *err)
{
	(void)archive;
	(void)limits;
	return ota_fail(err, OTA_E_CONFIG,
		"%s: built without libarchive, cannot unpack slots of type directory",
		into);
}
