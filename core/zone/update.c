/*
 * update.c - UPDATE of a zone (RFC 2136), signed with a shared key (RFC
 * 8945), over TCP so that its size does not matter. The answer is believed if
 * it is signed with the same key; a refusal is believed in any case.
 */
#include "zone/change.h"

#include <ldns/ldns.h>

#include "net/sock.h"

#define TIMEOUT_S 15
#define FUDGE_S 300
#define TSIG_MAC 3		/* fields of the TSIG record */
#define TSIG_ERROR 5

static const char *const algorithms[] = {"hmac-sha256.", "hmac-sha512.",
	"hmac-sha1."};

/* ------------------------------------------------------------ the message */

/* RFC 2136 2.5.1: to be added. 2.5.4: class NONE and TTL 0 take it out. */
static int
push_change(ldns_rr_list *list, const struct zone_change *c, struct err *e)
{
	ldns_rr *rr = NULL;
	ldns_status code;
	struct buf line;

	buf_init(&line, BUF_NO_CAP);
	buf_addf(&line, "%s. %lld IN %s %s", c->name, (long long)c->ttl,
		zone_type_name(c->type), c->exact);
	code = ldns_rr_new_frm_str(&rr, buf_c(&line), 0, NULL, NULL);
	buf_free(&line);
	if (code != LDNS_STATUS_OK)
		return err_set(e, ERR_DNS, "%s %s: %s", c->name,
			zone_type_name(c->type),
			ldns_get_errorstr_by_id(code));
	if (!c->adds) {
		ldns_rr_set_class(rr, LDNS_RR_CLASS_NONE);
		ldns_rr_set_ttl(rr, 0);
	}
	ldns_rr_list_push_rr(list, rr);
	return 0;
}

static int
sign(ldns_pkt *p, const struct zone_update_settings *s, struct err *e)
{
	ldns_status code = ldns_pkt_tsig_sign(p, s->key, s->secret, FUDGE_S,
		algorithms[s->algorithm], NULL);

	return code == LDNS_STATUS_OK ? 0 : err_set(e, ERR_CONFIG,
		"[dns.update] key and secret cannot sign (%s): the secret is "
		"base64, as keymgr or tsig-keygen print it",
		ldns_get_errorstr_by_id(code));
}

/* What must be gone before something else can come to its name: a CNAME
 * stands alone. In one message servers may judge by what was before (Knot
 * passes over the CNAME then), so that goes first, in one of its own. */
static bool
clears_way(const struct zone_changes *all, const struct zone_change *c)
{
	size_t i;

	for (i = 0; i < all->n && !c->adds; i++)
		if (all->at[i].adds && !strcasecmp(all->at[i].name, c->name) &&
			(all->at[i].type == ZONE_CNAME ||
			c->type == ZONE_CNAME))
			return true;
	return false;
}

/* The changes of one step; *list stays empty where it has none. */
static int
push_step(ldns_rr_list *list, const struct zone_home *home,
	const struct zone_changes *all, bool is_first, struct err *e)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		if (all->at[i].home == home && clears_way(all, &all->at[i]) ==
			is_first && push_change(list, &all->at[i], e) < 0)
			return -1;
	return 0;
}

/* NULL: it cannot be signed. */
static ldns_pkt *
make_update(const struct zone_update_settings *s,
	const struct zone_home *home, const ldns_rr_list *list, struct err *e)
{
	ldns_pkt *p = ldns_update_pkt_new(ldns_dname_new_frm_str(home->apex),
		LDNS_RR_CLASS_IN, NULL, list, NULL);

	if (!p)
		err_set(e, ERR_DNS, "the update cannot be made");
	else
		ldns_pkt_set_random_id(p);
	if (p && *s->key && sign(p, s, e) < 0) {
		ldns_pkt_free(p);
		p = NULL;
	}
	return p;
}

/* ------------------------------------------------------------- the answer */

static unsigned
tsig_error(const ldns_pkt *answer)
{
	const ldns_rr *t = ldns_pkt_tsig(answer);

	return t && ldns_rr_rd_count(t) > TSIG_ERROR ?
		ldns_rdf2native_int16(ldns_rr_rdf(t, TSIG_ERROR)) : 0;
}

