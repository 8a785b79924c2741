/*
 * every.c - a filter that uses every hook and every service of the host
 * that version 1 of the header has. Built by abi.t against the frozen
 * header, never against today's.
 */
#include <mailroom/plugin.h>
#include <stdbool.h>
#include <string.h>

struct config {
	bool flag;
	const char *word;
	int64_t number, size, wait, how;
	struct mr_list list;
};
#define AT(field) offsetof(struct config, field)

static const struct mr_setting settings[] = {
	{"flag", MR_BOOL, 0, AT(flag), "true", 0, 0, NULL, "A flag."},
	{"word", MR_TEXT, MR_REQUIRED, AT(word), NULL, 0, 0, NULL, "A word."},
	{"number", MR_INT, 0, AT(number), "3", 1, 9, NULL, "A number."},
	{"size", MR_SIZE, 0, AT(size), "\"2 KiB\"", 0, 0, NULL, "A size."},
	{"wait", MR_DURATION, 0, AT(wait), "\"4s\"", 0, 0, NULL, "A time."},
	{"how", MR_CHOICE, 0, AT(how), "\"b\"", 0, 0, "a|b", "A choice."},
	{"list", MR_LIST, 0, AT(list), "[\"x\", \"y\"]", 0, 0, NULL, "A list."},
	MR_SETTINGS_END,
};

struct session {
	int connects, helos;
};

struct message {
	char steps[64];
};

static void
step(struct mr_call *call, const char *letter)
{
	struct message *m = call->message;

	if (strlen(m->steps) < sizeof m->steps - 1)
		strcat(m->steps, letter);
}

static enum mr_verdict
on_connect(struct mr_call *call)
{
	((struct session *)call->session)->connects++;
	return MR_PASS;
}

static enum mr_verdict
on_helo(struct mr_call *call, const char *name)
{
	((struct session *)call->session)->helos++;
	return *name ? MR_PASS : MR_TEMPFAIL;
}

static enum mr_verdict
on_mail(struct mr_call *call, const char *sender)
{
	(void)sender;
	step(call, "m");
	return MR_PASS;
}

static enum mr_verdict
on_rcpt(struct mr_call *call, const char *rcpt, const char *args)
{
	(void)args;
	step(call, "r");
	if (strncmp(rcpt, "alice", 5))
		return MR_PASS;
	mr_say(call, 550, "5.7.9", "not alice");
	return MR_REJECT;
}

static enum mr_verdict
on_data(struct mr_call *call)
{
	step(call, "d");
	return MR_PASS;
}

static enum mr_verdict
on_unknown(struct mr_call *call, const char *line)
{
	(void)line;
	mr_say(call, 550, "5.5.1", "every does not know it");
	return MR_REJECT;
}

static void
note(struct mr_call *call, const char *name, const char *value)
{
	char field[64];

	snprintf(field, sizeof field, "X-Every-%s", name);
	mr_header_add(call, field, value);
}

static void
note_number(struct mr_call *call, const char *name, long long n)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", n);
	note(call, name, text);
}

static void
note_settings(struct mr_call *call)
{
	const struct config *c = call->config;
	char text[200];

	snprintf(text, sizeof text, "%d %s %lld %lld %lld %lld %zu %s",
		c->flag, c->word, (long long)c->number, (long long)c->size,
		(long long)c->wait, (long long)c->how, c->list.n,
		c->list.item[1]);
	note(call, "Settings", text);
}

static void
edit_headers(struct mr_call *call)
{
	const struct mr_host *host = call->host;
	struct mr_header h;

	for (size_t i = 0; host->header(call, i, &h) == 0; i++) {
		if (!strcmp(h.name.at, "X-Old"))
			host->header_change(call, h.id, NULL, "changed");
		if (!strcmp(h.name.at, "X-Gone") &&
			host->header_remove(call, h.id) == 0)
			i--;
	}
	host->header_insert(call, 1, "X-Every-First", "top");
	host->header_exact(call, 1);
	host->header_add(call, "X-Every-Exact", "tight");
	host->header_exact(call, 0);
}

