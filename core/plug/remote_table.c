/*
 * remote_table.c - the host table as an isolated plugin is given it.
 *
 * What came with the call is answered from its frame. The first edit builds a
 * mirror of the message here, with the worker's own code (mail/message.h,
 * host.c), so that the plugin sees at once what it does; each edit that the
 * mirror takes is also written down for the worker, who makes it on the real
 * message in the same order. Field ids are the worker's: new fields count on
 * from its last one, on both sides alike. Everything else is a question that
 * the worker answers while the hook waits. Threads of the plugin's process.
 */
#include "plug/remote_served.h"

#include <sys/mman.h>

#include "base/clock.h"
#include "base/file.h"

#define SEND_FROM (64u << 10)
#define LOG_MOST 8192
#define NAME_MOST 4096

/* ----------------------------------------------------------------- frames */

void
remote_table_flush(struct served *s)
{
	struct err e = {0};

	if (!s->is_broken && s->out.len &&
		wire_send(s->line, &s->out, NULL, 0, &e) < 0)
		s->is_broken = true;
	buf_reset(&s->out);
}

/* A frame is written down; it is sent when there are many. */
static void
note(struct served *s, size_t begin)
{
	wire_end(&s->out, begin);
	if (s->out.len >= SEND_FROM)
		remote_table_flush(s);
}

/* Sends the question and waits. false: nobody answers. */
static bool
ask(struct served *s, size_t begin, struct wire_in *in)
{
	enum wire_type type;
	struct err e = {0};

	wire_end(&s->out, begin);
	remote_table_flush(s);
	if (!s->is_broken && (wire_next(s->answers, true, &type, in, &e) < 0 ||
		type != WIRE_ANSWER))
		s->is_broken = true;
	return !s->is_broken;
}

static void
put_text(struct served *s, const char *text, size_t most)
{
	if (text)
		wire_str(&s->out, str_of(text, strnlen(text, most)));
	else
		wire_text(&s->out, NULL);
}

static struct mr_str
give(struct str s)
{
	return (struct mr_str){s.at ? s.at : "", s.len};
}

/* ------------------------------------------------------------ the call's */

static void
table_log(struct mr_call *call, enum mr_log_level level, const char *text)
{
	struct served *s = served_of(call);
	size_t begin = wire_begin(&s->out, WIRE_LOG);

	wire_u32(&s->out, (uint32_t)level);
	put_text(s, text, LOG_MOST);
	note(s, begin);
	/* The last line before a crash is the one that counts. */
	remote_table_flush(s);
}

static void
table_say(struct mr_call *call, int code, const char *enhanced,
	const char *text)
{
	struct served *s = served_of(call);
	size_t begin = wire_begin(&s->out, WIRE_SAY);

	wire_u32(&s->out, (uint32_t)code);
	put_text(s, enhanced, 16);
	put_text(s, text, NAME_MOST);
	note(s, begin);
}

static int64_t
table_deadline(struct mr_call *call)
{
	int64_t left = served_of(call)->deadline - clock_mono();

	return left > 0 ? left : 0;
}

static void *
table_session_alloc(struct mr_call *call, size_t size)
{
	return arena_alloc(&served_of(call)->kept->session_arena, size);
}

static void *
table_message_alloc(struct mr_call *call, size_t size)
{
	struct kept *k = served_of(call)->kept;

	return k->message_number ? arena_alloc(&k->message_arena, size) : NULL;
}

static struct mr_str
table_fact(struct mr_call *call, enum mr_fact which)
{
	struct served *s = served_of(call);

	if (s->mirror && which == MR_FACT_SENDER)
		return give(s->envelope.sender);
	if (s->mirror && which == MR_FACT_SENDER_ARGS)
		return give(s->envelope.sender_args);
	if ((int)which < 1 || which > FACT_LAST)
		return give(STR(""));
	return give(s->fact[which]);
}

/* --------------------------------------------------------------- contents */

static int
ask_rcpt(struct served *s, size_t index, struct mr_rcpt *out)
{
	size_t begin = wire_begin(&s->out, WIRE_ASK_RCPT);
	struct wire_in in;

	wire_u64(&s->out, index);
	if (!ask(s, begin, &in) || !wire_get_u32(&in))
		return -1;
	out->address = give(arena_str(&s->arena, wire_get_str(&in)));
	out->args = give(arena_str(&s->arena, wire_get_str(&in)));
	return 0;
}

