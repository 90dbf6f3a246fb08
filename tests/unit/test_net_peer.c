#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/port/net_peer.h"
#include "tests/unit/faults_kit.h"

/* A real socketpair whose other end the test reads when it likes. */

static uv_loop_t loop;
static struct net_peer peer;
static int other;
static unsigned heard, gone;
static enum ipc_type last;
static char why[128];

static void on_message(void *ctx, const struct ipc_message *message)
{
	(void)ctx;
	heard++;
	last = message->type;
}

static void on_gone(void *ctx, const char *text)
{
	(void)ctx;
	gone++;
	(void)snprintf(why, sizeof why, "%s", text);
}

static const struct net_peer_events events = { on_message, on_gone };

static void setup(void)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	other = fds[1];
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(net_peer_init(&peer, &loop, fds[0], &events, NULL), OTA_OK);
}

static void turn(void)
{
	for (int i = 0; i < 10; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void teardown(void)
{
	net_peer_close(&peer);
	turn();
	net_peer_fini(&peer);
	cr_expect_eq(uv_loop_close(&loop), 0);
	(void)close(other);
}

TestSuite(net_peer, .init = setup, .fini = teardown);

static void send_doc(uint8_t digest, uint64_t version, size_t len)
{
	static uint8_t payload[IPC_PAYLOAD_LEN_MAX];
	struct ipc_message doc = {
		.type = IPC_DOC, .a = version, .payload = { payload, len }
	};

	doc.digest.at[0] = digest;
	payload[0] = digest;
	net_peer_send(&peer, &doc);
}

static void send_numbers(enum ipc_type type, uint64_t a)
{
	struct ipc_message message = { .type = type, .a = a };

	net_peer_send(&peer, &message);
}

/* Documents until nothing goes through any more: the next packet waits. */
static void fill(void)
{
	for (uint64_t i = 0; peer.count == 0; i++) {
		cr_assert_lt(i, 1000);
		send_doc(1, i, IPC_PAYLOAD_LEN_MAX);
	}
}

/* The next packet at the other end; false if there is none. The loop turns, so that what
 * waits may follow. */
static bool next(struct ipc_message *out)
{
	static uint8_t room[IPC_PACKET_LEN_MAX];
	ssize_t n = recv(other, room, sizeof room, MSG_DONTWAIT);

	turn();
	return n > 0 &&
	       ipc_parse((struct ota_bytes){ room, (size_t)n }, out, NULL) == OTA_OK;
}

Test(net_peer, what_waits_arrives_in_order)
{
	struct ipc_message m;
	uint64_t expected = 0;

	fill();
	send_doc(2, 0, 10);
	send_numbers(IPC_FETCHED, 5);
	cr_assert(next(&m));
	while (m.type == IPC_DOC && m.digest.at[0] == 1) {
		cr_expect_eq(m.a, expected++);
		cr_assert(next(&m));
	}
	cr_expect_eq(m.digest.at[0], 2);
	cr_assert(next(&m));
	cr_expect_eq(m.type, IPC_FETCHED);
	cr_expect_not(next(&m));
	cr_expect_eq(peer.count, 0);
}

Test(net_peer, news_replaces_older_news_of_the_same_thing)
{
	struct ipc_message m;
	unsigned chunks = 0, links = 0, docs = 0;

	fill();
	for (uint64_t i = 1; i <= 1000; i++) {
		send_numbers(IPC_CHUNKS, i);
		send_numbers(i % 2 != 0 ? IPC_UP : IPC_DOWN, i);
		send_doc(2, 7, 100);
	}
	cr_expect_eq(peer.count, 4);
	while (next(&m)) {
		chunks += m.type == IPC_CHUNKS && m.a == 1000;
		links += m.type == IPC_DOWN && m.a == 1000;
		docs += m.type == IPC_DOC && m.digest.at[0] == 2;
	}
	cr_expect(
		chunks == 1 && links == 1 && docs == 1, "%u %u %u", chunks, links, docs);
	cr_expect_eq(gone, 0);
}

Test(net_peer, an_installer_that_never_reads_is_gone)
{
	fill();
	for (uint64_t i = 0; i < NET_PEER_QUEUE_MAX; i++)
		send_doc(3, i, 10);
	cr_expect_eq(gone, 1);
	cr_expect_str_eq(why, "does not read");
	send_doc(3, 99, 10);
	cr_expect_eq(gone, 1, "said once");
}

Test(net_peer, packets_arrive_one_by_one)
{
	struct ota_buf packet = { 0 };
	struct ipc_message stop = { .type = IPC_STOP };

	cr_assert_eq(ipc_encode(&stop, &packet), OTA_OK);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(send(other, packet.at, packet.len, 0), (ssize_t)packet.len);
	turn();
	cr_expect_eq(heard, 3);
	cr_expect_eq(last, IPC_STOP);
	ota_buf_fini(&packet);
}

Test(net_peer, nonsense_ends_it)
{
	cr_assert_eq(send(other, "hello", 5, 0), 5);
	turn();
	cr_expect_eq(gone, 1);
	cr_expect_str_eq(why, "packet ends within its head");
}

Test(net_peer, a_packet_over_the_limit_ends_it)
{
	static uint8_t packet[IPC_PACKET_LEN_MAX + 1];

	cr_assert_eq(send(other, packet, sizeof packet, 0), (ssize_t)sizeof packet);
	turn();
	cr_expect_eq(gone, 1);
	cr_expect_str_eq(why, "packet is too long");
}

Test(net_peer, a_closed_end_is_gone)
{
	(void)shutdown(other, SHUT_RDWR);
	turn();
	cr_expect_eq(gone, 1);
	cr_expect_str_eq(why, "closed");
}

/* ---- calls that fail ---- */

static void send_hello(void)
{
	struct ota_buf packet = { 0 };

	cr_assert_eq(
		ipc_encode(&(struct ipc_message){ .type = IPC_STOP }, &packet), OTA_OK);
	cr_assert_eq(send(other, packet.at, packet.len, 0), (ssize_t)packet.len);
	ota_buf_fini(&packet);
}

static void expect_fired(const char *fault)
{
	cr_expect(faults_disarm(&(struct faults){ 0 }), "%s did not fail", fault);
}

Test(net_peer, a_packet_that_cannot_go_at_once_goes_later)
{
	static const char *const faults[] = { "send,4,0", "send,11,0", "send,105,0" };
	struct ipc_message m;

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		cr_assert(faults_arm_text(faults[i]));
		send_numbers(IPC_CHUNKS, i);
		expect_fired(faults[i]);
		turn();
		cr_assert(next(&m), "%s", faults[i]);
		cr_expect_eq(m.a, i);
		cr_expect_eq(peer.count, 0);
	}
	cr_expect_eq(gone, 0);
}

Test(net_peer, a_packet_that_cannot_come_at_once_comes_later)
{
	static const char *const faults[] = { "recvmsg,4,0", "recvmsg,11,0" };

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		send_hello();
		cr_assert(faults_arm_text(faults[i]));
		turn();
		expect_fired(faults[i]);
		cr_expect_eq(heard, i + 1, "%s", faults[i]);
	}
	cr_expect_eq(gone, 0);
}

