/*
 * milter_text.c - one table of forms, for writing and for reading.
 *
 * A form is a letter for each part of a frame's data: s a string with its
 * NUL, u a number of 32 bits, w one of 16, c a character, r all bytes that
 * are left. What stands in parentheses comes as often as there are data. A
 * frame that its form does not give back exactly is written as bytes.
 */
#include "proc/milter_text.h"

#define ARGS_MOST 4096

struct form {
	enum milter_way way;
	char command;
	const char *word, *parts;
};

static const struct form forms[] = {
	{'>', 'O', "negotiate", "uxx(us)"}, {'>', 'D', "macros", "c(s)"},
	{'>', 'C', "connect", "scws"}, {'>', 'C', "connect", "sc"},
	{'>', 'H', "helo", "s"}, {'>', 'M', "mail", "(s)"},
	{'>', 'R', "rcpt", "(s)"}, {'>', 'T', "data", ""},
	{'>', 'L', "header", "ss"}, {'>', 'N', "end-of-headers", ""},
	{'>', 'B', "body", "r"}, {'>', 'E', "end-of-message", ""},
	{'>', 'E', "end-of-message", "r"}, {'>', 'A', "abort", ""},
	{'>', 'Q', "quit", ""}, {'>', 'K', "quit-new-connection", ""},
	{'>', 'U', "unknown", "s"},
	{'<', 'O', "negotiate", "uxx(us)"}, {'<', 'c', "continue", ""},
	{'<', 'a', "accept", ""}, {'<', 'r', "reject", ""},
	{'<', 't', "tempfail", ""}, {'<', 'd', "discard", ""},
	{'<', 'p', "progress", ""}, {'<', 's', "skip", ""},
	{'<', 'y', "reply", "s"}, {'<', 'h', "add-header", "ss"},
	{'<', 'i', "insert-header", "uss"},
	{'<', 'm', "change-header", "uss"}, {'<', 'b', "replace-body", "r"},
	{'<', '+', "add-rcpt", "s"}, {'<', '2', "add-rcpt-args", "(s)"},
	{'<', '-', "remove-rcpt", "s"}, {'<', 'e', "change-sender", "(s)"},
	{'<', 'q', "quarantine", "s"}, {'<', '4', "shutdown", ""},
	{'<', 'f', "connection-failure", ""},
};
#define FORMS (sizeof forms / sizeof *forms)

/* ----------------------------------------------------------------- writing */

static void
write_bytes(struct buf *out, struct str s)
{
	size_t i;

	buf_adds(out, " \"");
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c == '\r' || c == '\n' || c == '\t')
			buf_addf(out, "\\%c", c == '\r' ? 'r' : c == '\n' ?
				'n' : 't');
		else if (c < ' ' || c > '~')
			buf_addf(out, "\\x%02x", c);
		else
			buf_addc(out, (char)c);
	}
	buf_addc(out, '"');
}

static bool
take_number(struct str *data, unsigned bytes, uint32_t *out)
{
	*out = 0;
	if (data->len < bytes)
		return false;
	for (; bytes; bytes--) {
		*out = *out << 8 | (unsigned char)*data->at;
		*data = str_sub(*data, 1, data->len);
	}
	return true;
}

static bool
write_part(struct buf *out, char part, struct str *data)
{
	size_t nul = str_find(*data, '\0');
	uint32_t n;

	switch (part) {
	case 's':
		if (nul == data->len)
			return false;
		write_bytes(out, str_sub(*data, 0, nul));
		*data = str_sub(*data, nul + 1, data->len);
		return true;
	case 'r':
		write_bytes(out, *data);
		*data = str_sub(*data, data->len, data->len);
		return true;
	case 'c':
		if (!data->len || *data->at <= ' ' || *data->at > '~' ||
			*data->at == '"')
			return false;
		buf_addf(out, " %c", *data->at);
		*data = str_sub(*data, 1, data->len);
		return true;
	default:
		if (!take_number(data, part == 'w' ? 2 : 4, &n))
			return false;
		buf_addf(out, part == 'x' ? " 0x%x" : " %u", n);
		return true;
	}
}

static bool
write_form(struct buf *out, const struct form *form, struct str data)
{
	const char *p;

	buf_addf(out, "%c %s", form->way, form->word);
	for (p = form->parts; *p && *p != '('; p++)
		if (!write_part(out, *p, &data))
			return false;
	while (*p == '(' && data.len) {
		const char *q;

		for (q = p + 1; *q != ')'; q++)
			if (!write_part(out, *q, &data))
				return false;
	}
	return data.len == 0;
}

void
milter_text_write(struct buf *out, const struct milter_frame *f)
{
	struct buf line;
	size_t i;

	buf_init(&line, BUF_NO_CAP);
	for (i = 0; i < FORMS; i++) {
		if (forms[i].way != f->way || forms[i].command != f->command)
			continue;
		buf_reset(&line);
		if (write_form(&line, &forms[i], f->data))
			break;
	}
	if (i == FORMS) {
		buf_reset(&line);
		buf_addf(&line, "%c 0x%02x", f->way,
			(unsigned char)f->command);
		write_bytes(&line, f->data);
	}
	buf_addstr(out, buf_str(&line));
	buf_free(&line);
}

