/*
 * remedy.c - the table of known replies and how a row is found. Pure; any
 * thread.
 *
 * Rows stand from the particular to the general: those that one provider
 * alone says first, then what any server may say, the bare status codes of
 * RFC 3463 and RFC 7372 last. A row is worth its place when its advice is
 * better than the reply itself.
 */
#include "queue/remedy.h"

#define ASK "Nothing is wrong with your message itself. Ask the " \
	"administrator of your mail server to look at this."
#define WAIT NULL
#define NOTHING NULL

static const struct remedy table[] = {
	/* ---- Google */
	{"gmail-no-ptr", "", "5.7.25", {NULL}, "The receiving server insists "
		"on a host name for our address that leads back to it, and "
		"found none.", ASK, "Set the PTR record of the sending "
		"address (at whoever gave you the address) to the name in "
		"`hostname`, and the A or AAAA record of that name to the "
		"address. With IPv6, for that address too."},
	{"gmail-no-ptr", "4", "4.7.23", {NULL}, "The receiving server slows "
		"us down: our address has no host name that leads back to it.",
		WAIT, "Set the PTR record of the sending address to the name "
		"in `hostname`, and that name's A or AAAA record to the "
		"address."},
	{"gmail-spf", "", "5.7.27", {NULL}, "SPF of the sender's domain does "
		"not allow our address to send for it.", ASK, "Add the "
		"sending address to the SPF record (TXT at the domain, "
		"\"v=spf1 ... -all\") of the sender's domain."},
	{"gmail-spf", "4", "4.7.27", {NULL}, "SPF of the sender's domain does "
		"not allow our address to send for it; mail is slowed down.",
		WAIT, "Add the sending address to the SPF record of the "
		"sender's domain."},
	{"gmail-dkim", "", ".7.30", {NULL}, "The receiving server wants a "
		"DKIM signature that is right, and found none.", ASK,
		"Sign outgoing mail (dkim in [chain] submission) and publish "
		"the key in DNS."},
	{"gmail-tls", "", ".7.29", {"TLS"}, "The receiving server takes mail "
		"over TLS only.", ASK, "See why STARTTLS did not come about: "
		"`mailroom queue show` and the log line deliver.tls."},
	{"gmail-alignment", "", ".7.32", {NULL}, "The address in From is of "
		"another domain than those that SPF and DKIM vouch for.", ASK,
		"Sign with a key of the domain in From (DMARC alignment)."},
	{"gmail-dmarc", "", ".7.26", {"DMARC"}, "The sender's domain says by "
		"DMARC that mail like this is to be refused: neither SPF nor "
		"DKIM vouch for the address in From.", "Send mail of this "
		"address through the server of its own domain. If it was "
		"forwarded, ask for a direct address.", "Add the sending "
		"address to the domain's SPF record and sign its mail with "
		"DKIM. Forwarded mail survives only with an intact DKIM "
		"signature."},
	{"gmail-unauthenticated", "", ".7.26", {NULL}, "The receiving server "
		"takes mail only if SPF or DKIM vouch for the sender's "
		"domain.", ASK, "Add the sending address to the domain's SPF "
		"record and sign its mail with DKIM."},
	{"gmail-rate", "", ".7.28", {NULL}, "The receiving server has seen "
		"unusually much unwanted mail from our address or domain and "
		"slows it down.", ASK, "Find who sends it (`mailroom trace "
		"ADDRESS`, the queue), stop that, and wait: it ends by "
		"itself within hours or days. postmaster.google.com shows "
		"the reputation."},
	{"gmail-unsolicited", "", ".7.1", {"unsolicited"}, "The receiving "
		"server takes the message for unwanted mail.", "Write it "
		"differently (fewer links, no attachments that can be run), "
		"or reach the recipient another way.", "Check SPF, DKIM and "
		"DMARC of the sender's domain, and the reputation of the "
		"address at postmaster.google.com."},
	{"gmail-too-fast", "4", "4.2.1", {"rate"}, "The recipient gets more "
		"mail than the server lets in at a time.", WAIT, WAIT},
	{"gmail-content", "5", "5.7.0", {"security issue"}, "The message holds "
		"an attachment of a kind that is not let in.", "Send the file "
		"by another way, for example as a link.", NOTHING},
	/* ---- Microsoft */
	{"microsoft-blocked", "", "", {"S3140"}, "Microsoft has blocked the "
		"network that our address is part of.", ASK, "Ask for removal "
		"at sender.office.com (name the address in the reply), join "
		"SNDS, and tell the provider of the address: its neighbours "
		"send unwanted mail. Until then a smarthost helps."},
	{"microsoft-blocked", "", "", {"S3150"}, "Microsoft has blocked the "
		"network that our address is part of.", ASK, "Ask for removal "
		"at sender.office.com (name the address in the reply), join "
		"SNDS, and tell the provider of the address: its neighbours "
		"send unwanted mail. Until then a smarthost helps."},
	{"microsoft-banned", "5", "5.7.6*", {"banned"}, "Microsoft has banned "
		"our address.", ASK, "Ask for removal at sender.office.com; "
		"it takes up to a day. Find out first who sent what caused "
		"it, else it comes back."},
	{"microsoft-rate", "4", "4.7.650", {NULL}, "Microsoft slows our "
		"address down, by its reputation.", WAIT, "A new address "
		"earns its name by sending little and steadily. SNDS shows "
		"how Microsoft sees it."},
	{"microsoft-rate", "4", "", {"S775"}, "Microsoft slows our address "
		"down, by its reputation.", WAIT, "A new address earns its "
		"name by sending little and steadily. SNDS shows how "
		"Microsoft sees it."},
	{"microsoft-busy", "4", "4.7.5*", {"try again later"}, "Microsoft does "
		"not trust our address yet and puts mail off.", WAIT,
		"If it lasts for days: check PTR, SPF and DKIM, then ask at "
		"sender.office.com."},
	{"microsoft-dmarc", "5", "5.7.509", {NULL}, "The sender's domain says "
		"by DMARC that mail like this is to be refused.", "Send mail "
		"of this address through the server of its own domain.",
		"Add the sending address to the domain's SPF record and sign "
		"its mail with DKIM."},
	{"microsoft-authentication", "5", "5.7.515", {NULL}, "Microsoft takes "
		"mail of domains that send much only with SPF, DKIM and DMARC "
		"all in order.", ASK, "Publish SPF, DKIM and DMARC (p=none is "
		"enough) for the domain in From, and sign with its key."},
	{"microsoft-no-user", "5", "5.4.1", {"Access denied"}, "There is no "
		"such mailbox at the recipient's organisation.", "Check the "
		"address for typing errors.", NOTHING},
	{"microsoft-low-reputation", "5", "5.7.708", {NULL}, "Microsoft takes "
		"nothing from our address.", ASK, "Ask Microsoft's support "
		"for removal, or send through a smarthost."},
	{"microsoft-policy", "5", "", {"SC-00"}, "Outlook.com has blocked our "
		"address by its policy.", ASK, "Ask for removal at "
		"sender.office.com and join SNDS and JMRP."},
	{"microsoft-dynamic", "5", "", {"DY-00"}, "Outlook.com holds our "
		"address for that of a home connection.", ASK, "Give the "
		"address a PTR record that does not look generated, or send "
		"through a smarthost."},
	/* ---- Yahoo and AOL */
	{"yahoo-rate", "", "", {"[TSS"}, "Yahoo slows our address down: too "
		"much mail at once, or complaints of its users.", WAIT,
		"Send less at once, sign with DKIM, remove who does not want "
		"the mail. senders.yahooinc.com has a form if it lasts."},
	{"yahoo-rate", "", "", {"[TS0"}, "Yahoo has put our address off after "
		"complaints of its users.", WAIT, "Find what they complain "
		"about and stop it; senders.yahooinc.com has a form."},
	{"yahoo-blocked", "5", "", {"[BL2"}, "Yahoo refuses our address since "
		"it stands in a public block list.", ASK, "Look the address "
		"up at check.spamhaus.org and have it removed there."},
	{"yahoo-dmarc", "5", "5.7.9", {"policy"}, "Yahoo refuses the message "
		"by the DMARC policy of the sender's domain.", "Send mail of "
		"this address through the server of its own domain.",
		"Add the sending address to the domain's SPF record and sign "
		"its mail with DKIM."},
	/* ---- others with words of their own */
	{"icloud-policy", "5", "", {"[HM08]"}, "Apple refuses the message by "
		"its policy.", ASK, "Check PTR, SPF, DKIM and DMARC, then "
		"write to icloudadmin@apple.com with the reply."},
	{"icloud-spam", "5", "", {"[CS01]"}, "Apple takes the message for "
		"unwanted mail.", "Write it differently, or reach the "
		"recipient another way.", "Check PTR, SPF, DKIM and DMARC, "
		"then write to icloudadmin@apple.com with the reply."},
	{"t-online", "5", "", {"t-online.de"}, "T-Online takes no mail from "
		"addresses it does not know.", ASK, "Write to "
		"tosa@rx.t-online.de with the address and name of the server; "
		"they want a host name that shows whose it is and a page with "
		"contact details on it."},
	{"gmx-ptr", "5", "", {"Nemesis", "PTR"}, "GMX and WEB.DE take no mail "
		"from addresses without a proper host name.", ASK, "Set the "
		"PTR record of the address to the name in `hostname`."},
	{"gmx-policy", "5", "", {"Nemesis"}, "GMX and WEB.DE refuse our "
		"address by their policy.", ASK, "The link in the reply says "
		"which rule; postmaster.gmx.net has a form."},
	{"att-blocked", "5", "", {"abuse-att.net"}, "AT&T has blocked our "
		"address.", ASK, "Send the reply to "
		"abuse_rbl@abuse-att.net."},
	{"proofpoint", "", "", {"proofpoint"}, "Proofpoint, which filters mail "
		"for the recipient, has blocked our address.", ASK,
		"Ask for removal at ipcheck.proofpoint.com."},
	{"mimecast", "", "", {"mimecast"}, "Mimecast, which filters mail for "
		"the recipient, refuses the message by a rule.", "Ask the "
		"recipient to let your address in.", "The code in the reply "
		"is explained in Mimecast's list of SMTP errors."},
	{"barracuda", "", "", {"barracuda"}, "Our address stands in the block "
		"list of Barracuda.", ASK, "Ask for removal at "
		"barracudacentral.org/rbl/removal-request."},
	{"spamcop", "", "", {"spamcop"}, "Our address stands in the block list "
		"of SpamCop.", ASK, "It ends by itself a day after the last "
		"complaint: find and stop what is complained about."},
	{"spamhaus-resolver", "", "", {"spamhaus", "open resolver"}, "The "
		"receiving server asks Spamhaus in a way that is not "
		"answered, and takes that for a refusal.", "Tell the "
		"recipient, by another way, that their mail server refuses "
		"all mail.", "Nothing is listed. Tell the other postmaster."},
	{"spamhaus", "", "", {"spamhaus"}, "Our address or domain stands in a "
		"block list of Spamhaus.", ASK, "Look both up at "
		"check.spamhaus.org: it says why, and takes requests for "
		"removal. PBL: the address is of a home connection, ask its "
		"provider or send through a smarthost."},
	{"blocklist", "5", "", {"blacklist"}, "Our address stands in a block "
		"list that the receiving server follows.", ASK, "The reply "
		"names the list; its page says how to be removed."},
	{"blocklist", "5", "", {"block list"}, "Our address stands in a block "
		"list that the receiving server follows.", ASK, "The reply "
		"names the list; its page says how to be removed."},
	{"blocklist", "5", "", {"blocklist"}, "Our address stands in a block "
		"list that the receiving server follows.", ASK, "The reply "
		"names the list; its page says how to be removed."},
	{"blocklist", "", "", {"blocked using"}, "Our address stands in a "
		"block list that the receiving server follows.", ASK, "The "
		"reply names the list; its page says how to be removed."},
	/* ---- what any server says */
	{"greylisted", "4", "", {"greylist"}, "The receiving server lets "
		"unknown senders wait on purpose (greylisting).", WAIT, WAIT},
	{"greylisted", "4", "", {"graylist"}, "The receiving server lets "
		"unknown senders wait on purpose (greylisting).", WAIT, WAIT},
	{"greylisted", "4", "", {"grey list"}, "The receiving server lets "
		"unknown senders wait on purpose (greylisting).", WAIT, WAIT},
	{"dmarc", "", "", {"DMARC"}, "The receiving server refuses the message "
		"by the DMARC policy of the sender's domain: neither SPF nor "
		"DKIM vouch for the address in From.", "Send mail of this "
		"address through the server of its own domain.",
		"Add the sending address to the domain's SPF record and sign "
		"its mail with DKIM."},
	{"spf", "", "", {"SPF"}, "SPF of the sender's domain does not allow "
		"our address to send for it.", ASK, "Add the sending address "
		"to the SPF record (TXT at the domain) of the sender's "
		"domain."},
	{"dkim", "", "", {"DKIM"}, "The receiving server is not content with "
		"the DKIM signature.", ASK, "Check the published key against "
		"the signing one, and that nothing changes the message after "
		"it is signed."},
	{"no-ptr", "", "", {"reverse", "DNS"}, "The receiving server insists on "
		"a host name for our address.", ASK, "Set the PTR record of "
		"the sending address to the name in `hostname`, and that "
		"name's A or AAAA record to the address."},
	{"no-ptr", "", "", {"reverse hostname"}, "The receiving server insists "
		"on a host name for our address.", ASK, "Set the PTR record "
		"of the sending address to the name in `hostname`, and that "
		"name's A or AAAA record to the address."},
	{"no-ptr", "", "", {"PTR"}, "The receiving server insists on a host "
		"name for our address.", ASK, "Set the PTR record of the "
		"sending address to the name in `hostname`, and that name's A "
		"or AAAA record to the address."},
	{"helo", "", "", {"HELO"}, "The receiving server does not like the "
		"name we greet it with.", ASK, "`hostname` must be a full "
		"name with an address record of its own."},
	{"starttls", "", "", {"STARTTLS"}, "The receiving server takes mail "
		"over TLS only.", ASK, "See why STARTTLS did not come about: "
		"the log line deliver.tls says it."},
	{"sender-verify", "", "", {"sender verif"}, "The receiving server "
		"asked our side whether the sender exists, and was not "
		"content.", ASK, "The sender must be an address that mail can "
		"be sent to: check with `mailroom explain`."},
	{"sender-unknown", "5", "5.1.8", {NULL}, "The receiving server cannot "
		"find the domain of the sender in DNS.", "Check the address "
		"you send from.", "The domain of the sender needs an MX or "
		"address record."},
	{"sender-unknown", "", "", {"sender address rejected"}, "The receiving "
		"server does not take mail from this sender.", "Check the "
		"address you send from.", "The sender must be an address that "
		"mail can be sent to, of a domain that DNS knows."},
	{"relay-denied", "5", "", {"relay"}, "The server that was asked is not "
		"responsible for the recipient's domain.", "Check the domain "
		"in the address.", "The MX records of the recipient's domain "
		"lead to a server that does not know it; their postmaster "
		"must mend it. With a smarthost: it wants a login."},
	{"mailbox-full", "", ".2.2", {NULL}, "The recipient's mailbox is "
		"full.", "Tell the recipient by another way, and send it "
		"again when there is room.", NOTHING},
	{"mailbox-full", "", "", {"quota"}, "The recipient's mailbox is full.",
		"Tell the recipient by another way, and send it again when "
		"there is room.", NOTHING},
	{"mailbox-full", "", "", {"mailbox", "full"}, "The recipient's mailbox "
		"is full.", "Tell the recipient by another way, and send it "
		"again when there is room.", NOTHING},
	{"too-large", "", ".3.4", {NULL}, "The message is larger than the "
		"receiving server takes.", "Send large files by another way, "
		"for example as a link.", NOTHING},
	{"too-large", "5", "", {"size"}, "The message is larger than the "
		"receiving server takes.", "Send large files by another way, "
		"for example as a link.", NOTHING},
	{"loop", "", ".4.6", {NULL}, "The message goes in circles between "
		"servers.", ASK, "Two aliases or two servers send to each "
		"other: `mailroom explain` and the Received fields of the "
		"message show which."},
	{"loop", "", "", {"hop count"}, "The message goes in circles between "
		"servers.", ASK, "Two aliases or two servers send to each "
		"other: `mailroom explain` and the Received fields of the "
		"message show which."},
	{"no-such-user", "5", "5.1.1", {NULL}, "There is no such mailbox.",
		"Check the address for typing errors. If it was right once, "
		"it is not there any more.", NOTHING},
	{"no-such-user", "5", "5.1.10", {"null MX"}, "The domain says that it "
		"takes no mail at all.", "Check the part of the address "
		"behind the @.", NOTHING},
	{"no-such-user", "5", "5.1.10", {NULL}, "There is no such mailbox.",
		"Check the address for typing errors.", NOTHING},
	{"no-such-user", "5", "", {"user unknown"}, "There is no such "
		"mailbox.", "Check the address for typing errors.",
		NOTHING},
	{"no-such-user", "5", "", {"unknown user"}, "There is no such "
		"mailbox.", "Check the address for typing errors.",
		NOTHING},
	{"no-such-user", "5", "", {"no such user"}, "There is no such "
		"mailbox.", "Check the address for typing errors.",
		NOTHING},
	{"no-such-user", "5", "", {"does not exist"}, "There is no such "
		"mailbox.", "Check the address for typing errors.",
		NOTHING},
	{"no-such-domain", "", ".1.2", {NULL}, "The domain of the address "
		"cannot be found, or takes no mail.", "Check the part of the "
		"address behind the @.", "If the domain is right: does the "
		"resolver in [dns] answer?"},
	{"disabled", "5", "5.2.1", {NULL}, "The mailbox is there, and takes no "
		"mail.", "Reach the recipient another way.", NOTHING},
	{"unreachable", "4", "4.4.*", {NULL}, "The receiving server could not "
		"be reached, or broke the connection off.", WAIT, "If all "
		"mail waits: does the provider of the address block outgoing "
		"port 25? Then a smarthost helps."},
	{"busy", "4", "4.3.2", {NULL}, "The receiving server is busy or being "
		"worked on.", WAIT, WAIT},
	{"rate", "4", "", {"too many"}, "The receiving server wants less mail "
		"or fewer connections at a time.", WAIT, "Lower [queue] "
		"per_destination if it lasts."},
	{"rate", "4", "", {"rate limit"}, "The receiving server wants less "
		"mail at a time.", WAIT, "Lower [queue] per_destination if it "
		"lasts."},
	{"needs-utf8", "5", "5.6.7", {NULL}, "The receiving server does not "
		"take addresses with letters beyond ASCII.", "Use another "
		"address of the recipient.", NOTHING},
	{"needs-login", "5", "5.7.0", {"authentication"}, "The server wants a "
		"login.", ASK, "Set smarthost_login and smarthost_password, "
		"or check the MX records of the recipient's domain."},
	{"content", "5", "", {"virus"}, "The receiving server takes the "
		"message for harmful.", "Check your computer, and send the "
		"file by another way.", NOTHING},
	{"content", "5", "", {"spam"}, "The receiving server takes the message "
		"for unwanted mail.", "Write it differently, or reach the "
		"recipient another way.", "Check SPF, DKIM and DMARC of the "
		"sender's domain, and block lists."},
	{"policy", "5", "5.7.1", {NULL}, "The receiving server refuses the "
		"message by a rule of its own.", "Ask the recipient, by "
		"another way, to let your address in.", "Their postmaster "
		"knows which rule. Check SPF, DKIM, DMARC and PTR first."},
};

