/*
 * report.c - whether a sender is told, and of what. Pure; any thread.
 *
 * A report goes out with the null sender, so that no report is ever about a
 * report; mail that says it is a machine's gets none unless it was asked for,
 * so that two machines do not talk to each other about it.
 */
#include "queue/report.h"

#include "base/enc.h"
#include "mail/esmtp_args.h"
#include "mail/header.h"

#define WHOLE_MOST (1 << 20)	/* larger messages are not sent back */

/* ------------------------------------------------------------- automatic */

static const char *const robots[] = {"mailer-daemon", "listserv", "majordomo"};

static bool
is_robot(struct str sender)
{
	struct str local = str_sub(sender, 0, str_rfind(sender, '@'));
	size_t i;

	for (i = 0; i < sizeof robots / sizeof *robots; i++)
		if (str_iis(local, robots[i]))
			return true;
	return false;
}

static bool
says_automatic(const struct header_field *f)
{
	static const char *const bulk[] = {"bulk", "junk", "list"};
	struct str value = str_trim(f->value), word;
	size_t i;

	if (str_istarts(f->name, "List-"))
		return true;
	word = str_trim(str_cut(&value, ';'));
	if (str_iis(f->name, "Auto-Submitted"))
		return !str_iis(word, "no");
	for (i = 0; i < 3 && str_iis(f->name, "Precedence"); i++)
		if (str_iis(word, bulk[i]))
			return true;
	return false;
}

bool
report_is_automatic(struct str sender, struct str header)
{
	struct header_field f;

	if (is_robot(sender))
		return true;
	while (header_next(&header, &f))
		if (says_automatic(&f))
			return true;
	return false;
}

/* ------------------------------------------------------------------- due */

static const struct {
	const char *word;	/* of NOTIFY */
	bool unasked;		/* also without NOTIFY */
} asked[REPORT_ACTIONS] = {
	[REPORT_FAILED] = {"FAILURE", true},
	[REPORT_DELAYED] = {"DELAY", true},
	[REPORT_RELAYED] = {"SUCCESS", false},
	[REPORT_DELIVERED] = {"SUCCESS", false},
	[REPORT_EXPANDED] = {"SUCCESS", false},
};

bool
report_is_due(struct str args, enum report_action action, bool is_automatic)
{
	struct str notify;

	if (action == REPORT_NONE)
		return false;
	if (!esmtp_arg(args, "NOTIFY", &notify))
		return asked[action].unasked && !is_automatic;
	while (notify.len)
		if (str_iis(str_cut(&notify, ','), asked[action].word))
			return true;
	return false;
}

/* ------------------------------------------------------------------ form */

bool
report_wants_whole(const struct report *r, uint64_t length)
{
	struct str ret;
	size_t i;

	if (length > WHOLE_MOST || !esmtp_arg(r->rcpt[0].args, "RET", &ret) ||
		!str_iis(ret, "FULL"))
		return false;
	for (i = 0; i < r->n_rcpt; i++)
		if (r->rcpt[i].action == REPORT_FAILED)
			return true;
	return false;
}

bool
report_is_utf8(const struct report *r)
{
	size_t i;

	if (!enc_is_ascii(r->sender) ||
		esmtp_arg(r->rcpt[0].args, "SMTPUTF8", NULL))
		return true;
	for (i = 0; i < r->n_rcpt; i++)
		if (!enc_is_ascii(r->rcpt[i].address))
			return true;
	return false;
}

const char *
report_args(const struct report *r)
{
	if (report_is_utf8(r))
		return "BODY=8BITMIME SMTPUTF8 NOTIFY=NEVER";
	if (r->is_whole || !enc_is_ascii(r->header))
		return "BODY=8BITMIME NOTIFY=NEVER";
	return "NOTIFY=NEVER";
}
