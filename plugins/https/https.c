/*
 * https.c - fetches small documents by HTTPS, with libcurl: MTA-STS policies
 * (RFC 8461 3.3).
 *
 * One easy handle a call: fetches are rare, and calls come from many threads.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mailroom/plugin.h>

struct settings {
	const char *ca_file;
};

struct document {
	char *at;
	size_t len, most;
	int too_large;
};

static size_t
take(char *bytes, size_t size, size_t n, void *to)
{
	struct document *d = to;
	char *grown;

	n *= size;
	if (n > d->most - d->len) {
		d->too_large = 1;
		return 0;
	}
	grown = realloc(d->at, d->len + n + 1);
	if (!grown)
		return 0;
	d->at = grown;
	memcpy(d->at + d->len, bytes, n);
	d->len += n;
	return n;
}

/* "host:port:address" for the address that the core found. */
static struct curl_slist *
make_resolve(CURL *c, const struct mr_fetch *f)
{
	struct curl_slist *list = NULL;
	char *host = NULL, *port = NULL, entry[600];
	CURLU *u = curl_url();

	if (u && curl_url_set(u, CURLUPART_URL, f->url, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ==
		CURLUE_OK) {
		snprintf(entry, sizeof entry, "%s:%s:%s%s%s", host, port,
			strchr(f->address, ':') ? "[" : "", f->address,
			strchr(f->address, ':') ? "]" : "");
		list = curl_slist_append(NULL, entry);
		curl_easy_setopt(c, CURLOPT_RESOLVE, list);
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return list;
}

static void
set_options(CURL *c, const struct settings *s, const struct mr_fetch *f,
	struct document *d)
{
	curl_easy_setopt(c, CURLOPT_URL, f->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)f->timeout_ms);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, d);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->error);
	if (*s->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, s->ca_file);
}

static const char *
reason(CURLcode code, const struct document *d)
{
	if (d->too_large)
		return "the document is too large";
	/* The core tells these from others by the word. */
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return "the certificate is not that of the host";
	return curl_easy_strerror(code);
}

static int
fetch(void *self, const struct mr_fetch *f)
{
	struct document d = {.most = f->most};
	struct curl_slist *resolve;
	const char *type = NULL;
	char words[CURL_ERROR_SIZE] = "";
	struct mr_fetch own = *f;
	CURL *c = curl_easy_init();
	CURLcode code;
	long status = -1;

	if (!c) {
		snprintf(f->error, f->error_size, "out of memory");
		return -1;
	}
	own.error = words;	/* curl's buffer has a size of its own */
	set_options(c, self, &own, &d);
	resolve = make_resolve(c, f);
	code = curl_easy_perform(c);
	if (code == CURLE_OK) {
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type);
		f->found(f->arg, (struct mr_str){d.at ? d.at : "", d.len},
			type ? type : "");
	} else {
		snprintf(f->error, f->error_size, "%s%s%.150s",
			reason(code, &d), *words ? ": " : "", words);
	}
	curl_slist_free_all(resolve);
	curl_easy_cleanup(c);
	free(d.at);
	return (int)status;
}

static int
open_https(void *self, struct mr_open *open)
{
	(void)self;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
		return 0;
	snprintf(open->error, open->error_size, "libcurl does not start");
	return -1;
}

static const struct mr_fetcher fetcher = {
	.size = sizeof fetcher, .fetch = fetch,
};

static const struct mr_setting settings[] = {
	{"ca_file", MR_PATH, 0, offsetof(struct settings, ca_file), "\"\"", 0,
		0, NULL, "Certificates of authorities to believe. Empty: the "
		"system's."},
	MR_SETTINGS_END,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "https", .version = "1.0",
	.summary = "fetches documents by HTTPS: MTA-STS policies",
	.settings = settings, .config_size = sizeof(struct settings),
	.open = open_https, .fetcher = &fetcher,
};
