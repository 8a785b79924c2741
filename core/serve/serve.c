/*
 * serve.c - the settings of listeners, limits and SMTP.
 */
#include "serve/serve.h"

#define AT(type, field) offsetof(struct type, field)
#define MINUTE 60000
#define HOUR (60 * MINUTE)

const struct mr_setting limits_settings_table[] = {
	{"message_size", MR_SIZE, 0, AT(limits_settings, message_size),
		"\"50 MB\"", 1000, 4000000000LL, NULL,
		"Largest message that is taken."},
	{"memory_message", MR_SIZE, 0, AT(limits_settings, memory_message),
		"\"256 KiB\"", 0, 64 << 20, NULL, "A message up to this size is "
		"kept in memory until it is stored, a larger one in a "
		"temporary file."},
	{"recipients", MR_INT, 0, AT(limits_settings, recipients), "200", 1,
		100000, NULL, "Most recipients of one message."},
	{"errors", MR_INT, 0, AT(limits_settings, errors), "10", 1, 100000,
		NULL, "Bad commands after which a session is ended."},
	{"commands", MR_INT, 0, AT(limits_settings, commands), "1000", 1,
		1000000000, NULL, "Most SMTP commands between two messages."},
	{"connections", MR_INT, 0, AT(limits_settings, connections), "12000",
		1, 1000000, NULL, "Most connections of one worker process."},
	{"connections_per_peer", MR_INT, 0, AT(limits_settings,
		connections_per_peer), "100", 0, 1000000, NULL, "Of these, "
		"from one address (IPv6: one /64). 0: no limit. Loopback is "
		"never limited."},
	{"connections_per_network", MR_INT, 0, AT(limits_settings,
		connections_per_network), "0", 0, 1000000, NULL, "The same for "
		"a network: IPv4 /24, IPv6 /48. 0: no limit."},
	{"connection_rate", MR_INT, 0, AT(limits_settings, connection_rate),
		"0", 0, 1000000, NULL, "Connections of one address a minute, "
		"to each worker. 0: no limit."},
	{"error_delay", MR_DURATION, 0, AT(limits_settings, error_delay),
		"\"1s\"", 0, MINUTE, NULL, "Pause before the answer to each "
		"bad SMTP command behind the third. 0: none."},
	{"ban_after", MR_INT, 0, AT(limits_settings, ban_after), "10", 0, 50,
		NULL, "So many different wrong passwords within an hour ban "
		"an address, unless somebody logged in from there within 30 "
		"days. 0: nobody is banned."},
	{"ban_time", MR_DURATION, 0, AT(limits_settings, ban_time), "\"1h\"",
		1000, 366 * 86400000LL, NULL, "How long a ban lasts."},
	{"connections_per_login", MR_INT, 0, AT(limits_settings,
		connections_per_login), "50", 0, 1000000, NULL, "IMAP and POP3 "
		"connections of one account to a worker. 0: no limit."},
	{"idle_timeout", MR_DURATION, 0, AT(limits_settings, idle_timeout),
		"\"5m\"", 100, 24 * HOUR, NULL,
		"Longest pause between two SMTP commands."},
	{"imap_timeout", MR_DURATION, 0, AT(limits_settings, imap_timeout),
		"\"30m\"", 100, 24 * HOUR, NULL,
		"Longest pause in an IMAP session."},
	{"pop3_timeout", MR_DURATION, 0, AT(limits_settings, pop3_timeout),
		"\"10m\"", 100, 24 * HOUR, NULL,
		"Longest pause in a POP3 session."},
	{"pop3_exclusive", MR_BOOL, 0, AT(limits_settings, pop3_exclusive),
		"true", 0, 0, NULL, "One POP3 session at a time has a mailbox; "
		"a second one is refused with [IN-USE]. IMAP is not kept out."},
	{"pop3_login_delay", MR_DURATION, 0, AT(limits_settings,
		pop3_login_delay), "\"0s\"", 0, 24 * HOUR, NULL, "How long "
		"after a POP3 login the same account may not log in by POP3 "
		"again, to one worker. 0s: at any time."},
	{"progress_interval", MR_DURATION, 0, AT(limits_settings,
		progress_interval), "\"10s\"", 0, HOUR, NULL, "While an IMAP "
		"search takes long, the client is told of it so often. 0: "
		"never."},
	{"messages_per_command", MR_INT, 0, AT(limits_settings,
		messages_per_command), "0", 0, 1000000000, NULL, "Most "
		"messages that one IMAP command works on; clients that know "
		"MESSAGELIMIT ask again for the rest, others may show only a "
		"part of a mailbox. 0: no limit."},
	{"command_timeout", MR_DURATION, 0, AT(limits_settings,
		command_timeout), "\"1m\"", 100, HOUR, NULL, "Longest wait for "
		"the rest of a command that has begun, and for the client to "
		"take an answer."},
	{"data_timeout", MR_DURATION, 0, AT(limits_settings, data_timeout),
		"\"3m\"", 100, HOUR, NULL,
		"Longest wait for the next block of a message."},
	{"min_rate", MR_SIZE, 0, AT(limits_settings, min_rate), "100", 0,
		1 << 20, NULL, "Bytes a second that a client must send or take "
		"while a message is on its way. 0: no minimum."},
	{"recipients_per_hour", MR_INT, 0, AT(limits_settings,
		recipients_per_hour), "500", 0, 100000000, NULL, "Recipients "
		"that an account may send to in an hour, by each worker. 0: "
		"no limit."},
	{"recipients_per_day", MR_INT, 0, AT(limits_settings,
		recipients_per_day), "2000", 0, 100000000, NULL, "The same for "
		"a day: what a stolen password can do."},
	{"auth_delay", MR_DURATION, 0, AT(limits_settings, auth_delay),
		"\"2s\"", 0, MINUTE, NULL,
		"Pause after a wrong password. 0s: none."},
	{"auth_tries", MR_INT, 0, AT(limits_settings, auth_tries), "3", 1,
		1000, NULL, "Wrong passwords after which a session is ended."},
	{"received_fields", MR_INT, 0, AT(limits_settings, received_fields),
		"50", 5, 1000, NULL, "A message with more Received fields "
		"goes in circles and is refused."},
	{"cleartext_loopback", MR_BOOL, 0, AT(limits_settings,
		cleartext_loopback), "true", 0, 0, NULL, "Allow passwords "
		"without TLS from this machine itself."},
	MR_SETTINGS_END,
};