static int
table_rcpt(struct mr_call *call, size_t index, struct mr_rcpt *out)
{
	struct served *s = served_of(call);

	if (s->mirror)
		return plug_host.rcpt(call, index, out);
	if (!s->is_message)
		return ask_rcpt(s, index, out);
	if (index >= s->n_rcpt)
		return -1;
	*out = s->rcpt[index];
	return 0;
}

/* The mirror counts its fields from 1, those that came first. */
static uint64_t
id_outside(const struct served *s, uint64_t id)
{
	return id <= s->n_field ? s->field[id - 1].id :
		s->last_id + (id - s->n_field);
}

static uint64_t
id_in_mirror(const struct served *s, uint64_t id)
{
	size_t i;

	if (id > s->last_id)
		return id - s->last_id + s->n_field;
	for (i = 0; i < s->n_field; i++)
		if (s->field[i].id == id)
			return i + 1;
	return 0;
}

static int
table_header(struct mr_call *call, size_t index, struct mr_header *out)
{
	struct served *s = served_of(call);

	if (s->mirror) {
		if (plug_host.header(call, index, out) < 0)
			return -1;
		out->id = id_outside(s, out->id);
		return 0;
	}
	if (index >= s->n_field)
		return -1;
	out->id = s->field[index].id;
	out->name = give(s->field[index].name);
	out->value = give(s->field[index].value);
	return 0;
}

static bool
has_new_body(const struct served *s)
{
	return s->mirror && message_has_new_body(s->mirror);
}

static uint64_t
table_body_size(struct mr_call *call)
{
	struct served *s = served_of(call);

	return has_new_body(s) ? plug_host.body_size(call) : s->body_size;
}

/* Once a call, and only if the plugin wants to see the body. */
static bool
fetch_body(struct served *s)
{
	size_t begin = wire_begin(&s->out, WIRE_ASK_BODY);
	struct wire_in in;
	uint64_t from;
	uint32_t n;
	int fds[2];
	void *map;

	if (!ask(s, begin, &in))
		return false;
	n = wire_get_u32(&in);
	from = wire_get_u64(&in);
	s->body_offset = wire_get_u64(&in);
	wire_take_fds(s->answers, fds, 2);
	s->body_fd = fds[1];
	if (!n || fds[0] < 0)
		return false;
	map = from ? mmap(NULL, from, PROT_READ, MAP_SHARED, fds[0], 0) : NULL;
	close(fds[0]);
	if (map == MAP_FAILED)
		return false;
	s->map = map;
	s->body = str_of(map, from);
	s->has_body = true;
	return true;
}

static int64_t
read_body(struct served *s, uint64_t offset, char *out, size_t len)
{
	struct err e = {0};
	size_t n = 0;

	if (offset >= s->body_size)
		return 0;
	if (len > s->body_size - offset)
		len = (size_t)(s->body_size - offset);
	if (offset < s->body.len) {
		n = s->body.len - (size_t)offset;
		n = n < len ? n : len;
		memcpy(out, s->body.at + offset, n);
	}
	if (n < len && (s->body_fd < 0 || file_pread_all(s->body_fd, out + n,
		len - n, s->body_offset + offset + n - s->body.len, &e) < 0))
		return -1;
	return (int64_t)len;
}

static int64_t
table_body_read(struct mr_call *call, uint64_t offset, void *out, size_t len)
{
	struct served *s = served_of(call);

	if (has_new_body(s))
		return plug_host.body_read(call, offset, out, len);
	if (!s->is_message || (!s->has_body && !fetch_body(s)))
		return -1;
	return read_body(s, offset, out, len);
}

/* ------------------------------------------------------------------ edits */

static void
mirror_fields(struct served *s, struct message *m)
{
	struct buf b;
	struct err e = {0};
	size_t i;

	buf_init(&b, BUF_NO_CAP);
	for (i = s->n_above; i < s->n_field; i++) {
		buf_addstr(&b, s->field[i].name);
		buf_addc(&b, ':');
		buf_addstr(&b, s->field[i].value);
		buf_adds(&b, "\r\n");
	}
	buf_adds(&b, "\r\n");
	message_write(m, buf_str(&b), &e);
	buf_free(&b);
	message_seal(m, &e);
	for (i = s->n_above; i-- > 0;)
		message_insert(m, "before", 0, s->field[i].name,
			s->field[i].value, false);
}

