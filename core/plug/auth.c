/*
 * auth.c - SASL PLAIN (RFC 4616) and LOGIN, and the plugins that know
 * passwords. Session threads; blocks on the plugins.
 */
#include "plug/auth.h"

#include "mail/addr.h"
#include "plug/hooks.h"

enum { PLAIN_FIRST = 1, LOGIN_NAME, LOGIN_PASSWORD };

const char *
auth_mechanisms(void)
{
	return "PLAIN LOGIN";
}

static enum auth_step
ask_plugins(const struct plugins *p, struct str login, struct str password,
	const char *service, char *account)
{
	struct mr_str l = {login.at, login.len};
	struct mr_str w = {password.at, password.len};
	enum mr_auth_answer answer;
	size_t i;

	if (!login.len || str_has_byte(login, '\0') ||
		str_has_byte(password, '\0'))
		return AUTH_DENIED;
	for (i = 0; i < p->n; i++) {
		const struct mr_auth *a = PLUG_ROLE(p->item[i]->desc, auth);

		if (!a || !PLUG_HOOK(a, verify))
			continue;
		hooks_leave_breadcrumb(p->item[i]->name, "verify", NULL);
		answer = a->verify(p->item[i]->config, l, w, service, account,
			AUTH_ACCOUNT_MAX);
		hooks_leave_breadcrumb(NULL, NULL, NULL);
		if (answer == MR_AUTH_OK)
			return AUTH_OK;
		if (answer == MR_AUTH_DENIED)
			return AUTH_DENIED;
		if (answer != MR_AUTH_UNKNOWN)
			return AUTH_TEMPFAIL;
	}
	return AUTH_DENIED;
}

enum auth_step
auth_password(const struct plugins *p, struct str login, struct str password,
	const char *service, char *account)
{
	struct arena scratch;
	enum auth_step answer;

	arena_init(&scratch);
	answer = ask_plugins(p, addr_canonical(&scratch, login), password,
		service, account);
	arena_free(&scratch);
	return answer;
}

/* authzid NUL authcid NUL password; the first must be empty or the second:
 * nobody may act as another. */
static enum auth_step
plain(struct sasl *s, struct str in, struct arena *a)
{
	struct str authzid, authcid;

	if (in.len > 4096 || !str_has_byte(in, '\0'))
		return AUTH_MALFORMED;
	authzid = str_cut(&in, '\0');
	if (!str_has_byte(in, '\0'))
		return AUTH_MALFORMED;
	authcid = str_cut(&in, '\0');
	if (str_has_byte(in, '\0') || !authcid.len)
		return AUTH_MALFORMED;
	s->login = arena_str(a, authcid);
	if (authzid.len && !str_ieq(authzid, authcid))
		return AUTH_DENIED;
	return auth_password(s->plugins, authcid, in, s->service, s->account);
}

static enum auth_step
challenge(struct sasl *s, int state, const char *text, struct buf *out)
{
	s->state = state;
	buf_adds(out, text);
	return AUTH_CONTINUE;
}

enum auth_step
sasl_begin(struct sasl *s, const struct plugins *p, struct str mechanism,
	const char *service, struct str initial, struct arena *a,
	struct buf *out)
{
	*s = (struct sasl){.plugins = p, .service = service};
	if (str_iis(mechanism, "PLAIN")) {
		s->mechanism = "PLAIN";
		return initial.at ? plain(s, initial, a) :
			challenge(s, PLAIN_FIRST, "", out);
	}
	if (!str_iis(mechanism, "LOGIN"))
		return AUTH_NO_MECHANISM;
	s->mechanism = "LOGIN";
	if (!initial.at)
		return challenge(s, LOGIN_NAME, "Username:", out);
	s->state = LOGIN_NAME;
	return sasl_next(s, initial, a, out);
}

enum auth_step
sasl_next(struct sasl *s, struct str in, struct arena *a, struct buf *out)
{
	int state = s->state;

	s->state = 0;	/* over, unless a challenge follows */
	switch (state) {
	case PLAIN_FIRST:
		return plain(s, in, a);
	case LOGIN_NAME:
		if (in.len > 1024)
			return AUTH_MALFORMED;
		s->login = arena_str(a, in);
		return challenge(s, LOGIN_PASSWORD, "Password:", out);
	case LOGIN_PASSWORD:
		return auth_password(s->plugins, s->login, in, s->service,
			s->account);
	default:
		return AUTH_MALFORMED;
	}
}
