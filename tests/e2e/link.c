/* A bad link between two network interfaces: forwards frames both ways, late, lost,
 * twice, damaged, slow, as its standard input says and chance, seeded, decides.
 *
 * usage: link LEFT RIGHT SEED
 * Each line of the input sets the link anew, and is answered with the counts so far:
 *   DELAY_MS JITTER_MS LOSS_PERMILLE TWICE_PERMILLE DAMAGE_PERMILLE KBIT_PER_S CUT
 * KBIT_PER_S 0: as fast as it goes. CUT: 0 none, 1 from left to right, 2 from right to
 * left, 3 both, 4 none, and the next TCP segment each way resets its connection. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
	FRAME_MAX = 2048, /* bytes */
	WAITING_MAX = 16384,
	PERMILLE = 1000,
	ETHER_LEN = 14,
	ETHER_ALL = 3, /* ETH_P_ALL of linux/if_ether.h */
	IP_PROTO_AT = 9,
	IP_SUM_AT = 10,
	IP_TCP = 6,
	TCP_LEN = 20,
	TCP_FLAGS_AT = 13,
	TCP_SUM_AT = 16,
	TCP_RST = 4,
	CUT_BOTH = 3,
	CUT_RESET = 4,
};

struct frame {
	uint64_t due_us;
	uint64_t serial; /* frames due at one time keep their order */
	int to;          /* index of the end */
	size_t len;
	uint8_t at[FRAME_MAX];
};

struct conditions {
	unsigned delay_ms, jitter_ms, loss, twice, damage, kbit, cut;
};

struct link {
	struct conditions now;
	int end[2];
	uint64_t busy_us[2]; /* the wire to that end is taken until then */
	bool reset[2];       /* the next segment to that end resets its connection */
	uint64_t random, serial;
	struct frame *waiting[WAITING_MAX]; /* owned; a heap by time */
	size_t count;
	unsigned long passed, lost, twice, damaged, resets;
};

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t draw(struct link *link, uint64_t below)
{
	link->random ^= link->random << 13;
	link->random ^= link->random >> 7;
	link->random ^= link->random << 17;
	return below == 0 ? 0 : (link->random >> 11) % below;
}

static bool happens(struct link *link, unsigned permille)
{
	return draw(link, PERMILLE) < permille;
}

/* ---- what waits for its time */

static bool is_before(const struct frame *a, const struct frame *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->serial < b->serial;
}

static void push(struct link *link, struct frame *frame)
{
	size_t i = link->count++;

	for (; i > 0 && is_before(frame, link->waiting[(i - 1) / 2]); i = (i - 1) / 2)
		link->waiting[i] = link->waiting[(i - 1) / 2];
	link->waiting[i] = frame;
}

static struct frame *pop(struct link *link)
{
	struct frame *first = link->waiting[0];
	struct frame *last = link->waiting[--link->count];
	size_t i = 0, child = 1;

	for (; child < link->count; child = 2 * i + 1) {
		if (child + 1 < link->count &&
			is_before(link->waiting[child + 1], link->waiting[child]))
			child++;
		if (!is_before(link->waiting[child], last))
			break;
		link->waiting[i] = link->waiting[child];
		i = child;
	}
	link->waiting[i] = last;
	return first;
}

/* ---- one frame */

/* The Internet checksum (RFC 1071), from a sum to begin with. */
static void put_sum(const uint8_t *at, size_t len, uint32_t sum, uint8_t *out)
{
	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(at[i] << 8 | at[i + 1]);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	out[0] = (uint8_t)(~sum >> 8);
	out[1] = (uint8_t)~sum;
}

/* Turn a TCP segment over IPv4 into one without content that resets its connection. False
 * if the frame holds none. */
static bool make_reset(struct frame *frame)
{
	uint8_t *ip = frame->at + ETHER_LEN, *tcp;
	size_t ip_len = (size_t)(ip[0] & 15) * 4;
	uint32_t addresses = IP_TCP + TCP_LEN;

	if (frame->len < ETHER_LEN + ip_len + TCP_LEN || ip[0] >> 4 != 4 ||
		ip[IP_PROTO_AT] != IP_TCP)
		return false;
	tcp = ip + ip_len;
	frame->len = ETHER_LEN + ip_len + TCP_LEN;
	tcp[12] = TCP_LEN / 4 << 4;
	tcp[TCP_FLAGS_AT] |= TCP_RST;
	ip[2] = 0;
	ip[3] = (uint8_t)(ip_len + TCP_LEN);
	for (size_t i = 12; i < 20; i += 2)
		addresses += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	memset(ip + IP_SUM_AT, 0, 2);
	memset(tcp + TCP_SUM_AT, 0, 2);
	put_sum(ip, ip_len, 0, ip + IP_SUM_AT);
	put_sum(tcp, TCP_LEN, addresses, tcp + TCP_SUM_AT);
	return true;
}