static int
refused(const ldns_pkt *answer, const struct zone_update_settings *s,
	const struct zone_home *home, struct err *e)
{
	unsigned why = tsig_error(answer);
	char *code;

	if (why == 17)		/* RFC 8945 5.2 */
		return err_set(e, ERR_REFUSED, "the server knows no key "
			"\"%s\" of this algorithm", s->key);
	if (why == 16)
		return err_set(e, ERR_REFUSED, "the server has another secret "
			"for the key \"%s\"", s->key);
	if (why == 18)
		return err_set(e, ERR_REFUSED, "the clocks of server and this "
			"machine differ by minutes");
	code = ldns_pkt_rcode2str(ldns_pkt_get_rcode(answer));
	if (*s->key)
		err_set(e, ERR_REFUSED, "the server refuses (%s): may the key "
			"\"%s\" change %s, and is the server its primary?",
			code, s->key, home->apex);
	else
		err_set(e, ERR_REFUSED, "the server refuses (%s): it will want "
			"a key, see [dns.update]", code);
	free(code);
	return -1;
}

/* The signature covers that of the question. */
static bool
is_signed(ldns_pkt *answer, const uint8_t *wire, size_t size,
	const ldns_pkt *sent, const struct zone_update_settings *s)
{
	const ldns_rr *t = ldns_pkt_tsig(sent);

	return !*s->key || (t && ldns_pkt_tsig(answer) &&
		ldns_pkt_tsig_verify(answer, wire, size, s->key, s->secret,
		ldns_rr_rdf(t, TSIG_MAC)));
}

static int
read_answer(struct str wire, const ldns_pkt *sent,
	const struct zone_update_settings *s, const struct zone_home *home,
	struct err *e)
{
	const uint8_t *at = (const uint8_t *)wire.at;
	ldns_pkt *answer = NULL;
	int code = 0;

	if (ldns_wire2pkt(&answer, at, wire.len) != LDNS_STATUS_OK ||
		ldns_pkt_id(answer) != ldns_pkt_id(sent))
		code = err_set(e, ERR_PROTOCOL, "its answer is none");
	else if (ldns_pkt_get_rcode(answer) != LDNS_RCODE_NOERROR)
		code = refused(answer, s, home, e);
	else if (!is_signed(answer, at, wire.len, sent, s))
		code = err_set(e, ERR_PROTOCOL, "its answer is not signed "
			"with the key");
	ldns_pkt_free(answer);
	return code;
}

/* ---------------------------------------------------------------- sending */

static int
find_server(const struct zone_update_settings *s,
	const struct zone_home *home, struct sock_addr *out, struct err *e)
{
	char text[SOCK_TEXT];

	if (!*s->server && !home->n)
		return err_set(e, ERR_DNS, "no name server of %s is known: "
			"set [dns.update] server", home->apex);
	if (*s->server)
		snprintf(text, sizeof text, "%s", s->server);
	else
		snprintf(text, sizeof text, strchr(home->server[0].address,
			':') ? "[%s]:%u" : "%s:%u", home->server[0].address,
			home->server[0].port);
	if (sock_parse(str_from(text), out, e) < 0)
		return err_wrap(e, "[dns.update] server");
	return 0;
}

static int
send_update(ldns_pkt *p, const struct zone_update_settings *s,
	const struct zone_home *home, struct err *e)
{
	ldns_buffer *out = ldns_buffer_new(LDNS_MIN_BUFLEN);
	struct sock_addr to;
	uint8_t *wire = NULL;
	char text[SOCK_TEXT];
	size_t size = 0;
	int code = find_server(s, home, &to, e);

	if (code == 0 && (ldns_pkt2buffer_wire(out, p) != LDNS_STATUS_OK ||
		ldns_tcp_send(&wire, out, &to.sa, to.len,
		(struct timeval){TIMEOUT_S, 0}, &size) != LDNS_STATUS_OK))
		code = err_set(e, ERR_DNS, "no answer");
	if (code == 0)
		code = read_answer(str_of(wire, size), p, s, home, e);
	if (code < 0 && e->kind != ERR_CONFIG) {
		sock_text(&to, text);
		err_wrap(e, "%s", text);
	}
	free(wire);
	ldns_buffer_free(out);
	return code;
}

static int
make_step(const struct zone_update_settings *s, const struct zone_home *home,
	const struct zone_changes *all, bool is_first, struct err *e)
{
	ldns_rr_list *list = ldns_rr_list_new();
	ldns_pkt *p = NULL;
	int code = push_step(list, home, all, is_first, e);

	if (code == 0 && ldns_rr_list_rr_count(list)) {
		p = make_update(s, home, list, e);
		code = p ? send_update(p, s, home, e) : -1;
	}
	ldns_pkt_free(p);
	ldns_rr_list_deep_free(list);
	return code;
}

int
zone_update(const struct zone_update_settings *s,
	const struct zone_home *home, const struct zone_changes *all,
	struct err *e)
{
	return make_step(s, home, all, true, e) < 0 ||
		make_step(s, home, all, false, e) < 0 ? -1 : 0;
}