/* ----------------------------------------------------------------- reading */

static int
nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ?
		c - 'a' + 10 : -1;
}

/* A word, or a string in quotes whose bytes go to `out`. */
static bool
take_token(struct str *line, struct buf *out, bool *quoted)
{
	*line = str_trim_blank(*line);
	buf_reset(out);
	*quoted = line->len && *line->at == '"';
	if (!*quoted) {
		buf_addstr(out, str_cut(line, ' '));
		return out->len > 0;
	}
	for (*line = str_sub(*line, 1, line->len); line->len;) {
		char c = *line->at;

		*line = str_sub(*line, 1, line->len);
		if (c == '"')
			return true;
		if (c != '\\' || !line->len) {
			buf_addc(out, c);
			continue;
		}
		c = *line->at;
		*line = str_sub(*line, 1, line->len);
		if (c == 'x' && line->len > 1 && nibble(line->at[0]) >= 0 &&
			nibble(line->at[1]) >= 0) {
			c = (char)(nibble(line->at[0]) << 4 |
				nibble(line->at[1]));
			*line = str_sub(*line, 2, line->len);
		} else {
			c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ?
				'\t' : c;
		}
		buf_addc(out, c);
	}
	return false;
}

static bool
add_number(struct buf *out, struct str text, unsigned bytes)
{
	uint64_t n = 0;
	size_t i;

	if (str_istarts(text, "0x")) {
		for (i = 2; i < text.len; i++) {
			if (nibble(text.at[i]) < 0 || i > 9)
				return false;
			n = n << 4 | (uint64_t)nibble(text.at[i]);
		}
	} else if (!str_u64(text, UINT32_MAX, &n)) {
		return false;
	}
	if (bytes == 2 && n > UINT16_MAX)
		return false;
	while (bytes--)
		buf_addc(out, (char)(n >> bytes * 8));
	return true;
}

static bool
read_part(struct str *line, char part, struct buf *data, struct buf *token)
{
	bool quoted;

	if (!take_token(line, token, &quoted))
		return false;
	if (part == 's' || part == 'r') {
		buf_addstr(data, buf_str(token));
		if (part == 's')
			buf_addc(data, '\0');
		return quoted;
	}
	if (part == 'c') {
		buf_addstr(data, buf_str(token));
		return !quoted && token->len == 1;
	}
	return !quoted && add_number(data, buf_str(token),
		part == 'w' ? 2 : 4);
}

static bool
is_over(struct str line)
{
	return str_trim_blank(line).len == 0;
}

static bool
read_form(struct str line, const struct form *form, struct buf *data,
	struct buf *token)
{
	const char *p, *q;

	buf_reset(data);
	for (p = form->parts; *p && *p != '('; p++)
		if (!read_part(&line, *p, data, token))
			return false;
	while (*p == '(' && !is_over(line))
		for (q = p + 1; *q != ')'; q++)
			if (!read_part(&line, *q, data, token))
				return false;
	return is_over(line);
}

/* "0x43 "..."" */
static bool
read_raw(struct str word, struct str line, struct milter_frame *f,
	struct buf *data, struct buf *token)
{
	if (word.len != 4 || !str_istarts(word, "0x") || nibble(word.at[2]) <
		0 || nibble(word.at[3]) < 0)
		return false;
	f->command = (char)(nibble(word.at[2]) << 4 | nibble(word.at[3]));
	buf_reset(data);
	return read_part(&line, 'r', data, token) && is_over(line);
}

static bool
read_frame(struct str line, struct milter_frame *f, struct buf *data,
	struct buf *token)
{
	struct str rest = str_trim_blank(str_sub(line, 1, line.len));
	struct str word = str_cut(&rest, ' ');
	size_t i;

	for (i = 0; i < FORMS; i++) {
		if (forms[i].way != f->way || !str_is(word, forms[i].word))
			continue;
		f->command = forms[i].command;
		if (read_form(rest, &forms[i], data, token))
			return true;
	}
	return read_raw(word, rest, f, data, token);
}

int
milter_text_read(struct str line, struct milter_frame *f, struct buf *data,
	struct err *e)
{
	struct buf token;
	bool good;

	if (!line.len || (*line.at != '>' && *line.at != '<'))
		return err_set(e, ERR_CONFIG, "begins neither with > nor <");
	f->way = (enum milter_way)*line.at;
	buf_init(&token, BUF_NO_CAP);
	good = read_frame(line, f, data, &token);
	buf_free(&token);
	if (!good)
		return err_set(e, ERR_CONFIG, "`%.*s` is no frame of the "
			"milter protocol", (int)(line.len < 60 ? line.len :
			60), line.at);
	f->data = buf_str(data);
	return 0;
}
