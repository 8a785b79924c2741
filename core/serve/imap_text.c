/*
 * imap_text.c - case folding and composing of UTF-8. Any thread.
 *
 * Text falls into clusters: a character and the marks (or the vowels and
 * finals of Hangul) behind it that may melt with it. Nothing reaches over the
 * border of two clusters, so each is folded alone; and nearly all of them are
 * one character, whose folding is looked up. Mostly ASCII is met, and SEARCH
 * reads whole mailboxes, so ASCII takes a short way.
 *
 * `known` is a memory of what libunistring says of characters. Its values are
 * always the same, so threads may set one twice: no lock, relaxed atomics.
 */
#include "serve/imap_text.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "base/arena.h"

#define FIRST_MARK 0x300	/* there are none before U+0300 */
#define FIRST_MARK_BYTE 0xcc	/* the first byte of U+0300 */
#define CLUSTER_MOST 64		/* characters; the rest is another cluster */
#define NOT_ONE 0xffffffffu	/* folds to several characters, or none */

/* Of each character below U+10000: 0: not asked yet; else what it folds to,
 * if that is one character, plus one. */
static _Atomic uint32_t known[0x10000];

static bool
is_joining(ucs4_t c)
{
	return c >= FIRST_MARK && ((c >= 0x1160 && c <= 0x11ff) ||
		uc_is_general_category_withtable(c, UC_CATEGORY_MASK_M));
}

/* Of a cluster as it stands; it is valid UTF-8. */
static void
fold_cluster(struct buf *out, struct str s)
{
	size_t n, m;
	uint8_t *apart, *folded;

	apart = u8_normalize(UNINORM_NFD, (const uint8_t *)s.at, s.len, NULL,
		&n);
	folded = apart ? u8_casefold(apart, n, NULL, UNINORM_NFC, NULL, &m) :
		NULL;
	buf_addstr(out, folded ? str_of((char *)folded, m) : s);
	free(apart);
	free(folded);
}

static uint32_t
ask(ucs4_t c, struct str s)
{
	struct buf folded;
	ucs4_t one = 0;
	bool is_one;

	buf_init(&folded, BUF_NO_CAP);
	fold_cluster(&folded, s);
	is_one = folded.len > 0 && u8_mbtoucr(&one,
		(const uint8_t *)folded.at, folded.len) == (int)folded.len;
	buf_free(&folded);
	atomic_store_explicit(&known[c], is_one ? one + 1 : NOT_ONE,
		memory_order_relaxed);
	return is_one ? one + 1 : NOT_ONE;
}

/* A cluster of one character. */
static void
fold_one(struct buf *out, ucs4_t c, struct str s)
{
	uint32_t folded = NOT_ONE;
	char *at;
	int n;

	if (c < 0x10000) {
		folded = atomic_load_explicit(&known[c],
			memory_order_relaxed);
		if (folded == 0)
			folded = ask(c, s);
	}
	if (folded == NOT_ONE) {
		fold_cluster(out, s);
		return;
	}
	at = buf_reserve(out, 6);
	n = at ? u8_uctomb((uint8_t *)at, folded - 1, 6) : 0;
	if (n > 0)
		buf_grew(out, (size_t)n);
}

/* Length of the cluster at the head of s; its first character is *c, which
 * takes *first bytes. 0: its end has not come. With `all` nothing comes any
 * more, and a byte that begins no character counts as *c = 0. */
static size_t
cluster(struct str s, bool all, ucs4_t *c, size_t *first)
{
	const uint8_t *at = (const uint8_t *)s.at;
	ucs4_t next;
	int n = u8_mbtoucr(c, at, s.len), i;
	size_t len;

	if (n == -2 && !all)
		return 0;
	if (n <= 0 || *c == 0) {
		*c = 0;
		*first = 1;
		return 1;
	}
	*first = len = (size_t)n;
	for (i = 1; len < s.len && at[len] >= FIRST_MARK_BYTE &&
	    i < CLUSTER_MOST; i++, len += (size_t)n) {
		n = u8_mbtoucr(&next, at + len, s.len - len);
		if (n == -2 && !all)
			return 0;
		if (n <= 0 || !is_joining(next))
			return len;
	}
	return len == s.len && !all && i < CLUSTER_MOST ? 0 : len;
}

/* ASCII that no mark follows. Returns how much of s it is; of a text whose
 * end has not come, the last byte is left. */
static size_t
fold_ascii(struct buf *out, struct str s, bool all)
{
	char *start = buf_reserve(out, s.len), *to = start;
	size_t i, n = 0;

	if (start == NULL)
		return s.len;
	while (n < s.len && (unsigned char)s.at[n] < 0x80)
		n++;
	if (n > 0 && (n < s.len ? (unsigned char)s.at[n] >= FIRST_MARK_BYTE :
	    !all))
		n--;
	for (i = 0; i < n; i++) {
		char c = s.at[i];

		*to++ = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c ? c : '\1';
	}
	buf_grew(out, n);
	return n;
}

/* Returns how much was folded: all, or up to what may still change. */
static size_t
fold(struct buf *out, struct str s, bool all)
{
	size_t i = 0, n, first;
	ucs4_t c;

	while (i < s.len) {
		struct str rest = str_sub(s, i, s.len);

		if ((unsigned char)*rest.at < 0x80) {
			n = fold_ascii(out, rest, all);
			i += n;
			if (n > 0)
				continue;
		}
		n = cluster(rest, all, &c, &first);
		if (n == 0)
			break;
		if (c == 0)
			buf_addc(out, *rest.at ? *rest.at : '\1');
		else if (n == first)
			fold_one(out, c, str_sub(rest, 0, n));
		else
			fold_cluster(out, str_sub(rest, 0, n));
		i += n;
	}
	return i;
}

void
imap_text_fold(struct buf *out, struct str text)
{
	fold(out, text, true);
}

/* ---------------------------------------------------------- in pieces */

void
imap_fold_init(struct imap_fold *f)
{
	buf_init(&f->held, BUF_NO_CAP);
}

void
imap_fold_add(struct imap_fold *f, struct buf *out, struct str piece)
{
	size_t n;

	if (f->held.len == 0) {
		n = fold(out, piece, false);
		buf_addstr(&f->held, str_sub(piece, n, piece.len));
		return;
	}
	/* Few bytes of the piece are enough to get rid of what is held. */
	n = piece.len < 256 ? piece.len : 256;
	buf_addstr(&f->held, str_sub(piece, 0, n));
	piece = str_sub(piece, n, piece.len);
	buf_shift(&f->held, fold(out, buf_str(&f->held), false));
	if (piece.len > 0) {
		buf_addstr(&f->held, piece);
		buf_shift(&f->held, fold(out, buf_str(&f->held), false));
	}
}

void
imap_fold_end(struct imap_fold *f, struct buf *out)
{
	fold(out, buf_str(&f->held), true);
	buf_reset(&f->held);
}

void
imap_fold_drop(struct imap_fold *f)
{
	buf_reset(&f->held);
}

void
imap_fold_free(struct imap_fold *f)
{
	buf_free(&f->held);
}
