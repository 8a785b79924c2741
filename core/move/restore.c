/*
 * restore.c - see restore.h.
 *
 * A message that is restored twice into the same mailbox comes once: its key
 * is its UIDVALIDITY and UID in the backup.
 */
#include "move/restore.h"

#include "mail/mime.h"
#include "move/outlet.h"

struct run {
	struct restore *r;
	struct intake *in;
	struct arena arena;
	struct mr_range *here;		/* UIDs that are in the mailbox now */
	size_t n_here;
};

/* -------------------------------------------------------------- messages */

static int
put(void *arg, struct str some, struct err *e)
{
	return spool_write(arg, some.at, some.len, e);
}

static int
take_row(struct run *run, const struct outlet_box *box,
	const struct outlet_row *row, struct err *e)
{
	struct intake_message m = {.uid = row->uid, .flags = row->flags,
		.keywords = str_from(row->keywords),
		.received_ms = row->received_ms};
	struct progress *p = &run->r->move.progress;
	char key[64];
	int code;

	snprintf(key, sizeof key, "backup %u %u", box->uidvalidity, row->uid);
	m.key = str_from(key);
	code = outlet_body(&run->r->from, row->message_id, put,
		intake_spool(run->in), e);
	if (code == 0)
		return intake_add(run->in, &m, p, e);
	intake_drop(run->in);
	if (code < 0) {			/* of this one; the others can come */
		progress_warn(p, box->name, e ? e->text : "");
		p->failed++;
	}
	return 0;
}