/* ".7.26" stands for either class, "5.7.6*" for all that begin so. */
static bool
is_status(struct str got, const char *want)
{
	struct str w = str_from(want);

	if (*want == '.')
		got = str_sub(got, 1, got.len);
	if (!str_ends(w, "*"))
		return str_eq(got, w);
	w.len--;
	return str_eq(str_sub(got, 0, w.len), w);
}

static bool
fits(const struct remedy *r, struct str code, struct str status,
	struct str text)
{
	size_t i;

	if (!str_starts(code, r->kind) ||
		(*r->status && !is_status(status, r->status)))
		return false;
	for (i = 0; i < 2 && r->text[i]; i++)
		if (str_ifind_str(text, str_from(r->text[i])) == text.len)
			return false;
	return true;
}

const struct remedy *
remedy_find(struct str reply)
{
	struct str rest = reply, code = str_word(&rest), status;
	size_t i;

	/* Without the name that the queue puts behind. */
	rest = str_trim_blank(str_sub(rest, 0,
		str_find_str(rest, STR(" [by "))));
	status = str_sub(rest, 0, str_find(rest, ' '));
	for (i = 0; i < sizeof table / sizeof *table; i++)
		if (fits(&table[i], code, status, rest))
			return &table[i];
	return NULL;
}
