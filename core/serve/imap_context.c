/*
 * imap_context.c - searches that are kept up to date, and CANCELUPDATE (RFC
 * 5267 4.3).
 *
 * Only messages with a new modseq are looked at again. What SORT goes by never
 * changes, so a message that still matches stays where it is; others are cut
 * out of the order, or put into it. A removal is told before its EXPUNGE and
 * what is new behind its EXISTS, so that numbers are valid (4.3.3, 4.3.4).
 */
#include "serve/imap_context.h"

#include "serve/imap_rows.h"

#define CONTEXTS_MOST 16	/* of a session */
#define SORTED_MOST 10000	/* messages: each change costs a walk over them */

static struct imap_context *
find(const struct imap_box *b, struct str tag)
{
	struct imap_context *c = b->contexts;

	while (c && !str_eq(c->tag, tag))
		c = c->next;
	return c;
}

static void
say_no_update(struct imap *k, struct str tag, const char *why)
{
	struct buf out;

	buf_init(&out, BUF_NO_CAP);
	buf_adds(&out, "* NO [NOUPDATE ");
	mime_imap_string(&out, tag);
	buf_addf(&out, "] %s\r\n", why);
	stream_write_str(&k->session->stream, buf_str(&out));
	buf_free(&out);
}

/* ------------------------------------------------------------------- life */

void
imap_context_free(struct imap_context *c)
{
	if (!c)
		return;
	imap_list_free(&c->members);
	order_free(&c->order);
	arena_free(&c->arena);
	free(c);
}

static void
drop(struct imap_box *b, struct imap_context *c)
{
	struct imap_context **at = &b->contexts;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	imap_context_free(c);
}

void
imap_contexts_drop_numbers(struct imap_box *b)
{
	struct imap_context *c, *next;

	for (c = b->contexts; c; c = next) {
		next = c->next;
		if (!c->uid)
			drop(b, c);
	}
}

void
imap_contexts_free(struct imap_box *b)
{
	while (b->contexts)
		drop(b, b->contexts);
}

bool
imap_context_begin(struct imap *k, struct imap_in *in,
	struct imap_context **out, struct imap_in *keys)
{
	const struct imap_command *command = imap_command_of(in);
	struct imap_context *c;
	size_t n = 0;

	if (find(k->box, command->tag)) {
		in->wrong = "The tag is that of a search that goes on";
		return false;
	}
	for (c = k->box->contexts; c; c = c->next)
		n++;
	*keys = *in;
	if (n == CONTEXTS_MOST) {
		say_no_update(k, command->tag, "Too many searches go on");
		return true;
	}
	c = mem_alloc(sizeof *c);
	arena_init(&c->arena);
	order_init(&c->order);
	c->tag = arena_str(&c->arena, command->tag);
	c->uid = command->uid;
	c->modseq = k->box->modseq;
	*keys = (struct imap_in){arena_str(&c->arena, in->rest), &c->arena,
		NULL};
	*out = c;
	return true;
}

void
imap_context_refuse(struct imap *k, struct imap_context *c)
{
	say_no_update(k, c->tag, "Not all messages were looked at");
	imap_context_free(c);
}

/* The list becomes these UIDs in ascending order. */
static void
set_members(struct imap_context *c, const struct mr_range *r, size_t n)
{
	struct buf sorted;

	buf_init(&sorted, BUF_NO_CAP);
	buf_add(&sorted, r, n * sizeof *r);
	imap_list_free(&c->members);
	imap_list_copy(&c->members, (struct mr_range *)(void *)sorted.at,
		imap_ranges_join((struct mr_range *)(void *)sorted.at, n));
	buf_free(&sorted);
}

void
imap_context_take(struct imap *k, struct imap_context *c,
	const struct imap_list *found, struct order *order)
{
	if (order && found->count > SORTED_MOST) {
		say_no_update(k, c->tag, "Too many messages to keep sorted");
		imap_context_free(c);
		return;
	}
	set_members(c, found->at, found->n);
	if (order) {
		c->sorts = true;
		c->order = *order;
		order_init(order);
	}
	c->next = k->box->contexts;
	k->box->contexts = c;
}

