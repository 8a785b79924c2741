/*
 * serve.h - what all protocols of a worker share, and their settings.
 *
 * One struct house a process; made by proc/worker before the first session,
 * read-only afterwards but for what locks itself (limits, watch, store).
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include <mailroom/setting.h>

#include "net/dns.h"
#include "net/park.h"
#include "net/sock.h"
#include "net/tls.h"
#include "plug/hooks.h"
#include "plug/plugin.h"
#include "plug/store.h"
#include "queue/nexthop.h"

struct guard;
struct limit;
struct learn;
struct row_cache;
struct watch;

struct limits_settings {	/* [limits] */
	int64_t message_size;		/* 50 MB */
	int64_t memory_message;		/* spool in memory up to this */
	int64_t recipients;		/* a message */
	int64_t errors;			/* bad commands a session, then 421 */
	int64_t commands;		/* without mail a session */
	int64_t connections;		/* a worker */
	int64_t connections_per_peer;
	int64_t connections_per_login;	/* IMAP and POP3 */
	int64_t idle_timeout;		/* SMTP between commands, ms */
	int64_t imap_timeout;		/* 30 min, RFC 9051 5.4 */
	int64_t pop3_timeout;		/* 10 min, RFC 1939 3 */
	int64_t pop3_login_delay;	/* of an account, ms; 0: none */
	bool pop3_exclusive;		/* one session of a mailbox */
	int64_t command_timeout;	/* rest of a command line */
	int64_t data_timeout;		/* one block of DATA */
	int64_t min_rate;		/* bytes a second in DATA and literals */
	int64_t auth_delay;		/* after a wrong password; 0: off */
	int64_t recipients_per_hour, recipients_per_day;	/* an account */
	int64_t auth_tries;		/* wrong passwords a session */
	int64_t connections_per_network;	/* IPv4 /24, IPv6 /48 */
	int64_t connection_rate;	/* of a peer, a minute; 0: any */
	int64_t error_delay;		/* behind the third bad command, ms */
	int64_t ban_after, ban_time;	/* wrong passwords; ms */
	int64_t received_fields;	/* loop guard: most Received fields */
	int64_t progress_interval;	/* IMAP, RFC 9585, ms; 0: silence */
	int64_t messages_per_command;	/* IMAP, RFC 9738; 0: any */
	bool cleartext_loopback;	/* clear-text login from loopback */
};
extern const struct mr_setting limits_settings_table[];

struct smtp_settings {		/* [smtp] */
	const char *authserv_id;	/* "": hostname */
	bool check_sender;		/* submission: sender belongs to login */
	struct mr_list relay_networks;	/* may relay without login */
	struct mr_list xclient_networks;	/* may say whom they speak for */
	struct mr_list remove_headers;	/* of strangers, before filters */
	int64_t future_release;		/* ms, longest; 0: not offered */
	bool hide_client;		/* submission: not in Received */
	int64_t greet_pause;		/* before the greeting, ms; 0: none */
	bool reverse_dns;		/* look up the peer's name */
	int64_t dns_timeout;
	int64_t filter_timeout;		/* of one hook */
};
extern const struct mr_setting smtp_settings_table[];

struct imap_settings {	/* [imap] */
	struct mr_list admins;		/* accounts that see the queue */
};
extern const struct mr_setting imap_settings_table[];

enum serve_protocol { SERVE_SMTP, SERVE_SUBMISSION, SERVE_IMAP, SERVE_POP3,
	SERVE_LMTP };
enum serve_tls { SERVE_TLS_NONE, SERVE_TLS_STARTTLS, SERVE_TLS_IMPLICIT };

struct listener {		/* [listen.NAME] */
	const char *name;
	int64_t protocol;	/* enum serve_protocol */
	int64_t tls;		/* enum serve_tls */
	struct mr_list address;
	struct mr_list proxy_networks;	/* begin with a PROXY header */
	struct sock_nets proxy;		/* the same, parsed */
	struct house *house;
	bool is_local;			/* programs of this machine (pickup.h) */
};
extern const struct mr_setting listener_settings_table[];

struct house {
	const char *hostname;
	const char *data;		/* spool files go to DATA/tmp */
	const struct limits_settings *limits;
	const struct smtp_settings *smtp;
	const struct imap_settings *imap;
	struct sock_nets relay, xclient;	/* smtp->..._networks, parsed */
	int64_t queue_lifetime;
	int64_t inbox_expires;		/* ms that mail may stay; 0: for ever */
	const struct nexthops *routes;
	const struct plugins *plugins;
	struct services services;	/* of all chains */
	struct chain chain[CHAINS];
	struct store store;
	const struct tls_ctx *tls;	/* NULL: no certificate */
	struct dns *dns;
	struct park *park;
	struct limit *peers, *logins;	/* connection counts */
	struct guard *guard;
	struct watch *watch;		/* mailbox worker only */
	struct row_cache *rows;		/* the same */
	struct learn *learn;		/* the same; NULL: nobody learns */
};

#endif