/* Ids in the mirror are in the order of making: those above come last. Put
 * s->field in that order, now that it is read no more by position. */
static void
order_as_mirror(struct served *s)
{
	struct served_field *old = s->field;
	size_t below = s->n_field - s->n_above, i;

	s->field = arena_alloc(&s->arena, (s->n_field + 1) * sizeof *old);
	for (i = 0; i < below; i++)
		s->field[i] = old[s->n_above + i];
	for (i = 0; i < s->n_above; i++)
		s->field[below + i] = old[s->n_above - 1 - i];
}

static void
mirror_envelope(struct served *s)
{
	size_t i;

	envelope_init(&s->envelope, &s->arena);
	s->envelope.sender = s->fact[MR_FACT_SENDER];
	s->envelope.sender_args = s->fact[MR_FACT_SENDER_ARGS];
	for (i = 0; i < s->n_rcpt; i++) {
		envelope_add(&s->envelope, str_of(s->rcpt[i].address.at,
			s->rcpt[i].address.len), str_of(s->rcpt[i].args.at,
			s->rcpt[i].args.len));
		s->envelope.rcpt[i].account = s->rcpt_account[i];
	}
}

/* False outside the message hook, and for more fields than a message can
 * be received with. */
static bool
make_mirror(struct served *s)
{
	if (s->mirror || !s->is_message || s->is_unmirrored)
		return s->mirror != NULL;
	s->mirror = message_new(&s->arena, "", SIZE_MAX / 2);
	mirror_fields(s, s->mirror);
	if (message_field_count(s->mirror) != s->n_field) {
		message_free(s->mirror);
		s->mirror = NULL;
		s->is_unmirrored = true;
		return false;
	}
	order_as_mirror(s);
	mirror_envelope(s);
	s->facts.message = s->mirror;
	s->facts.envelope = &s->envelope;
	s->scene.is_message = true;
	scene_mark(&s->scene);
	return true;
}

static int
table_header_insert(struct mr_call *call, size_t index, const char *name,
	const char *value)
{
	struct served *s = served_of(call);
	size_t begin;

	if (!make_mirror(s) || plug_host.header_insert(call, index, name,
		value) < 0)
		return -1;
	begin = wire_begin(&s->out, WIRE_INSERT);
	wire_u64(&s->out, index);
	wire_text(&s->out, name);
	wire_text(&s->out, value);
	note(s, begin);
	return 0;
}

static int
table_header_add(struct mr_call *call, const char *name, const char *value)
{
	return table_header_insert(call, SIZE_MAX, name, value);
}

static int
table_header_change(struct mr_call *call, uint64_t id, const char *name,
	const char *value)
{
	struct served *s = served_of(call);
	size_t begin;

	if (!make_mirror(s) || plug_host.header_change(call,
		id_in_mirror(s, id), name, value) < 0)
		return -1;
	begin = wire_begin(&s->out, WIRE_CHANGE);
	wire_u64(&s->out, id);
	wire_text(&s->out, name);
	wire_text(&s->out, value);
	note(s, begin);
	return 0;
}

static int
table_header_remove(struct mr_call *call, uint64_t id)
{
	struct served *s = served_of(call);
	size_t begin;

	if (!make_mirror(s) || plug_host.header_remove(call,
		id_in_mirror(s, id)) < 0)
		return -1;
	begin = wire_begin(&s->out, WIRE_REMOVE);
	wire_u64(&s->out, id);
	note(s, begin);
	return 0;
}

static void
table_header_exact(struct mr_call *call, int on)
{
	struct served *s = served_of(call);
	size_t begin = wire_begin(&s->out, WIRE_EXACT);

	wire_u32(&s->out, on != 0);
	note(s, begin);
	plug_host.header_exact(call, on);
}

static void
table_edits_undo(struct mr_call *call)
{
	struct served *s = served_of(call);

	if (!s->is_message)
		return;
	if (s->mirror)
		scene_undo(&s->scene);
	s->n_result = s->n_result_before;
	note(s, wire_begin(&s->out, WIRE_UNDO));
}

