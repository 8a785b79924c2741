/*
 * imap_text.c - case folding and substring search over UTF-8. Mostly ASCII is
 * met, and SEARCH reads whole mailboxes, so ASCII takes a short way. Pure;
 * any thread.
 */
#include "serve/imap_text.h"

#include <unicase.h>
#include <unistr.h>

/* One character from the head of s, which is not ASCII. Returns how many
 * bytes it took; 0: its end has not come yet. */
static size_t
fold_character(char **to, struct str s)
{
	const uint8_t *at = (const uint8_t *)s.at;
	ucs4_t c;
	int n = u8_mbtoucr(&c, at, s.len), m;

	if (n == -2)
		return 0;
	if (n <= 0) {
		*(*to)++ = *s.at;
		return 1;
	}
	m = u8_uctomb((uint8_t *)*to, uc_tolower(c), 6);
	if (m > 0)
		*to += m;
	return (size_t)n;
}

/* Returns how much was folded: less than s.len where a character is cut. */
static size_t
fold(struct buf *out, struct str s)
{
	/* A character of two bytes may become one of three. */
	char *start = buf_reserve(out, s.len * 2 + 8), *to = start, c;
	size_t i = 0, n;

	if (start == NULL)
		return s.len;
	while (i < s.len) {
		c = s.at[i];
		if ((unsigned char)c < 0x80) {
			*to++ = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
			i++;
			continue;
		}
		n = fold_character(&to, str_sub(s, i, s.len));
		if (n == 0)
			break;
		i += n;
	}
	buf_grew(out, (size_t)(to - start));
	return i;
}

void
imap_text_fold(struct buf *out, struct str text)
{
	size_t n = fold(out, text);

	buf_addstr(out, str_sub(text, n, text.len));
}

bool
imap_text_has(struct str text, struct str needle, struct buf *room)
{
	buf_reset(room);
	imap_text_fold(room, text);
	return needle.len == 0 || (room->len >= needle.len &&
		memmem(room->at, room->len, needle.at, needle.len) != NULL);
}

/* ---------------------------------------------------------- in pieces */

void
imap_finder_init(struct imap_finder *f, struct str needle)
{
	*f = (struct imap_finder){.needle = needle, .found = needle.len == 0};
	buf_init(&f->window, BUF_NO_CAP);
}

void
imap_finder_restart(struct imap_finder *f)
{
	buf_reset(&f->window);
	f->n_cut = 0;
}

/* Completes a character whose beginning came with the piece before; returns
 * what is left of the piece. */
static struct str
join_cut(struct imap_finder *f, struct str piece)
{
	char both[4];
	size_t n = f->n_cut, used = n;

	memcpy(both, f->cut, n);
	while (used < sizeof both && used - n < piece.len &&
	    ((unsigned char)piece.at[used - n] & 0xc0) == 0x80) {
		both[used] = piece.at[used - n];
		used++;
	}
	piece = str_sub(piece, used - n, piece.len);
	if (fold(&f->window, str_of(both, used)) == used) {
		f->n_cut = 0;
	} else if (piece.len == 0) {	/* it is not complete yet */
		memcpy(f->cut, both, used);
		f->n_cut = used;
	} else {
		buf_add(&f->window, both, used);
		f->n_cut = 0;
	}
	return piece;
}

void
imap_finder_add(struct imap_finder *f, struct str piece)
{
	size_t n;

	if (f->found || piece.len == 0)
		return;
	if (f->n_cut > 0)
		piece = join_cut(f, piece);
	n = fold(&f->window, piece);
	if (n < piece.len) {
		f->n_cut = piece.len - n;
		memcpy(f->cut, piece.at + n, f->n_cut);
	}
	if (f->window.len < f->needle.len)
		return;
	f->found = memmem(f->window.at, f->window.len, f->needle.at,
		f->needle.len) != NULL;
	buf_shift(&f->window, f->window.len - (f->needle.len - 1));
}

void
imap_finder_free(struct imap_finder *f)
{
	buf_free(&f->window);
}
