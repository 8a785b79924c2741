/*
 * hooks.c - a chain of three fake filters over a session: how what they say
 * is folded, who is asked, and what becomes of their edits.
 */
#include "unit.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/header.h"
#include "plug/hooks.h"

#define FILTERS 3

/* What each filter does when it is asked, and what it saw. */
struct part {
	int verdict;
	void (*act)(struct mr_call *call);
	int called[10];		/* by enum step */
	int zeroed;		/* calls that found zeroed memory */
	char arg[100];
};

enum step { CONNECT, HELO, MAIL, RCPT, DATA, MESSAGE, UNKNOWN, RESET,
	DISCONNECT };

static struct part part[FILTERS];

static struct part *
part_of(struct mr_call *call)
{
	return *(struct part **)call->config;
}

static enum mr_verdict
called(struct mr_call *call, enum step step, const char *arg)
{
	struct part *p = part_of(call);
	int *seen = call->message ? call->message : call->session;

	p->called[step]++;
	p->zeroed += *seen == 0;
	++*seen;
	snprintf(p->arg, sizeof p->arg, "%s", arg);
	assert_non_null(hooks_breadcrumb());
	if (p->act)
		p->act(call);
	return (enum mr_verdict)p->verdict;
}

static enum mr_verdict
on_connect(struct mr_call *call)
{
	return called(call, CONNECT, "");
}

static enum mr_verdict
on_helo(struct mr_call *call, const char *name)
{
	return called(call, HELO, name);
}

static enum mr_verdict
on_mail(struct mr_call *call, const char *sender)
{
	return called(call, MAIL, sender);
}

static enum mr_verdict
on_rcpt(struct mr_call *call, const char *rcpt, const char *args)
{
	(void)args;
	return called(call, RCPT, *mr_fact(call, MR_FACT_RCPT_REFUSED) ?
		mr_fact(call, MR_FACT_RCPT_REFUSED) : rcpt);
}

static enum mr_verdict
on_data(struct mr_call *call)
{
	return called(call, DATA, "");
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	return called(call, MESSAGE, "");
}

static enum mr_verdict
on_unknown(struct mr_call *call, const char *line)
{
	return called(call, UNKNOWN, line);
}

static void
on_reset(struct mr_call *call)
{
	called(call, RESET, "");
}

static void
on_disconnect(struct mr_call *call)
{
	called(call, DISCONNECT, "");
}

#define HOOKS .connect = on_connect, .helo = on_helo, .mail = on_mail, \
	.rcpt = on_rcpt, .data = on_data, .message = on_message, \
	.unknown = on_unknown, .reset = on_reset, .disconnect = on_disconnect

static const struct mr_filter filter[FILTERS] = {
	{.size = sizeof(struct mr_filter), HOOKS},
	{.size = sizeof(struct mr_filter), .wants = MR_WANT_REFUSED, HOOKS},
	{.size = sizeof(struct mr_filter), .wants = MR_WANT_REFUSED, HOOKS},
};
/* Built when there was nothing behind data. */
static const struct mr_filter old_filter = {
	.size = offsetof(struct mr_filter, message), HOOKS};

/* ------------------------------------------------------- the session */

static struct mr_plugin desc[FILTERS];
static struct plugin plugin[FILTERS];
static struct plugin *order[FILTERS] = {&plugin[0], &plugin[1], &plugin[2]};
static struct part *config[FILTERS] = {&part[0], &part[1], &part[2]};
static struct chain chain = {"inbound", order, FILTERS, 5000};
static struct arena session, message;
static struct envelope envelope;
static struct facts facts;
static struct hooks *h;

static void
set_verdicts(int a, int b, int c)
{
	memset(part, 0, sizeof part);
	part[0].verdict = a;
	part[1].verdict = b;
	part[2].verdict = c;
}

