/*
 * session.c - the life of a connection: accepted on the park's polling
 * thread, then served turn by turn on its threads.
 *
 * A turn takes commands that are already here, up to TURN_MOST, so that one
 * pipelining client cannot hold a thread; then it flushes, gives memory back
 * and parks. What a protocol decides (more, delay, idle, end) is turned into
 * the park's terms here and nowhere else.
 */
#include "serve/session.h"

#include <errno.h>

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "net/limit.h"
#include "net/proxy.h"
#include "plug/observe.h"
#include "plug/route.h"
#include "serve/guard.h"

#define TURN_MOST 16
#define HANDSHAKE_MS 30000

static struct session *
session_of(struct guest *g)
{
	return (struct session *)((char *)g - offsetof(struct session, guest));
}

static const struct protocol *
protocol_of(const struct listener *l)
{
	switch (l->protocol) {
	case SERVE_IMAP:
		return &imap_protocol;
	case SERVE_POP3:
		return &pop3_protocol;
	default:
		return &smtp_protocol;
	}
}

void
session_tell(const struct session *s, struct mr_event *e)
{
	char peer[SOCK_TEXT];

	if (!observe_wanted((enum mr_event_kind)e->kind))
		return;
	sock_host(&s->peer, peer);
	e->protocol = s->protocol->name;
	e->listener = s->listener->name;
	e->session = s->id;
	e->peer = peer;
	observe_post(e);
}

/* --------------------------------------------------------------- the end */

static void
tell_closed(const struct session *s)
{
	struct mr_event e = {.kind = MR_EVENT_SESSION_CLOSED,
		.length = s->stream.bytes_in,
		.account = s->login_key.len ? s->login_key.at : "",
		.text = stream_failed(&s->stream) ?
			stream_error(&s->stream)->text : ""};

	session_tell(s, &e);
}

static void
uncount_peer(struct session *s)
{
	if (*s->peer_key)
		limit_give(s->house->peers, str_from(s->peer_key));
	if (*s->network_key)
		limit_give(s->house->peers, str_from(s->network_key));
}

void
session_give_login(struct session *s)
{
	if (s->login_key.len)
		limit_give(s->house->logins, s->login_key);
	s->login_key = STR("");
}

static void
leave(struct guest *g)
{
	struct session *s = session_of(g);

	if (s->opened) {
		tell_closed(s);
		s->protocol->close(s);
	}
	log_debug("session.end", LOG_S("session", s->id),
		LOG_N("in", s->stream.bytes_in),
		LOG_N("out", s->stream.bytes_out),
		LOG_S("error", stream_failed(&s->stream) ?
			stream_error(&s->stream)->text : ""));
	stream_close(&s->stream);
	uncount_peer(s);
	session_give_login(s);
	arena_free(&s->command);
	arena_free(&s->arena);
	free(s);
}

/* ----------------------------------------------------------------- a turn */

/* Counts one more of the key in *slot; false: there are too many. */
static bool
take_key(struct session *s, struct str key, int64_t most, char slot[48])
{
	if (!most)
		return true;
	if (key.len >= 48 || !limit_take(s->house->peers, key, (uint32_t)most))
		return false;
	memcpy(slot, key.at, key.len);
	slot[key.len] = '\0';
	return true;
}

static bool
count_peer(struct session *s)
{
	const struct limits_settings *l = s->house->limits;
	char peer[SOCK_TEXT], network[SOCK_TEXT + 4];

	if (sock_is_loopback(&s->peer))
		return true;
	return take_key(s, limit_peer_key(&s->peer, peer),
		l->connections_per_peer, s->peer_key) &&
		take_key(s, limit_network_key(&s->peer, network),
		l->connections_per_network, s->network_key);
}

static void
log_refused_peer(const struct session *s)
{
	char text[SOCK_TEXT];

	sock_text(&s->peer, text);
	log_info("session.refused", LOG_S("peer", text),
		LOG_S("listener", s->listener->name),
		LOG_S("reason", "too many connections of this peer"));
}

