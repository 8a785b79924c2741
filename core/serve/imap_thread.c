/*
 * imap_thread.c - THREAD=REFERENCES (RFC 5256 section 3): messages hang below
 * those that they answer, and threads of one subject are put together.
 *
 * Nodes are numbers into one array; 0 is none. A node without a message stands
 * for one that is only referred to. They are not pruned step by step as the
 * RFC tells it: each message is hung below its nearest ancestor that is there,
 * or below the topmost that is not, which comes to the same. Nothing recurses,
 * and no strange References make it slow.
 */
#include "serve/imap_search.h"

#include "base/enc.h"
#include "mail/header.h"
#include "serve/imap_out.h"
#include "serve/imap_rows.h"
#include "serve/imap_subject.h"

#define REFERENCES_MOST 1000	/* of one message that are looked at */
#define DEPTH_LOOKED 10000	/* up a chain, for loops */

struct node {
	uint32_t number;	/* UID, or in the mailbox; 0: not there */
	uint32_t seq;
	int64_t date;
	uint32_t parent, n_children;	/* while links are made */
	uint32_t below;		/* where it hangs in the end; 0: at the top */
	uint32_t first, n;	/* its children in the end, in `child` */
	uint32_t subject, subject_len;	/* in `text` */
	uint32_t id, id_len;
	uint32_t same_hash;	/* next of the bucket */
	bool is_reply;
};

struct threads {
	bool uid;
	struct node *node;
	uint32_t n, room;
	uint32_t *bucket, n_bucket;	/* by id; n_bucket: a power of two */
	uint64_t seed;
	struct buf text;	/* ids and subjects */
	struct buf one, two;	/* used again and again */
	uint32_t *child;	/* nodes by what they hang below, then date */
};

/* ------------------------------------------------------------------- nodes */

static uint32_t
new_node(struct threads *t)
{
	if (t->n == t->room) {
		struct node *more = mem_alloc(t->room * 2 * sizeof *more);

		memcpy(more, t->node, t->n * sizeof *more);
		free(t->node);
		t->node = more;
		t->room *= 2;
	}
	return t->n++;
}

static uint32_t
hash(const struct threads *t, struct str id)
{
	uint64_t h = t->seed;
	size_t i;

	for (i = 0; i < id.len; i++)	/* FNV-1a */
		h = (h ^ (unsigned char)id.at[i]) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32) & (t->n_bucket - 1);
}

static struct str
id_of(const struct threads *t, uint32_t i)
{
	return str_of(t->text.at + t->node[i].id, t->node[i].id_len);
}

static void
grow_buckets(struct threads *t)
{
	uint32_t i, h;

	free(t->bucket);
	t->n_bucket *= 2;
	t->bucket = mem_alloc(t->n_bucket * sizeof *t->bucket);
	for (i = 1; i < t->n; i++) {
		if (!t->node[i].id_len)
			continue;
		h = hash(t, id_of(t, i));
		t->node[i].same_hash = t->bucket[h];
		t->bucket[h] = i;
	}
}

/* The node of an id; made where there is none. */
static uint32_t
find_node(struct threads *t, struct str id)
{
	uint32_t h = hash(t, id), i;

	for (i = t->bucket[h]; i; i = t->node[i].same_hash)
		if (str_eq(id_of(t, i), id))
			return i;
	i = new_node(t);
	t->node[i].id = (uint32_t)t->text.len;
	t->node[i].id_len = (uint32_t)id.len;
	buf_addstr(&t->text, id);
	t->node[i].same_hash = t->bucket[h];
	t->bucket[h] = i;
	if (t->n > t->n_bucket)
		grow_buckets(t);
	return i;
}

/* ------------------------------------------------------------------- links */

/* Is `above` an ancestor of the node, or itself? Chains too long to tell count
 * as loops. */
static bool
would_loop(const struct threads *t, uint32_t node, uint32_t above)
{
	unsigned looked = 0;

	if (node == above)
		return true;
	if (!t->node[above].n_children)
		return false;
	for (; node && node != above; node = t->node[node].parent)
		if (++looked > DEPTH_LOOKED)
			return true;
	return node != 0;
}

static void
hang(struct threads *t, uint32_t node, uint32_t parent)
{
	if (t->node[node].parent)
		t->node[t->node[node].parent].n_children--;
	t->node[node].parent = parent;
	if (parent)
		t->node[parent].n_children++;
}

