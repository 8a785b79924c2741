/*
 * dkim_key.c - makes, reads and switches the key files of the dkim plugin.
 */
#include "proc/dkim_key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/file.h"
#include "base/str.h"
#include "proc/config.h"

#define RSA_BITS 2048		/* fits one answer without TCP */
#define KEYS_MOST 100

const char *
dkim_kind_name(enum dkim_kind k)
{
	return k == DKIM_RSA ? "rsa" : "ed25519";
}

const char *
dkim_state_name(enum dkim_state s)
{
	static const char *const names[] = {"in use", "waiting", "past"};

	return names[s];
}

const char *
dkim_folder(const struct config *c, struct arena *a)
{
	const struct conf_node *n = conf_find(conf_root(c->doc),
		"plugin.dkim.keys");

	if (n && conf_type_of(n) == CONF_STRING)
		return arena_cstr(a, conf_string(n));
	return arena_printf(a, "%s/dkim", c->server.data);
}

/* ----------------------------------------------------------------- reading */

static EVP_PKEY *
read_key(const char *path, struct err *e)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (!f)
		err_sys(e, path);
	else if (!key)
		err_set(e, ERR_CONFIG, "%s holds no private key in PEM form",
			path);
	if (f)
		fclose(f);
	return key;
}

/* RFC 6376 3.6.1, RFC 8463 4: for Ed25519 the bare key, no structure. */
static const char *
record_of(EVP_PKEY *key, enum dkim_kind kind, struct arena *a)
{
	unsigned char raw[32], *der = raw;
	size_t len = sizeof raw;
	const char *record;
	struct buf text;

	if (kind == DKIM_RSA) {
		der = NULL;
		len = (size_t)i2d_PUBKEY(key, &der);
	} else if (!EVP_PKEY_get_raw_public_key(key, raw, &len)) {
		len = 0;
	}
	buf_init(&text, 4096);
	enc_base64(&text, der, len);
	record = arena_printf(a, "v=DKIM1; k=%s; p=%s", dkim_kind_name(kind),
		buf_c(&text));
	buf_free(&text);
	if (kind == DKIM_RSA)
		OPENSSL_free(der);
	return record;
}

/* The selector that a kind's link names and when it was made; "" for none. */
static const char *
read_link(const char *folder, const char *domain, enum dkim_kind kind,
	struct arena *a, int64_t *since)
{
	const char *path = arena_printf(a, "%s/%s/%s", folder, domain,
		dkim_kind_name(kind));
	char target[NAME_MAX + 1];
	ssize_t n = readlink(path, target, sizeof target - 1);
	struct stat st;

	*since = 0;
	if (n < 4 || lstat(path, &st) < 0)
		return "";
	*since = (int64_t)st.st_mtim.tv_sec * 1000 +
		st.st_mtim.tv_nsec / 1000000;
	return arena_cstr(a, str_of(target, (size_t)n - 4));
}

static int
describe(const char *folder, const char *domain, struct dkim_key *k,
	struct arena *a, struct err *e)
{
	const char *path = arena_printf(a, "%s/%s/%s.pem", folder, domain,
		k->selector), *in_use;
	EVP_PKEY *key = read_key(path, e);
	struct stat st;
	int64_t since, made;

	if (!key)
		return -1;
	k->kind = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ?
		DKIM_ED25519 : DKIM_RSA;
	k->record = record_of(key, k->kind, a);
	EVP_PKEY_free(key);
	if (stat(path, &st) < 0)
		return err_sys(e, path);
	made = (int64_t)st.st_mtim.tv_sec * 1000 +
		st.st_mtim.tv_nsec / 1000000;
	in_use = read_link(folder, domain, k->kind, a, &since);
	k->state = !strcmp(in_use, k->selector) ? DKIM_IN_USE :
		made > since ? DKIM_WAITING : DKIM_PAST;
	k->since_ms = k->state == DKIM_WAITING ? made : since;
	k->name = arena_printf(a, "%s._domainkey.%s", k->selector, domain);
	return 0;
}

static int
by_selector(const void *a, const void *b)
{
	const struct dkim_key *x = a, *y = b;

	return strcmp(x->selector, y->selector);
}

