/*
 * milter_replay.c - a transcript is steps: something told to the filter, and
 * what it said to that. The filter is told what it wants to hear, which may be
 * less than what stands there; steps that it was not told do not count.
 */
#include "proc/milter_replay.h"

#include "base/arena.h"
#include "plug/milter_link.h"
#include "proc/milter_text.h"

#define CONNECT_MS 10000

/* Which step a command belongs to. */
static const struct stage {
	char command;
	uint32_t left_out, unanswered;
} stages[] = {
	{'C', MILTER_NO_CONNECT, MILTER_NR_CONNECT},
	{'H', MILTER_NO_HELO, MILTER_NR_HELO},
	{'M', MILTER_NO_MAIL, MILTER_NR_MAIL},
	{'R', MILTER_NO_RCPT, MILTER_NR_RCPT},
	{'T', MILTER_NO_DATA, MILTER_NR_DATA},
	{'L', MILTER_NO_HEADERS, MILTER_NR_HEADER},
	{'N', MILTER_NO_EOH, MILTER_NR_EOH},
	{'B', MILTER_NO_BODY, MILTER_NR_BODY},
	{'U', MILTER_NO_UNKNOWN, MILTER_NR_UNKNOWN},
};

struct replay {
	struct milter_replay *r;
	struct milter_link link;
	struct str rest;	/* of the transcript */
	unsigned line;
	bool over;		/* the filter has decided on the message */
	bool skips;		/* it wants no more of the body */
	struct buf data, want, got, told;
};

static const struct stage *
stage_of(char command)
{
	size_t i;

	for (i = 0; i < sizeof stages / sizeof *stages; i++)
		if (stages[i].command == command)
			return &stages[i];
	return NULL;
}

/* The next frame of the transcript, if it goes this way (0: any). 1, 0 for
 * none, -1. */
static int
next_frame(struct replay *p, char way, struct milter_frame *f, struct str *text,
	struct err *e)
{
	struct str before, line;

	for (;;) {
		before = p->rest;
		if (!p->rest.len)
			return 0;
		line = str_trim(str_cut(&p->rest, '\n'));
		p->line++;
		if (line.len && *line.at != '#')
			break;
	}
	if (way && *line.at != way) {
		p->rest = before;
		p->line--;
		return 0;
	}
	*text = line;
	if (milter_text_read(line, f, &p->data, e) == 0)
		return 1;
	return err_wrap(e, "%s:%u", p->r->name, p->line);
}

static bool
is_final(char command)
{
	return strchr("cardysfO4", command) != NULL;
}

/* All that the transcript has as answers to this step, as text. */
static int
read_wanted(struct replay *p, struct err *e)
{
	struct milter_frame f;
	struct str text;
	int got;

	buf_reset(&p->want);
	while ((got = next_frame(p, MILTER_FROM_FILTER, &f, &text, e)) > 0)
		if (f.command != 'p') {
			buf_addstr(&p->want, text);
			buf_addc(&p->want, '\n');
		}
	return got;
}

/* All that the filter says to it. The final command, or -1. */
static int
hear_answer(struct replay *p, struct err *e)
{
	struct milter_frame f = {.way = MILTER_FROM_FILTER};
	int command;

	buf_reset(&p->got);
	do {
		command = milter_link_hear(&p->link, p->r->timeout_ms, e);
		if (command < 0)
			return -1;
		f.command = (char)command;
		f.data = buf_str(&p->link.in);
		milter_text_write(&p->got, &f);
		buf_addc(&p->got, '\n');
	} while (!is_final((char)command));
	return command;
}

static void
print_lines(FILE *to, char mark, struct str lines)
{
	while (lines.len) {
		struct str line = str_cut(&lines, '\n');

		fprintf(to, "%c %.*s\n", mark, STR_ARGS(line));
	}
}

static void
compare(struct replay *p, struct str told)
{
	p->r->steps++;
	if (str_eq(buf_str(&p->want), buf_str(&p->got)))
		return;
	p->r->differences++;
	if (!p->r->to)
		return;
	fprintf(p->r->to, "  %.*s\n", STR_ARGS(told));
	print_lines(p->r->to, '-', buf_str(&p->want));
	print_lines(p->r->to, '+', buf_str(&p->got));
}

