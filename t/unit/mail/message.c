/*
 * message.c - spool, fields, edits and what leaves.
 *
 * The rows of `edits` are what Postfix did with the same edits (MILTER.md
 * 1.6, column "choose"); where another choice was made it is said.
 */
#include "unit.h"

#include "base/buf.h"
#include "base/file.h"
#include "mail/header.h"
#include "mail/message.h"

#define WHO "test"

static struct message *
message_of(struct arena *a, struct str text, size_t memory_limit, size_t cut)
{
	struct message *m = message_new(a, "/tmp", memory_limit);
	struct err e;
	size_t at;

	for (at = 0; at < text.len; at += cut)
		assert_int_equal(message_write(m, str_sub(text, at, cut), &e), 0);
	assert_int_equal(message_seal(m, &e), 0);
	assert_int_equal(message_raw_length(m), text.len);
	return m;
}

/* What leaves, appended to out. */
static void
collect(struct message *m, struct buf *out)
{
	struct mr_piece *piece;
	uint64_t length, sum = 0;
	struct err e;
	size_t n, i;
	char *to;

	assert_int_equal(message_pieces(m, &piece, &n, &length, &e), 0);
	for (i = 0; i < n; i++) {
		assert_true(piece[i].length > 0);
		sum += piece[i].length;
		if (piece[i].fd < 0) {
			buf_add(out, piece[i].mem, piece[i].length);
			continue;
		}
		to = buf_reserve(out, piece[i].length);
		assert_int_equal(file_pread_all(piece[i].fd, to,
			piece[i].length, piece[i].offset, &e), 0);
		buf_grew(out, piece[i].length);
	}
	assert_true(sum == length);
}

static void
assert_leaves(struct message *m, const char *wanted)
{
	struct buf out;

	buf_init(&out, BUF_NO_CAP);
	collect(m, &out);
	assert_string_equal(buf_c(&out), wanted);
	buf_free(&out);
}

/* -------------------------------------------------- edits by filters */

#define BEFORE "From: a@example.net\r\nTo: u1@example.org\r\n" \
	"X-N: one\r\nX-N: two\r\nX-N: three\r\nSubject: s\r\n"
#define BODY "original body\r\n\r\n"
#define FT "From: a@example.net\r\nTo: u1@example.org\r\n"
#define OWN "Received: own\r\n"
#define S "Subject: s\r\n"

/* add NAME VALUE, ins INDEX NAME VALUE, chg INDEX NAME VALUE, body TEXT */
struct step {
	char verb;
	int index;
	const char *name, *value;
};
#define ADD(n, v) {'a', 0, n, v}
#define INS(i, n, v) {'i', i, n, v}
#define CHG(i, n, v) {'c', i, n, v}
#define REPL(v) {'b', 0, NULL, v}

