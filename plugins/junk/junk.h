/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * junk.h - what the files of the junk plugin share.
 */
#ifndef JUNK_H
#define JUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* words.c: the words of a message, as numbers. Any thread. */
#define WORDS_MOST 2000		/* different ones of a message */

struct words {
	uint64_t *hash;		/* sorted and different after words_end */
	size_t n, room;
};

void words_init(struct words *w);
void words_free(struct words *w);
/* One header field: only those by which people know mail count; others, among
 * them all that servers write, are passed over. */
void words_field(struct words *w, const char *name, size_t name_len,
	const char *value, size_t len);
/* The body, with the Content-Type and Content-Transfer-Encoding of the
 * message's own header ("" where there is none). */
void words_body(struct words *w, const char *type, const char *encoding,
	const char *body, size_t len);
/* Sorts; keeps each once and WORDS_MOST of them. */
void words_end(struct words *w);
/* The number of some bytes, without case (ASCII). */
uint64_t words_hash(const char *kind, const char *at, size_t len);

/* text.c: transfer encodings and encoded words, in place or into a buffer
 * that is at least as long as the input. Return the length. */
size_t text_base64(const char *in, size_t len, char *out);
size_t text_quoted(const char *in, size_t len, char *out, bool is_header);
/* RFC 2047 words undone; charsets are left as they are. */
size_t text_header(const char *in, size_t len, char *out);
/* Markup taken out; the hosts of links stay, as " url:HOST ". out has
 * TEXT_PLAIN_ROOM(len). */
#define TEXT_PLAIN_ROOM(len) (2 * (len) + 16)
size_t text_plain(const char *in, size_t len, char *out);

/* bayes.c: how likely a message with these words is junk. Pure. */
struct count {
	uint32_t junk, good;	/* messages it was seen in */
};
/* of: words, all: messages. 0 good, 1 junk, 0.5 unsure. */
double bayes_judge(const struct count *of, size_t n, struct count all);

/* memory.c: what each account has taught, in a file of its own. Any thread;
 * blocks on disk. */
struct memory;
/* most: words of all accounts. NULL with error: it cannot be used. */
struct memory *memory_open(const char *path, int64_t most, char *error,
	size_t error_size);
void memory_close(struct memory *m);
/* What is known of the words, in their order; *all: messages learned. -1: the
 * file cannot be read. */
int memory_look(struct memory *m, const char *account, const struct words *w,
	struct count *of, struct count *all);
enum taught { TAUGHT_NOTHING, TAUGHT_NEW, TAUGHT_OTHERWISE };
/* A message, known by its number: what was taught of it before is taken back.
 * gently: only if nothing was. */
enum taught memory_teach(struct memory *m, const char *account,
	uint64_t message, const struct words *w, bool is_junk, bool gently);

#endif