static int
begin(void **state)
{
	static const char *const names[FILTERS] = {"a", "b", "c"};
	struct err e;
	int i;

	(void)state;
	log_open(-1, LOG_ERROR, false, "test");
	set_verdicts(MR_PASS, MR_PASS, MR_PASS);
	for (i = 0; i < FILTERS; i++) {
		desc[i] = (struct mr_plugin){MR_PLUGIN_HEAD,
			.name = names[i], .session_size = 16,
			.message_size = 16, .filter = &filter[i]};
		plugin[i] = (struct plugin){.name = names[i],
			.desc = &desc[i], .config = &config[i]};
	}
	arena_init(&session);
	arena_init(&message);
	facts = (struct facts){.hostname = "mx", .session_arena = &session,
		.message_arena = &message, .session = "s1",
		.helo = STR("client")};
	sock_parse(STR("192.0.2.1:25"), &facts.peer, &e);
	h = hooks_new(&chain, &facts);
	return 0;
}

static int
finish(void **state)
{
	(void)state;
	arena_free(&session);
	arena_free(&message);
	return 0;
}

static void
begin_message(void)
{
	struct err e;

	envelope_init(&envelope, &message);
	envelope.sender = STR("from@x");
	envelope_add(&envelope, STR("one@x"), STR(""));
	envelope_add(&envelope, STR("two@x"), STR(""));
	facts.envelope = &envelope;
	snprintf(facts.queue_id, sizeof facts.queue_id, "q1");
	assert_int_equal(hooks_mail(h).kind, MR_PASS);
	facts.message = message_new(&message, "/tmp", 1 << 20);
	assert_int_equal(message_write(facts.message,
		STR("Subject: s\r\nX: 1\r\n\r\nbody\r\n"), &e), 0);
	assert_int_equal(message_seal(facts.message, &e), 0);
}

static void
end_message(void)
{
	struct message *m = facts.message;

	hooks_reset(h);
	message_free(m);
	facts.envelope = NULL;
	facts.queue_id[0] = '\0';
	arena_reset(&message);
}

static int
times(int i, enum step step)
{
	return part[i].called[step];
}

/* ------------------------------------------------ observers, listeners */

static void
act_edit(struct mr_call *call)
{
	if (!mr_header_add(call, "X-Watched", "yes"))
		call->host->rcpt_remove(call, "one@x");
}

/* Whatever it says and does, the message is as if it had not been there, and
 * after a refusal it is not asked about that message again. */
static void
test_observes(void **state)
{
	static const int says[] = {MR_PASS, MR_REJECT, MR_TEMPFAIL, MR_DISCARD,
		MR_QUARANTINE, MR_HANGUP, 99};
	struct verdict v;
	size_t i;

	(void)state;
	plugin[0].observes = true;
	hooks_connect(h);
	for (i = 0; i < COUNT(says); i++) {
		set_verdicts(0, 0, 0);
		begin_message();
		set_verdicts(says[i], 0, 0);
		assert_int_equal(hooks_rcpt(h, 0, NULL).kind, MR_PASS);
		part[0].act = act_edit;
		v = hooks_message(h);
		assert_int_equal(v.kind, MR_PASS);
		assert_int_equal(v.reply.code, 0);
		assert_int_equal(message_field_count(facts.message), 2);
		assert_int_equal(envelope_count(&envelope), 2);
		assert_int_equal(times(0, MESSAGE), says[i] != MR_DISCARD &&
			says[i] != MR_HANGUP);
		assert_int_equal(times(1, MESSAGE), 1);
		part[0].act = NULL;
		end_message();
	}
}

static void
test_listeners(void **state)
{
	static const char *const names[] = {"mx", "inside"};

	(void)state;
	plugin[0].listeners = (struct mr_list){names, 2};
	plugin[1].listeners = (struct mr_list){names, 1};
	facts.listener = "inside";
	h = hooks_new(&chain, &facts);
	hooks_connect(h);
	begin_message();
	hooks_message(h);
	end_message();
	hooks_end(h);
	assert_int_equal(times(0, CONNECT) + times(0, MESSAGE), 2);
	assert_int_equal(times(1, CONNECT) + times(1, MESSAGE) +
		times(1, RESET) + times(1, DISCONNECT), 0);
	assert_int_equal(times(2, DISCONNECT), 1);
}

/* -------------------------------------------------------------- folding */

