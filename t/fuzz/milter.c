/*
 * milter.c - what comes from a filter: options, replies, edits, symbol lists
 * and frames. The first byte says which, the rest is its data; the edits run
 * against a host that only writes down what it is asked.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/fakehost.h"
#include "plug/milter_edit.h"
#include "plug/milter_macro.h"
#include "plug/milter_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
lies_in(struct str part, struct str whole)
{
	return part.at >= whole.at && part.at + part.len <=
		whole.at + whole.len;
}

static void
try_options(struct str in)
{
	struct milter_options o;
	struct err e = {0};
	size_t i;

	if (milter_parse_options(in, &o, &e) < 0) {
		assert(e.kind == ERR_PROTOCOL && e.text[0]);
		return;
	}
	assert(o.version >= 2 && o.version <= MILTER_VERSION);
	assert(!(o.steps & ~MILTER_STEPS));
	for (i = 0; i < MILTER_STAGES; i++)
		assert(!o.symbols[i].at || lies_in(o.symbols[i], in));
}

static void
try_reply(struct str in)
{
	char enhanced[12];
	struct buf text;
	int code;

	buf_init(&text, 8192);
	if (milter_parse_reply(in, &code, enhanced, &text)) {
		assert(code >= 400 && code <= 599);
		assert(!*enhanced || (enhanced[0] - '0' == code / 100 &&
			enhanced[1] == '.' && memchr(enhanced, 0, 12)));
		assert(text.len <= in.len);
	}
	buf_free(&text);
}

static void
try_edit(struct mr_call *call, int command, struct str in)
{
	struct err e = {0};
	int code = milter_edit(call, command, in, &e);

	assert(code == 0 || (code == -1 && e.kind == ERR_PROTOCOL));
	assert(code == -1 || milter_is_edit(command));
}

/* Name, value, name, value: nothing else, however odd the names. */
static void
try_macros(struct mr_call *call, struct str in)
{
	const struct milter_scene about = {.call = call};
	struct str rest, one;
	struct buf out;
	size_t n = 0;

	buf_init(&out, BUF_NO_CAP);
	milter_macros(&about, MILTER_AT_END, in, &out);
	for (rest = buf_str(&out); rest.len; n++) {
		assert(milter_take_string(&rest, &one) && one.len);
		if (n % 2 == 0)
			assert(one.len == 1 || one.at[0] == '{');
	}
	assert(n % 2 == 0);
	buf_free(&out);
}

static void
try_frames(struct str in)
{
	struct err e = {0};
	struct buf data;
	struct stream s;
	int pair[2];

	if (in.len > 4096 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
		0, pair) < 0)
		return;
	if (in.len && write(pair[1], in.at, in.len) < 0)
		assert(0);
	close(pair[1]);
	buf_init(&data, BUF_NO_CAP);
	stream_init(&s, pair[0]);
	while (milter_receive(&s, &data, &e) >= 0)
		assert(data.len < in.len);
	assert(e.kind == ERR_PROTOCOL || e.kind == ERR_CLOSED);
	stream_close(&s);
	buf_free(&data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fake_field fields[] = {
		{"Subject", {" a", 2}}, {"X", {"", 0}}, {"subject", {" b", 2}},
		{"Message-ID", {" <a\0{auth_authen}\0b>", 20}},
	};
	struct mr_call call = {.size = sizeof call, .host = &fake_host};
	struct str in;

	if (!size)
		return 0;
	in = str_of(data + 1, size - 1);
	fake_fields = fields;
	fake_n_fields = sizeof fields / sizeof *fields;
	fake_facts[MR_FACT_QUEUE_ID] = "q1";
	buf_init(&fake_seen, 1 << 20);
	arena_init(&fake_memory);
	if (*data == 'O')
		try_options(in);
	else if (*data == 'y')
		try_reply(in);
	else if (*data == 'M')
		try_macros(&call, in);
	else if (*data == 'F')
		try_frames(in);
	else
		try_edit(&call, *data, in);
	buf_free(&fake_seen);
	arena_free(&fake_memory);
	return 0;
}
