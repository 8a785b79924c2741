/*
 * remedy.c - known replies, as they were really said, find their row.
 */
#include "unit.h"

#include "queue/remedy.h"

static const struct {
	const char *reply, *name;	/* NULL: no row */
} said[] = {
	{"550 5.7.25 [192.0.2.1] The IP address sending this message does not "
		"have a PTR record setup", "gmail-no-ptr"},
	{"550 5.7.26 Unauthenticated email from example.org is not accepted "
		"due to domain's DMARC policy.", "gmail-dmarc"},
	{"550 5.7.26 Your email has been blocked because the sender is "
		"unauthenticated. Gmail requires all senders to authenticate "
		"with either SPF or DKIM.", "gmail-unauthenticated"},
	{"550 5.7.27 Your email has been blocked because the sender did not "
		"pass SPF", "gmail-spf"},
	{"421 4.7.28 Gmail has detected an unusual rate of unsolicited mail "
		"originating from your IP Netblock", "gmail-rate"},
	{"550 5.7.1 [192.0.2.1 12] Our system has detected that this message "
		"is likely unsolicited mail.", "gmail-unsolicited"},
	{"552 5.2.2 The recipient's inbox is out of storage space",
		"mailbox-full"},
	{"452 4.2.2 The email account that you tried to reach is over quota",
		"mailbox-full"},
	{"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. "
		"part of their network is on our block list (S3150).",
		"microsoft-blocked"},
	{"550 5.7.1 ... is on our block list (S3140).", "microsoft-blocked"},
	{"550 5.7.606 Access denied, banned sending IP [192.0.2.1]",
		"microsoft-banned"},
	{"451 4.7.650 The mail server [192.0.2.1] has been temporarily rate "
		"limited due to IP reputation.", "microsoft-rate"},
	{"451 4.7.500 Server busy. Please try again later from [192.0.2.1].",
		"microsoft-busy"},
	{"550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
		"microsoft-no-user"},
	{"550 5.7.515 Access denied, sending domain EXAMPLE.ORG does not meet "
		"the required authentication level.",
		"microsoft-authentication"},
	{"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due "
		"to unexpected volume or user complaints", "yahoo-rate"},
	{"554 5.7.9 Message not accepted for policy reasons.", "yahoo-dmarc"},
	{"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using "
		"zen.spamhaus.org", "spamhaus"},
	{"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using "
		"zen.spamhaus.org; Error: open resolver",
		"spamhaus-resolver"},
	{"450 4.2.0 <a@b>: Recipient address rejected: Greylisted",
		"greylisted"},
	{"550 5.7.23 The message was rejected because of SPF", "spf"},
	{"550 rejected by DMARC policy of example.org", "dmarc"},
	{"550 5.1.1 <x@y> User unknown", "no-such-user"},
	{"550 5.1.10 RESOLVER.ADR.RecipientNotFound", "no-such-user"},
	{"550 unknown user", "no-such-user"},
	{"554 5.7.1 <a@b>: Relay access denied", "relay-denied"},
	{"451 4.4.1 no host could be reached", "unreachable"},
	{"550 5.7.1 no", "policy"},
	{"550 5.1.1 no [by mx00.t-online.de]", "no-such-user"},
	{"550 5.7.2 no [by mx00.t-online.de]", NULL},
	{"450 4.1.0 later", NULL},
	{"", NULL},
};

static void
test_find(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(said); i++) {
		const struct remedy *r = remedy_find(str_from(said[i].reply));

		if (!said[i].name && r)
			fail_msg("%s: %s", said[i].reply, r->name);
		if (!said[i].name)
			continue;
		if (!r || strcmp(r->name, said[i].name))
			fail_msg("%s: %s", said[i].reply, r ? r->name : "-");
		assert_true(*r->cause);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_find),
};
UNIT_MAIN(tests)