static const struct {
	int says[FILTERS];
	int kind;
	const char *by;
	int code, asked;	/* the first so many were */
} folded[] = {
	{{MR_PASS, MR_PASS, MR_PASS}, MR_PASS, NULL, 0, 3},
	{{MR_DONE, MR_PASS, MR_DONE}, MR_PASS, NULL, 0, 3},
	{{MR_REJECT, MR_TEMPFAIL, MR_PASS}, MR_REJECT, "a", 550, 1},
	{{MR_TEMPFAIL, MR_REJECT, MR_PASS}, MR_TEMPFAIL, "a", 451, 1},
	{{MR_PASS, MR_REJECT, MR_PASS}, MR_REJECT, "b", 550, 2},
	{{MR_DONE, MR_PASS, MR_HANGUP}, MR_HANGUP, "c", 421, 3},
	{{MR_DISCARD, MR_REJECT, MR_PASS}, MR_DISCARD, "a", 0, 1},
	{{MR_QUARANTINE, MR_PASS, MR_PASS}, MR_QUARANTINE, "a", 0, 3},
	{{MR_PASS, MR_QUARANTINE, MR_QUARANTINE}, MR_QUARANTINE, "b", 0, 3},
	{{MR_QUARANTINE, MR_REJECT, MR_PASS}, MR_REJECT, "b", 550, 2},
	{{MR_QUARANTINE, MR_PASS, MR_DISCARD}, MR_DISCARD, "c", 0, 3},
	{{MR_PASS, 7, MR_PASS}, MR_TEMPFAIL, "b", 451, 2},
	{{-1, MR_PASS, MR_PASS}, MR_TEMPFAIL, "a", 451, 1},
	{{0x7fffffff, MR_PASS, MR_PASS}, MR_TEMPFAIL, "a", 451, 1},
};

static void
test_folding(void **state)
{
	struct verdict v;
	size_t i;
	int k;

	(void)state;
	hooks_connect(h);
	for (i = 0; i < COUNT(folded); i++) {
		set_verdicts(0, 0, 0);
		begin_message();
		set_verdicts(folded[i].says[0], folded[i].says[1],
			folded[i].says[2]);
		v = hooks_message(h);
		assert_int_equal(v.kind, folded[i].kind);
		assert_int_equal(v.reply.code, folded[i].code);
		if (folded[i].by)
			assert_string_equal(v.by, folded[i].by);
		for (k = 0; k < FILTERS; k++)
			assert_int_equal(times(k, MESSAGE),
				k < folded[i].asked);
		assert_null(hooks_breadcrumb());
		end_message();
	}
}

static const char *said_enhanced, *said_text;
static int said_code;

static void
say(struct mr_call *call)
{
	mr_say(call, said_code, said_enhanced, said_text);
}

static const struct {
	int verdict, code;
	const char *enhanced, *text;
	int reply_code;
	const char *reply_enhanced, *reply_text, *reason;
} replies[] = {
	{MR_REJECT, 554, "5.7.9", "no", 554, "5.7.9", "no", ""},
	{MR_REJECT, 0, NULL, NULL, 550, "5.7.1", "Command rejected", ""},
	{MR_REJECT, 451, "4.7.1", "no", 550, "5.7.1", "Command rejected", ""},
	{MR_REJECT, 250, "2.0.0", "ok", 550, "5.7.1", "Command rejected", ""},
	{MR_REJECT, 554, NULL, "no", 554, "", "no", ""},
	{MR_REJECT, 554, "5.7.1", "", 554, "5.7.1", "Command rejected", ""},
	{MR_REJECT, 554, "4.7.1", "no", 554, "", "no", ""},
	{MR_REJECT, 554, "5.7.1\r\n250", "no", 554, "", "no", ""},
	{MR_REJECT, 554, "5.7.1.2.3.4.5.6", "no", 554, "", "no", ""},
	{MR_TEMPFAIL, 452, "4.2.2", "full", 452, "4.2.2", "full", ""},
	{MR_TEMPFAIL, 421, "4.7.1", "go", 451, "4.7.1", "go", ""},
	{MR_TEMPFAIL, 550, "5.7.1", "no", 451, "4.7.1",
		"Service unavailable - try again later", ""},
	{MR_HANGUP, 421, "4.3.2", "bye", 421, "4.3.2", "bye", ""},
	{MR_HANGUP, 451, "4.3.2", "bye", 421, "4.7.1", "Closing connection",
		""},
	{MR_DISCARD, 550, NULL, "spam", 0, "", "", "spam"},
	{MR_QUARANTINE, 0, NULL, "look", 0, "", "", "look"},
	{7, 550, "5.7.1", "no", 451, "4.7.1",
		"Service unavailable - try again later", ""},
};