static void
use_results(struct mr_call *call)
{
	struct mr_result r = {.size = sizeof r, .method = "spf",
		.value = "pass", .props = "smtp.mailfrom=a@elsewhere.test"};
	struct mr_result back = {.size = sizeof back};

	call->host->result_add(call, &r);
	if (call->host->result(call, 0, &back) == 0)
		note(call, "Result", back.value);
}

static void
use_state(struct mr_call *call)
{
	struct mr_str value = {"kept", 4}, back;
	int64_t sum = 0;

	call->host->state_set(call, "key", value, 60000);
	if (call->host->state_get(call, "key", &back) == 1)
		note(call, "State", back.at);
	call->host->state_add(call, "counter", 5, 60000, &sum);
	note_number(call, "Sum", sum);
}

static void
use_rest(struct mr_call *call)
{
	struct session *s = call->session;
	struct mr_dns_answer answer = {.size = sizeof answer};
	struct mr_rcpt rcpt;
	char *memory = call->host->message_alloc(call, 8);

	memcpy(memory, "alloc", 6);
	note(call, "Memory", memory);
	note(call, "Session", call->host->session_alloc(call, 8) &&
		s->connects == 1 && s->helos == 1 ? "kept" : "lost");
	note(call, "Deadline", call->host->deadline(call) > 0 ? "ahead" :
		"over");
	note(call, "Fact", mr_fact(call, MR_FACT_LISTENER_PURPOSE));
	if (call->host->rcpt(call, 0, &rcpt) == 0)
		note(call, "Rcpt", rcpt.address.at);
	call->host->dns(call, "nowhere.test", MR_DNS_TXT, &answer);
	note_number(call, "Dns", answer.status);
	mr_log(call, MR_LOG_INFO, "every %s", "logs");
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	struct message *m = call->message;
	char body[64] = "";
	int64_t n = call->host->body_read(call, 0, body, sizeof body - 1);

	step(call, "M");
	mr_header_add(call, "X-Undone", "by edits_undo");
	call->host->edits_undo(call);
	note(call, "Steps", m->steps);
	note_settings(call);
	edit_headers(call);
	use_results(call);
	use_state(call);
	use_rest(call);
	note_number(call, "Body", n ==
		(int64_t)call->host->body_size(call) ? n : -1);
	call->host->body_replace(call, "new", 3);
	call->host->body_replace(call, " body\n", 6);
	call->host->sender_change(call, "changed@elsewhere.test", NULL);
	call->host->rcpt_add(call, "alice@example.test", NULL);
	call->host->rcpt_remove(call, "carol@example.test");
	return MR_PASS;
}

static void
on_reset(struct mr_call *call)
{
	mr_log(call, MR_LOG_INFO, "every is reset");
}

static void
on_disconnect(struct mr_call *call)
{
	mr_log(call, MR_LOG_INFO, "every is left");
}

static int
on_open(void *config, struct mr_open *open)
{
	const struct config *c = config;

	if (strcmp(c->word, "refuse"))
		return 0;
	snprintf(open->error, open->error_size, "%s has the wrong word",
		open->instance);
	return -1;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY,
	.may = MR_MAY_HEADERS | MR_MAY_BODY | MR_MAY_SENDER | MR_MAY_RCPTS |
		MR_MAY_RESULTS,
	.connect = on_connect, .helo = on_helo, .mail = on_mail,
	.rcpt = on_rcpt, .data = on_data, .message = on_message,
	.unknown = on_unknown, .reset = on_reset, .disconnect = on_disconnect,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "every", .version = "1.0",
	.summary = "uses all of version 1", .settings = settings,
	.config_size = sizeof(struct config),
	.session_size = sizeof(struct session),
	.message_size = sizeof(struct message), .open = on_open,
	.filter = &filter,
};