/* Step 1 A: each below the one before, where neither hangs anywhere yet. The
 * last one; 0: there is none. */
static uint32_t
link_references(struct threads *t, struct str references, unsigned most)
{
	uint32_t before = 0, node;
	struct str id;

	while (most-- && (id = header_next_id(&references)).at) {
		node = find_node(t, id);
		if (before && !t->node[node].parent &&
		    !would_loop(t, before, node))
			hang(t, node, before);
		before = node;
	}
	return before;
}

/* References, or the first id of In-Reply-To. */
static uint32_t
link_header(struct threads *t, struct str header)
{
	struct header_field f;
	uint32_t last = 0;

	if (header_find(header, "References", &f))
		last = link_references(t, f.value, REFERENCES_MOST);
	if (!last && header_find(header, "In-Reply-To", &f))
		last = link_references(t, f.value, 1);
	return last;
}

static uint32_t
own_node(struct threads *t, struct str header)
{
	struct header_field f;
	struct str id = {NULL, 0};
	uint32_t node;

	if (header_find(header, "Message-ID", &f))
		id = header_next_id(&f.value);
	node = id.at ? find_node(t, id) : new_node(t);
	/* Two of one id: the second is a message of its own. */
	return t->node[node].number ? new_node(t) : node;
}

static void
take_subject(struct threads *t, struct str envelope, struct node *n)
{
	buf_reset(&t->one);
	buf_reset(&t->two);
	imap_envelope_text(envelope, ENVELOPE_SUBJECT, &t->one);
	imap_base_subject(&t->two, buf_str(&t->one), &n->is_reply);
	n->subject = (uint32_t)t->text.len;
	n->subject_len = (uint32_t)t->two.len;
	buf_addstr(&t->text, buf_str(&t->two));
}

static void
note_found(void *arg, const struct imap_row *r, struct search_match *m)
{
	struct threads *t = arg;
	struct str header = search_header(m);
	const struct mime_view *v = imap_body_view(&m->body);
	struct str envelope = v ? v->envelope : STR("");
	uint32_t node = own_node(t, header), last = link_header(t, header);
	struct node *n = &t->node[node];

	n->number = t->uid ? r->row.uid : r->seq;
	n->seq = r->seq;
	n->date = search_sent_date(m);
	take_subject(t, envelope, n);
	/* Step 1 B: what it says of itself counts more. */
	if (!last || !would_loop(t, last, node))
		hang(t, node, last);
}

/* ------------------------------------------------------------- what is left */

/* Step 3: the nearest ancestor that is there, else the topmost that is not;
 * 0: it is at the top. Nodes on the way learn it too. */
static uint32_t
find_below(struct threads *t, uint32_t node)
{
	uint32_t up = t->node[node].parent, found = 0, next;

	for (; up && !t->node[up].number; up = t->node[up].parent) {
		found = up;
		if (t->node[up].below) {	/* known */
			found = t->node[up].below;
			break;
		}
	}
	if (up && t->node[up].number)
		found = up;
	for (up = t->node[node].parent; up && up != found &&
		!t->node[up].number && !t->node[up].below; up = next) {
		next = t->node[up].parent;
		t->node[up].below = found;
	}
	return found;
}

static bool
is_there(const struct threads *t, uint32_t i)
{
	return t->node[i].number != 0;
}

/* A node that is not there and has one child gives way to it. */
static void
settle(struct threads *t)
{
	uint32_t *count = mem_alloc(t->n * sizeof *count), i;

	for (i = 1; i < t->n; i++)
		if (is_there(t, i)) {
			t->node[i].below = find_below(t, i);
			count[t->node[i].below]++;
		}
	for (i = 1; i < t->n; i++)
		if (is_there(t, i) && t->node[i].below &&
		    !is_there(t, t->node[i].below) &&
		    count[t->node[i].below] == 1)
			t->node[i].below = 0;
	/* What was noted on the way is of no more use. */
	for (i = 1; i < t->n; i++)
		if (!is_there(t, i))
			t->node[i].below = 0;
	free(count);
}

/* ---------------------------------------------------------------- subjects */

static bool
is_earlier(const struct node *a, const struct node *b)
{
	return a->date != b->date ? a->date < b->date : a->seq < b->seq;
}

/* Those that are not there have the date and the subject of their earliest
 * child; n: how many it has. */
