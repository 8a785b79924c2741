/*
 * imap_subject.c - the steps of RFC 5256 2.1, over and over until nothing
 * changes; each round makes the subject shorter.
 */
#include "serve/imap_subject.h"

#include "serve/imap_text.h"

static struct str
from(struct str s, size_t at)
{
	return str_trim_blank(str_sub(s, at, s.len));
}

/* Step 1: one blank for each run of white space. */
static void
even_out(struct buf *out, struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		bool white = is_blank(s.at[i]) || s.at[i] == '\r' ||
			s.at[i] == '\n';

		if (!white)
			buf_addc(out, s.at[i]);
		else if (out->len && out->at[out->len - 1] != ' ')
			buf_addc(out, ' ');
	}
}

/* Step 2: "(fwd)" at the end. */
static struct str
cut_trailer(struct str s, bool *reply)
{
	s = str_trim_blank(s);
	while (s.len >= 5 && str_iis(str_sub(s, s.len - 5, 5), "(fwd)")) {
		s = str_trim_blank(str_sub(s, 0, s.len - 5));
		*reply = true;
	}
	return s;
}

/* Behind "[...] " at i; i itself if there is none. */
static size_t
pass_blob(struct str s, size_t i)
{
	size_t k = i + 1;

	if (i >= s.len || s.at[i] != '[')
		return i;
	while (k < s.len && s.at[k] != ']' && s.at[k] != '[')
		k++;
	if (k >= s.len || s.at[k] != ']')
		return i;
	for (k++; k < s.len && is_blank(s.at[k]); k++)
		;
	return k;
}

static bool
stands(struct str s, size_t i, const char *word)
{
	return str_iis(str_sub(s, i, strlen(word)), word);
}

/* Behind "re:", "fwd [x]:" and the like; 0: there is none. */
static size_t
pass_refwd(struct str s, size_t i)
{
	i += stands(s, i, "fwd") ? 3 : stands(s, i, "re") ||
		stands(s, i, "fw") ? 2 : s.len;
	while (i < s.len && is_blank(s.at[i]))
		i++;
	i = pass_blob(s, i);
	return i < s.len && s.at[i] == ':' ? i + 1 : 0;
}

/* Step 3: "[a] [b] re:" */
static struct str
cut_leader(struct str s, bool *reply)
{
	size_t i = 0, k, end;

	while ((k = pass_blob(s, i)) > i)
		i = k;
	end = pass_refwd(s, i);
	*reply |= end > 0;
	return end ? from(s, end) : s;
}

/* Step 4: "[list] ", if something is left behind it. */
static struct str
cut_blob(struct str s)
{
	size_t k = pass_blob(s, 0);

	return k > 0 && k < s.len ? from(s, k) : s;
}

/* Step 6: "[fwd: ...]" around it all. */
static struct str
cut_forward(struct str s, bool *reply)
{
	if (s.len < 6 || !stands(s, 0, "[fwd:") || s.at[s.len - 1] != ']')
		return s;
	*reply = true;
	return str_trim_blank(str_sub(s, 5, s.len - 6));
}

void
imap_base_subject(struct buf *out, struct str subject, bool *is_reply)
{
	bool reply = false;
	struct str s;
	struct buf even;
	size_t before;

	buf_init(&even, BUF_NO_CAP);
	even_out(&even, subject);
	s = buf_str(&even);
	do {
		before = s.len;
		s = cut_trailer(s, &reply);
		s = cut_leader(s, &reply);
		s = cut_blob(s);
		s = cut_forward(s, &reply);
	} while (s.len < before);
	imap_text_fold(out, s);
	buf_free(&even);
	if (is_reply)
		*is_reply = reply;
}