static void
test_replies(void **state)
{
	struct verdict v;
	size_t i;

	(void)state;
	hooks_connect(h);
	for (i = 0; i < COUNT(replies); i++) {
		set_verdicts(0, 0, 0);
		begin_message();
		set_verdicts(replies[i].verdict, 0, 0);
		part[0].act = say;
		said_code = replies[i].code;
		said_enhanced = replies[i].enhanced;
		said_text = replies[i].text;
		v = hooks_message(h);
		assert_int_equal(v.reply.code, replies[i].reply_code);
		assert_string_equal(v.reply.enhanced,
			replies[i].reply_enhanced);
		assert_true(str_is(v.reply.text, replies[i].reply_text));
		assert_true(str_is(v.reason, replies[i].reason));
		part[0].act = NULL;
		end_message();
	}
}

/* --------------------------------------------------------- who is asked */

static void
test_order(void **state)
{
	int i, k;

	(void)state;
	hooks_connect(h);
	hooks_helo(h);
	assert_string_equal(part[0].arg, "client");
	hooks_unknown(h, STR("XYZZY\0hidden"));
	assert_string_equal(part[0].arg, "XYZZY");
	for (k = 0; k < 2; k++) {
		begin_message();
		assert_string_equal(part[2].arg, "from@x");
		hooks_rcpt(h, 1, NULL);
		assert_string_equal(part[2].arg, "two@x");
		hooks_data(h);
		hooks_message(h);
		end_message();
	}
	hooks_reset(h);		/* outside a message nobody is told */
	hooks_end(h);
	for (i = 0; i < FILTERS; i++) {
		static const int want[] = {1, 1, 2, 2, 2, 2, 1, 2, 1};

		assert_memory_equal(part[i].called, want, sizeof want);
		/* session memory once, message memory for each */
		assert_int_equal(part[i].zeroed, 3);
	}
}

static void
test_done(void **state)
{
	(void)state;
	hooks_connect(h);
	begin_message();
	part[1].verdict = MR_DONE;
	assert_int_equal(hooks_rcpt(h, 0, NULL).kind, MR_PASS);
	hooks_rcpt(h, 1, NULL);
	hooks_data(h);
	hooks_message(h);
	assert_int_equal(times(1, RCPT), 1);
	assert_int_equal(times(1, DATA) + times(1, MESSAGE), 0);
	assert_int_equal(times(2, MESSAGE), 1);
	end_message();
	assert_int_equal(times(1, RESET), 1);
	part[1].verdict = MR_PASS;
	begin_message();
	assert_int_equal(times(1, MAIL), 2);
	end_message();
	part[1].verdict = MR_DONE;
	hooks_helo(h);
	hooks_helo(h);
	begin_message();
	hooks_message(h);
	end_message();
	assert_int_equal(times(1, HELO), 1);
	assert_int_equal(times(1, MAIL), 2);
	hooks_end(h);
	assert_int_equal(times(1, DISCONNECT), 1);
}

/* A hook behind the end of an older table is not there. */
static void
test_older_filter(void **state)
{
	(void)state;
	desc[0].filter = &old_filter;
	h = hooks_new(&chain, &facts);
	hooks_connect(h);
	begin_message();
	hooks_data(h);
	hooks_message(h);
	end_message();
	hooks_end(h);
	assert_int_equal(times(0, DATA), 1);
	assert_int_equal(times(0, MESSAGE) + times(0, RESET) +
		times(0, DISCONNECT), 0);
	assert_int_equal(times(1, MESSAGE), 1);
}

/* Refused anyway: those who want to know are told, all of them, and have no
 * say. */