static bool
is_here(const struct run *run, uint32_t uid)
{
	size_t low = 0, high = run->n_here;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (uid < run->here[middle].first)
			high = middle;
		else if (uid > run->here[middle].last)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

static int
add_here(void *arg, struct mr_range uids)
{
	struct run *run = arg;

	if ((run->n_here & (run->n_here + 1)) == 0)
		run->here = mem_grow(run->here, (run->n_here * 2 + 2) *
			sizeof *run->here);
	run->here[run->n_here++] = uids;
	return 0;
}

/* In place, the same UIDVALIDITY and UID is the same message. */
static int
look_what_is_here(struct run *run, const struct outlet_box *box,
	struct err *e)
{
	const struct store *s = run->r->move.store;
	struct mr_error me = {{0}};
	struct mr_mailbox m;
	int code;

	run->n_here = 0;
	if (run->r->into)
		return 0;
	code = s->op->mailbox_find(s->self, run->r->move.account, box->name,
		&m, &me);
	if (code == MR_STORE_MISSING || (code == MR_STORE_OK &&
		m.uidvalidity != box->uidvalidity))
		return 0;
	if (code == MR_STORE_OK)
		code = s->op->uids(s->self, m.id, add_here, run, &me);
	return store_result(code, &me, e);
}

static const char *
name_for(struct run *run, const struct outlet_box *box)
{
	return run->r->into ? arena_printf(&run->arena, "%s/%s",
		run->r->into, box->name) : box->name;
}

static int
take_box(struct run *run, const struct outlet_box *box, struct err *e)
{
	struct outlet_rows rows;
	size_t i;
	int code = look_what_is_here(run, box, e);

	if (code == 0)
		code = intake_open(run->in, name_for(run, box),
			box->uidvalidity, box->uidnext, e);
	if (code < 0)
		return code;
	code = outlet_rows(&run->r->from, box->id, 0, &rows, e);
	for (i = 0; i < rows.n && code == 0; i++) {
		if (is_here(run, rows.row[i].uid))
			run->r->move.progress.passed++;
		else
			code = take_row(run, box, &rows.row[i], e);
	}
	outlet_rows_free(&rows);
	return code == 0 ? intake_flush(run->in, &run->r->move.progress, e) :
		code;
}

static int
begin(struct run *run, struct restore *r, struct err *e)
{
	*run = (struct run){.r = r};
	run->in = intake_new(r->move.store, r->move.account, r->move.temp,
		r->move.again, e);
	arena_init(&run->arena);
	return run->in ? 0 : -1;
}

static void
end(struct run *run)
{
	intake_free(run->in);
	free(run->here);
	arena_free(&run->arena);
}

int
restore_account(struct restore *r, struct err *e)
{
	struct mr_error me;
	struct outlet_box *box;
	struct run run;
	size_t n = 0, i;
	int code = begin(&run, r, e);

	if (code == 0)
		code = outlet_boxes(&r->from, r->move.account, &run.arena,
			&box, &n, e);
	for (i = 0; i < n && code == 0; i++)
		r->move.progress.total += box[i].messages;
	for (i = 0; i < n && code == 0; i++) {
		if (r->into && !box[i].messages)
			continue;
		code = take_box(&run, &box[i], e);
		r->move.mailboxes++;
		if (code == 0 && (r->into || box[i].subscribed))
			r->move.store->op->subscribe(r->move.store->self,
				r->move.account, name_for(&run, &box[i]), 1,
				&me);
	}
	end(&run);
	return code;
}

/* ------------------------------------------------------------ one message */

struct hunt {
	struct restore *r;
	struct arena arena;
	const char *id;		/* "<...>" in quotes, as an envelope ends */
	struct mr_range *found;
	size_t n;
	int64_t mailbox;	/* by trace */
	uint32_t uid;
};

/* The last item of an envelope is the Message-ID (RFC 9051 7.5.2). */
static int
look_at(void *arg, const struct mr_row *row)
{
	struct hunt *h = arg;
	struct mime_view v;

	if (!mime_open(str_of(row->cache.at, row->cache.len), &v) ||
		!str_ends(v.envelope, h->id))
		return 0;
	if ((h->n & (h->n + 1)) == 0)
		h->found = mem_grow(h->found, (h->n * 2 + 2) *
			sizeof *h->found);
	h->found[h->n++] = (struct mr_range){row->uid, row->uid};
	return 0;
}

static int
take_found(struct hunt *h, const char *account, const struct outlet_box *box,
	struct err *e)
{
	struct outlet_rows rows;
	struct mr_error me;
	struct run run;
	size_t i, k;
	int code;

	h->r->move.account = account;
	code = begin(&run, h->r, e);
	if (code == 0)
		code = intake_open(run.in, h->r->into, 0, 0, e);
	if (code == 0) {
		h->r->move.store->op->subscribe(h->r->move.store->self,
			account, h->r->into, 1, &me);
		code = outlet_rows(&h->r->from, box->id, 0, &rows, e);
		for (i = k = 0; i < rows.n && k < h->n && code == 0; i++) {
			if (rows.row[i].uid != h->found[k].first)
				continue;
			k++;
			code = take_row(&run, box, &rows.row[i], e);
		}
		outlet_rows_free(&rows);
	}
	if (code == 0)
		code = intake_flush(run.in, &h->r->move.progress, e);
	end(&run);
	return code;
}

static int
hunt_in(struct hunt *h, const char *account, const struct outlet_box *box,
	struct err *e)
{
	const struct store *s = &h->r->from;
	struct mr_error me = {{0}};
	int code;

	h->n = 0;
	code = s->op->scan(s->self, box->id, NULL, 0, 0, MR_ROW_CACHE,
		look_at, h, &me);
	if (store_result(code, &me, e) < 0)
		return -1;
	if (h->mailbox == box->id && !h->n) {
		h->found = mem_grow(h->found, 2 * sizeof *h->found);
		h->found[h->n++] = (struct mr_range){h->uid, h->uid};
	}
	return h->n ? take_found(h, account, box, e) : 0;
}

static int
hunt_account(struct hunt *h, const char *account, struct err *e)
{
	struct outlet_box *box;
	size_t n = 0, i;
	int code = outlet_boxes(&h->r->from, account, &h->arena, &box, &n, e);

	for (i = 0; i < n && code == 0; i++)
		code = hunt_in(h, account, &box[i], e);
	return code;
}

/* Where the ledger of the state says that it went. */
static int
note_place(void *arg, const struct mr_ledger_row *row)
{
	struct hunt *h = arg;

	if (row->mailbox && row->uid) {
		h->mailbox = row->mailbox;
		h->uid = row->uid;
	}
	return 0;
}

struct names {
	struct arena *arena;
	const char **name;
	size_t n;
};

static int
add_name(void *arg, const struct mr_account *a)
{
	struct names *names = arg;

	if ((names->n & (names->n + 1)) == 0)
		names->name = mem_grow(names->name, (names->n * 2 + 2) *
			sizeof *names->name);
	names->name[names->n++] = arena_cstr(names->arena, str_from(a->name));
	return 0;
}

int
restore_message(struct restore *r, const char *account, const char *id,
	struct err *e)
{
	const struct store *s = &r->from;
	struct hunt h = {.r = r};
	struct names names = {.arena = &h.arena};
	struct mr_ledger_query q = {.size = sizeof q, .trace = id};
	struct mr_error me = {{0}};
	int code;
	size_t i;

	arena_init(&h.arena);
	h.id = arena_printf(&h.arena, *id == '<' ? "\"%s\")" : "\"<%s>\")",
		id);
	code = s->op->ledger(s->self, &q, note_place, &h, &me);
	if (code == MR_STORE_OK)
		code = s->op->account_list(s->self, add_name, &names, &me);
	code = store_result(code, &me, e);
	for (i = 0; i < names.n && code == 0; i++)
		if (!account || !strcmp(account, names.name[i]))
			code = hunt_account(&h, names.name[i], e);
	free(names.name);
	free(h.found);
	arena_free(&h.arena);
	return code;
}
