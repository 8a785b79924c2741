/*
 * mbox_header.c - what programs note of a message in an mbox: the From_ line
 * and the fields of its header that are not the message's own.
 */
#include "move/mbox.h"

#include "base/clock.h"
#include "move/uid_list.h"

/* ------------------------------------------------------------ From_ line */

static bool
is_one_of(struct str word, const char *list)
{
	size_t i;

	for (i = 0; word.len == 3 && list[i]; i += 3)
		if (!strncmp(list + i, word.at, 3))
			return true;
	return false;
}

/* "Jan  1 00:00:00 2026", with a zone before or behind the year or none:
 * RFC 4155 says UTC. */
static bool
read_date(struct str rest, int64_t *ms)
{
	struct str month = str_word(&rest), day = str_word(&rest);
	struct str time = str_word(&rest), year = str_word(&rest);
	struct str zone = STR("+0000"), last = str_word(&rest);
	char text[100];
	uint64_t n;

	if (!is_one_of(month, "JanFebMarAprMayJunJulAugSepOctNovDec") ||
		!str_u64(day, 31, &n) || time.len < 4 || !str_has_byte(time,
		':'))
		return false;
	if (!str_u64(year, 9999, &n)) {
		zone = year;
		year = last;
	} else if (last.len) {
		zone = last;
	}
	if (year.len != 4 || !str_u64(year, 9999, &n))
		return false;
	snprintf(text, sizeof text, "%.*s %.*s %.*s %.*s %.*s",
		STR_ARGS(day), STR_ARGS(month), STR_ARGS(year),
		STR_ARGS(time), STR_ARGS(str_sub(zone, 0, 10)));
	return clock_parse_mail_date(str_from(text), ms, NULL);
}

bool
mbox_from_line(struct str line, int64_t *received_ms)
{
	struct str word;

	if (!str_starts(line, "From ") || line.len > 1000)
		return false;
	line = str_trim(str_sub(line, 5, line.len));
	while ((word = str_word(&line)).len)
		if (is_one_of(word, "MonTueWedThuFriSatSun") &&
			read_date(line, received_ms))
			return true;
	return false;
}

/* ----------------------------------------------------------------- fields */

static void
add_keywords(struct mbox_notes *n, struct str words)
{
	struct str word;

	while ((word = str_word(&words)).len) {
		size_t used = strlen(n->keywords);

		if (keyword_is_good(word) &&
			used + word.len + 2 < sizeof n->keywords)
			snprintf(n->keywords + used, sizeof n->keywords - used,
				"%s%.*s", used ? " " : "", STR_ARGS(word));
	}
}

static uint32_t
read_number(struct str s)
{
	uint64_t n;

	return str_u64(s, UINT32_MAX, &n) ? (uint32_t)n : 0;
}

static void
read_status(struct mbox_notes *n, struct str value)
{
	static const struct {
		char letter;
		uint32_t flag;
	} known[] = {{'R', MR_FLAG_SEEN}, {'A', MR_FLAG_ANSWERED},
		{'F', MR_FLAG_FLAGGED}, {'D', MR_FLAG_DELETED},
		{'T', MR_FLAG_DRAFT}};
	size_t i;

	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (str_has_byte(value, known[i].letter))
			n->flags |= known[i].flag;
}

static void
read_uid(struct mbox_notes *n, struct str value)
{
	n->uid = read_number(value);
}

/* "UIDVALIDITY LAST-UID keywords of the mailbox". */
static void
read_base(struct mbox_notes *n, struct str value)
{
	n->uidvalidity = read_number(str_word(&value));
	n->uid_last = read_number(str_word(&value));
}

static void
read_internal(struct mbox_notes *n, struct str value)
{
	read_base(n, value);
	n->is_internal = true;
}

/* Four hexadecimal digits; Mozilla's nsMsgMessageFlags. */
static void
read_mozilla(struct mbox_notes *n, struct str value)
{
	char text[9];
	unsigned long bits;

	snprintf(text, sizeof text, "%.*s", STR_ARGS(str_sub(value, 0, 8)));
	bits = strtoul(text, NULL, 16);
	n->flags |= (bits & 0x0001 ? MR_FLAG_SEEN : 0) |
		(bits & 0x0002 ? MR_FLAG_ANSWERED : 0) |
		(bits & 0x0004 ? MR_FLAG_FLAGGED : 0);
	n->is_expunged = bits & 0x0008;
	if (bits & 0x1000)
		add_keywords(n, STR("$Forwarded"));
}

static void
read_nothing(struct mbox_notes *n, struct str value)
{
	(void)n;
	(void)value;
}

static void
read_length(struct mbox_notes *n, struct str value)
{
	uint64_t length;

	if (str_u64(value, INT64_MAX, &length))
		n->length = (int64_t)length;
}

/* "length=123 received=1700000000123 raw": ours. */
static void
read_exact(struct mbox_notes *n, struct str value)
{
	struct str word;
	uint64_t number;

	while ((word = str_word(&value)).len) {
		struct str name = str_cut(&word, '=');

		if (str_is(name, "raw"))
			n->is_raw = true;
		else if (str_is(name, "length") &&
			str_u64(word, INT64_MAX, &number))
			n->exact_length = number;
		else if (str_is(name, "received") &&
			str_u64(word, INT64_MAX, &number))
			n->received_ms = (int64_t)number;
	}
	n->is_exact = n->exact_length != 0;
}

static const struct {
	const char *name;
	void (*read)(struct mbox_notes *n, struct str value);
} fields[] = {{"Status", read_status}, {"X-Status", read_status},
	{"X-Keywords", add_keywords}, {"X-UID", read_uid},
	{"X-IMAPbase", read_base}, {"X-IMAP", read_internal},
	{"X-Mozilla-Status", read_mozilla},
	{"X-Mozilla-Status2", read_nothing},
	{"X-Mozilla-Keys", add_keywords}, {"Content-Length", read_length},
	{"X-Mailroom", read_exact}};

/* The field with the lines that continue it; ours is one line, behind which
 * the message may begin with anything. */
static struct str
next_field(struct str *rest)
{
	struct str all = *rest;

	do
		str_cut(rest, '\n');
	while (rest->len && is_blank(rest->at[0]) &&
		!str_istarts(all, "X-Mailroom:"));
	return str_sub(all, 0, all.len - rest->len);
}

static bool
take_field(struct str field, struct mbox_notes *n)
{
	struct str value = field, name = str_cut(&value, ':');
	size_t i;

	for (i = 0; i < sizeof fields / sizeof *fields; i++)
		if (str_iis(name, fields[i].name)) {
			fields[i].read(n, str_trim(value));
			return true;
		}
	return false;
}

void
mbox_read_header(struct str header, struct buf *out, struct mbox_notes *n)
{
	*n = (struct mbox_notes){.length = -1};
	while (header.len) {
		struct str field = next_field(&header);

		if (n->is_exact || !take_field(field, n))
			buf_addstr(out, field);
	}
	if (n->is_exact)
		n->length = -1;
}