static void
inherit(struct threads *t)
{
	struct node *top, *n;
	uint32_t i;

	for (i = 1; i < t->n; i++) {
		n = &t->node[i];
		if (!is_there(t, i) || !n->below || is_there(t, n->below))
			continue;
		top = &t->node[n->below];
		if (top->n++ && !is_earlier(n, top))
			continue;
		top->date = n->date;
		top->seq = n->seq;
		top->subject = n->subject;
		top->subject_len = n->subject_len;
		top->is_reply = n->is_reply;
	}
}

static bool
is_root(const struct threads *t, uint32_t i)
{
	return is_there(t, i) ? !t->node[i].below : t->node[i].n > 0;
}

static int
compare_nodes(const void *a, const void *b, void *arg)
{
	const struct threads *t = arg;
	const struct node *x = &t->node[*(const uint32_t *)a];
	const struct node *y = &t->node[*(const uint32_t *)b];

	if (x->below != y->below)
		return x->below < y->below ? -1 : 1;
	return is_earlier(x, y) ? -1 : is_earlier(y, x);
}

static uint32_t *
list_roots(struct threads *t, uint32_t *n)
{
	uint32_t *root = mem_alloc(t->n * sizeof *root), i;

	*n = 0;
	for (i = 1; i < t->n; i++)
		if (is_root(t, i)) {
			t->node[i].below = 0;
			root[(*n)++] = i;
		}
	qsort_r(root, *n, sizeof *root, compare_nodes, t);
	return root;
}

static struct str
subject_of(const struct threads *t, uint32_t i)
{
	return str_of(t->text.at + t->node[i].subject,
		t->node[i].subject_len);
}

/* Where the root of a subject stands, or is to; `table` is as large as the
 * buckets of ids. */
static uint32_t *
find_subject(struct threads *t, uint32_t *table, uint32_t root)
{
	struct str subject = subject_of(t, root);
	uint32_t h = hash(t, subject);

	while (table[h] && !str_eq(subject_of(t, table[h]), subject))
		h = (h + 1) & (t->n_bucket - 1);
	return &table[h];
}

/* Step 5 B: one that is not there goes before one that is, and a first message
 * before an answer. */
static void
enter_subjects(struct threads *t, uint32_t *table, const uint32_t *root,
	uint32_t n)
{
	uint32_t i, *at;

	for (i = 0; i < n; i++) {
		if (!t->node[root[i]].subject_len)
			continue;
		at = find_subject(t, table, root[i]);
		if (!*at || (is_there(t, *at) && !is_there(t, root[i])) ||
		    (t->node[*at].is_reply && !t->node[root[i]].is_reply))
			*at = root[i];
	}
}

/* A node that is not there is as old as its earliest child. */
static void
grow_older(struct threads *t, uint32_t node, uint32_t child)
{
	if (is_there(t, node) || !is_earlier(&t->node[child], &t->node[node]))
		return;
	t->node[node].date = t->node[child].date;
	t->node[node].seq = t->node[child].seq;
}

/* Step 5 C. Where one goes away, `moved` says for which. */
static void
merge(struct threads *t, uint32_t *at, uint32_t root, uint32_t *moved)
{
	uint32_t both;

	if (!is_there(t, *at) && !is_there(t, root)) {
		moved[root] = *at;
	} else if (!is_there(t, *at) || (t->node[root].is_reply &&
		!t->node[*at].is_reply)) {
		t->node[root].below = *at;
	} else {
		both = new_node(t);
		t->node[both] = t->node[*at];
		t->node[both].number = t->node[both].below = 0;
		t->node[both].id_len = 0;
		t->node[*at].below = t->node[root].below = both;
		*at = both;
	}
	grow_older(t, *at, root);
}

static void
merge_subjects(struct threads *t)
{
	uint32_t n, i, *root = list_roots(t, &n), *table, *moved, *at;

	while (t->n_bucket < 2 * n)
		grow_buckets(t);
	table = mem_alloc(t->n_bucket * sizeof *table);
	/* Each merge makes one node at most. */
	moved = mem_alloc(((size_t)t->n + n) * sizeof *moved);
	enter_subjects(t, table, root, n);
	for (i = 0; i < n; i++) {
		if (!t->node[root[i]].subject_len)
			continue;
		at = find_subject(t, table, root[i]);
		if (*at != root[i] && t->node[root[i]].below != *at)
			merge(t, at, root[i], moved);
	}
	for (i = 1; i < t->n; i++)
		if (moved[t->node[i].below])
			t->node[i].below = moved[t->node[i].below];
	free(root);
	free(table);
	free(moved);
}