/* The connection of a load balancer becomes that of its client. */
static bool
take_proxy(struct session *s)
{
	struct sock_addr *local = arena_alloc(&s->arena, sizeof *local);
	struct err e = {0};
	bool good;

	session_local(s, local);
	stream_limit(&s->stream, HANDSHAKE_MS, 0);
	s->stream.sparing = s->listener->tls == SERVE_TLS_IMPLICIT;
	good = proxy_read(&s->stream, &s->peer, local, &e) == 0;
	s->stream.sparing = false;
	if (!good) {
		log_warn("session.proxy", LOG_S("session", s->id),
			LOG_S("listener", s->listener->name),
			LOG_S("error", e.text));
		return false;
	}
	s->local = local;
	if (count_peer(s))
		return true;
	log_refused_peer(s);
	return false;
}

/* ------------------------------------------------------------- at the door */

/* Who never waits: this machine, and networks that the admin named. */
static bool
is_friend(const struct session *s)
{
	return sock_is_loopback(&s->peer) ||
		sock_in_nets(&s->peer, &s->house->relay) ||
		sock_in_nets(&s->peer, &s->house->xclient);
}

static enum session_next
refuse(struct session *s, const char *reason, const char *smtp,
	const char *other)
{
	char text[SOCK_TEXT];

	sock_text(&s->peer, text);
	log_info("session.refused", LOG_S("peer", text),
		LOG_S("listener", s->listener->name), LOG_S("reason", reason));
	if (s->listener->tls == SERVE_TLS_IMPLICIT)
		return SESSION_END;
	switch (s->listener->protocol) {
	case SERVE_IMAP:
		stream_printf(&s->stream, "* BYE [UNAVAILABLE] %s\r\n", other);
		break;
	case SERVE_POP3:
		stream_printf(&s->stream, "-ERR [SYS/TEMP] %s\r\n", other);
		break;
	default:
		stream_printf(&s->stream, "%s\r\n", smtp);
	}
	return SESSION_END;
}

static enum session_next
open_session(struct session *s)
{
	struct mr_event told = {.kind = MR_EVENT_SESSION_OPENED};
	struct err e = {0};

	if (s->listener->tls == SERVE_TLS_IMPLICIT) {
		stream_limit(&s->stream, HANDSHAKE_MS, 0);
		if (stream_tls_accept(&s->stream, s->house->tls, &e) < 0) {
			log_info("session.tls", LOG_S("session", s->id),
				LOG_S("error", e.text));
			return SESSION_END;
		}
		s->tls = true;
	}
	stream_limit(&s->stream, s->house->limits->command_timeout, 0);
	s->opened = true;
	session_tell(s, &told);
	return s->protocol->open(s);
}

/* Only servers come to port 25, and servers listen first (RFC 5321 3.1). */
static bool
has_to_wait(const struct session *s)
{
	return s->listener->protocol == SERVE_SMTP &&
		s->house->smtp->greet_pause &&
		s->listener->tls != SERVE_TLS_IMPLICIT && !is_friend(s) &&
		!guard_is_patient(s->house->guard, &s->peer);
}

static enum session_next
admit(struct session *s)
{
	if (sock_in_nets(&s->peer, &s->listener->proxy) && !take_proxy(s))
		return SESSION_END;
	if (is_friend(s))
		return open_session(s);
	if (guard_is_banned(s->house->guard, &s->peer))
		return refuse(s, "banned", "421 4.7.0 Too many wrong passwords "
			"from your address, try again later", "Too many wrong "
			"passwords from your address, try again later");
	if (!guard_may_come(s->house->guard, &s->peer))
		return refuse(s, "comes too often", "421 4.7.0 You connect "
			"too often, try again later", "You connect too often, "
			"try again later");
	if (!has_to_wait(s))
		return open_session(s);
	s->pausing = true;
	s->pause_end = clock_mono() + s->house->smtp->greet_pause;
	return SESSION_MORE;
}

static enum session_next
end_pause(struct session *s, unsigned why)
{
	if (why & (PARK_WHY_INPUT | PARK_WHY_AGAIN) ||
		stream_pending(&s->stream, true))
		return refuse(s, "talked before the greeting", "554 5.5.1 "
			"You talked before the greeting", "");
	if (clock_mono() < s->pause_end)
		return SESSION_MORE;
	s->pausing = false;
	guard_note_patient(s->house->guard, &s->peer);
	return open_session(s);
}

/* TLS and PROXY headers begin with the client's bytes: until they come the
 * connection holds no thread. */
static bool
speaks_first(const struct session *s)
{
	return s->listener->tls == SERVE_TLS_IMPLICIT ||
		sock_in_nets(&s->peer, &s->listener->proxy);
}