static const struct {
	struct step steps[5];
	const char *header;
	const char *body;	/* NULL: as it was */
} edits[] = {
	{{CHG(1, "X-N", ""), CHG(2, "X-N", "")},
		OWN FT "X-N: two\r\n" S, NULL},
	{{CHG(2, "X-N", ""), CHG(1, "X-N", "")},
		OWN FT "X-N: three\r\n" S, NULL},
	{{CHG(1, "X-N", ""), CHG(1, "X-N", "new")},
		OWN FT "X-N: new\r\nX-N: three\r\n" S, NULL},
	{{CHG(1, "X-N", "uno"), CHG(1, "X-N", "eins")},
		OWN FT "X-N: eins\r\nX-N: two\r\nX-N: three\r\n" S, NULL},
	{{ADD("X-N", "four"), CHG(4, "X-N", "vier")},
		OWN BEFORE "X-N: vier\r\n", NULL},
	{{ADD("Subject", "again")}, OWN BEFORE "Subject: again\r\n", NULL},
	{{INS(0, "X-N", "zero"), CHG(1, "X-N", "changed")},
		"X-N: changed\r\n" OWN BEFORE, NULL},
	{{INS(0, "X-A", "a"), INS(0, "X-B", "b")},
		"X-B: b\r\nX-A: a\r\n" OWN BEFORE, NULL},
	{{INS(0, "X-I0", "a"), INS(1, "X-I1", "b"), INS(2, "X-I2", "c"),
		INS(100, "X-I100", "d")},
		"X-I0: a\r\nX-I1: b\r\nX-I2: c\r\n" OWN BEFORE "X-I100: d\r\n",
		NULL},
	{{INS(1, "X-I1", "b")}, OWN "X-I1: b\r\n" BEFORE, NULL},
	{{INS(2, "X-I2", "b")}, OWN "From: a@example.net\r\nX-I2: b\r\n"
		"To: u1@example.org\r\nX-N: one\r\nX-N: two\r\nX-N: three\r\n" S,
		NULL},
	{{INS(3, "X-I3", "b")},
		OWN FT "X-I3: b\r\nX-N: one\r\nX-N: two\r\nX-N: three\r\n" S,
		NULL},
	{{CHG(9, "X-N", "neun")}, OWN BEFORE "X-N: neun\r\n", NULL},
	{{CHG(0, "X-N", "null")},
		OWN FT "X-N: null\r\nX-N: two\r\nX-N: three\r\n" S, NULL},
	{{CHG(9, "X-N", "")}, OWN BEFORE, NULL},
	{{CHG(1, "Received", "faked")}, OWN BEFORE "Received: faked\r\n", NULL},
	{{CHG(1, "x-n", "lower")},
		OWN FT "x-n: lower\r\nX-N: two\r\nX-N: three\r\n" S, NULL},
	/* Postfix keeps the CR of X-F2 and ends X-F3 in a line with a TAB. */
	{{ADD("X-F1", "a\n\tb"), ADD("X-F2", "a\r\n\tb"), ADD("X-F3", "a\n")},
		OWN BEFORE "X-F1: a\r\n\tb\r\nX-F2: a\r\n\tb\r\nX-F3: a\r\n",
		NULL},
	{{ADD("X-J", "a\nX-Injected: b")},
		OWN BEFORE "X-J: a\r\n\tX-Injected: b\r\n", NULL},
	{{REPL("l1\nl2\nlast")}, OWN BEFORE, "l1\r\nl2\r\nlast\r\n"},
	{{REPL("l1\r"), REPL("\nl2\r\n")}, OWN BEFORE, "l1\r\nl2\r\n"},
	/* Postfix refuses the message; Sendmail joins. */
	{{REPL("first\r\n"), ADD("X-Mid", "m"), REPL("second\r\n")},
		OWN BEFORE "X-Mid: m\r\n", "first\r\nsecond\r\n"},
	{{REPL("")}, OWN BEFORE, ""},
	{{REPL("a\r\rb\n\r")}, OWN BEFORE, "a\r\n\r\nb\r\n\r\n"},
	{{REPL("a"), REPL("b")}, OWN BEFORE, "ab\r\n"},
	{{REPL("\r"), REPL("a")}, OWN BEFORE, "\r\na\r\n"},
};

static void
change(struct message *m, const struct step *s)
{
	size_t nth = s->index < 1 ? 0 : (size_t)s->index - 1;
	struct str name = str_from(s->name), value = str_from(s->value);
	struct message_field f;
	int rc = 0;

	if (!message_find(m, name, nth, &f)) {
		if (value.len > 0)
			rc = message_insert(m, WHO, SIZE_MAX, name, value, true);
	} else if (value.len == 0) {
		rc = message_remove(m, WHO, f.id);
	} else {
		rc = message_change(m, WHO, f.id, name, value, true);
	}
	assert_int_equal(rc, 0);
}

static void
apply(struct message *m, const struct step *s)
{
	struct err e;
	int rc = 0;

	if (s->verb == 'c')
		change(m, s);
	else if (s->verb == 'b')
		rc = message_body_replace(m, WHO, str_from(s->value), &e);
	else
		rc = message_insert(m, WHO, s->verb == 'i' ? (size_t)s->index :
			SIZE_MAX, str_from(s->name), str_from(s->value), true);
	assert_int_equal(rc, 0);
}