/* ---------------------------------------------------------------- telling */

/* What one look changed, as the client is going to be told. */
struct update {
	struct imap *k;
	struct imap_context *c;
	struct imap_list gone, come;	/* UIDs, ascending */
	struct buf out;
};

static uint32_t
number_of(const struct update *u, uint32_t uid)
{
	return u->c->uid ? uid : imap_box_seq(u->k->box, uid);
}

/* " ADDTO (0 3:5,9)": the client keeps a SEARCH in mailbox order itself. */
static void
add_set(struct update *u, const char *what, const struct imap_list *uids)
{
	struct imap_list numbers = {0};
	uint32_t uid;
	size_t i;

	for (i = 0; i < uids->n; i++)
		for (uid = uids->at[i].first; uid <= uids->at[i].last; uid++)
			imap_list_add(&numbers, number_of(u, uid));
	buf_addf(&u->out, " %s (0 ", what);
	imap_ranges_out(&u->out, numbers.at, numbers.n);
	buf_addc(&u->out, ')');
	imap_list_free(&numbers);
}

static void
add_pair(struct update *u, const char *gap, size_t position, uint32_t uid)
{
	buf_addf(&u->out, "%s%zu %u", gap, position + 1, number_of(u, uid));
}

/* " REMOVEFROM (4 9 7 2)": each position holds when those before it are
 * done. */
static void
cut_sorted(struct update *u)
{
	const struct imap_list *gone = &u->gone;
	const char *gap = " REMOVEFROM (";
	const struct order_row *row;
	size_t n, i = 0, found = 0;

	for (; found < gone->count; i++) {
		row = order_rows(&u->c->order, &n);
		if (i == n)
			break;
		if (!imap_list_has(gone, row[i].uid))
			continue;
		add_pair(u, gap, i, row[i].uid);
		order_remove(&u->c->order, i--);
		gap = " ";
		found++;
	}
	if (found)
		buf_addc(&u->out, ')');
}

/* Those behind the first `n` rows are new. */
static void
place_sorted(struct update *u, size_t n)
{
	const char *gap = " ADDTO (";
	uint32_t uid;
	size_t n_row;

	for (; order_rows(&u->c->order, &n_row) && n < n_row; n++) {
		uid = order_rows(&u->c->order, &n_row)[n].uid;
		add_pair(u, gap, order_settle(&u->c->order, n), uid);
		gap = " ";
	}
	buf_addc(&u->out, ')');
}

static void
renew_members(struct update *u)
{
	struct arena *a = &u->k->session->command;
	struct imap_context *c = u->c;
	struct mr_range *left;
	struct buf all;
	size_t n;

	left = imap_ranges_without(c->members.at, c->members.n, &u->gone, a,
		&n);
	buf_init(&all, BUF_NO_CAP);
	buf_add(&all, left, n * sizeof *left);
	buf_add(&all, u->come.at, u->come.n * sizeof *left);
	set_members(c, (const struct mr_range *)(void *)all.at,
		all.len / sizeof *left);
	buf_free(&all);
}

static void
tell(struct update *u)
{
	struct imap_context *c = u->c;

	if (u->gone.n == 0 && u->come.n == 0)
		return;
	buf_init(&u->out, BUF_NO_CAP);
	buf_adds(&u->out, "* ESEARCH (TAG ");
	mime_imap_string(&u->out, c->tag);
	buf_adds(&u->out, c->uid ? ") UID" : ")");
	if (c->sorts) {
		cut_sorted(u);
		if (u->come.n > 0)
			place_sorted(u, c->members.count - u->gone.count);
	} else {
		if (u->gone.n > 0)
			add_set(u, "REMOVEFROM", &u->gone);
		if (u->come.n > 0)
			add_set(u, "ADDTO", &u->come);
	}
	buf_adds(&u->out, "\r\n");
	stream_write_str(&u->k->session->stream, buf_str(&u->out));
	buf_free(&u->out);
	renew_members(u);
}

/* ---------------------------------------------------------------- looking */

