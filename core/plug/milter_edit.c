/*
 * milter_edit.c - one function for each edit frame.
 *
 * Data strings are NUL-ended inside the frame, so views of them may go to
 * the host as C strings.
 */
#include "plug/milter_edit.h"

#include "plug/milter_wire.h"

struct edit {
	struct mr_call *call;
	struct str data;
};

static bool
take(struct edit *e, struct str *out)
{
	return milter_take_string(&e->data, out);
}

/* "<a@b>" and "a@b" alike; the view stays NUL-ended only when copied. */
static const char *
bare_address(struct edit *e, struct str s)
{
	char *copy;

	s = str_trim(s);
	if (s.len >= 2 && s.at[0] == '<' && s.at[s.len - 1] == '>')
		s = str_sub(s, 1, s.len - 2);
	copy = e->call->host->message_alloc(e->call, s.len + 1);
	if (copy)
		memcpy(copy, s.at, s.len);
	return copy ? copy : "";
}

static bool
header_add(struct edit *e)
{
	struct str name, value;

	if (!take(e, &name) || !take(e, &value))
		return false;
	e->call->host->header_add(e->call, name.at, value.at);
	return true;
}

static bool
header_insert(struct edit *e)
{
	struct str name, value;
	uint32_t index;

	if (!milter_take_u32(&e->data, &index) || !take(e, &name) ||
		!take(e, &value))
		return false;
	e->call->host->header_insert(e->call, index, name.at, value.at);
	return true;
}

/* The index-th (from 1) field of that name. */
static bool
find_header(struct mr_call *call, uint32_t index, struct str name,
	struct mr_header *out)
{
	size_t i;

	for (i = 0; call->host->header(call, i, out) == 0; i++)
		if (str_ieq(name, str_of(out->name.at, out->name.len)) &&
			--index == 0)
			return true;
	return false;
}

/* Index 0 counts as 1; no value removes; a field that is not there is
 * added at the end. */
static bool
header_change(struct edit *e)
{
	const struct mr_host *host = e->call->host;
	struct str name, value;
	struct mr_header h;
	uint32_t index;

	if (!milter_take_u32(&e->data, &index) || !take(e, &name) ||
		!take(e, &value))
		return false;
	if (find_header(e->call, index ? index : 1, name, &h)) {
		if (value.len)
			host->header_change(e->call, h.id, name.at, value.at);
		else
			host->header_remove(e->call, h.id);
	} else if (value.len) {
		host->header_add(e->call, name.at, value.at);
	}
	return true;
}

static bool
body_replace(struct edit *e)
{
	return e->call->host->body_replace(e->call, e->data.at,
		e->data.len) == 0;
}

static bool
sender_change(struct edit *e)
{
	struct str address, args = {NULL, 0};

	if (!take(e, &address))
		return false;
	take(e, &args);
	e->call->host->sender_change(e->call, bare_address(e, address),
		args.at);
	return true;
}

static bool
rcpt_add(struct edit *e)
{
	struct str address, args = {NULL, 0};

	if (!take(e, &address))
		return false;
	take(e, &args);
	e->call->host->rcpt_add(e->call, bare_address(e, address), args.at);
	return true;
}

static bool
rcpt_remove(struct edit *e)
{
	struct str address;

	if (!take(e, &address))
		return false;
	e->call->host->rcpt_remove(e->call, bare_address(e, address));
	return true;
}

static const struct {
	char command;
	bool (*run)(struct edit *e);
} edits[] = {
	{'h', header_add}, {'i', header_insert}, {'m', header_change},
	{'b', body_replace}, {'e', sender_change}, {'+', rcpt_add},
	{'2', rcpt_add}, {'-', rcpt_remove},
};

bool
milter_is_edit(int command)
{
	size_t i;

	for (i = 0; i < sizeof edits / sizeof *edits; i++)
		if (edits[i].command == command)
			return true;
	return false;
}

int
milter_edit(struct mr_call *call, int command, struct str data, struct err *e)
{
	struct edit edit = {call, data};
	size_t i;

	for (i = 0; i < sizeof edits / sizeof *edits; i++)
		if (edits[i].command == command)
			return edits[i].run(&edit) ? 0 : err_set(e,
				ERR_PROTOCOL, "edit `%c` cannot be done: "
				"malformed, or the spool is full", command);
	return err_set(e, ERR_PROTOCOL, "`%c` is no edit", command);
}