static void
check_edit_row(size_t i, size_t memory_limit)
{
	const char *body = edits[i].body ? edits[i].body : BODY;
	struct arena a;
	struct buf wanted;
	struct message *m;
	size_t k, mark;

	arena_init(&a);
	buf_init(&wanted, BUF_NO_CAP);
	m = message_of(&a, STR(BEFORE "\r\n" BODY), memory_limit, 7);
	message_own(m, "Received", STR("own"));
	mark = message_mark(m);
	for (k = 0; k < 5 && edits[i].steps[k].verb; k++)
		apply(m, &edits[i].steps[k]);
	buf_addf(&wanted, "%s\r\n%s", edits[i].header, body);
	assert_leaves(m, buf_c(&wanted));
	assert_true(message_body_length(m) == strlen(body));
	message_undo(m, mark);
	assert_false(message_is_edited(m));
	assert_leaves(m, OWN BEFORE "\r\n" BODY);
	message_free(m);
	buf_free(&wanted);
	arena_free(&a);
}

static void
test_edits(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(edits); i++) {
		check_edit_row(i, 1 << 16);
		check_edit_row(i, 10);
	}
}

/* --------------------------------------- messages of every shape */

static const struct {
	const char *raw;
	size_t n_fields;
	uint64_t body_length;
	const char *with_own;		/* "O: o" on top */
	const char *with_end;		/* and "E: e" at the end */
	const char *with_body;		/* only the body replaced by "new" */
} shapes[] = {
	{"A: b\r\n\r\nbody\r\n", 1, 6,
		"O: o\r\nA: b\r\n\r\nbody\r\n",
		"O: o\r\nA: b\r\nE: e\r\n\r\nbody\r\n",
		"A: b\r\n\r\nnew\r\n"},
	{"A: b\r\n\r\n", 1, 0, "O: o\r\nA: b\r\n\r\n",
		"O: o\r\nA: b\r\nE: e\r\n\r\n", "A: b\r\n\r\nnew\r\n"},
	{"A: b\r\n", 1, 0, "O: o\r\nA: b\r\n", "O: o\r\nA: b\r\nE: e\r\n",
		"A: b\r\n\r\nnew\r\n"},
	{"A: b", 1, 0, "O: o\r\nA: b", "O: o\r\nA: b\r\nE: e\r\n",
		"A: b\r\n\r\nnew\r\n"},
	{"", 0, 0, "O: o\r\n", "O: o\r\nE: e\r\n", "\r\nnew\r\n"},
	{"\r\n", 0, 0, "O: o\r\n\r\n", "O: o\r\nE: e\r\n\r\n", "\r\nnew\r\n"},
	{"\r\nbody", 0, 4, "O: o\r\n\r\nbody", "O: o\r\nE: e\r\n\r\nbody",
		"\r\nnew\r\n"},
	{"no field\r\nA: b\r\n", 0, 16, "O: o\r\n\r\nno field\r\nA: b\r\n",
		"O: o\r\nE: e\r\n\r\nno field\r\nA: b\r\n", "\r\nnew\r\n"},
	{" fold\r\n", 0, 7, "O: o\r\n\r\n fold\r\n",
		"O: o\r\nE: e\r\n\r\n fold\r\n", "\r\nnew\r\n"},
	{"A: b\r\nno field\r\n\r\nx", 1, 13,
		"O: o\r\nA: b\r\nno field\r\n\r\nx",
		"O: o\r\nA: b\r\nE: e\r\nno field\r\n\r\nx",
		"A: b\r\n\r\nnew\r\n"},
	{"A: b\n\tc\n\nbody\n", 1, 5, "O: o\r\nA: b\n\tc\n\nbody\n",
		"O: o\r\nA: b\n\tc\nE: e\r\n\nbody\n", "A: b\n\tc\n\nnew\r\n"},
	{"x", 0, 1, "O: o\r\n\r\nx", "O: o\r\nE: e\r\n\r\nx", "\r\nnew\r\n"},
	{"\r", 0, 1, "O: o\r\n\r\n\r", "O: o\r\nE: e\r\n\r\n\r", "\r\nnew\r\n"},
};

