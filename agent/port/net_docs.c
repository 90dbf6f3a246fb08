#include "agent/port/net_docs.h"

#include <stdio.h>
#include <string.h>

#include "proto/io/log.h"

static void add(struct net_docs *docs, struct ota_topic topic)
{
	ota_topic_print(docs->fleet, &topic, docs->topics[docs->count++]);
}

void net_docs_init(struct net_docs *docs, const char *fleet, const char *device)
{
	struct ota_topic assign = { .kind = OTA_TOPIC_ASSIGN };

	*docs = (struct net_docs){ .fleet = fleet, .device = device };
	(void)snprintf(assign.name, sizeof assign.name, "%s", device);
	add(docs, (struct ota_topic){ .kind = OTA_TOPIC_FRESH });
	add(docs, (struct ota_topic){ .kind = OTA_TOPIC_CATALOG });
	add(docs, assign);
}

static void add_wanted(struct net_docs *docs, const struct ipc_message *want)
{
	struct ota_topic order = { .kind = OTA_TOPIC_ORDER };

	(void)snprintf(order.name, sizeof order.name, "%s", want->name);
	if (want->a != 0)
		add(docs, (struct ota_topic){ .kind = OTA_TOPIC_ROOT, .root = want->a });
	if (want->name[0] != '\0')
		add(docs, order);
	if (ota_digest_is_zero(&want->digest))
		return;
	add(docs,
		(struct ota_topic){ .kind = OTA_TOPIC_RELEASE, .digest = want->digest });
	add(docs, (struct ota_topic){ .kind = OTA_TOPIC_GRANT, .digest = want->digest });
}

static void subscribe(struct ota_mqtt *link, const char *const *topics, size_t count)
{
	enum ota_code rc = OTA_OK;

	if (count > 0 && ota_mqtt_is_up(link))
		rc = ota_mqtt_subscribe(link, topics, count, NULL, NULL);
	if (rc != OTA_OK)
		ota_log(OTA_LOG_WARNING, "net.subscribe-failed", "code=%s",
			ota_code_name(rc));
}

static void unsubscribe(struct ota_mqtt *link, const char *const *topics, size_t count)
{
	enum ota_code rc = OTA_OK;

	if (count > 0 && ota_mqtt_is_up(link))
		rc = ota_mqtt_unsubscribe(link, topics, count);
	if (rc != OTA_OK)
		ota_log(OTA_LOG_WARNING, "net.unsubscribe-failed", "code=%s",
			ota_code_name(rc));
}

/* The topics of a that b does not have. */
static size_t lacking(const struct net_docs *a, const struct net_docs *b,
	const char *out[static NET_DOCS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < a->count; i++)
		if (!net_docs_has(b, a->topics[i]))
			out[count++] = a->topics[i];
	return count;
}

void net_docs_up(const struct net_docs *docs, struct ota_mqtt *link)
{
	static const struct net_docs none;
	const char *topics[NET_DOCS_MAX];

	subscribe(link, topics, lacking(docs, &none, topics));
}

void net_docs_want(
	struct net_docs *docs, const struct ipc_message *want, struct ota_mqtt *link)
{
	struct net_docs next;
	const char *topics[NET_DOCS_MAX];

	net_docs_init(&next, docs->fleet, docs->device);
	add_wanted(&next, want);
	unsubscribe(link, topics, lacking(docs, &next, topics));
	subscribe(link, topics, lacking(&next, docs, topics));
	*docs = next;
}

bool net_docs_has(const struct net_docs *docs, const char *topic)
{
	for (size_t i = 0; i < docs->count; i++)
		if (strcmp(docs->topics[i], topic) == 0)
			return true;
	return false;
}
