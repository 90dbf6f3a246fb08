#ifndef TESTS_INTEGRATION_AGENT_NET_H
#define TESTS_INTEGRATION_AGENT_NET_H

/* The real `sluice-agent net` as a child of the test, which plays `install` at the other
 * end of the socketpair. Messages are counted on the loop of peer.h. */

#include <sys/types.h>
#include <uv.h>

#include "agent/core/ipc.h"
#include "agent/port/spool.h"
#include "tests/integration/broker.h"

/** The path of sluice-agent. */
const char *agent_program(void);

/** What was last heard of one type. */
struct agent_heard {
	struct ipc_message head; /* payload points into bytes */
	struct ota_buf bytes;    /* owned */
};

struct agent_net {
	char dir[64]; /* agent.yaml and spool; removed at the end */
	char yaml[128], spool[128], log[128];
	pid_t pid; /* 0: not running */
	int fd;
	uv_poll_t poll;
	bool open; /* poll is */
	bool gone; /* the child closed its end */
	unsigned count[N_IPC_TYPES];
	struct agent_heard heard[N_IPC_TYPES];
};

/** Make a folder with an agent.yaml for device "gw-1" of fleet "test"; limits is the text
 *  of its `limits` mapping, such as "{rate: 0}". Nothing runs yet. */
void agent_net_init(
	struct agent_net *net, const struct broker *broker, const char *limits);

/** Start the process and wait until it has said HELLO. False after 20 s. */
bool agent_net_start(struct agent_net *net);

/** Send it a signal and wait until it is gone; returns its wait status. Counts start
 *  again from 0. */
int agent_net_end(struct agent_net *net, int signal_number);

/** Send a message as install. */
void agent_net_send(struct agent_net *net, const struct ipc_message *message);

/** Ask for a patch: MANIFEST or FETCH. */
void agent_net_ask(
	struct agent_net *net, enum ipc_type type, const struct ota_digest *patch);

/** Turn the loop until the spool of a patch says that it holds `want` chunks. False after
 *  20 s, or once the fetch has ended. */
bool agent_net_wait_held(
	struct agent_net *net, const struct ota_digest *patch, uint32_t want);

/** End it if it runs, and remove the folder. */
void agent_net_fini(struct agent_net *net);

#endif