static int
table_body_replace(struct mr_call *call, const void *bytes, size_t len)
{
	struct served *s = served_of(call);
	struct str rest = str_of(bytes, len), part;
	size_t begin;

	if (!make_mirror(s) || plug_host.body_replace(call, bytes, len) < 0)
		return -1;
	do {
		part = str_sub(rest, 0, WIRE_CHUNK);
		rest = str_sub(rest, part.len, rest.len);
		begin = wire_begin(&s->out, WIRE_BODY);
		wire_str(&s->out, part.at ? part : STR(""));
		note(s, begin);
	} while (rest.len);
	return 0;
}

static int
table_sender_change(struct mr_call *call, const char *address,
	const char *args)
{
	struct served *s = served_of(call);
	size_t begin;

	if (!make_mirror(s) || plug_host.sender_change(call, address, args) < 0)
		return -1;
	begin = wire_begin(&s->out, WIRE_SENDER);
	wire_text(&s->out, address);
	put_text(s, args, NAME_MOST);
	note(s, begin);
	return 0;
}

static int
table_rcpt_add(struct mr_call *call, const char *address, const char *args)
{
	struct served *s = served_of(call);
	size_t begin;

	if (!make_mirror(s) || plug_host.rcpt_add(call, address, args) < 0)
		return -1;
	begin = wire_begin(&s->out, WIRE_RCPT_ADD);
	wire_text(&s->out, address);
	put_text(s, args, NAME_MOST);
	note(s, begin);
	return 0;
}

static int
table_rcpt_remove(struct mr_call *call, const char *address)
{
	struct served *s = served_of(call);
	size_t begin;

	if (!make_mirror(s) || plug_host.rcpt_remove(call, address) < 0)
		return -1;
	begin = wire_begin(&s->out, WIRE_RCPT_REMOVE);
	wire_text(&s->out, address);
	note(s, begin);
	return 0;
}

static struct mr_str
table_rcpt_account(struct mr_call *call, size_t index)
{
	struct served *s = served_of(call);

	if (s->mirror)
		return plug_host.rcpt_account(call, index);
	if (!s->is_message || index >= s->n_rcpt)
		return give(STR(""));
	return give(s->rcpt_account[index]);
}

static int
table_file_into(struct mr_call *call, const char *rcpt, const char *mailbox)
{
	struct served *s = served_of(call);
	size_t begin;
	int n;

	if (!make_mirror(s) || (n = plug_host.file_into(call, rcpt,
		mailbox)) < 0)
		return -1;
	begin = wire_begin(&s->out, WIRE_FILE);
	put_text(s, rcpt, NAME_MOST);
	put_text(s, mailbox, NAME_MOST);
	note(s, begin);
	return n;
}

/* ---------------------------------------------------------------- results */

static const char *
keep(struct served *s, const char *text)
{
	return text ? arena_cstr(&s->arena, str_from(text)) : NULL;
}

static int
table_result_add(struct mr_call *call, const struct mr_result *r)
{
	struct served *s = served_of(call);
	struct mr_result *old = s->result;
	size_t begin;

	if (!s->kept->message_number || !MR_HAS(r, props) || !r->method ||
		!r->value)
		return -1;
	s->result = arena_alloc(&s->arena, (s->n_result + 1) * sizeof *old);
	if (s->n_result)
		memcpy(s->result, old, s->n_result * sizeof *old);
	s->result[s->n_result++] = (struct mr_result){
		.method = keep(s, r->method), .value = keep(s, r->value),
		.reason = keep(s, r->reason), .props = keep(s, r->props)};
	begin = wire_begin(&s->out, WIRE_RESULT);
	wire_text(&s->out, r->method);
	wire_text(&s->out, r->value);
	wire_text(&s->out, r->reason);
	wire_text(&s->out, r->props);
	note(s, begin);
	return 0;
}

static int
table_result(struct mr_call *call, size_t index, struct mr_result *out)
{
	struct served *s = served_of(call);

	if (index >= s->n_result)
		return -1;
	out->method = s->result[index].method;
	out->value = s->result[index].value;
	out->reason = s->result[index].reason;
	out->props = s->result[index].props;
	return 0;
}

/* --------------------------------------------------------------- services */