/* What the end of it says, and that it is said once. */
static void expect_gone(const char *fault, const char *text)
{
	expect_fired(fault);
	cr_expect_eq(gone, 1, "%s", fault);
	cr_expect_str_eq(why, text);
	send_numbers(IPC_CHUNKS, 1);
	send_hello();
	turn();
	cr_expect_eq(gone, 1, "%s: said once", fault);
	cr_expect_eq(heard, 0);
}

Test(net_peer, a_socket_that_cannot_be_written_is_gone)
{
	cr_assert(faults_arm_text("send,5,0"));
	send_numbers(IPC_CHUNKS, 1);
	expect_gone("send", "Input/output error");
}

Test(net_peer, a_socket_that_cannot_be_written_later_is_gone)
{
	cr_assert(faults_arm_text("send,11,0"));
	send_numbers(IPC_CHUNKS, 1);
	expect_fired("send,11,0");
	send_hello(); /* there would be something to read in the same moment */
	cr_assert(faults_arm_text("send,5,0"));
	turn();
	expect_gone("send,5,0", "Input/output error");
}

Test(net_peer, a_socket_that_cannot_be_read_is_gone)
{
	send_hello();
	cr_assert(faults_arm_text("recvmsg,5,0"));
	turn();
	expect_gone("recvmsg", "Input/output error");
}

Test(net_peer, without_memory_it_is_gone)
{
	cr_assert(faults_arm_text("realloc,12,0"));
	send_numbers(IPC_CHUNKS, 1);
	expect_gone("realloc", "packet could not be made");
}

/* Documents of one digest that differ in what else their topics say are two. */
Test(net_peer, only_the_same_document_is_replaced)
{
	struct ipc_message doc = { .type = IPC_DOC, .code = 1, .a = 1, .name = "lab" };
	size_t before;

	fill();
	before = peer.count;
	net_peer_send(&peer, &doc);
	net_peer_send(&peer, &doc);
	cr_expect_eq(peer.count, before + 1);
	doc.code = 2;
	net_peer_send(&peer, &doc);
	doc.a = 2;
	net_peer_send(&peer, &doc);
	(void)snprintf(doc.name, sizeof doc.name, "canary");
	net_peer_send(&peer, &doc);
	cr_expect_eq(peer.count, before + 4);
}
