/*
 * guard.h - who has to wait at the door, and who stays outside: bans after
 * wrong passwords, how often a peer may come, who has been patient before.
 *
 * A peer is an IPv4 address or the /64 of an IPv6 one. Wrong passwords count
 * once each, so that a program with an old password bans nobody, and an address
 * with a good login within the last 30 days is never banned. Bans stand in the
 * store: all workers heed them, a restart does not lift them, `mailroom ban`
 * shows and lifts. Where there is no guard (NULL) nobody is kept outside. Any
 * thread.
 */
#ifndef SERVE_GUARD_H
#define SERVE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "net/sock.h"
#include "plug/store.h"

#define GUARD_BANS "core.ban"	/* of the store's state: PEER: "SINCE REASON" */
#define GUARD_GOOD "core.good"	/* PEER of a good login */

struct limits_settings;
struct guard;

/* Both are borrowed. */
struct guard *guard_new(const struct store *s,
	const struct limits_settings *limits);
void guard_free(struct guard *g);
/* Blocks on the store, once in two seconds for all. */
bool guard_is_banned(struct guard *g, const struct sock_addr *peer);
/* Counts a connection; false: too many in this minute. */
bool guard_may_come(struct guard *g, const struct sock_addr *peer);
/* It has waited for the greeting before, not long ago. */
bool guard_is_patient(struct guard *g, const struct sock_addr *peer);
void guard_note_patient(struct guard *g, const struct sock_addr *peer);
/* May the account send to so many more recipients now? Counted by
 * guard_note_sent, once a message was taken. */
bool guard_may_send(struct guard *g, const char *account, size_t n_rcpt);
void guard_note_sent(struct guard *g, const char *account, size_t n_rcpt);
/* May the account log in by POP3 again? Then this is its last login. */
bool guard_may_log_in(struct guard *g, const char *account);
/* After a login. guess: of login and password, the same for the same; 0: the
 * password is not known (SCRAM). Blocks on the store, and then only for what
 * is new. */
void guard_heed_login(struct guard *g, const struct sock_addr *peer,
	bool is_good, uint64_t guess);

#endif