static void
check_shape(size_t i, size_t memory_limit, size_t cut)
{
	struct str raw = str_from(shapes[i].raw);
	struct arena a;
	struct message *m;
	struct err e;
	size_t mark;

	arena_init(&a);
	m = message_of(&a, raw, memory_limit, cut);
	assert_leaves(m, shapes[i].raw);
	assert_int_equal(message_field_count(m), shapes[i].n_fields);
	assert_true(message_body_length(m) == shapes[i].body_length);
	mark = message_mark(m);
	assert_int_equal(message_body_replace(m, WHO, STR("new"), &e), 0);
	assert_leaves(m, shapes[i].with_body);
	message_undo(m, mark);
	message_own(m, "O", STR("o"));
	assert_leaves(m, shapes[i].with_own);
	assert_int_equal(message_insert(m, WHO, SIZE_MAX, STR("E"), STR("e"),
		true), 0);
	assert_leaves(m, shapes[i].with_end);
	message_free(m);
	arena_free(&a);
}

static void
test_shapes(void **state)
{
	static const size_t limits[] = {0, 1, 5, 8, 4096};
	size_t i, k, cut;

	(void)state;
	for (i = 0; i < COUNT(shapes); i++)
		for (k = 0; k < COUNT(limits); k++)
			for (cut = 1; cut < 40; cut += 9)
				check_shape(i, limits[k], cut);
}

/* ------------------------------------------------------------ others */

static void
test_fields_and_ids(void **state)
{
	struct arena a;
	struct message *m;
	struct message_field f, g;

	(void)state;
	arena_init(&a);
	m = message_of(&a, STR(BEFORE "\r\n"), 4096, 100);
	message_own(m, "Received", STR("own"));
	message_own(m, "Return-Path", STR("<x>"));
	assert_int_equal(message_field_count(m), 6);
	assert_true(message_field(m, 0, &f));
	assert_true(str_is(f.name, "From"));
	assert_true(str_is(f.value, " a@example.net"));
	assert_false(message_field(m, 6, &f));
	assert_false(message_find(m, STR("Received"), 0, &f));
	assert_true(message_find(m, STR("x-n"), 2, &f));
	assert_true(str_is(f.value, " three"));
	assert_false(message_find(m, STR("X-N"), 3, &g));

	/* The id stays while places and values change. */
	assert_int_equal(message_insert(m, WHO, 0, STR("X-N"), STR("top"),
		true), 0);
	assert_int_equal(message_change(m, WHO, f.id, STR(""), STR("3"),
		true), 0);
	assert_true(message_find(m, STR("X-N"), 3, &g));
	assert_true(g.id == f.id);
	assert_true(str_is(g.name, "X-N"));
	assert_true(str_is(g.value, " 3"));
	assert_int_equal(message_remove(m, WHO, f.id), 0);
	assert_int_equal(message_remove(m, WHO, f.id), -1);
	assert_int_equal(message_change(m, WHO, f.id, STR("X"), STR(""),
		true), -1);
	assert_int_equal(message_remove(m, WHO, 0), -1);
	assert_int_equal(message_remove(m, WHO, 999), -1);
	assert_int_equal(message_field_count(m), 6);
	assert_leaves(m, "X-N: top\r\nReturn-Path: <x>\r\n" OWN FT
		"X-N: one\r\nX-N: two\r\n" S "\r\n");
	message_free(m);
	arena_free(&a);
}

static void
test_bad_names(void **state)
{
	struct arena a;
	struct message *m;
	struct message_field f;

	(void)state;
	arena_init(&a);
	m = message_of(&a, STR("A: b\r\n\r\n"), 4096, 100);
	assert_true(message_field(m, 0, &f));
	assert_int_equal(message_insert(m, WHO, 0, STR(""), STR("v"), true), -1);
	assert_int_equal(message_insert(m, WHO, 0, STR("a b"), STR("v"), true),
		-1);
	assert_int_equal(message_insert(m, WHO, 0, STR("X: y\r\nZ"), STR("v"),
		true), -1);
	assert_int_equal(message_change(m, WHO, f.id, STR("a:"), STR("v"),
		true), -1);
	assert_false(message_is_edited(m));
	message_free(m);
	arena_free(&a);
}

