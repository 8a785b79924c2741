/*
 * fakehost.h - a host table that does nothing but write down what it is
 * asked, for code that lives on one (milter frames).
 *
 * `fake_seen` gets one line a call: "add NAME|VALUE". Strings are read to
 * their NUL, so a sanitizer sees one that has none. Facts and header fields
 * are what the test puts into fake_facts and fake_fields.
 */
#ifndef LIB_FAKEHOST_H
#define LIB_FAKEHOST_H

#include <mailroom/plugin.h>

#include "base/arena.h"
#include "base/buf.h"

struct fake_field {
	const char *name;
	struct str value;
};

static struct buf fake_seen;
static struct arena fake_memory;
static const char *fake_facts[MR_FACT_LISTENER_PURPOSE + 1];
static const struct fake_field *fake_fields;
static size_t fake_n_fields;

static void
fake_log(struct mr_call *call, enum mr_log_level level, const char *text)
{
	(void)call;
	buf_addf(&fake_seen, "log %d %s\n", level, text);
}

static void
fake_say(struct mr_call *call, int code, const char *enhanced,
	const char *text)
{
	(void)call;
	buf_addf(&fake_seen, "say %d %s %s\n", code, enhanced ? enhanced :
		"-", text);
}

static int64_t
fake_deadline(struct mr_call *call)
{
	(void)call;
	return 1000;
}

static void *
fake_alloc(struct mr_call *call, size_t size)
{
	(void)call;
	return arena_alloc(&fake_memory, size);
}

static struct mr_str
fake_fact(struct mr_call *call, enum mr_fact fact)
{
	struct str s = str_from(fake_facts[fact]);

	(void)call;
	return (struct mr_str){s.at, s.len};
}

static int
fake_rcpt(struct mr_call *call, size_t index, struct mr_rcpt *out)
{
	(void)call;
	(void)index;
	(void)out;
	return -1;
}

static int
fake_header(struct mr_call *call, size_t index, struct mr_header *out)
{
	struct str name;

	(void)call;
	if (index >= fake_n_fields)
		return -1;
	name = str_from(fake_fields[index].name);
	*out = (struct mr_header){100 + index, {name.at, name.len},
		{fake_fields[index].value.at, fake_fields[index].value.len}};
	return 0;
}

static uint64_t
fake_body_size(struct mr_call *call)
{
	(void)call;
	return 0;
}

static int64_t
fake_body_read(struct mr_call *call, uint64_t offset, void *out, size_t len)
{
	(void)call;
	(void)offset;
	(void)out;
	(void)len;
	return 0;
}

static int
fake_header_add(struct mr_call *call, const char *name, const char *value)
{
	(void)call;
	buf_addf(&fake_seen, "add %s|%s\n", name, value);
	return 0;
}

static int
fake_header_insert(struct mr_call *call, size_t index, const char *name,
	const char *value)
{
	(void)call;
	buf_addf(&fake_seen, "insert %zu %s|%s\n", index, name, value);
	return 0;
}

static int
fake_header_change(struct mr_call *call, uint64_t id, const char *name,
	const char *value)
{
	(void)call;
	buf_addf(&fake_seen, "change %d %s|%s\n", (int)id, name ? name : "-",
		value);
	return 0;
}

static int
fake_header_remove(struct mr_call *call, uint64_t id)
{
	(void)call;
	buf_addf(&fake_seen, "remove %d\n", (int)id);
	return 0;
}

static void
fake_header_exact(struct mr_call *call, int on)
{
	(void)call;
	buf_addf(&fake_seen, "exact %d\n", on);
}

static void
fake_edits_undo(struct mr_call *call)
{
	(void)call;
	buf_adds(&fake_seen, "undo\n");
}

static int
fake_body_replace(struct mr_call *call, const void *bytes, size_t len)
{
	(void)call;
	buf_addf(&fake_seen, "body %zu ", len);
	if (len)
		buf_add(&fake_seen, bytes, len);
	buf_addc(&fake_seen, '\n');
	return 0;
}

static int
fake_sender_change(struct mr_call *call, const char *address,
	const char *args)
{
	(void)call;
	buf_addf(&fake_seen, "sender %s %s\n", address, args ? args : "-");
	return 0;
}

static int
fake_rcpt_add(struct mr_call *call, const char *address, const char *args)
{
	(void)call;
	buf_addf(&fake_seen, "rcpt %s %s\n", address, args ? args : "-");
	return 0;
}

static int
fake_rcpt_remove(struct mr_call *call, const char *address)
{
	(void)call;
	buf_addf(&fake_seen, "unrcpt %s\n", address);
	return 0;
}

static int
fake_result_add(struct mr_call *call, const struct mr_result *r)
{
	(void)call;
	buf_addf(&fake_seen, "result %s=%s\n", r->method, r->value);
	return 0;
}

static int
fake_result(struct mr_call *call, size_t index, struct mr_result *out)
{
	(void)call;
	(void)index;
	(void)out;
	return -1;
}

static const struct mr_host fake_host = {
	.size = sizeof fake_host, .abi = MR_ABI, .version = "0",
	.log = fake_log, .say = fake_say, .deadline = fake_deadline,
	.session_alloc = fake_alloc, .message_alloc = fake_alloc,
	.fact = fake_fact, .rcpt = fake_rcpt, .header = fake_header,
	.body_size = fake_body_size, .body_read = fake_body_read,
	.header_add = fake_header_add, .header_insert = fake_header_insert,
	.header_change = fake_header_change,
	.header_remove = fake_header_remove,
	.header_exact = fake_header_exact, .edits_undo = fake_edits_undo,
	.body_replace = fake_body_replace,
	.sender_change = fake_sender_change, .rcpt_add = fake_rcpt_add,
	.rcpt_remove = fake_rcpt_remove, .result_add = fake_result_add,
	.result = fake_result,
};

#endif
