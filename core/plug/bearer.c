/*
 * bearer.c - reads the one message and asks the plugins. Session threads;
 * blocks on the plugins.
 */
#include "plug/bearer.h"

#include "mail/addr.h"
#include "plug/hooks.h"

#define MESSAGE_MOST 12288

bool
bearer_is_possible(const struct plugins *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		const struct mr_auth *a = PLUG_ROLE(p->item[i]->desc, auth);

		if (a && PLUG_HOOK(a, token))
			return true;
	}
	return false;
}

/* "Bearer TOKEN", without case in the word (RFC 7628 3.1). */
static bool
take_field(struct str field, struct str *login, struct str *token)
{
	struct str key = str_cut(&field, '=');

	if (str_iis(key, "user"))
		*login = field;
	else if (str_iis(key, "auth") && str_istarts(field, "Bearer "))
		*token = str_trim_blank(str_sub(field, 7, field.len));
	return key.len > 0;
}

/* The header of GS2: "n,a=user@example.org,". */
static bool
take_gs2(struct str head, struct str *login)
{
	struct str flag = str_cut(&head, ','), who = str_cut(&head, ',');

	if ((!str_is(flag, "n") && !str_is(flag, "y")) || head.len)
		return false;
	if (str_starts(who, "a="))
		*login = str_sub(who, 2, who.len);
	return str_starts(who, "a=") || !who.len;
}

static bool
read_message(struct str in, bool is_xoauth2, struct str *login,
	struct str *token)
{
	if (in.len > MESSAGE_MOST || !str_ends(in, "\1\1"))
		return false;
	in.len -= 2;
	if (!is_xoauth2 && !take_gs2(str_cut(&in, '\1'), login))
		return false;
	while (in.len)
		if (!take_field(str_cut(&in, '\1'), login, token))
			return false;
	return token->len && !str_has_byte(*token, '\0') &&
		!str_has_byte(*login, '\0');
}

static enum auth_step
ask_plugins(struct sasl *s, struct str token)
{
	const struct plugins *p = s->terms.plugins;
	struct mr_str l = {s->login.at, s->login.len};
	struct mr_str t = {token.at, token.len};
	size_t i;

	for (i = 0; i < p->n; i++) {
		const struct mr_auth *a = PLUG_ROLE(p->item[i]->desc, auth);
		enum mr_auth_answer answer;

		if (!a || !PLUG_HOOK(a, token))
			continue;
		hooks_leave_breadcrumb(p->item[i]->name, "token", NULL);
		answer = a->token(p->item[i]->config, l, t, s->terms.service,
			s->account, AUTH_ACCOUNT_MAX);
		hooks_leave_breadcrumb(NULL, NULL, NULL);
		if (answer == MR_AUTH_OK)
			return AUTH_OK;
		if (answer == MR_AUTH_TEMPFAIL)
			return AUTH_TEMPFAIL;
		if (answer == MR_AUTH_DENIED)
			return AUTH_DENIED;
	}
	return AUTH_DENIED;
}

enum auth_step
bearer_step(struct sasl *s, bool is_xoauth2, struct str in, struct arena *a,
	struct buf *out)
{
	struct str login = STR(""), token = STR("");
	enum auth_step step;

	if (!read_message(in, is_xoauth2, &login, &token))
		return AUTH_MALFORMED;
	s->login = arena_str(a, addr_canonical(a, login));
	step = ask_plugins(s, token);
	if (step != AUTH_DENIED)
		return step;
	/* RFC 7628 3.2.2; XOAUTH2 has its own words for it. */
	buf_adds(out, is_xoauth2 ? "{\"status\":\"401\",\"schemes\":"
		"\"bearer\",\"scope\":\"mail\"}" :
		"{\"status\":\"invalid_token\"}");
	return AUTH_CONTINUE;
}
