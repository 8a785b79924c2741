/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pam - checks logins with the system's PAM.
 *
 * The account that a good login opens must exist in the store; PAM only says
 * whether the password is right and the account may be used. Workers are
 * unprivileged and take on no new rights, so modules that need to read
 * /etc/shadow cannot: modules that ask a daemon (sssd, winbind, LDAP, RADIUS)
 * or a file of their own can.
 */
#include <mailroom/plugin.h>

#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>

struct config {
	const char *service, *service_dir, *domain;
	int64_t login;		/* 0: local part, 1: whole address */
};

#define AT(field) offsetof(struct config, field)

static const struct mr_setting settings[] = {
	{"service", MR_TEXT, 0, AT(service), "\"mailroom\"", 0, 0, NULL,
		"Name of the service's file in /etc/pam.d."},
	{"service_dir", MR_PATH, 0, AT(service_dir), "\"\"", 0, 0, NULL,
		"Another folder to look for it."},
	{"domain", MR_TEXT, 0, AT(domain), "\"\"", 0, 0, NULL,
		"Domain of the accounts that PAM knows. A login without @ is "
		"given it, a login of another domain is left to the next "
		"plugin. Empty: logins of all domains, which must have an @."},
	{"login", MR_CHOICE, 0, AT(login), "\"local\"", 0, 0, "local|address",
		"Which name PAM is asked for: what stands before the @, or "
		"the address."},
	MR_SETTINGS_END,
};

/* The one question of the modules: the password. What they say is not for
 * the client. */
static int
converse(int n, const struct pam_message **ask,
	struct pam_response **out, void *arg)
{
	struct pam_response *r = calloc((size_t)n, sizeof *r);
	int i;

	if (!r)
		return PAM_BUF_ERR;
	for (i = 0; i < n; i++)
		if (ask[i]->msg_style == PAM_PROMPT_ECHO_OFF)
			r[i].resp = strdup(arg);
	*out = r;
	return PAM_SUCCESS;
}

static enum mr_auth_answer
translate(int code)
{
	switch (code) {
	case PAM_SUCCESS:
		return MR_AUTH_OK;
	case PAM_USER_UNKNOWN:
		return MR_AUTH_UNKNOWN;
	case PAM_AUTH_ERR:
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_PERM_DENIED:
	case PAM_MAXTRIES:
	case PAM_CRED_INSUFFICIENT:
		return MR_AUTH_DENIED;
	default:
		return MR_AUTH_TEMPFAIL;
	}
}

static enum mr_auth_answer
ask_pam(const struct config *c, const char *user, char *password)
{
	const struct pam_conv conv = {converse, password};
	pam_handle_t *pam = NULL;
	int code = *c->service_dir ? pam_start_confdir(c->service, user,
		&conv, c->service_dir, &pam) :
		pam_start(c->service, user, &conv, &pam);

	if (code != PAM_SUCCESS)
		return MR_AUTH_TEMPFAIL;
	/* The house makes the pause after a wrong password itself. */
	code = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (code == PAM_SUCCESS)
		code = pam_acct_mgmt(pam, PAM_SILENT);
	pam_end(pam, code);
	return translate(code);
}

/* "user@domain" in lower case; 0: not an account of ours. */
static int
name_account(const struct config *c, struct mr_str login, char *out,
	size_t room)
{
	const char *sign = memchr(login.at, '@', login.len);
	char *p;
	int n;

	if (!sign && !*c->domain)
		return 0;
	n = sign ? snprintf(out, room, "%.*s", (int)login.len, login.at) :
		snprintf(out, room, "%.*s@%s", (int)login.len, login.at,
			c->domain);
	if (n < 0 || (size_t)n >= room)
		return 0;
	for (p = out; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 32;
	sign = strrchr(out, '@');
	return sign != out && (!*c->domain || !strcasecmp(sign + 1, c->domain));
}

static enum mr_auth_answer
on_verify(void *self, struct mr_str login, struct mr_str password,
	const char *service, char *account, size_t account_size)
{
	const struct config *c = self;
	enum mr_auth_answer answer;
	char user[512], *secret;

	(void)service;
	if (!name_account(c, login, account, account_size))
		return MR_AUTH_UNKNOWN;
	snprintf(user, sizeof user, "%s", account);
	if (c->login == 0)
		*strrchr(user, '@') = '\0';
	secret = strndup(password.at, password.len);
	if (!secret)
		return MR_AUTH_TEMPFAIL;
	answer = ask_pam(c, user, secret);
	explicit_bzero(secret, password.len);
	free(secret);
	return answer;
}

static const struct mr_auth auth = {
	.size = sizeof auth, .verify = on_verify,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "pam", .version = "1.0",
	.summary = "checks logins with PAM",
	.settings = settings, .config_size = sizeof(struct config),
	.auth = &auth,
};
