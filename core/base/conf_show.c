/*
 * conf_show.c - settings as text: for `config show`, its defaults, and the
 * manual page.
 */
#include "base/conf_tree.h"

static void
print_string(struct buf *out, struct str s)
{
	size_t i;

	buf_addc(out, '"');
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c < 32 || c == 127)
			buf_addf(out, "\\u%04x", c);
		else
			buf_addc(out, (char)c);
	}
	buf_addc(out, '"');
}

static void
print_choice(struct buf *out, const char *choices, int64_t index)
{
	struct str rest = str_from(choices), one = STR("");

	for (; index >= 0 && rest.len; index--)
		one = str_cut(&rest, '|');
	print_string(out, one);
}

static void
print_value(struct buf *out, const struct mr_setting *s, const void *at)
{
	const struct mr_list *list = at;
	size_t i;

	switch (s->type) {
	case MR_BOOL:
		buf_adds(out, *(const bool *)at ? "true" : "false");
		break;
	case MR_INT:
		buf_addf(out, "%lld", (long long)*(const int64_t *)at);
		break;
	case MR_SIZE:
		conf_print_size(out, *(const int64_t *)at);
		break;
	case MR_DURATION:
		conf_print_duration(out, *(const int64_t *)at);
		break;
	case MR_CHOICE:
		print_choice(out, s->choices, *(const int64_t *)at);
		break;
	case MR_LIST:
		buf_addc(out, '[');
		for (i = 0; i < list->n; i++) {
			buf_adds(out, i ? ", " : "");
			print_string(out, str_from(list->item[i]));
		}
		buf_addc(out, ']');
		break;
	case MR_SECRET:
		buf_adds(out, **(const char *const *)at ? "\"(set)\"" : "\"\"");
		break;
	default:
		print_string(out, str_from(*(const char *const *)at));
	}
}

/* Help as comment lines of at most 76 characters. */
static void
print_help(struct buf *out, const struct mr_setting *s)
{
	struct str rest = str_from(s->help), word;
	size_t column = 0;

	while ((word = str_word(&rest)).len) {
		if (column && column + word.len > 75) {
			buf_addc(out, '\n');
			column = 0;
		}
		buf_adds(out, column ? " " : "# ");
		buf_addstr(out, word);
		column += word.len + (column ? 1 : 2);
	}
	buf_addc(out, '\n');
	if (s->type == MR_CHOICE)
		buf_addf(out, "# One of: %s\n", s->choices);
}

void
conf_show(struct buf *out, const struct mr_setting *settings,
	const void *values, bool with_help)
{
	const struct mr_setting *s;

	for (s = settings; s->name; s++) {
		if (with_help)
			print_help(out, s);
		buf_addf(out, "%s%s = ", with_help && s->flags & MR_REQUIRED ?
			"# must be set: " : "", s->name);
		print_value(out, s, (const char *)values + s->offset);
		buf_adds(out, with_help ? "\n\n" : "\n");
	}
}

static const char *
type_name(uint32_t type)
{
	static const char *const names[] = {"", "true or false",
		"whole number", "size", "duration", "string", "file name",
		"secret string", "choice", "list of strings"};

	return type < sizeof names / sizeof *names ? names[type] : "";
}

void
conf_man(struct buf *out, const struct mr_setting *settings)
{
	const struct mr_setting *s;

	for (s = settings; s->name; s++) {
		buf_addf(out, ".It Cm %s\n%s\n", s->name, s->help);
		if (s->type == MR_CHOICE)
			buf_addf(out, "One of %s.\n", s->choices);
		buf_addf(out, ".Pq %s", type_name(s->type));
		if (s->flags & MR_REQUIRED)
			buf_adds(out, ", must be set");
		else if (s->fallback)
			buf_addf(out, ", default %s", s->fallback);
		buf_addc(out, '\n');
	}
}