int
dkim_keys(const char *folder, const char *domain, struct arena *a,
	struct dkim_key **out, size_t *n, struct err *e)
{
	struct dkim_key *all = arena_alloc(a, KEYS_MOST * sizeof *all);
	DIR *d = opendir(arena_printf(a, "%s/%s", folder, domain));
	struct dirent *entry;
	int code = 0;

	*out = all;
	*n = 0;
	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, folder);
	while (code == 0 && *n < KEYS_MOST && (entry = readdir(d))) {
		struct str file = str_from(entry->d_name);

		if (file.len < 5 || !str_ends(file, ".pem"))
			continue;
		all[*n].selector = arena_cstr(a, str_sub(file, 0,
			file.len - 4));
		code = describe(folder, domain, &all[(*n)++], a, e);
	}
	closedir(d);
	qsort(all, *n, sizeof *all, by_selector);
	return code;
}

/* ------------------------------------------------------------------ making */

static int
write_key(const char *path, EVP_PKEY *key, struct arena *a, struct err *e)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;
	long len;
	int code = -1;

	if (b && PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL)) {
		len = BIO_get_mem_data(b, &text);
		code = file_replace(path, arena_str(a, str_of(text,
			(size_t)len)), 0600, e);
	} else {
		err_set(e, ERR_CONFIG, "OpenSSL cannot write a key");
	}
	BIO_free(b);
	return code;
}

/* Of today, and with a word that makes it new for ever: DNS and mail under
 * way remember old selectors. "r261125k3x9a" */
static const char *
new_selector(enum dkim_kind kind, struct arena *a)
{
	time_t now = (time_t)(clock_wall() / 1000);
	char date[16], word[8];
	struct tm t;

	gmtime_r(&now, &t);
	strftime(date, sizeof date, "%y%m%d", &t);
	enc_random_word(word, 5);
	return arena_printf(a, "%c%s%s", *dkim_kind_name(kind), date, word);
}

int
dkim_make(const char *folder, const char *domain, struct arena *a,
	struct err *e)
{
	const char *dir = arena_printf(a, "%s/%s", folder, domain);
	int kind, code = file_mkdirs(dir, 0700, e);
	EVP_PKEY *key;

	for (kind = 0; kind < DKIM_KINDS && code == 0; kind++) {
		key = kind == DKIM_RSA ? EVP_RSA_gen(RSA_BITS) :
			EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		if (!key)
			return err_set(e, ERR_CONFIG, "OpenSSL cannot make a "
				"key");
		code = write_key(arena_printf(a, "%s/%s.pem", dir,
			new_selector((enum dkim_kind)kind, a)), key, a, e);
		EVP_PKEY_free(key);
	}
	return code;
}

static int
point(const char *dir, const struct dkim_key *k, struct arena *a,
	struct err *e)
{
	const char *link = arena_printf(a, "%s/%s", dir,
		dkim_kind_name(k->kind));
	const char *new = arena_printf(a, "%s.new", link);

	unlink(new);
	if (symlink(arena_printf(a, "%s.pem", k->selector), new) < 0 ||
		rename(new, link) < 0)
		return err_sys(e, link);
	return 0;
}

int
dkim_switch(const char *folder, const char *domain, struct arena *a,
	struct err *e)
{
	const char *dir = arena_printf(a, "%s/%s", folder, domain);
	struct dkim_key *all;
	size_t n, i;
	int kind, code = dkim_keys(folder, domain, a, &all, &n, e);

	for (kind = 0; kind < DKIM_KINDS && code == 0; kind++) {
		const struct dkim_key *newest = NULL;

		for (i = 0; i < n; i++)
			if ((int)all[i].kind == kind &&
				all[i].state == DKIM_WAITING)
				newest = &all[i];
		if (newest)
			code = point(dir, newest, a, e);
	}
	return code;
}

int
dkim_remove(const char *folder, const char *domain, const char *selector,
	struct err *e)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s/%s.pem", folder, domain, selector);
	return unlink(path) < 0 ? err_sys(e, path) : 0;
}