const struct mr_setting smtp_settings_table[] = {
	{"authserv_id", MR_TEXT, 0, AT(smtp_settings, authserv_id), "\"\"", 0,
		0, NULL, "Our name in Authentication-Results. Empty: "
		"hostname."},
	{"check_sender", MR_BOOL, 0, AT(smtp_settings, check_sender), "true",
		0, 0, NULL, "An account may send only as its own addresses."},
	{"relay_networks", MR_LIST, 0, AT(smtp_settings, relay_networks),
		"[]", 0, 0, NULL, "Networks that may send to other domains "
		"without a login."},
	{"xclient_networks", MR_LIST, 0, AT(smtp_settings, xclient_networks),
		"[]", 0, 0, NULL, "Networks of filters and proxies that may "
		"say by XCLIENT for which client they speak."},
	{"remove_headers", MR_LIST, 0, AT(smtp_settings, remove_headers),
		"[]", 0, 0, NULL, "Header fields that strangers may not bring, "
		"removed before filters see the message. \"X-Spam-*\" are "
		"all that begin so."},
	{"future_release", MR_DURATION, 0, AT(smtp_settings, future_release),
		"\"30d\"", 0, 366 * 86400000LL, NULL, "How long submission may "
		"have mail held before it goes out (RFC 4865). 0: not "
		"offered."},
	{"hide_client", MR_BOOL, 0, AT(smtp_settings, hide_client), "false",
		0, 0, NULL, "Mail that accounts send does not tell from which "
		"address they sent it."},
	{"greet_pause", MR_DURATION, 0, AT(smtp_settings, greet_pause),
		"\"2s\"", 0, MINUTE, NULL, "Strangers on port 25 wait so long "
		"for the greeting, once a month each; who talks before it is "
		"refused. 0: no pause."},
	{"reverse_dns", MR_BOOL, 0, AT(smtp_settings, reverse_dns), "true", 0,
		0, NULL, "Look up and confirm the name of each client."},
	{"dns_timeout", MR_DURATION, 0, AT(smtp_settings, dns_timeout),
		"\"3s\"", 100, MINUTE, NULL, "Longest wait for that name."},
	{"filter_timeout", MR_DURATION, 0, AT(smtp_settings, filter_timeout),
		"\"1m\"", 100, HOUR, NULL, "Longest time of a plugin for one "
		"step: then the client is told to come back later. Milters "
		"have their own."},
	MR_SETTINGS_END,
};

const struct mr_setting imap_settings_table[] = {
	{"admins", MR_LIST, 0, AT(imap_settings, admins), "[]", 0, 0, NULL,
		"Accounts that have mailboxes Held, Queue and Rejected, where "
		"they see and change what the server holds, sends and has "
		"refused."},
	MR_SETTINGS_END,
};

const struct mr_setting listener_settings_table[] = {
	{"protocol", MR_CHOICE, MR_REQUIRED, AT(listener, protocol), NULL, 0,
		0, "smtp|submission|imap|pop3|lmtp", "What is spoken here."},
	{"address", MR_LIST, MR_REQUIRED, AT(listener, address), NULL, 0, 0,
		NULL, "Where: \"[::]:25\" (both families), "
		"\"192.0.2.1:25\" or \"unix:/path\"."},
	{"tls", MR_CHOICE, 0, AT(listener, tls), "\"starttls\"", 0, 0,
		"none|starttls|implicit", "TLS never, on the client's wish, or "
		"from the first byte."},
	{"proxy_networks", MR_LIST, 0, AT(listener, proxy_networks), "[]", 0,
		0, NULL, "Networks of load balancers: connections from there "
		"must begin with a PROXY header (version 1 or 2), and count "
		"as those of the client that it names."},
	MR_SETTINGS_END,
};