/* Both negotiate; what each said is shown, and is no difference: the same
 * filter may ask for less of another server. */
static int
negotiate(struct replay *p, const struct milter_frame *f, struct err *e)
{
	static const struct str none = {"", 0};

	milter_send(&p->link.stream, 'O', f->data, none, none);
	if (read_wanted(p, e) < 0 || hear_answer(p, e) < 0)
		return -1;
	if (milter_parse_options(buf_str(&p->link.in), &p->link.options, e) <
		0)
		return -1;
	if (p->r->to && !str_eq(buf_str(&p->want), buf_str(&p->got))) {
		fputs("# it negotiates in another way\n", p->r->to);
		print_lines(p->r->to, '#', buf_str(&p->want));
		print_lines(p->r->to, '#', buf_str(&p->got));
	}
	return 0;
}

static bool
is_told(const struct replay *p, char command)
{
	const struct stage *s = stage_of(command);

	if (command == 'A' || command == 'Q' || command == 'K')
		return true;
	return !p->over && !(s && p->link.options.steps & s->left_out) &&
		!(command == 'B' && p->skips);
}

static bool
is_answered(const struct replay *p, char command)
{
	const struct stage *s = stage_of(command);

	return !strchr("DAQK", command) &&
		!(s && p->link.options.steps & s->unanswered);
}

/* An answer of 4xx or 5xx to a recipient is for that recipient alone. */
static void
note_answer(struct replay *p, char command, int answer)
{
	if (answer == 's' && command == 'B')
		p->skips = true;
	else if (answer != 'c' && answer != 's' && command != 'R')
		p->over = true;
	if (command == 'A' || command == 'E')
		p->over = p->skips = false;
}

static int
play(struct replay *p, const struct milter_frame *f, struct str text,
	struct err *e)
{
	static const struct str none = {"", 0};
	char command = f->command;
	int answer = 'c';

	if (command == 'O')
		return negotiate(p, f, e);
	if (command == 'A')
		p->over = p->skips = false;
	buf_reset(&p->told);
	buf_addstr(&p->told, text);
	if (!is_told(p, command))
		return read_wanted(p, e);
	milter_send(&p->link.stream, command, f->data, none, none);
	if (read_wanted(p, e) < 0)
		return -1;
	buf_reset(&p->got);
	if (is_answered(p, command)) {
		answer = hear_answer(p, e);
		if (answer < 0)
			return err_wrap(e, "%.*s",
				STR_ARGS(buf_str(&p->told)));
	} else if (!stream_flush(&p->link.stream)) {
		return err_set(e, ERR_CLOSED, "connection closed");
	}
	/* Who answers and who does not agreed on it before. */
	if (is_answered(p, command) && p->want.len)
		compare(p, buf_str(&p->told));
	note_answer(p, command, answer);
	return 0;
}

static int
play_all(struct replay *p, struct err *e)
{
	struct milter_frame f;
	struct str text;
	int got;

	while ((got = next_frame(p, 0, &f, &text, e)) > 0) {
		if (f.way == MILTER_FROM_FILTER)
			return err_set(e, ERR_CONFIG, "%s:%u: an answer to "
				"nothing", p->r->name, p->line);
		if (play(p, &f, text, e) < 0)
			return -1;
	}
	return got;
}

int
milter_replay_run(struct milter_replay *r, struct err *e)
{
	struct replay p = {.r = r, .rest = r->transcript};
	int fd = milter_link_dial(r->filter, CONNECT_MS, e), code;

	if (fd < 0)
		return -1;
	stream_init(&p.link.stream, fd);
	buf_init(&p.link.in, MILTER_REPLY_MOST);
	buf_init(&p.data, BUF_NO_CAP);
	buf_init(&p.want, BUF_NO_CAP);
	buf_init(&p.got, BUF_NO_CAP);
	buf_init(&p.told, BUF_NO_CAP);
	stream_limit(&p.link.stream, r->timeout_ms, 0);
	code = play_all(&p, e);
	stream_close(&p.link.stream);
	buf_free(&p.link.in);
	buf_free(&p.data);
	buf_free(&p.want);
	buf_free(&p.got);
	buf_free(&p.told);
	return code < 0 ? -1 : 0;
}
