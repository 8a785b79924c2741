/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * arc.h - the parts of the plugins arc and arcseal (RFC 8617): text.c grows a
 * text, tags.c reads tag lists, canon.c brings fields and bodies into their
 * canonical form, sets.c finds the sets of a chain, key.c fetches keys and
 * checks signatures, check.c judges a chain, seal.c makes a set. Only arc.c
 * and arcseal.c know a host.
 */
#ifndef ARC_ARC_H
#define ARC_ARC_H

#include <mailroom/plugin.h>

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_MOST 253
#define SETS_MOST 50		/* RFC 8617 5.2 */
#define HASH 32			/* SHA-256 */

/* ----------------------------------------------------------------- text.c */

struct text {
	char *at;		/* malloc'd, NUL-ended; NULL while empty */
	size_t len, room;
	bool failed;		/* no memory: what is there is not all */
};

void text_add(struct text *t, const char *at, size_t len);
void text_adds(struct text *t, const char *s);
void text_free(struct text *t);

/* ----------------------------------------------------------------- tags.c */

#define TAGS_MOST 32

struct tags {			/* RFC 6376 3.2; views of what was read */
	struct {
		struct mr_str name, value;	/* value without white space
						   around */
		struct mr_str raw;	/* from behind '=' up to ';' */
	} tag[TAGS_MOST];
	size_t n;
};

/* false: no tag list, a tag twice, or too many. */
bool tags_read(struct mr_str s, struct tags *out);
/* at NULL: not there. */
struct mr_str tags_get(const struct tags *t, const char *name);
struct mr_str tags_trim(struct mr_str s);
bool tags_is(struct mr_str s, const char *word);	/* without case */
/* 1 to 50; 0: it is none. */
unsigned tags_instance(struct mr_str s);
/* White space inside is passed over. The length, or -1. out has s.len bytes
 * at least. */
int64_t tags_base64(struct mr_str s, unsigned char *out);

/* ---------------------------------------------------------------- canon.c */

struct letter {			/* the message as it stands */
	const struct mr_header *field;
	size_t n;
	/* As body_read of a host. */
	int64_t (*read)(void *arg, uint64_t offset, void *out, size_t len);
	void *arg;
};

/* Appends a field; without its line end where it is the signature. */
void canon_field(struct text *out, struct mr_str name, struct mr_str value,
	bool relaxed);
/* The same, with the value of its tag b left out and no line end. */
void canon_signature(struct text *out, const struct mr_header *h,
	const struct tags *tags, bool relaxed);
/* Of the first `most` bytes of the canonical body; *length: of all of it. -1:
 * it cannot be read. */
int canon_body(const struct letter *l, bool relaxed, uint64_t most,
	unsigned char out[HASH], uint64_t *length);
/* The fields that a list "from:to:..." names, from the bottom up, each once.
 * false: the list is none, or too long. */
bool canon_fields(struct text *out, const struct letter *l,
	struct mr_str names, bool relaxed);

/* ----------------------------------------------------------------- sets.c */

enum part { PART_RESULTS, PART_MESSAGE, PART_SEAL, PARTS };

struct set {
	const struct mr_header *field[PARTS];
	struct tags message, seal;
};

struct sets {
	struct set *set;	/* set[0] is instance 1; malloc'd */
	unsigned n;		/* the highest instance */
	const char *wrong;	/* in its structure, or NULL */
};

void sets_read(const struct letter *l, struct sets *out);
void sets_free(struct sets *s);

/* ------------------------------------------------------------------ key.c */

struct key_cache;

struct resolver {
	void (*dns)(void *arg, const char *name, uint32_t type,
		struct mr_dns_answer *out);
	void *arg;
	struct key_cache *keys;	/* or NULL */
};

/* Keys that were read, by the text of their records: reading one costs as much
 * as checking a signature. Any thread. */
struct key_cache *key_cache_new(void);
void key_cache_free(struct key_cache *c);

enum check { CHECK_GOOD, CHECK_BAD, CHECK_TEMP };

/* Is b= a signature of the bytes by d=, s= with a=? *why is set if not. */
enum check key_check(const struct resolver *r, const struct tags *t,
	const struct text *bytes, const char **why);
/* Signs; malloc'd base64, or NULL. */
char *key_sign(EVP_PKEY *key, const struct text *bytes);

/* ---------------------------------------------------------------- check.c */

enum chain { CHAIN_NONE, CHAIN_PASS, CHAIN_FAIL, CHAIN_TEMP };

struct finding {
	enum chain chain;
	unsigned instance;	/* what `why` is about, 0: all */
	const char *why;	/* of FAIL and TEMP */
	unsigned oldest_pass;	/* header.oldest-pass (RFC 8617 10.2) */
};

void check_chain(const struct letter *l, const struct sets *s,
	const struct resolver *r, struct finding *out);

/* ------------------------------------------------------- arcseal/seal.c */

struct plan {
	const char *domain, *selector;
	EVP_PKEY *key;
	const char *results;	/* of ARC-Authentication-Results, behind i= */
	enum chain chain;	/* what was found of the sets before */
	int64_t now;		/* seconds since 1970 */
};

/* The values of the three fields of the next set, malloc'd. false: no memory,
 * or the message cannot be read. */
bool seal_make(const struct letter *l, const struct sets *s,
	const struct plan *p, char *out[PARTS]);

extern const char *const part_names[PARTS];

#endif