static void
test_refused_rcpt(void **state)
{
	static const int verdicts[] = {MR_PASS, MR_REJECT, MR_DISCARD, 99};
	struct reply no = REPLY(550, "5.1.1", "No such user");
	size_t i;

	(void)state;
	hooks_connect(h);
	begin_message();
	for (i = 0; i < COUNT(verdicts); i++) {
		set_verdicts(0, verdicts[i], 0);
		assert_int_equal(hooks_rcpt(h, 0, &no).kind, MR_PASS);
		assert_int_equal(times(0, RCPT), 0);
		assert_int_equal(times(1, RCPT), 1);
		assert_int_equal(times(2, RCPT), 1);
		assert_string_equal(part[2].arg, "550 5.1.1 No such user");
	}
	set_verdicts(0, 0, 0);
	hooks_rcpt(h, 0, NULL);
	assert_string_equal(part[2].arg, "one@x");
	end_message();
}

static void
test_nobody(void **state)
{
	struct chain none = {"inbound", NULL, 0, 5000};

	(void)state;
	h = hooks_new(&none, &facts);
	assert_int_equal(hooks_connect(h).kind, MR_PASS);
	begin_message();
	assert_int_equal(hooks_rcpt(h, 0, NULL).kind, MR_PASS);
	assert_int_equal(hooks_message(h).kind, MR_PASS);
	assert_int_equal(hooks_unknown(h, STR("x")).kind, MR_PASS);
	end_message();
	hooks_end(h);
}

/* ---------------------------------------------------------------- edits */

static void
edit_all(struct mr_call *call)
{
	const struct mr_host *host = call->host;
	struct mr_result r = {.size = sizeof r, .method = "spf",
		.value = "pass"};
	struct mr_header first;

	assert_int_equal(host->header(call, 0, &first), 0);
	assert_int_equal(host->header_change(call, first.id, NULL, "t"), 0);
	assert_int_equal(host->header_add(call, "Y", "2"), 0);
	assert_int_equal(host->body_replace(call, "new", 3), 0);
	assert_int_equal(host->sender_change(call, "other@x", "SIZE=1"), 0);
	assert_int_equal(host->rcpt_remove(call, "one@x"), 0);
	assert_int_equal(host->rcpt_add(call, "three@x", NULL), 0);
	assert_int_equal(host->result_add(call, &r), 0);
}

static void
edit_and_undo(struct mr_call *call)
{
	edit_all(call);
	call->host->edits_undo(call);
	edit_all(call);
	call->host->edits_undo(call);
}

/* The message as it stands, in one line. */
static void
check_state(const char *want)
{
	const struct result *r;
	struct message_field f;
	char body[64];
	struct err e;
	struct buf b;
	int64_t n;
	size_t i;

	buf_init(&b, BUF_NO_CAP);
	for (i = 0; message_field(facts.message, i, &f); i++)
		buf_addf(&b, "%.*s:%.*s ", STR_ARGS(f.name),
			STR_ARGS(f.value));
	n = message_body_read(facts.message, 0, body, sizeof body, &e);
	buf_addf(&b, "[%.*s] ", (int)n, body);
	for (i = 0; i < b.len; i++)
		if (b.at[i] == '\r' || b.at[i] == '\n')
			b.at[i] = '~';
	buf_addf(&b, "%.*s(%.*s)", STR_ARGS(envelope.sender),
		STR_ARGS(envelope.sender_args));
	for (i = 0; i < envelope.n_rcpt; i++)
		buf_addf(&b, " %s%.*s", envelope.rcpt[i].removed ? "-" :
			envelope.rcpt[i].added ? "+" : "",
			STR_ARGS(envelope.rcpt[i].address));
	for (r = facts.results; r; r = r->next)
		buf_addf(&b, " %s=%s", r->method, r->value);
	assert_string_equal(buf_c(&b), want);
	buf_free(&b);
}

#define BEFORE "Subject: s X: 1 [body~~] from@x() one@x two@x"
#define AFTER "Subject: t X: 1 Y: 2 [new~~] other@x(SIZE=1) -one@x two@x " \
	"+three@x spf=pass"

static const struct {
	int verdict;
	void (*act)(struct mr_call *call);
	const char *state;
} edited[] = {
	{MR_PASS, edit_all, AFTER}, {MR_DONE, edit_all, AFTER},
	{MR_QUARANTINE, edit_all, AFTER}, {MR_REJECT, edit_all, BEFORE},
	{MR_TEMPFAIL, edit_all, BEFORE}, {MR_HANGUP, edit_all, BEFORE},
	{99, edit_all, BEFORE}, {MR_PASS, edit_and_undo, BEFORE},
	{MR_REJECT, edit_and_undo, BEFORE},
};

