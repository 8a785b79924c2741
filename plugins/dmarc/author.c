/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * author.c - the domain that a reader takes a message to be of. Comments,
 * quoted strings, angle brackets and groups of RFC 5322 3.4 are walked over
 * byte by byte; nothing of a stranger is trusted to be well-formed.
 */
#include "dmarc.h"

#include "comment.h"

#include <idn2.h>
#include <string.h>

#define ADDRESS_MOST 1000

struct scan {
	char address[ADDRESS_MOST];	/* of the mailbox at hand */
	size_t len;
	bool in_angle, had_angle, failed;
	enum author found;
	char domain[NAME_MOST + 1];
};

bool
author_ascii(const char *domain, char out[NAME_MOST + 1])
{
	char *ascii = NULL;
	bool fits;
	size_t i;

	if (idn2_to_ascii_8z(domain, &ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	fits = *ascii && strlen(ascii) <= NAME_MOST && !strpbrk(ascii,
		" \t@/\\<>[]");
	for (i = 0; fits && ascii[i]; i++)
		out[i] = (char)(ascii[i] >= 'A' && ascii[i] <= 'Z' ?
			ascii[i] | 0x20 : ascii[i]);
	idn2_free(ascii);
	if (!fits)
		return false;
	if (out[i - 1] == '.')		/* of the root */
		i--;
	out[i] = '\0';
	return i > 0 && out[i - 1] != '.';
}

static void
end_mailbox(struct scan *s)
{
	char domain[NAME_MOST + 1];
	const char *at;

	s->address[s->len] = '\0';
	at = strrchr(s->address, '@');
	if (at && author_ascii(at + 1, domain)) {
		if (s->found == AUTHOR_NONE) {
			s->found = AUTHOR_ONE;
			memcpy(s->domain, domain, sizeof domain);
		} else if (strcmp(s->domain, domain)) {
			s->found = AUTHOR_MANY;
		}
	} else if (s->len) {
		s->failed = true;
	}
	s->len = 0;
	s->in_angle = s->had_angle = false;
}

static void
add(struct scan *s, char c)
{
	if (s->had_angle && !s->in_angle)
		return;		/* behind the brackets */
	if (strchr(" \t\r\n", c))
		return;
	if (s->len + 1 < sizeof s->address)
		s->address[s->len++] = c;
	else
		s->failed = true;
}

enum author
author_domain(struct mr_str v, char out[NAME_MOST + 1])
{
	struct scan s = {.found = AUTHOR_NONE};
	size_t i = 0;

	while (i < v.len) {
		char c = v.at[i];

		if (c == '(' || c == '"') {
			i = comment_pass(v, i);
			if (c == '"')
				add(&s, 'q');	/* a local part, maybe */
			continue;
		}
		i++;
		if (c == '<') {
			s.len = 0;
			s.in_angle = s.had_angle = true;
		} else if (c == '>') {
			s.in_angle = false;
		} else if (c == ':' && !s.in_angle) {
			s.len = 0;		/* the name of a group */
		} else if ((c == ',' || c == ';') && !s.in_angle) {
			end_mailbox(&s);
		} else if (c) {
			add(&s, c);
		}
	}
	end_mailbox(&s);
	memcpy(out, s.domain, sizeof s.domain);
	return s.failed && s.found == AUTHOR_ONE ? AUTHOR_MANY : s.found;
}
