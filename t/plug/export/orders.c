/*
 * orders.c - a filter plugin of ours that does what the message tells it to:
 * X-Do fields are edits, addresses and names that hold a verdict's name get
 * that verdict.
 */
#include <stdlib.h>
#include <string.h>

#include <mailroom/plugin.h>

struct orders {
	const char *mark;
};

struct state {
	unsigned messages;
};

static const struct {
	const char *word;
	enum mr_verdict verdict;
} words[] = {
	{"done", MR_DONE}, {"later", MR_TEMPFAIL}, {"refuse", MR_REJECT},
	{"drop", MR_DISCARD}, {"hold", MR_QUARANTINE}, {"hangup", MR_HANGUP},
};

static enum mr_verdict
judge(struct mr_call *c, const char *text)
{
	size_t i;

	for (i = 0; i < sizeof words / sizeof *words; i++)
		if (strstr(text, words[i].word)) {
			if (strstr(text, "text"))
				mr_say(c, words[i].verdict == MR_TEMPFAIL ?
					450 : 550, words[i].verdict ==
					MR_TEMPFAIL ? "4.7.9" : "5.7.9",
					"100% sure\nof it");
			return words[i].verdict;
		}
	return MR_PASS;
}

static enum mr_verdict
on_connect(struct mr_call *c)
{
	return judge(c, mr_fact(c, MR_FACT_PEER_NAME));
}

static enum mr_verdict
on_helo(struct mr_call *c, const char *name)
{
	return judge(c, name);
}

static enum mr_verdict
on_mail(struct mr_call *c, const char *sender)
{
	struct state *s = c->session;

	s->messages++;
	return judge(c, sender);
}

static enum mr_verdict
on_rcpt(struct mr_call *c, const char *rcpt, const char *args)
{
	(void)args;
	return judge(c, rcpt);
}

static enum mr_verdict
on_data(struct mr_call *c)
{
	return strstr(mr_fact(c, MR_FACT_SENDER_ARGS), "SIZE=666") ?
		MR_TEMPFAIL : MR_PASS;
}

static uint64_t
find(struct mr_call *c, const char *name, unsigned long nth)
{
	struct mr_header h;
	size_t i;

	for (i = 0; c->host->header(c, i, &h) == 0; i++)
		if (!strcmp(h.name.at, name) && nth-- == 0)
			return h.id;
	return 0;
}

static void
obey(struct mr_call *c, char *order)
{
	const struct mr_host *h = c->host;
	char *part[4] = {order, "", "", ""}, *at = order;
	size_t n;

	for (n = 1; n < 4 && (at = strchr(at, '|')); n++) {
		*at++ = '\0';
		part[n] = at;
	}
	if (!strcmp(order, "add"))
		h->header_add(c, part[1], part[2]);
	else if (!strcmp(order, "ins"))
		h->header_insert(c, strtoul(part[1], NULL, 10), part[2],
			part[3]);
	else if (!strcmp(order, "chg"))
		h->header_change(c, find(c, part[2], strtoul(part[1], NULL,
			10)), NULL, part[3]);
	else if (!strcmp(order, "del"))
		h->header_remove(c, find(c, part[2], strtoul(part[1], NULL,
			10)));
	else if (!strcmp(order, "body"))
		h->body_replace(c, part[1], strlen(part[1]));
	else if (!strcmp(order, "from"))
		h->sender_change(c, part[1], part[2]);
	else if (!strcmp(order, "rcpt"))
		h->rcpt_add(c, part[1], part[2]);
	else if (!strcmp(order, "delrcpt"))
		h->rcpt_remove(c, part[1]);
}

static char *
take_orders(struct mr_call *c, size_t *n)
{
	char *all = calloc(1, 65536);
	struct mr_header h;
	size_t i, at = 0;

	for (*n = i = 0; c->host->header(c, i, &h) == 0; i++) {
		if (strcmp(h.name.at, "X-Do") || at + h.value.len > 65000)
			continue;
		memcpy(all + at, h.value.at + 1, h.value.len);
		at += h.value.len;
		++*n;
	}
	return all;
}

static enum mr_verdict
on_message(struct mr_call *c)
{
	const struct orders *o = c->config;
	struct state *s = c->session;
	enum mr_verdict v = MR_PASS;
	char text[100], first[4] = "";
	size_t n, i;
	char *all = take_orders(c, &n), *at = all;

	c->host->body_read(c, 0, first, 3);
	snprintf(text, sizeof text, "%s, message %u, body %llu bytes, %.3s",
		o->mark, s->messages, (unsigned long long)
		c->host->body_size(c), first);
	mr_header_add(c, "X-Orders", text);
	for (i = 0; i < n; i++) {
		size_t len = strlen(at) + 1;

		if (!strncmp(at, "say|", 4))
			v = judge(c, at);
		else
			obey(c, at);
		at += len;
	}
	free(all);
	return v;
}

static enum mr_verdict
on_unknown(struct mr_call *c, const char *line)
{
	(void)c;
	(void)line;
	return MR_PASS;
}

static const struct mr_setting settings[] = {
	{"mark", MR_TEXT, 0, offsetof(struct orders, mark), "\"orders\"", 0, 0,
		NULL, "A word for the field that is added."},
	MR_SETTINGS_END,
};

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY,
	.may = MR_MAY_HEADERS | MR_MAY_BODY | MR_MAY_SENDER | MR_MAY_RCPTS,
	.connect = on_connect, .helo = on_helo, .mail = on_mail,
	.rcpt = on_rcpt, .data = on_data, .message = on_message,
	.unknown = on_unknown,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "orders", .version = "1.0",
	.settings = settings, .config_size = sizeof(struct orders),
	.session_size = sizeof(struct state), .filter = &filter,
};
