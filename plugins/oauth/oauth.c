/*
 * oauth.c - logins by token: asks the authority that gave it out (RFC 7662,
 * token introspection), with libcurl.
 *
 * The answer must be {"active": true} and name a mail address; that is the
 * account. Tokens that are good are remembered for a short while by their
 * digest, so that a client with many connections costs one question.
 */
#include <curl/curl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mailroom/plugin.h>

#define ANSWER_MOST 65536
#define SEEN 256

struct seen {
	unsigned char digest[32];
	char account[324];
	time_t until;
};

struct oauth {
	const char *url, *client_id, *client_secret, *field, *ca_file;
	int64_t timeout, remember;	/* ms */
	pthread_mutex_t lock;
	struct seen *seen;
};

/* --------------------------------------------------------------- remember */

static void
digest_of(struct mr_str token, unsigned char out[32])
{
	EVP_Digest(token.at, token.len, out, NULL, EVP_sha256(), NULL);
}

static int
recall(struct oauth *o, const unsigned char digest[32], char account[324])
{
	struct seen *s = &o->seen[digest[0]];
	int found;

	pthread_mutex_lock(&o->lock);
	found = s->until > time(NULL) && !memcmp(s->digest, digest, 32);
	if (found)
		memcpy(account, s->account, sizeof s->account);
	pthread_mutex_unlock(&o->lock);
	return found;
}

static void
keep(struct oauth *o, const unsigned char digest[32], const char *account,
	int64_t expires)
{
	struct seen *s = &o->seen[digest[0]];
	int64_t until = time(NULL) + o->remember / 1000;

	if (expires > 0 && expires < until)
		until = expires;
	pthread_mutex_lock(&o->lock);
	memcpy(s->digest, digest, 32);
	snprintf(s->account, sizeof s->account, "%s", account);
	s->until = (time_t)until;
	pthread_mutex_unlock(&o->lock);
}

/* --------------------------------------------------------------------- ask */

struct answer {
	char text[ANSWER_MOST];
	size_t len;
};

static size_t
take(char *bytes, size_t size, size_t n, void *to)
{
	struct answer *a = to;

	n *= size;
	if (n > sizeof a->text - a->len)
		return 0;
	memcpy(a->text + a->len, bytes, n);
	a->len += n;
	return n;
}

static void
set_options(CURL *c, const struct oauth *o, const char *form, struct answer *a)
{
	curl_easy_setopt(c, CURLOPT_URL, o->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)o->timeout);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, form);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	if (*o->client_id) {
		curl_easy_setopt(c, CURLOPT_USERNAME, o->client_id);
		curl_easy_setopt(c, CURLOPT_PASSWORD, o->client_secret);
	}
	if (*o->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file);
}

/* The parsed answer, or NULL: it cannot be told now. */
static json_t *
introspect(const struct oauth *o, struct mr_str token)
{
	struct answer *a = calloc(1, sizeof *a);
	CURL *c = curl_easy_init();
	char *quoted, *form = NULL;
	json_t *j = NULL;
	long status = 0;

	quoted = c ? curl_easy_escape(c, token.at, (int)token.len) : NULL;
	if (a && quoted && asprintf(&form, "token=%s&token_type_hint="
		"access_token", quoted) > 0) {
		set_options(c, o, form, a);
		if (curl_easy_perform(c) == CURLE_OK)
			curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		if (status == 200)
			j = json_loadb(a->text, a->len, 0, NULL);
	}
	free(form);
	curl_free(quoted);
	curl_easy_cleanup(c);
	free(a);
	return j;
}

static int
is_same(struct mr_str login, const char *account)
{
	return login.len == strlen(account) &&
		!strncasecmp(login.at, account, login.len);
}

static void
lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text += 'a' - 'A';
}

static enum mr_auth_answer
judge(struct oauth *o, struct mr_str token, char account[324])
{
	unsigned char digest[32];
	const char *name;
	json_t *j;
	enum mr_auth_answer answer = MR_AUTH_DENIED;

	digest_of(token, digest);
	if (recall(o, digest, account))
		return MR_AUTH_OK;
	j = introspect(o, token);
	if (!json_is_object(j)) {
		json_decref(j);
		return MR_AUTH_TEMPFAIL;
	}
	name = json_string_value(json_object_get(j, o->field));
	if (json_is_true(json_object_get(j, "active")) && name &&
		strchr(name, '@') && strlen(name) < 324) {
		snprintf(account, 324, "%s", name);
		lower(account);
		keep(o, digest, account, json_integer_value(
			json_object_get(j, "exp")));
		answer = MR_AUTH_OK;
	}
	json_decref(j);
	return answer;
}

static enum mr_auth_answer
token(void *self, struct mr_str login, struct mr_str token,
	const char *service, char *account, size_t account_size)
{
	char name[324];
	enum mr_auth_answer answer = judge(self, token, name);

	(void)service;
	if (answer != MR_AUTH_OK)
		return answer;
	/* Whose token it is says the authority; who says otherwise is wrong. */
	if ((login.len && !is_same(login, name)) ||
		strlen(name) >= account_size)
		return MR_AUTH_DENIED;
	strcpy(account, name);
	return MR_AUTH_OK;
}

/* -------------------------------------------------------------------- life */

static int
open_oauth(void *self, struct mr_open *open)
{
	struct oauth *o = self;

	if (strncmp(o->url, "https://", 8) &&
		strncmp(o->url, "http://127.0.0.1", 16) &&
		strncmp(o->url, "http://[::1]", 12)) {
		snprintf(open->error, open->error_size, "url: tokens are sent "
			"to https:// only, or to this machine itself");
		return -1;
	}
	pthread_mutex_init(&o->lock, NULL);
	o->seen = calloc(SEEN, sizeof *o->seen);
	if (o->seen && curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
		return 0;
	snprintf(open->error, open->error_size, "out of memory");
	return -1;
}

static void
close_oauth(void *self)
{
	struct oauth *o = self;

	free(o->seen);
}

static const struct mr_auth auth = {.size = sizeof auth, .token = token};

#define AT(field) offsetof(struct oauth, field)

static const struct mr_setting settings[] = {
	{"url", MR_TEXT, MR_REQUIRED, AT(url), NULL, 0, 0, NULL,
		"Where the authority answers for its tokens (RFC 7662)."},
	{"client_id", MR_TEXT, 0, AT(client_id), "\"\"", 0, 0, NULL,
		"Our name there. Empty: none is asked for."},
	{"client_secret", MR_SECRET, 0, AT(client_secret), "\"\"", 0, 0, NULL,
		"Our password there."},
	{"field", MR_TEXT, 0, AT(field), "\"email\"", 0, 0, NULL,
		"Of the answer: the account's address."},
	{"timeout", MR_DURATION, 0, AT(timeout), "\"10s\"", 100, 60000, NULL,
		"Longest wait for the answer."},
	{"remember", MR_DURATION, 0, AT(remember), "\"1m\"", 0, 3600000, NULL,
		"A token that was good counts for so long without asking."},
	{"ca_file", MR_PATH, 0, AT(ca_file), "\"\"", 0, 0, NULL,
		"Certificates of authorities to believe. Empty: the "
		"system's."},
	MR_SETTINGS_END,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "oauth", .version = "1.0",
	.summary = "logins by OAuth token (RFC 7628, 7662)",
	.settings = settings, .config_size = sizeof(struct oauth),
	.open = open_oauth, .close = close_oauth, .auth = &auth,
};
