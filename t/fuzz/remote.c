/*
 * remote.c - what a plugin's process may send to its worker while a hook
 * runs. The worker must stand anything: a frame it cannot take ends the call,
 * never us, and the message can still be read.
 */
#include <assert.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/log.h"
#include "plug/remote_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST 4096		/* what surely fits into the socket */

static const uint8_t *input;
static size_t input_size;

/* The hook of a filter whose process has sent the input and gone. */
static enum mr_verdict
on_message(struct mr_call *call)
{
	struct remote_call c = {.call = call, .hook = HOOK_MESSAGE};
	struct remote_line line = {.timeout = 0};
	struct err e = {0};
	int pair[2], code;
	ssize_t n;

	n = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
	assert(n == 0);
	if (input_size) {
		n = send(pair[1], input, input_size, 0);
		assert(n == (ssize_t)input_size);
	}
	shutdown(pair[1], SHUT_WR);
	wire_open(&line.wire, pair[0], WIRE_TO_WORKER);
	buf_init(&line.out, WIRE_TO_PLUGIN);
	assert(remote_call_tell(&c, true) == 0);
	code = remote_call_make(&c, &line, NULL, &e);
	assert(code == 0 || (e.kind != ERR_NONE && e.kind != ERR_CLOSED));
	wire_close(&line.wire);
	buf_free(&line.out);
	close(pair[1]);
	return code == 0 ? c.verdict : MR_TEMPFAIL;
}

static void
run_message(struct hooks *h, struct facts *f)
{
	struct mr_piece *piece;
	struct err e = {0};
	uint64_t length;
	size_t n;

	f->message = message_new(f->message_arena, "/tmp", 1 << 20);
	assert(message_write(f->message, STR("A: 1\r\nB: 2\r\n\r\nbody\r\n"),
		&e) == 0);
	assert(message_seal(f->message, &e) == 0);
	hooks_message(h);
	assert(message_pieces(f->message, &piece, &n, &length, &e) == 0);
	message_free(f->message);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mr_filter filter = {.size = sizeof filter,
		.message = on_message};
	static const struct mr_plugin desc = {MR_PLUGIN_HEAD, .name = "p",
		.version = "1", .session_size = sizeof(struct remote_session),
		.message_size = sizeof(struct remote_message),
		.filter = &filter};
	static const struct remote_plan plan = {.name = "p"};
	struct remote r = {.plan = &plan};
	struct plugin plugin = {.name = "p", .desc = &desc, .config = &r};
	struct plugin *item = &plugin;
	struct chain chain = {.name = "inbound", .item = &item, .n = 1,
		.timeout_ms = 5000};
	struct arena session, message;
	struct envelope envelope;
	struct facts f = {.session_arena = &session, .hostname = "mx",
		.message_arena = &message, .envelope = &envelope};
	struct hooks *h;

	log_open(-1, LOG_ERROR, false, "fuzz");
	input = data;
	input_size = size < MOST ? size : MOST;
	arena_init(&session);
	arena_init(&message);
	envelope_init(&envelope, &message);
	envelope_add(&envelope, STR("one@x"), STR(""));
	h = hooks_new(&chain, &f);
	hooks_connect(h);
	hooks_mail(h);
	run_message(h, &f);
	f.message = NULL;
	hooks_end(h);
	arena_free(&message);
	arena_free(&session);
	return 0;
}