/* ------------------------------------------------------------------ writing */

/* Children behind one another, each family by date. Returns the roots, which
 * come first; *n: how many. */
static void
arrange(struct threads *t, uint32_t *n)
{
	uint32_t i, k = 0, *has;

	has = mem_alloc(t->n * sizeof *has);
	for (i = 1; i < t->n; i++)
		if (t->node[i].below)
			has[t->node[i].below]++;
	t->child = mem_alloc(t->n * sizeof *t->child);
	for (i = 1; i < t->n; i++) {
		if (is_there(t, i) || has[i])
			t->child[k++] = i;
		t->node[i].first = t->node[i].n = 0;
	}
	qsort_r(t->child, k, sizeof *t->child, compare_nodes, t);
	*n = 0;
	for (i = 0; i < k; i++) {
		struct node *above = &t->node[t->node[t->child[i]].below];

		if (t->node[t->child[i]].below) {
			above->first = above->n++ ? above->first : i;
			continue;
		}
		++*n;
	}
	free(has);
}

struct frame {
	uint32_t at, end;	/* children that are still to come */
};

/* Goes on to the next child that waits. 0: all is written. */
static uint32_t
close_branch(struct threads *t, struct buf *stack, struct buf *out)
{
	struct frame *top;

	for (;;) {
		buf_addc(out, ')');
		if (!stack->len)
			return 0;
		top = (struct frame *)(void *)(stack->at + stack->len) - 1;
		if (top->at < top->end) {
			buf_addc(out, '(');
			return t->child[top->at++];
		}
		stack->len -= sizeof *top;
	}
}

/* "(3 6 (4 23)(44 7 96))" */
static void
write_thread(struct threads *t, uint32_t node, struct buf *stack,
	struct buf *out)
{
	buf_addc(out, '(');
	while (node) {
		const struct node *n = &t->node[node];
		struct frame rest = {n->first + 1, n->first + n->n};

		if (n->number)
			imap_number_out(out, n->number);
		if (n->n && n->number)
			buf_addc(out, ' ');
		if (n->n == 1 && n->number) {
			node = t->child[n->first];
		} else if (n->n) {
			buf_add(stack, &rest, sizeof rest);
			buf_addc(out, '(');
			node = t->child[n->first];
		} else {
			node = close_branch(t, stack, out);
		}
	}
}

static void
write_all(struct threads *t, struct buf *out)
{
	struct buf stack;
	uint32_t i, n;

	arrange(t, &n);
	buf_init(&stack, BUF_NO_CAP);
	buf_adds(out, n ? "* THREAD " : "* THREAD");
	for (i = 0; i < n; i++)
		write_thread(t, t->child[i], &stack, out);
	buf_adds(out, "\r\n");
	buf_free(&stack);
}

/* ------------------------------------------------------------------ command */

static void
begin(struct threads *t)
{
	t->n = 1;
	t->room = t->n_bucket = 64;
	t->node = mem_alloc(t->room * sizeof *t->node);
	t->bucket = mem_alloc(t->n_bucket * sizeof *t->bucket);
	enc_random(&t->seed, sizeof t->seed);
	buf_init(&t->text, BUF_NO_CAP);
	buf_init(&t->one, BUF_NO_CAP);
	buf_init(&t->two, BUF_NO_CAP);
}

static void
end(struct threads *t)
{
	free(t->node);
	free(t->bucket);
	free(t->child);
	buf_free(&t->text);
	buf_free(&t->one);
	buf_free(&t->two);
}

struct imap_answer
search_references(struct imap *k, const struct search_tree *tree, bool uid)
{
	struct threads t = {.uid = uid};
	struct search_walk w = {.k = k, .tree = tree, .want = MR_ROW_CACHE |
		MR_ROW_MESSAGE | MR_ROW_SENT, .found = note_found, .arg = &t};
	struct mr_error me = {{0}};
	struct buf out;
	int code;

	begin(&t);
	code = search_walk(&w, &me);
	if (code == MR_STORE_OK) {
		settle(&t);
		inherit(&t);
		merge_subjects(&t);
		buf_init(&out, BUF_NO_CAP);
		write_all(&t, &out);
		stream_write_str(&k->session->stream, buf_str(&out));
		buf_free(&out);
	}
	end(&t);
	return code == MR_STORE_OK ? search_done(&w, "THREAD done") :
		imap_store_failed(k, code, &me);
}