static void
test_leading_blank(void **state)
{
	struct arena a;
	struct message *m;
	struct message_field f;

	(void)state;
	arena_init(&a);
	m = message_of(&a, STR("A: b\r\n\r\n"), 4096, 100);
	message_insert(m, WHO, SIZE_MAX, STR("X"), STR("v"), false);
	message_insert(m, WHO, SIZE_MAX, STR("Y"), STR("\tv"), false);
	message_insert(m, WHO, SIZE_MAX, STR("Z"), STR(""), true);
	assert_true(message_field(m, 0, &f));
	assert_int_equal(message_change(m, WHO, f.id, STR("A"), STR("  c"),
		false), 0);
	assert_leaves(m, "A:  c\r\nX:v\r\nY:\tv\r\nZ:\r\n\r\n");
	message_free(m);
	arena_free(&a);
}

/* What one filter did is undone though an own field came in between; what
 * the filter before did stays. */
static void
test_undo(void **state)
{
	struct arena a;
	struct message *m;
	struct message_field f;
	struct err e;
	char body[32];
	size_t mark;

	(void)state;
	arena_init(&a);
	m = message_of(&a, STR(BEFORE "\r\n" BODY), 4096, 100);
	message_own(m, "Received", STR("own"));
	message_mark(m);
	assert_int_equal(message_insert(m, "one", 1, STR("X-1"), STR("1"),
		true), 0);
	assert_int_equal(message_body_replace(m, "one", STR("one\n"), &e), 0);
	mark = message_mark(m);
	message_find(m, STR("From"), 0, &f);
	message_remove(m, "two", f.id);
	message_own(m, "Late", STR("x"));
	message_find(m, STR("X-N"), 1, &f);
	message_change(m, "two", f.id, STR("X-M"), STR("m"), true);
	message_remove(m, "two", f.id);
	message_insert(m, "two", 0, STR("X-2"), STR("2"), true);
	assert_int_equal(message_body_replace(m, "two", STR("two\n"), &e), 0);
	assert_int_equal(message_body_replace(m, "two", STR("more"), &e), 0);
	assert_leaves(m, "X-2: 2\r\nLate: x\r\n" OWN "X-1: 1\r\n"
		"To: u1@example.org\r\nX-N: one\r\nX-N: three\r\n" S
		"\r\ntwo\r\nmore\r\n");
	message_undo(m, mark);
	assert_leaves(m, "Late: x\r\n" OWN "X-1: 1\r\n" BEFORE "\r\none\r\n");
	assert_true(message_body_read(m, 1, body, sizeof body, &e) == 4);
	assert_memory_equal(body, "ne\r\n", 4);
	message_free(m);
	arena_free(&a);
}

/* A second filter's first replacement starts anew. */
static void
test_body_by_two(void **state)
{
	struct arena a;
	struct message *m;
	struct err e;

	(void)state;
	arena_init(&a);
	m = message_of(&a, STR("A: b\r\n\r\n"), 0, 100);
	message_mark(m);
	message_body_replace(m, "one", STR("one"), &e);
	message_mark(m);
	message_body_replace(m, "two", STR("two"), &e);
	message_body_replace(m, "two", STR(" too"), &e);
	assert_leaves(m, "A: b\r\n\r\ntwo too\r\n");
	message_free(m);
	arena_free(&a);
}

static void
check_body_reads(struct message *m, struct str wanted)
{
	char got[300];
	struct err e;
	uint64_t at;
	int64_t n;

	assert_true(message_body_length(m) == wanted.len);
	for (at = 0; at <= wanted.len + 1; at += 13) {
		n = message_body_read(m, at, got, sizeof got, &e);
		assert_true(n >= 0);
		assert_true((size_t)n == str_sub(wanted, at, sizeof got).len);
		assert_memory_equal(got, str_sub(wanted, at, (size_t)n).at,
			(size_t)n);
	}
}