static void
test_edits(void **state)
{
	size_t i;

	(void)state;
	hooks_connect(h);
	for (i = 0; i < COUNT(edited); i++) {
		set_verdicts(0, 0, 0);
		begin_message();
		check_state(BEFORE);
		set_verdicts(0, edited[i].verdict, 0);
		part[1].act = edited[i].act;
		hooks_message(h);
		check_state(edited[i].state);
		part[1].act = NULL;
		end_message();
	}
}

/* Outside the message hook there is nothing to edit. */
static void
edit_too_early(struct mr_call *call)
{
	const struct mr_host *host = call->host;
	struct mr_header first;
	char byte;

	assert_int_equal(host->header(call, 0, &first), -1);
	assert_int_equal(host->header_add(call, "Y", "2"), -1);
	assert_int_equal(host->header_insert(call, 0, "Y", "2"), -1);
	assert_int_equal(host->header_change(call, 1, "Y", "2"), -1);
	assert_int_equal(host->header_remove(call, 1), -1);
	assert_int_equal(host->body_replace(call, "x", 1), -1);
	assert_int_equal(host->body_size(call), 0);
	assert_int_equal(host->body_read(call, 0, &byte, 1), -1);
	assert_int_equal(host->sender_change(call, "a@b", NULL), -1);
	assert_int_equal(host->rcpt_add(call, "a@b", NULL), -1);
	assert_int_equal(host->rcpt_remove(call, "one@x"), -1);
	host->edits_undo(call);
}

static void
edit_nonsense(struct mr_call *call)
{
	const struct mr_host *host = call->host;
	struct mr_result r = {.size = sizeof r};

	assert_int_equal(host->header_add(call, "", "2"), -1);
	assert_int_equal(host->header_add(call, "a b", "2"), -1);
	assert_int_equal(host->header_add(call, "a:b", "2"), -1);
	assert_int_equal(host->header_add(call, NULL, "2"), -1);
	assert_int_equal(host->header_add(call, "Y", NULL), -1);
	assert_int_equal(host->header_change(call, 999, NULL, "x"), -1);
	assert_int_equal(host->header_remove(call, 999), -1);
	assert_int_equal(host->body_replace(call, NULL, 5), -1);
	assert_int_equal(host->rcpt_add(call, "", NULL), -1);
	assert_int_equal(host->rcpt_add(call, NULL, NULL), -1);
	assert_int_equal(host->rcpt_remove(call, "none@x"), -1);
	assert_int_equal(host->rcpt_add(call, "one@x", NULL), 0);
	assert_int_equal(host->result_add(call, &r), -1);
	assert_int_equal(host->fact(call, (enum mr_fact)999).len, 0);
	assert_string_equal(host->fact(call, MR_FACT_PEER_NAME).at, "");
	assert_string_equal(host->fact(call, MR_FACT_PEER_ADDRESS).at,
		"192.0.2.1");
}

static void
test_nonsense(void **state)
{
	struct message *m;

	(void)state;
	part[0].act = edit_too_early;
	hooks_connect(h);
	hooks_helo(h);
	begin_message();	/* with it as the mail hook */
	m = facts.message;
	facts.message = NULL;
	hooks_rcpt(h, 0, NULL);
	hooks_data(h);
	facts.message = m;
	part[0].act = edit_nonsense;
	hooks_message(h);
	check_state(BEFORE);
	part[0].act = edit_too_early;
	end_message();
	hooks_end(h);
	assert_int_equal(times(0, RESET) + times(0, DISCONNECT), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)

static const struct CMUnitTest tests[] = {
	TEST(test_observes), TEST(test_listeners),
	TEST(test_folding), TEST(test_replies), TEST(test_order),
	TEST(test_done), TEST(test_older_filter), TEST(test_refused_rcpt),
	TEST(test_nobody), TEST(test_edits), TEST(test_nonsense),
};
UNIT_MAIN(tests)