static void
look_at_row(struct update *u, const struct imap_row *r, struct search_match *m)
{
	bool is_member = imap_list_has(&u->c->members, r->row.uid);
	bool matches = search_match_row(m, u->c->tree.top, &r->row, false);

	if (m->body.code != MR_STORE_OK || matches == is_member)
		return;
	if (is_member) {
		imap_list_add(&u->gone, r->row.uid);
		return;
	}
	imap_list_add(&u->come, r->row.uid);
	if (u->c->sorts)
		order_add(&u->c->order, r, m);
}

/* On failure what was put behind the order is taken off again. */
static int
look(struct update *u, struct mr_error *me)
{
	struct mr_range all = {1, imap_box_last_uid(u->k->box)};
	struct search_match m;
	struct imap_rows rows;
	size_t i;
	int code;

	search_match_init(&m, &u->k->house->store);
	imap_rows_begin(&rows, u->k, &all, all.last > 0, u->c->tree.want |
		(u->c->sorts ? order_wants(&u->c->order) : 0));
	rows.since = u->c->modseq;
	while ((code = imap_rows_next(&rows, me)) == MR_STORE_OK && rows.n > 0)
		for (i = 0; i < rows.n; i++)
			look_at_row(u, &rows.at[i], &m);
	imap_rows_end(&rows);
	search_match_free(&m);
	if (code != MR_STORE_OK && u->c->sorts)
		order_cut(&u->c->order, u->c->members.count);
	return code;
}

static int
look_again(struct imap *k, struct imap_context *c, uint64_t modseq,
	struct mr_error *me)
{
	struct update u = {.k = k, .c = c};
	int code = look(&u, me);

	if (code == MR_STORE_OK) {
		tell(&u);
		c->modseq = modseq;
	}
	imap_list_free(&u.gone);
	imap_list_free(&u.come);
	if (c->sorts && c->members.count > SORTED_MOST) {
		say_no_update(k, c->tag, "Too many messages to keep sorted");
		drop(k->box, c);
	}
	return code;
}

int
imap_contexts_sync(struct imap *k, uint64_t modseq, struct mr_error *me)
{
	struct imap_context *c, *next;
	int code = MR_STORE_OK;

	for (c = k->box->contexts; c && code == MR_STORE_OK; c = next) {
		next = c->next;
		if (c->modseq != modseq)
			code = look_again(k, c, modseq, me);
	}
	return code;
}

void
imap_contexts_remove(struct imap *k, const struct mr_range *gone, size_t n)
{
	struct imap_context *c;
	uint32_t uid;
	size_t i;

	for (c = k->box->contexts; c; c = c->next) {
		struct update u = {.k = k, .c = c};

		for (i = 0; i < n; i++)
			for (uid = gone[i].first; uid <= gone[i].last; uid++)
				if (imap_list_has(&c->members, uid))
					imap_list_add(&u.gone, uid);
		tell(&u);
		imap_list_free(&u.gone);
	}
}

/* ------------------------------------------------------------ CANCELUPDATE */

static bool
read_tag(struct imap_in *in, struct str *out)
{
	if (imap_is_char(in, '"'))
		return imap_string(in, out);
	in->wrong = "A tag in quotes is missing";
	return false;
}

static bool
read_tags(struct imap_in *in, struct str **tag, size_t *n)
{
	size_t most = in->rest.len / 3 + 1;	/* `"a" "b"` */

	*n = 0;
	*tag = arena_alloc(in->arena, most * sizeof **tag);
	do {
		if (!read_tag(in, &(*tag)[(*n)++]))
			return false;
	} while (in->rest.len > 0 && imap_blank(in));
	return imap_end(in);
}

struct imap_answer
imap_cancelupdate(struct imap *k, struct imap_in *in, bool uid)
{
	struct str *tag;
	size_t n, i;

	(void)uid;
	if (!read_tags(in, &tag, &n))
		return imap_bad(k, in);
	for (i = 0; i < n; i++)
		if (!find(k->box, tag[i]))
			return IMAP_ANSWER(IMAP_NO, NULL,
				"No search of that tag goes on");
	for (i = 0; i < n; i++)
		if (find(k->box, tag[i]))
			drop(k->box, find(k->box, tag[i]));
	return IMAP_ANSWER(IMAP_OK, NULL, "No more updates");
}
