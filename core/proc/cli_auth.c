/*
 * cli_auth.c - mailroom auth test: does our mail pass elsewhere? A message goes
 * to an address that answers with what it found, and the answer is read.
 *
 * Services that do that write as they like: "dkim=pass", "DKIM check: pass".
 * So any known method that is followed by a known result counts.
 */
#include "proc/cli.h"

#include <time.h>

#include "base/clock.h"
#include "base/enc.h"
#include "mail/mime.h"
#include "queue/drop.h"

#define WAIT_S 120
#define MESSAGE_MOST (1u << 20)
#define MARGIN_MS 2000		/* between our clock and the store's */

struct probe {
	struct cli *cli;
	const char *to, *from;
	uint64_t wait_s;
	char token[24];
	int64_t since_ms;
	struct buf ids;		/* int64_t each, of a look */
	json_t *results;	/* {METHOD: [VALUE, ...]}; NULL: no answer */
};

/* ----------------------------------------------------------------- reading */

static const char *const methods[] = {"spf", "dkim", "dmarc", "arc", "iprev",
	"domainkeys", "sender-id"};
static const char *const values[] = {"pass", "fail", "softfail", "neutral",
	"none", "temperror", "permerror", "policy"};

static bool
is_letter(char c)
{
	return (to_lower(c) >= 'a' && to_lower(c) <= 'z') || c == '-';
}

/* One of the words stands here, and ends here. */
static const char *
find_word(struct str s, const char *const *words, size_t n)
{
	size_t len = 0, i;

	while (len < s.len && is_letter(s.at[len]))
		len++;
	for (i = 0; i < n; i++)
		if (str_iis(str_sub(s, 0, len), words[i]))
			return words[i];
	return NULL;
}

/* "=pass", " check:   pass", "\" check:  pass" */
static const char *
find_value(struct str s)
{
	s = str_sub(s, str_starts(s, "\"") ? 1 : 0, 60);
	s = str_trim_blank(s);
	if (s.len > 5 && str_iis(str_sub(s, 0, 5), "check"))
		s = str_trim_blank(str_sub(s, 5, s.len));
	if (!s.len || (*s.at != '=' && *s.at != ':'))
		return NULL;
	s = str_trim(str_sub(s, 1, s.len));
	return find_word(s, values, sizeof values / sizeof *values);
}

static void
note(struct probe *p, const char *method, const char *value)
{
	json_t *all = json_object_get(p->results, method), *one;
	size_t i;

	if (!all)
		json_object_set_new(p->results, method, all = json_array());
	json_array_foreach(all, i, one)
		if (!strcmp(json_string_value(one), value))
			return;
	json_array_append_new(all, json_string(value));
}

static void
read_text(struct probe *p, struct str text)
{
	const char *method, *value;
	size_t i;

	for (i = 0; i < text.len; i++) {
		if (!is_letter(text.at[i]) || (i && is_letter(
			text.at[i - 1])))
			continue;
		method = find_word(str_sub(text, i, text.len), methods,
			sizeof methods / sizeof *methods);
		value = method ? find_value(str_sub(text,
			i + strlen(method), text.len)) : NULL;
		if (value)
			note(p, method, value);
	}
}

static void
read_body(void *arg, const struct mime_form *form, struct str body)
{
	(void)form;
	read_text(arg, body);
}

/* --------------------------------------------------------------- the answer */

static int
take_row(void *arg, const struct mr_row *row)
{
	struct probe *p = arg;

	if (row->received_ms >= p->since_ms && row->length < MESSAGE_MOST)
		buf_add(&p->ids, &row->message_id, sizeof row->message_id);
	return 0;
}

static void
read_message(struct probe *p, int64_t id)
{
	const struct store *s = &p->cli->store;
	struct mr_error me;
	uint64_t length;
	struct buf text;
	void *body;
	int64_t n;

	if (s->op->body_open(s->self, id, &body, &length, &me) != MR_STORE_OK)
		return;
	buf_init(&text, BUF_NO_CAP);
	n = s->op->body_read(body, 0, buf_reserve(&text, MESSAGE_MOST),
		MESSAGE_MOST, &me);
	buf_grew(&text, n > 0 ? (size_t)n : 0);
	s->op->body_close(body);
	if (str_find_str(buf_str(&text), str_from(p->token)) < text.len) {
		if (!p->results)
			p->results = json_object();
		/* Not its header: that is what we found of the answer. */
		mime_each_body(buf_str(&text), UINT32_MAX, read_body, p);
	}
	buf_free(&text);
}