static enum session_next
begin_step(struct session *s, unsigned why)
{
	if (why & PARK_WHY_DRAIN)
		return SESSION_END;
	if (s->pausing)
		return end_pause(s, why);
	if (why & PARK_WHY_TIMER)
		return SESSION_END;
	if (speaks_first(s) && !(why & PARK_WHY_INPUT))
		return SESSION_MORE;
	return admit(s);
}

static enum session_next
first_step(struct session *s, unsigned why)
{
	enum session_next was = s->waiting;

	if (!s->opened)
		return begin_step(s, why);
	stream_limit(&s->stream, s->house->limits->command_timeout, 0);
	if (why & PARK_WHY_DRAIN) {
		s->protocol->bye(s, true);
		return SESSION_END;
	}
	s->waiting = SESSION_MORE;
	if (was != SESSION_MORE)
		return s->protocol->wake ? s->protocol->wake(s, why) :
			SESSION_MORE;
	if (why == PARK_WHY_TIMER) {
		s->protocol->bye(s, false);
		return SESSION_END;
	}
	if (!(why & (PARK_WHY_INPUT | PARK_WHY_AGAIN)))
		return SESSION_MORE;	/* a wake that came late */
	return s->protocol->turn(s);
}

static enum park_next
park_as(struct session *s, enum session_next next)
{
	bool all_read;

	arena_reset(&s->command);
	if (next == SESSION_DELAY) {
		/* The answer waits too, so that nobody saves the pause by
		 * coming back on another connection. */
		s->waiting = next;
		return PARK_TIMER;	/* the protocol set wake_at */
	}
	if (!stream_flush(&s->stream) || next == SESSION_END)
		return PARK_LEAVE;
	all_read = stream_release(&s->stream);
	if (stream_failed(&s->stream))
		return PARK_LEAVE;
	s->waiting = next;
	if (!all_read)
		return PARK_READY;
	if (next == SESSION_MORE)
		s->guest.wake_at = s->pausing ? s->pause_end : clock_mono() +
			(s->opened ? s->idle_limit : HANDSHAKE_MS);
	return PARK_INPUT;
}

static enum park_next
serve(struct guest *g, unsigned why)
{
	struct session *s = session_of(g);
	enum session_next next;
	int n = 1;

	hooks_set_last_words(g->fd, s->tls || stream_is_compressed(&s->stream) ?
		NULL : s->protocol->last_words);
	next = first_step(s, why);
	while (next == SESSION_MORE && s->opened && n++ < TURN_MOST &&
		!stream_failed(&s->stream) &&
		stream_pending(&s->stream, false)) {
		arena_reset(&s->command);
		stream_limit(&s->stream, s->house->limits->command_timeout, 0);
		next = s->protocol->turn(s);
	}
	hooks_set_last_words(-1, NULL);
	return park_as(s, next);
}

/* -------------------------------------------------------------- beginning */

/* Says why and closes, without a session. */
static void
turn_away(const struct listener *l, int fd, const char *why)
{
	char line[160];
	int n;

	if (l->protocol == SERVE_IMAP)
		n = snprintf(line, sizeof line, "* BYE [LIMIT] %s\r\n", why);
	else if (l->protocol == SERVE_POP3)
		n = snprintf(line, sizeof line, "-ERR [SYS/TEMP] %s\r\n", why);
	else
		n = snprintf(line, sizeof line, "421 4.7.0 %s\r\n", why);
	if (l->tls != SERVE_TLS_IMPLICIT && n > 0 &&
		write(fd, line, (size_t)n) < 0)
		n = 0;		/* it is gone: so be it */
	close(fd);
}

static bool
begin(struct listener *l, int fd, const struct sock_addr *peer)
{
	struct session *s = mem_alloc(sizeof *s);
	char text[SOCK_TEXT];

	s->listener = l;
	s->house = l->house;
	s->protocol = protocol_of(l);
	s->peer = *peer;
	s->waiting = SESSION_MORE;
	s->idle_limit = s->house->limits->idle_timeout;
	s->guest = (struct guest){.fd = fd, .wake_at = CLOCK_NEVER,
		.serve = serve, .leave = leave};
	arena_init(&s->arena);
	arena_init(&s->command);
	enc_random_word(s->id, 10);
	sock_text(peer, text);
	/* Behind a load balancer the peer is known in the first turn. */
	if (!sock_in_nets(peer, &l->proxy) && !count_peer(s)) {
		log_refused_peer(s);
		turn_away(l, fd, "too many connections from your address");
		uncount_peer(s);
		free(s);
		return false;
	}
	log_debug("session.start", LOG_S("session", s->id),
		LOG_S("peer", text), LOG_S("listener", l->name));
	stream_init(&s->stream, fd);
	if (park_add(s->house->park, &s->guest))
		return true;
	uncount_peer(s);
	turn_away(l, fd, "too many connections, try again later");
	free(s);
	return false;
}

