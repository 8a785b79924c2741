/*
 * milter_wire.c - frames in and out. Runs on the thread of the session that
 * the filter serves.
 */
#include "plug/milter_wire.h"

#include "mail/reply.h"

static uint32_t
get_u32(const char *at)
{
	const unsigned char *p = (const unsigned char *)at;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		(uint32_t)p[2] << 8 | p[3];
}

bool
milter_take_u32(struct str *data, uint32_t *out)
{
	if (data->len < 4)
		return false;
	*out = get_u32(data->at);
	*data = str_sub(*data, 4, data->len);
	return true;
}

bool
milter_take_string(struct str *data, struct str *out)
{
	size_t nul = str_find(*data, '\0');

	if (nul == data->len)
		return false;
	*out = str_sub(*data, 0, nul);
	*data = str_sub(*data, nul + 1, data->len);
	return true;
}

int
milter_parse_options(struct str data, struct milter_options *out,
	struct err *e)
{
	uint32_t stage;
	struct str names;

	*out = (struct milter_options){0};
	if (!milter_take_u32(&data, &out->version) ||
		!milter_take_u32(&data, &out->actions) ||
		!milter_take_u32(&data, &out->steps))
		return err_set(e, ERR_PROTOCOL, "option frame is too short");
	if (out->version < 2 || out->version > MILTER_VERSION)
		return err_set(e, ERR_PROTOCOL,
			"speaks milter version %u, not 2 to 6", out->version);
	/* Bits above those of version 6 ask for larger frames, which no
	 * common build of libmilter knows. */
	out->steps &= MILTER_STEPS;
	if (out->version < 4)
		out->steps |= MILTER_NO_DATA;
	if (out->version < 3)
		out->steps |= MILTER_NO_UNKNOWN;
	while (milter_take_u32(&data, &stage)) {
		if (!milter_take_string(&data, &names))
			return err_set(e, ERR_PROTOCOL,
				"symbol list without an end");
		if (stage < MILTER_STAGES)
			out->symbols[stage] = names;
	}
	return 0;
}

/* "5.7.1 " at the start of a line, of the class of the code. */
static void
take_enhanced(struct str *line, int code, char enhanced[12])
{
	size_t n = reply_enhanced(*line, code);

	if (!n)
		return;
	memcpy(enhanced, line->at, n);
	enhanced[n] = '\0';
	*line = str_trim_blank(str_sub(*line, n, line->len));
}

static void
add_undoubled(struct buf *text, struct str line)
{
	size_t i;

	for (i = 0; i < line.len; i++) {
		buf_addc(text, line.at[i]);
		if (line.at[i] == '%' && i + 1 < line.len &&
			line.at[i + 1] == '%')
			i++;
	}
}

bool
milter_parse_reply(struct str data, int *code, char enhanced[12],
	struct buf *text)
{
	struct str line, digits;
	char other[12];
	uint64_t n;
	bool first = true;

	enhanced[0] = '\0';
	*code = 0;
	if (data.len && data.at[data.len - 1] == '\0')
		data.len--;
	while (data.len) {
		line = str_trim(str_cut(&data, '\n'));
		digits = str_sub(line, 0, 3);
		if (str_u64(digits, 599, &n) && digits.len == 3 && n >= 400 &&
			(line.len == 3 || line.at[3] == '-' ||
			line.at[3] == ' ')) {
			if (first)
				*code = (int)n;
			line = str_sub(line, line.len > 3 ? 4 : 3, line.len);
			take_enhanced(&line, *code, first ? enhanced : other);
		} else if (first) {
			return false;
		}
		if (!first)
			buf_addc(text, '\n');
		add_undoubled(text, line);
		first = false;
	}
	return *code != 0;
}

void
milter_send(struct stream *s, char command, struct str a, struct str b,
	struct str c)
{
	size_t n = 1 + a.len + b.len + c.len;
	char head[5] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8),
		(char)n, command};

	stream_write(s, head, sizeof head);
	stream_write_str(s, a);
	stream_write_str(s, b);
	stream_write_str(s, c);
}

int
milter_receive(struct stream *s, struct buf *data, struct err *e)
{
	const struct err *why;
	char head[5];
	uint32_t n;
	char *at;

	buf_reset(data);
	if (!stream_flush(s) || !stream_read(s, head, 4))
		goto lost;
	n = get_u32(head);
	if (n == 0 || n > MILTER_REPLY_MOST)
		return err_set(e, ERR_PROTOCOL, "frame of %u bytes", n);
	if (!stream_read(s, head + 4, 1))
		goto lost;
	at = buf_reserve(data, n);
	if (!at || !stream_read(s, at, n - 1))
		goto lost;
	buf_grew(data, n - 1);
	return (unsigned char)head[4];
lost:
	why = stream_error(s);
	return err_set(e, why ? why->kind : ERR_CLOSED, "%s",
		why ? why->text : "connection closed");
}