static void
test_body_read(void **state)
{
	static const size_t limits[] = {0, 20, 500, 4096};
	struct arena a;
	struct buf text;
	struct message *m;
	struct err e;
	size_t i;

	(void)state;
	buf_init(&text, BUF_NO_CAP);
	buf_adds(&text, "A: b\r\n\r\n");
	for (i = 0; i < 1000; i++)
		buf_addf(&text, "%zu", i);
	for (i = 0; i < COUNT(limits); i++) {
		arena_init(&a);
		m = message_of(&a, buf_str(&text), limits[i], 77);
		check_body_reads(m, str_sub(buf_str(&text), 8, text.len));
		assert_int_equal(message_body_replace(m, WHO, buf_str(&text),
			&e), 0);
		buf_adds(&text, "\r\n");
		check_body_reads(m, buf_str(&text));
		text.len -= 2;
		message_free(m);
		arena_free(&a);
	}
	buf_free(&text);
}

/* Big headers: in the file, beyond the 10,000 fields, beyond 1 MiB. */
static void
check_big(size_t n_fields, size_t value_length, size_t wanted_fields,
	size_t memory_limit)
{
	struct arena a;
	struct buf text, out;
	struct message *m;
	struct message_field f;
	size_t i, k;

	arena_init(&a);
	buf_init(&text, BUF_NO_CAP);
	buf_init(&out, BUF_NO_CAP);
	for (i = 0; i < n_fields; i++) {
		buf_addf(&text, "F%zu: ", i);
		for (k = 0; k < value_length; k++)
			buf_addc(&text, 'x');
		buf_adds(&text, "\r\n");
	}
	buf_adds(&text, "\r\nbody\r\n");
	m = message_of(&a, buf_str(&text), memory_limit, 10000);
	collect(m, &out);
	assert_true(str_eq(buf_str(&out), buf_str(&text)));
	assert_int_equal(message_field_count(m), wanted_fields);
	for (i = 0; message_field(m, i, &f); i++)
		assert_int_equal(f.value.len, value_length + 1);
	assert_int_equal(i, wanted_fields);
	if (wanted_fields == n_fields)
		assert_int_equal(message_body_length(m), 6);
	/* No empty line may come between fields. */
	message_own(m, "O", STR("o"));
	buf_reset(&out);
	collect(m, &out);
	assert_true(str_starts(buf_str(&out), "O: o\r\nF0: "));
	assert_true(str_eq(str_sub(buf_str(&out), 6, out.len),
		buf_str(&text)));
	message_free(m);
	buf_free(&text);
	buf_free(&out);
	arena_free(&a);
}

static void
test_big_headers(void **state)
{
	(void)state;
	check_big(3, 2000, 3, 100);
	check_big(200, 1000, 200, 65536);
	check_big(10000, 1, 10000, 65536);
	check_big(10001, 1, 10000, 65536);
	check_big(3, 500000, 2, 65536);
	check_big(3, 500000, 2, 16 << 20);
	check_big(1, 2000000, 0, 65536);
}

/* The spool folder is gone: an error, and no crash. */
static void
test_disk_fails(void **state)
{
	struct arena a;
	struct message *m;
	struct err e = {ERR_NONE, 0, ""};

	(void)state;
	arena_init(&a);
	m = message_new(&a, "/nonexistent/folder", 3);
	assert_int_equal(message_write(m, STR("A: b\r\n"), &e), 0);
	assert_int_equal(message_seal(m, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	message_free(m);
	message_free(NULL);
	arena_free(&a);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_edits),
	cmocka_unit_test(test_shapes),
	cmocka_unit_test(test_fields_and_ids),
	cmocka_unit_test(test_bad_names),
	cmocka_unit_test(test_leading_blank),
	cmocka_unit_test(test_undo),
	cmocka_unit_test(test_body_by_two),
	cmocka_unit_test(test_body_read),
	cmocka_unit_test(test_big_headers),
	cmocka_unit_test(test_disk_fails),
};
UNIT_MAIN(tests)