static void
table_dns(struct mr_call *call, const char *name, uint32_t type,
	struct mr_dns_answer *out)
{
	struct served *s = served_of(call);
	size_t begin = wire_begin(&s->out, WIRE_ASK_DNS);
	struct mr_dns_record *record;
	struct wire_in in;
	uint32_t i;

	out->status = MR_DNS_TEMPFAIL;
	out->secure = out->n = 0;
	out->record = NULL;
	wire_u32(&s->out, type);
	put_text(s, name, NAME_MOST);
	if (!ask(s, begin, &in))
		return;
	out->status = wire_get_u32(&in);
	out->secure = wire_get_u32(&in);
	out->n = wire_get_u32(&in);
	out->record = record = arena_alloc(&s->arena,
		(out->n + 1) * sizeof *record);
	for (i = 0; i < out->n; i++) {
		record[i].ttl = wire_get_u32(&in);
		record[i].preference = (uint16_t)wire_get_u32(&in);
		record[i].data = give(arena_str(&s->arena,
			wire_get_str(&in)));
	}
}

static int
table_state_get(struct mr_call *call, const char *key, struct mr_str *value)
{
	struct served *s = served_of(call);
	size_t begin = wire_begin(&s->out, WIRE_ASK_GET);
	struct wire_in in;
	int code;

	*value = (struct mr_str){"", 0};
	put_text(s, key, NAME_MOST);
	if (!ask(s, begin, &in))
		return -1;
	code = (int)wire_get_u32(&in);
	*value = give(arena_str(&s->arena, wire_get_str(&in)));
	return code;
}

static int
table_state_set(struct mr_call *call, const char *key, struct mr_str value,
	int64_t ttl_ms)
{
	struct served *s = served_of(call);
	size_t begin;
	struct wire_in in;

	if (value.len > WIRE_CHUNK)
		return -1;
	begin = wire_begin(&s->out, WIRE_ASK_SET);
	put_text(s, key, NAME_MOST);
	wire_str(&s->out, str_of(value.at, value.len));
	wire_u64(&s->out, (uint64_t)ttl_ms);
	return ask(s, begin, &in) ? (int)wire_get_u32(&in) : -1;
}

static int
table_state_add(struct mr_call *call, const char *key, int64_t by,
	int64_t ttl_ms, int64_t *sum)
{
	struct served *s = served_of(call);
	size_t begin = wire_begin(&s->out, WIRE_ASK_ADD);
	struct wire_in in;
	int code;

	*sum = 0;
	put_text(s, key, NAME_MOST);
	wire_u64(&s->out, (uint64_t)by);
	wire_u64(&s->out, (uint64_t)ttl_ms);
	if (!ask(s, begin, &in))
		return -1;
	code = (int)wire_get_u32(&in);
	*sum = (int64_t)wire_get_u64(&in);
	return code;
}

void
remote_table_end(struct served *s)
{
	if (s->map)
		munmap(s->map, s->body.len);
	if (s->body_fd >= 0)
		close(s->body_fd);
	message_free(s->mirror);
	arena_free(&s->scene.scratch);
	arena_free(&s->arena);
}

const struct mr_host remote_table = {
	.size = sizeof remote_table,
	.abi = MR_ABI,
	.version = PACKAGE_VERSION,
	.log = table_log,
	.say = table_say,
	.deadline = table_deadline,
	.session_alloc = table_session_alloc,
	.message_alloc = table_message_alloc,
	.fact = table_fact,
	.rcpt = table_rcpt,
	.header = table_header,
	.body_size = table_body_size,
	.body_read = table_body_read,
	.header_add = table_header_add,
	.header_insert = table_header_insert,
	.header_change = table_header_change,
	.header_remove = table_header_remove,
	.header_exact = table_header_exact,
	.edits_undo = table_edits_undo,
	.body_replace = table_body_replace,
	.sender_change = table_sender_change,
	.rcpt_add = table_rcpt_add,
	.rcpt_remove = table_rcpt_remove,
	.result_add = table_result_add,
	.result = table_result,
	.dns = table_dns,
	.state_get = table_state_get,
	.state_set = table_state_set,
	.state_add = table_state_add,
	.rcpt_account = table_rcpt_account,
	.file_into = table_file_into,
};
