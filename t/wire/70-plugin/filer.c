/*
 * filer.c - files mail as its subject says: "to MAILBOX", "to MAILBOX for
 * RCPT", with "hold" in front held as well; and tells what it learns. Only
 * for the wire test beside it.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <mailroom/plugin.h>

static int
find_subject(struct mr_call *call, char *out, size_t size)
{
	struct mr_header h;

	for (size_t i = 0; call->host->header(call, i, &h) == 0; i++)
		if (h.name.len == 7 && !strncasecmp(h.name.at, "Subject", 7)) {
			snprintf(out, size, "%s", h.value.at +
				strspn(h.value.at, " "));
			return 0;
		}
	return -1;
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	char subject[200], value[240];
	char *at = subject, *rcpt;
	int n;

	if (find_subject(call, subject, sizeof subject))
		return MR_PASS;
	if (!strncmp(at, "hold ", 5))
		at += 5;
	if (strncmp(at, "to ", 3))
		return MR_PASS;
	rcpt = strstr(at, " for ");
	if (rcpt)
		*rcpt = '\0';
	n = mr_file_into(call, rcpt ? rcpt + 5 : NULL, at + 3);
	snprintf(value, sizeof value, "%d %s", n,
		call->host->rcpt_account(call, 0).at);
	mr_header_add(call, "X-Filed", value);
	if (!strncmp(subject, "hold refuse", 11))
		return MR_REJECT;
	return at == subject ? MR_PASS : MR_QUARANTINE;
}

static void
on_learn(struct mr_call *call, const char *account, int is_junk)
{
	char subject[200] = "", body[100] = "";
	struct mr_rcpt rcpt = {{"", 0}, {"", 0}};

	find_subject(call, subject, sizeof subject);
	call->host->body_read(call, 0, body, sizeof body - 1);
	body[strcspn(body, "\r")] = '\0';
	call->host->rcpt(call, 0, &rcpt);
	mr_header_add(call, "X-Learned", "never seen");
	if (!strncmp(subject, "slow", 4))
		sleep(3);
	mr_log(call, MR_LOG_INFO, "learns %s is %s: %s: %s (%s)", account,
		is_junk ? "junk" : "good", subject, body, rcpt.address.at);
}

static const struct mr_filter filter = {
	.size = sizeof filter,
	.needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY, .may = MR_MAY_HEADERS,
	.message = on_message, .learn = on_learn,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "filer", .version = "1.0",
	.summary = "files mail as its subject says (tests only)",
	.filter = &filter,
};
