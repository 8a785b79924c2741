/*
 * uid_list.c - see uid_list.h.
 */
#include "move/uid_list.h"

#include "move/folder_name.h"

struct str
uid_list_base(struct str file)
{
	size_t i;

	/* Where ':' cannot stand in a name, some write ';' or '!'. */
	for (i = 0; i + 2 < file.len; i++)
		if (memchr(":;!", file.at[i], 3) && file.at[i + 1] == '2' &&
			file.at[i + 2] == ',')
			return str_sub(file, 0, i);
	return str_sub(file, 0, str_find(file, ':'));
}

static struct str
next_line(struct str *rest)
{
	struct str line = str_cut(rest, '\n');

	if (str_ends(line, "\r"))
		line.len--;
	return line;
}

static int
by_base(const void *a, const void *b)
{
	const struct uid_entry *x = a, *y = b;

	return str_cmp(x->base, y->base);
}

static const struct uid_entry *
find(const struct uid_entry *entry, size_t n, struct str base)
{
	struct uid_entry wanted = {.base = base};

	return n ? bsearch(&wanted, entry, n, sizeof wanted, by_base) : NULL;
}

/* ------------------------------------------------------------------ UIDs */

static uint32_t
number(struct str s)
{
	uint64_t n;

	return str_u64(s, UINT32_MAX, &n) ? (uint32_t)n : 0;
}

/* "3 V1275660208 N25022 G3085f..." or, version 1, "1 1275660208 25022". */
static bool
read_head(struct str line, struct uid_list *l)
{
	struct str word = str_word(&line);
	bool is_v1 = str_is(word, "1");

	if (!is_v1 && !str_is(word, "3"))
		return false;
	if (is_v1) {
		l->uidvalidity = number(str_word(&line));
		l->uidnext = number(str_word(&line));
		return l->uidvalidity != 0;
	}
	while ((word = str_word(&line)).len) {
		uint32_t n = number(str_sub(word, 1, word.len));

		if (word.at[0] == 'V')
			l->uidvalidity = n;
		else if (word.at[0] == 'N')
			l->uidnext = n;
	}
	return l->uidvalidity != 0;
}

/* "5 W1234 :name" or, version 1, "5 name". */
static bool
read_line(struct str line, struct uid_entry *out)
{
	size_t colon = str_find_str(line, STR(" :"));
	struct str rest = line;

	out->uid = number(str_word(&rest));
	if (colon < line.len)
		rest = str_sub(line, colon + 2, line.len);
	out->base = uid_list_base(str_trim_blank(rest));
	return out->uid != 0 && out->base.len != 0;
}

static size_t
count_lines(struct str text)
{
	size_t n = 1;

	while (text.len) {
		str_cut(&text, '\n');
		n++;
	}
	return n;
}

bool
uid_list_read(struct str text, struct uid_list *out)
{
	*out = (struct uid_list){0};
	if (!read_head(next_line(&text), out))
		return false;
	out->entry = mem_alloc(count_lines(text) * sizeof *out->entry);
	while (text.len)
		out->n += read_line(next_line(&text), &out->entry[out->n]);
	qsort(out->entry, out->n, sizeof *out->entry, by_base);
	return true;
}

uint32_t
uid_list_find(const struct uid_list *l, struct str base)
{
	const struct uid_entry *e = find(l->entry, l->n, base);

	return e ? e->uid : 0;
}

void
uid_list_free(struct uid_list *l)
{
	free(l->entry);
	*l = (struct uid_list){0};
}

/* -------------------------------------------------------------- keywords */

bool
keyword_is_good(struct str word)
{
	size_t i;

	for (i = 0; i < word.len; i++)
		if (word.at[i] <= ' ' || word.at[i] > 126 ||
			memchr("(){%*\"\\]", word.at[i], 8))
			return false;
	return word.len && word.len <= 100;
}

void
keyword_letters_read(struct str text, struct keyword_letters *out)
{
	uint64_t n;

	*out = (struct keyword_letters){{{0}}};
	while (text.len) {
		struct str line = next_line(&text), word = str_word(&line);

		if (str_u64(word, UID_LIST_LETTERS - 1, &n) &&
			keyword_is_good(str_trim_blank(line)))
			out->name[n] = str_trim_blank(line);
	}
}

static void
read_names(struct str *text, struct keyword_file *f)
{
	while (text->len) {
		struct str line = next_line(text);

		if (!line.len)
			break;
		f->name[f->n_name++] = line;
	}
}

void
keyword_file_read(struct str text, struct keyword_file *out)
{
	size_t lines = count_lines(text);

	*out = (struct keyword_file){0};
	out->name = mem_alloc(lines * sizeof *out->name);
	out->entry = mem_alloc(lines * sizeof *out->entry);
	out->words = mem_alloc(lines * sizeof *out->words);
	read_names(&text, out);
	while (text.len) {
		struct str line = next_line(&text);
		size_t colon = str_rfind(line, ':');

		if (colon >= line.len)
			continue;
		out->entry[out->n] = (struct uid_entry){uid_list_base(
			str_sub(line, 0, colon)), (uint32_t)out->n};
		out->words[out->n++] = str_sub(line, colon + 1, line.len);
	}
	if (out->n)
		qsort(out->entry, out->n, sizeof *out->entry, by_base);
}

void
keyword_file_each(const struct keyword_file *f, struct str base,
	void (*each)(void *arg, struct str name), void *arg)
{
	const struct uid_entry *e = find(f->entry, f->n, base);
	struct str words, word;
	uint64_t n;

	if (!e)
		return;
	words = f->words[e->uid];
	while ((word = str_word(&words)).len)
		if (str_u64(word, UINT32_MAX, &n) && n < f->n_name &&
			keyword_is_good(f->name[n]))
			each(arg, f->name[n]);
}

void
keyword_file_free(struct keyword_file *f)
{
	free(f->name);
	free(f->entry);
	free(f->words);
	*f = (struct keyword_file){0};
}

/* --------------------------------------------------------- subscriptions */

void
subscription_file_open(struct str text, bool is_courier,
	struct subscription_file *out)
{
	*out = (struct subscription_file){.rest = text,
		.is_courier = is_courier};
	if (!str_starts(text, "V\t2"))
		return;
	out->is_v2 = true;	/* levels divided by tabs, behind two lines */
	next_line(&out->rest);
	next_line(&out->rest);
}

const char *
subscription_file_next(struct subscription_file *f, struct arena *a,
	char separator)
{
	while (f->rest.len) {
		struct str line = next_line(&f->rest);
		const char *name;

		if (f->is_courier && str_starts(line, "INBOX."))
			line = str_sub(line, 6, line.len);
		name = folder_name_in(a, line, f->is_v2 ? '\t' : separator);
		if (*name)
			return name;
	}
	return "";
}
