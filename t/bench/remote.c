/*
 * remote.c - what isolation costs: microseconds a message for a filter that
 * reads every header field of a message of 20 fields and 4 KiB, in the worker,
 * in a process, in the sandbox. Medians of rounds, interleaved.
 *
 * usage: t/bench/remote [MESSAGES-A-ROUND [ROUNDS]]
 */
#include <time.h>

#include "base/log.h"
#include "proc/plugin_host.h"
#include "rig.h"

#define KINDS 3
#define ROUNDS_MOST 100

static const char *const kinds[KINDS] = {"none", "process", "sandbox"};

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
write_message(struct message *m)
{
	struct err e = {0};
	struct buf b;
	int i;

	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < 20; i++)
		buf_addf(&b, "X-Field-%d: a value of a usual length, %d\r\n",
			i, i);
	buf_adds(&b, "\r\n");
	while (b.len < 4096)
		buf_adds(&b, "A line of the body of the message.\r\n");
	message_write(m, buf_str(&b), &e);
	message_seal(m, &e);
	buf_free(&b);
}

/* Only the message hook: what is measured is the filter's call. */
static double
measure(struct rig *r, int messages)
{
	struct arena session, message;
	struct envelope envelope;
	struct facts f = {.hostname = "mx", .session_arena = &session,
		.message_arena = &message, .session = "bench",
		.listener = "mx", .purpose = "mx", .chain = "inbound",
		.software = "Mailroom", .authserv_id = "mx",
		.protocol = "ESMTP", .auth_mechanism = "", .rcpt_mailer = "",
		.envelope = &envelope};
	struct hooks *h;
	double start;
	int i;

	arena_init(&session);
	arena_init(&message);
	envelope_init(&envelope, &message);
	envelope.sender = STR("a@example.test");
	envelope_add(&envelope, STR("b@example.test"), STR(""));
	h = hooks_new(&r->chain, &f);
	hooks_connect(h);
	hooks_mail(h);
	f.message = message_new(&message, "/tmp", 1 << 20);
	write_message(f.message);
	start = now_us();
	for (i = 0; i < messages; i++)
		if (hooks_message(h).kind != MR_PASS)
			exit(1);
	start = now_us() - start;
	message_free(f.message);
	hooks_end(h);
	arena_free(&message);
	arena_free(&session);
	return start / messages;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static bool
open_all(struct rig *rig)
{
	char settings[4400], here[4096];
	struct err e = {0};
	int i;

	if (!realpath("/proc/self/exe", here))
		return false;
	*strrchr(here, '/') = '\0';
	for (i = 0; i < KINDS; i++) {
		snprintf(settings, sizeof settings, "module = "
			"\"%s/../plug/remote/reader.so\"\nisolate = \"%s\"",
			here, kinds[i]);
		if (!rig_open(&rig[i], settings, &e)) {
			fprintf(stderr, "%s\n", e.text);
			return false;
		}
	}
	return true;
}

int
main(int argc, char **argv)
{
	static double us[KINDS][ROUNDS_MOST];
	uint64_t messages = 2000, rounds = 15;
	struct rig rig[KINDS];
	size_t i, j;

	if (plugin_host_is(argc, argv))
		return plugin_host_main(argc, argv);
	if ((argc > 1 && !str_u64(str_from(argv[1]), 10000000, &messages)) ||
		(argc > 2 && !str_u64(str_from(argv[2]), ROUNDS_MOST,
		&rounds)))
		return 2;
	log_open(2, LOG_ERROR, false, "bench");
	if (!open_all(rig))
		return 1;
	for (j = 0; j < rounds; j++)
		for (i = 0; i < KINDS; i++)
			us[i][j] = measure(&rig[i], (int)messages);
	for (i = 0; i < KINDS; i++) {
		qsort(us[i], rounds, sizeof us[i][0], compare);
		printf("%-8s %8.2f us a message (least %.2f, most %.2f)\n",
			kinds[i], us[i][rounds / 2], us[i][0],
			us[i][rounds - 1]);
		rig_close(&rig[i]);
	}
	return 0;
}
