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

/* All that is left is the value, with one NUL behind. One inside would cut it
 * for the host, so it becomes a blank. */
static bool
take_value(struct edit *e, struct str *out)
{
	struct str s = e->data;
	char *copy;
	size_t i;

	if (!s.len || s.at[s.len - 1])
		return false;
	s.len--;
	e->data = str_sub(e->data, e->data.len, 0);
	*out = s;
	if (!str_has_byte(s, '\0'))
		return true;
	mr_log(e->call, MR_LOG_WARN, "NUL in the value of a field from the "
		"filter: made a blank");
	copy = e->call->host->message_alloc(e->call, s.len + 1);
	for (i = 0; copy && i < s.len; i++)
		copy[i] = s.at[i] ? s.at[i] : ' ';
	*out = str_of(copy, s.len);
	return copy != NULL;
}

/* An edit that the host does not do is no reason to fail the message. */
static void
told(struct edit *e, int done, const char *what, struct str about)
{
	if (done < 0)
		mr_log(e->call, MR_LOG_WARN, "%s from the filter not taken: "
			"%.*s", what, about.len > 200 ? 200 : (int)about.len,
			about.at);
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

	if (!take(e, &name) || !take_value(e, &value))
		return false;
	told(e, e->call->host->header_add(e->call, name.at, value.at),
		"field", name);
	return true;
}

static bool
header_insert(struct edit *e)
{
	struct str name, value;
	uint32_t index;

	if (!milter_take_u32(&e->data, &index) || !take(e, &name) ||
		!take_value(e, &value))
		return false;
	told(e, e->call->host->header_insert(e->call, index, name.at,
		value.at), "field", name);
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
	int done = 0;

	if (!milter_take_u32(&e->data, &index) || !take(e, &name) ||
		!take_value(e, &value))
		return false;
	if (find_header(e->call, index ? index : 1, name, &h))
		done = value.len ? host->header_change(e->call, h.id, name.at,
			value.at) : host->header_remove(e->call, h.id);
	else if (value.len)
		done = host->header_add(e->call, name.at, value.at);
	told(e, done, "field", name);
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
	told(e, e->call->host->sender_change(e->call,
		bare_address(e, address), args.at), "sender", address);
	return true;
}

static bool
rcpt_add(struct edit *e)
{
	struct str address, args = {NULL, 0};

	if (!take(e, &address))
		return false;
	take(e, &args);
	told(e, e->call->host->rcpt_add(e->call, bare_address(e, address),
		args.at), "recipient", address);
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
	uint32_t action;
	bool (*run)(struct edit *e);
} edits[] = {
	{'h', MILTER_ADD_HEADERS, header_add},
	{'i', MILTER_ADD_HEADERS, header_insert},
	{'m', MILTER_CHANGE_HEADERS, header_change},
	{'b', MILTER_CHANGE_BODY, body_replace},
	{'e', MILTER_CHANGE_SENDER, sender_change},
	{'+', MILTER_ADD_RCPT, rcpt_add},
	{'2', MILTER_ADD_RCPT_ARGS, rcpt_add},
	{'-', MILTER_REMOVE_RCPT, rcpt_remove},
};

uint32_t
milter_edit_action(int command)
{
	size_t i;

	for (i = 0; i < sizeof edits / sizeof *edits; i++)
		if (edits[i].command == command)
			return edits[i].action;
	return 0;
}

bool
milter_is_edit(int command)
{
	return milter_edit_action(command) != 0;
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