static uint64_t due(struct link *link, const struct frame *frame)
{
	const struct conditions *c = &link->now;
	uint64_t *busy = &link->busy_us[frame->to], now = now_us();

	if (*busy < now)
		*busy = now;
	if (c->kbit > 0)
		*busy += frame->len * 8 * 1000 / c->kbit;
	return *busy + (c->delay_ms + draw(link, 2 * c->jitter_ms + 1)) * 1000 -
	       (c->jitter_ms < c->delay_ms ? c->jitter_ms : c->delay_ms) * 1000;
}

static void send_later(struct link *link, const struct frame *frame)
{
	struct frame *copy = malloc(sizeof *copy);

	if (copy == NULL || link->count == WAITING_MAX) {
		free(copy);
		link->lost++;
		return;
	}
	*copy = *frame;
	copy->due_us = due(link, frame);
	copy->serial = link->serial++;
	push(link, copy);
}

static void take(struct link *link, struct frame *frame)
{
	const struct conditions *c = &link->now;
	unsigned cut = c->cut > CUT_BOTH ? 0 : c->cut;

	if (link->reset[frame->to] && make_reset(frame)) {
		link->reset[frame->to] = false;
		link->resets++;
	}
	if ((cut & (frame->to == 1 ? 1U : 2U)) != 0 || happens(link, c->loss)) {
		link->lost++;
		return;
	}
	if (frame->len > ETHER_LEN && happens(link, c->damage)) {
		uint64_t bit = draw(link, (frame->len - ETHER_LEN) * 8);

		frame->at[ETHER_LEN + bit / 8] ^= (uint8_t)(1 << bit % 8);
		link->damaged++;
	}
	link->passed++;
	send_later(link, frame);
	if (happens(link, c->twice)) {
		link->twice++;
		send_later(link, frame);
	}
}

/* ---- the ends */

static void take_all(struct link *link, int from)
{
	struct frame frame = { .to = 1 - from };
	struct sockaddr_ll where = { 0 };
	socklen_t where_len = sizeof where;
	ssize_t len;

	while ((len = recvfrom(link->end[from], frame.at, sizeof frame.at, MSG_DONTWAIT,
			(struct sockaddr *)&where, &where_len)) > 0) {
		where_len = sizeof where;
		frame.len = (size_t)len;
		if (where.sll_pkttype != PACKET_OUTGOING)
			take(link, &frame);
	}
}

static void send_due(struct link *link)
{
	while (link->count > 0 && link->waiting[0]->due_us <= now_us()) {
		struct frame *frame = pop(link);

		if (send(link->end[frame->to], frame->at, frame->len, 0) < 0)
			link->lost++;
		free(frame);
	}
}

static int open_end(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETHER_ALL),
		.sll_ifindex = (int)if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHER_ALL));

	if (fd < 0 || at.sll_ifindex == 0 ||
		bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
		(void)fprintf(stderr, "link: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	return fd;
}

/* Take a line of the input. False at its end. */
static bool obey(struct link *link)
{
	struct conditions c = { 0 };
	char line[200];

	if (fgets(line, sizeof line, stdin) == NULL)
		return false;
	if (sscanf(line, "%u %u %u %u %u %u %u", &c.delay_ms, &c.jitter_ms, &c.loss,
		    &c.twice, &c.damage, &c.kbit, &c.cut) != 7) {
		(void)fprintf(stderr, "link: seven numbers, please\n");
		exit(1);
	}
	link->now = c;
	link->reset[0] = link->reset[1] = c.cut == CUT_RESET;
	printf("passed %lu lost %lu twice %lu damaged %lu resets %lu\n", link->passed,
		link->lost, link->twice, link->damaged, link->resets);
	(void)fflush(stdout);
	return true;
}

static int wait_ms(const struct link *link)
{
	uint64_t now = now_us();

	if (link->count == 0)
		return -1;
	return link->waiting[0]->due_us <= now
		       ? 0
		       : (int)((link->waiting[0]->due_us - now) / 1000) + 1;
}

int main(int argc, char **argv)
{
	static struct link link;
	bool goes_on = true;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: link LEFT RIGHT SEED\n");
		return 1;
	}
	link.end[0] = open_end(argv[1]);
	link.end[1] = open_end(argv[2]);
	link.random = strtoull(argv[3], NULL, 10) * 2654435761U + 88172645463325252U;
	/* select by stdin's bytes, not by what a buffer of ours may hold */
	(void)setvbuf(stdin, NULL, _IONBF, 0);
	while (goes_on) {
		struct pollfd ready[] = { { .fd = 0, .events = POLLIN },
			{ .fd = link.end[0], .events = POLLIN },
			{ .fd = link.end[1], .events = POLLIN } };

		(void)poll(ready, 3, wait_ms(&link));
		take_all(&link, 0);
		take_all(&link, 1);
		send_due(&link);
		if (ready[0].revents != 0)
			goes_on = obey(&link);
	}
	while (link.count > 0)
		free(pop(&link));
	return 0;
}