void
session_accept(void *listener, int fd)
{
	struct sock_addr peer;
	struct err e = {0};
	int got, n = 0;

	/* A few at a time: other listeners wait on this thread too. */
	while (n++ < 16 && (got = sock_accept(fd, &peer, &e)) >= 0)
		begin(listener, got, &peer);
	if (n <= 16 && e.sys != EAGAIN)
		log_error("session.accept", LOG_S("error", e.text));
}

bool
session_adopt(struct listener *l, int fd)
{
	struct sock_addr local = {.sa.ss_family = AF_UNIX};

	return begin(l, fd, &local);
}

int
session_start_tls(struct session *s, struct err *e)
{
	/* What was sent in the clear behind STARTTLS was not protected. */
	stream_discard_input(&s->stream);
	hooks_set_last_words(-1, NULL);
	stream_limit(&s->stream, HANDSHAKE_MS, 0);
	if (stream_tls_accept(&s->stream, s->house->tls, e) < 0)
		return -1;
	s->tls = true;
	return 0;
}

bool
session_take_login(struct session *s, const char *account)
{
	const struct limits_settings *l = s->house->limits;

	if (!l->connections_per_login)
		return true;
	if (!limit_take(s->house->logins, str_from(account),
		(uint32_t)l->connections_per_login)) {
		log_info("session.refused", LOG_S("session", s->id),
			LOG_S("account", account), LOG_S("reason",
			"too many connections of this account"));
		return false;
	}
	s->login_key = arena_str(&s->arena, str_from(account));
	return true;
}

enum session_next
session_pause(struct session *s, int64_t ms)
{
	s->guest.wake_at = clock_mono() + ms;
	return SESSION_DELAY;
}

void
session_log_login(struct session *s, const char *result, struct str account)
{
	struct mr_event e = {.kind = strcmp(result, "ok") ?
		MR_EVENT_LOGIN_DENIED : MR_EVENT_LOGIN_OK, .text = result,
		.account = arena_cstr(&s->command, account)};
	char peer[SOCK_TEXT], event[24];

	guard_heed_login(s->house->guard, &s->peer, e.kind ==
		MR_EVENT_LOGIN_OK, s->guess);
	session_tell(s, &e);
	sock_host(&s->peer, peer);
	snprintf(event, sizeof event, "%.16s.auth", s->protocol->name);
	log_info(event, LOG_S("session", s->id), LOG_S("peer", peer),
		LOG_S("result", result), LOG_STR("account", account));
}

void
session_local(const struct session *s, struct sock_addr *out)
{
	if (s->local)
		*out = *s->local;
	else if (sock_local(s->guest.fd, out, NULL) < 0)
		memset(out, 0, sizeof *out);
}

bool
session_is_private(const struct session *s)
{
	return s->tls || (s->house->limits->cleartext_loopback &&
		sock_is_loopback(&s->peer));
}

/* The account that a certificate is for: the address must be its very name. */
static struct str
certified_account(struct session *s)
{
	struct route_target *targets = NULL;
	char address[AUTH_ACCOUNT_MAX];
	struct str named;

	if (!stream_tls_address(&s->stream, address, sizeof address))
		return STR("");
	named = str_from(address);
	if (route_resolve(s->house->plugins, &s->arena, named, 0, &targets) !=
		ROUTE_LOCAL || targets->next || !targets->account ||
		!str_iis(named, targets->account))
		return STR("");
	return str_from(targets->account);
}

struct sasl_terms
session_sasl_terms(struct session *s, const char *service)
{
	struct sasl_terms t = {.plugins = s->house->plugins,
		.service = service, .binding = STR(""), .certified = STR("")};
	unsigned char binding[32];

	if (!s->tls)
		return t;
	if (stream_tls_binding(&s->stream, binding))
		t.binding = arena_str(&s->arena, str_of(binding,
			sizeof binding));
	t.certified = certified_account(s);
	return t;
}