/* Where it may have come: the sender's INBOX, or Junk. */
static void
look(struct probe *p)
{
	static const char *const names[] = {"INBOX", "Junk"};
	const struct store *s = &p->cli->store;
	struct mr_mailbox m;
	struct mr_error me;
	int64_t id;
	size_t i, at;

	for (i = 0; i < 2 && !p->results; i++) {
		buf_reset(&p->ids);
		if (s->op->mailbox_find(s->self, p->from, names[i], &m, &me) ==
			MR_STORE_OK)
			s->op->scan(s->self, m.id, NULL, 0, 0, MR_ROW_MESSAGE,
				take_row, p, &me);
		for (at = 0; at < p->ids.len && !p->results; at += sizeof id) {
			memcpy(&id, p->ids.at + at, sizeof id);
			read_message(p, id);
		}
	}
}

static int
send_probe(struct probe *p, struct err *e)
{
	struct str rcpt = str_from(p->to);
	struct drop d = {.sender = str_from(p->from), .rcpt = &rcpt,
		.n_rcpt = 1, .args = STR(""), .notify = STR("")};
	struct buf text;
	char date[40];
	int code;

	clock_mail_date(clock_wall(), date);
	buf_init(&text, BUF_NO_CAP);
	buf_addf(&text, "From: <%s>\r\nTo: <%s>\r\n"
		"Subject: Authentication test %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\nMIME-Version: 1.0"
		"\r\nContent-Type: text/plain\r\n\r\nPlease answer with what "
		"you find of SPF, DKIM and DMARC.\r\n\r\n%s\r\n", p->from,
		p->to, p->token, date, p->token,
		p->cli->config->server.hostname, p->token);
	code = drop_write(p->cli->config->server.drop, &d, buf_str(&text),
		NULL, e);
	buf_free(&text);
	return code;
}

/* ------------------------------------------------------------------ verdict */

static bool
all_pass(const json_t *results)
{
	static const char *const wanted[] = {"spf", "dkim"};
	const json_t *all;
	size_t i;

	for (i = 0; i < 2; i++) {
		all = json_object_get(results, wanted[i]);
		if (json_array_size(all) != 1 || strcmp(json_string_value(
			json_array_get(all, 0)), "pass"))
			return false;
	}
	return true;
}

static int
print_results(const struct probe *p)
{
	const char *method;
	json_t *all, *one;
	size_t i;

	if (!json_object_size(p->results)) {
		printf("%s answered, and its answer tells no result: read it "
			"in the mailbox of %s\n", p->to, p->from);
		return 1;
	}
	json_object_foreach(p->results, method, all)
		json_array_foreach(all, i, one)
			printf("%s: %s\n", method, json_string_value(one));
	if (all_pass(p->results)) {
		printf("Mail of %s passes at %s.\n", p->from, p->to);
		return 0;
	}
	printf("Not all passes. `mailroom dkim show` and docs/"
		"authentication.md say which records are wanted in DNS.\n");
	return 1;
}

static int
take_args(struct cli *c, int argc, char **argv, struct probe *p)
{
	int i;

	for (i = 0; i + 1 < argc; i += 2)
		if (!strcmp(argv[i], "--to"))
			p->to = argv[i + 1];
		else if (!strcmp(argv[i], "--from"))
			p->from = argv[i + 1];
		else if (strcmp(argv[i], "--wait") || !str_u64(str_from(
			argv[i + 1]), 86400, &p->wait_s))
			break;
	return i != argc || !p->to || !p->from ? cli_usage(c, "--to ADDRESS, "
		"--from ACCOUNT, --wait SECONDS") : 0;
}

static int
auth_test(struct cli *c, int argc, char **argv)
{
	struct probe p = {.cli = c, .wait_s = WAIT_S};
	const struct timespec second = {1, 0};
	struct err e = {0};
	int code = take_args(c, argc, argv, &p);
	uint64_t waited;

	if (!code)
		code = cli_need_store(c);
	if (code)
		return code;
	p.from = cli_address(c, p.from);
	enc_random_word(p.token, 20);
	p.since_ms = clock_wall() - MARGIN_MS;
	if (send_probe(&p, &e) < 0)
		return cli_fail("auth test", &e);
	if (!c->json)
		printf("sent to %s; waiting for its answer\n", p.to);
	buf_init(&p.ids, BUF_NO_CAP);
	for (waited = 0; waited < p.wait_s && !p.results; waited++) {
		nanosleep(&second, NULL);
		look(&p);
	}
	buf_free(&p.ids);
	if (c->json)
		return cli_print_json(json_pack("{s:s, s:o?}", "token",
			p.token, "results", p.results));
	if (!p.results) {
		printf("No answer in %llu seconds. Is it on its way? `mailroom "
			"queue list --to %s`\n", (unsigned long long)p.wait_s,
			p.to);
		return 1;
	}
	code = print_results(&p);
	json_decref(p.results);
	return code;
}

const struct cli_verb cli_auth_verbs[] = {
	{"auth", "test", 4, 6, auth_test, "--to ADDRESS --from ACCOUNT "
		"[--wait SECONDS]", "does our mail pass at a server that "
		"answers with what it found?"},
	{.group = NULL},
};
