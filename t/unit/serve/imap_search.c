/*
 * imap_search.c - SEARCH against a mailbox in memory: each key, the tree, the
 * results, and what it costs. Also the text search underneath.
 */
#include "unit.h"

#include "fakestore.h"
#include "serve/imap_envelope.h"
#include "serve/imap_legible.h"
#include "serve/imap_out.h"
#include "serve/imap_text.h"

#define DAY INT64_C(86400000)

static const char one[] =
	"From: \"A. Smith\" <ann@x.test>\r\nTo: bob@x.test\r\n"
	"Subject: apple pie\r\nDate: Thu, 1 Jan 1970 23:00:00 -0500\r\n\r\n"
	"recipe with Butter\r\n";
static const char two[] =
	"From: =?iso-8859-1?q?J=F6rg?= <j@y.test>\r\nCc: G: c@z.test;\r\n"
	"Subject: =?utf-8?q?=C3=84pfel?=\r\nX-Spam: yes\r\n"
	"Content-Type: text/plain; charset=iso-8859-1\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	"Gr=FC=\r\n=DFe aus K=F6ln\r\n";
static const char three[] =
	"Subject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
	"preamble\r\n--b\r\nContent-Type: text/html\r\n"
	"Content-Transfer-Encoding: base64\r\n\r\nPGI+bmVl\r\nZGxlPC9iPg==\r\n"
	"--b\r\nContent-Type: image/png; name=needles.png\r\n\r\nhaystack\r\n"
	"--b\r\nContent-Type: message/rfc822\r\n\r\n"
	"Subject: inner\r\n\r\ndeep text\r\n--b--\r\n";

/* Numbers 1, 2, 3 have UIDs 1, 3, 4. */
static void
begin(struct fake_talk *t)
{
	fake_begin(t);
	fake_add(&t->store, MR_FLAG_SEEN, "", DAY, STR(one));
	fake_add(&t->store, 0, "", 0, STR("gone"));
	fake_add(&t->store, MR_FLAG_FLAGGED, "kw1 Other", 40 * DAY, STR(two));
	fake_add(&t->store, MR_FLAG_ANSWERED, "", 400 * DAY, STR(three));
	fake_remove(&t->store, 2);
	fake_select(t);
}

static const struct {
	const char *keys, *found;
	unsigned opened;		/* messages that it had to open */
} rows[] = {
	{"ALL", " 1 2 3", 0}, {"SEEN", " 1", 0}, {"UNSEEN", " 2 3", 0},
	{"NOT SEEN", " 2 3", 0}, {"NOT NOT SEEN", " 1", 0},
	{"OR SEEN FLAGGED", " 1 2", 0},
	{"OR SEEN OR FLAGGED ANSWERED", " 1 2 3", 0},
	{"OR OR SEEN FLAGGED ANSWERED", " 1 2 3", 0},
	{"NOT OR SEEN FLAGGED", " 3", 0},
	{"NOT (SEEN FLAGGED)", " 1 2 3", 0},
	{"(NOT SEEN) NOT (FLAGGED)", " 3", 0},
	{"KEYWORD KW1", " 2", 0}, {"KEYWORD kw", "", 0},
	{"UNKEYWORD other", " 1 3", 0},
	{"RECENT", " 3", 0}, {"OLD", " 1 2", 0}, {"NEW", " 3", 0},
	{"2:*", " 2 3", 0}, {"1,3", " 1 3", 0}, {"2:9", " 2 3", 0},
	{"7", "", 0}, {"UID 3:9", " 2 3", 0}, {"NOT UID 4", " 1 2", 0},
	{"*", " 3", 0}, {"9:*", " 3", 0},
	{"LARGER 200", " 2 3", 0}, {"SMALLER 200", " 1", 0},
	{"BEFORE 5-Jan-1970", " 1", 0}, {"SINCE 5-Jan-1970", " 2 3", 0},
	{"ON \"10-Feb-1970\"", " 2", 0}, {"YOUNGER 1000", "", 0},
	{"OLDER 1000", " 1 2 3", 0},
	{"SENTON 1-Jan-1970", " 1", 0}, {"SENTBEFORE 1-Jan-1970", "", 0},
	{"SENTSINCE 1-Jan-1970", " 1", 0}, {"NOT SENTON 1-Jan-1970",
		" 2 3", 0},
	{"FROM ann", " 1", 0}, {"FROM \"a. smith <ANN@\"", " 1", 0},
	{"FROM {5+}\r\nj\xc3\xb6rg", " 2", 0},
	{"FROM {5+}\r\nJ\xc3\x96RG", " 2", 0},
	{"CHARSET ISO-8859-1 FROM {4+}\r\nJ\xd6RG", " 2", 0},
	{"TO bob", " 1", 0}, {"CC c@z", " 2", 0}, {"BCC c", "", 0},
	{"SUBJECT \"\"", " 1 2 3", 0}, {"SUBJECT \"apple pie\"", " 1", 0},
	{"HEADER X-Spam YES", " 2", 3}, {"HEADER X-Spam \"\"", " 2", 3},
	{"HEADER subject inner", "", 3},
	{"BODY butter", " 1", 3}, {"BODY ann", "", 3},
	{"TEXT ann", " 1", 3}, {"TEXT \"x-spam: y\"", " 2", 3},
	{"BODY {7+}\r\ngr\xc3\xbc\xc3\x9f" "e", " 2", 3},
	{"BODY needle", " 3", 3}, {"BODY haystack", "", 3},
	{"TEXT needles.png", " 3", 3}, {"BODY needles.png", "", 3},
	{"BODY inner", " 3", 3}, {"BODY \"deep text\"", " 3", 3},
	{"BODY \"\"", " 1 2 3", 0},
	/* cheap keys first: only what is left is opened */
	{"BODY e SEEN", " 1", 1}, {"BODY e FROM ann", " 1", 1},
	{"BODY e 2", " 2", 1}, {"OR BODY zzz SEEN", " 1", 2},
};

static void
ask(struct fake_talk *t, const char *command, const char *want)
{
	struct buf b;

	buf_init(&b, BUF_NO_CAP);
	buf_addf(&b, "%s\r\nt OK SEARCH done\r\n", want);
	assert_string_equal(fake_ask(t, command), buf_c(&b));
	buf_free(&b);
}

static void
test_keys(void **state)
{
	struct fake_talk t;
	struct buf command, want;
	size_t i;

	(void)state;
	buf_init(&command, BUF_NO_CAP);
	buf_init(&want, BUF_NO_CAP);
	for (i = 0; i < COUNT(rows); i++) {
		begin(&t);
		buf_reset(&command);
		buf_addf(&command, "SEARCH %s", rows[i].keys);
		buf_reset(&want);
		buf_addf(&want, "* SEARCH%s", rows[i].found);
		ask(&t, buf_c(&command), buf_c(&want));
		assert_int_equal(t.store.opened, rows[i].opened);
		fake_end(&t);
	}
	buf_free(&command);
	buf_free(&want);
}

static void
test_results(void **state)
{
	struct fake_talk t;

	(void)state;
	begin(&t);
	ask(&t, "UID SEARCH ALL", "* SEARCH 1 3 4");
	ask(&t, "SEARCH RETURN () ALL", "* ESEARCH (TAG \"t\") ALL 1:3");
	ask(&t, "UID SEARCH RETURN (MIN MAX COUNT ALL) ALL",
		"* ESEARCH (TAG \"t\") UID COUNT 3 MIN 1 MAX 4 ALL 1,3:4");
	ask(&t, "SEARCH RETURN (MIN COUNT) DRAFT",
		"* ESEARCH (TAG \"t\") COUNT 0");
	ask(&t, "SEARCH RETURN (MIN) MODSEQ 1",
		"* ESEARCH (TAG \"t\") MIN 1 MODSEQ 1");
	ask(&t, "SEARCH MODSEQ 3", "* SEARCH 2 3 (MODSEQ 4)");
	ask(&t, "SEARCH MODSEQ \"/flags/\\\\draft\" all 9", "* SEARCH");
	fake_end(&t);
}

static const struct {
	const char *command, *answer;
} refused[] = {
	{"SEARCH", "t BAD A word is missing\r\n"},
	{"SEARCH FROB", "t BAD unknown search key\r\n"},
	{"SEARCH (SEEN", "t BAD A list has no end\r\n"},
	{"SEARCH OR SEEN", "t BAD An argument is missing\r\n"},
	{"SEARCH NOT", "t BAD An argument is missing\r\n"},
	{"SEARCH SEEN )", "t BAD A word is missing\r\n"},
	{"SEARCH RETURN (FROB) ALL", "t BAD unknown result option\r\n"},
	{"SEARCH CHARSET X-FROB SUBJECT x", "t NO [BADCHARSET "
		"(US-ASCII UTF-8)] That charset is not known here\r\n"},
};

static void
test_refused(void **state)
{
	struct fake_talk t;
	size_t i;

	(void)state;
	begin(&t);
	for (i = 0; i < COUNT(refused); i++)
		assert_string_equal(fake_ask(&t, refused[i].command),
			refused[i].answer);
	fake_end(&t);
}

static void
test_deep(void **state)
{
	struct fake_talk t;
	struct buf b;
	int i;

	(void)state;
	begin(&t);
	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "SEARCH ");
	for (i = 0; i < 1000; i++)
		buf_adds(&b, "OR FLAGGED ");
	for (i = 0; i < 1000; i++)
		buf_adds(&b, "NOT ");
	buf_adds(&b, "SEEN");
	ask(&t, buf_c(&b), "* SEARCH 1 2");
	buf_reset(&b);
	buf_adds(&b, "SEARCH ");
	for (i = 0; i < 500; i++)
		buf_addc(&b, '(');
	assert_string_equal(fake_ask(&t, buf_c(&b)),
		"t BAD search keys are nested too deep\r\n");
	buf_free(&b);
	fake_end(&t);
}

/* ------------------------------------------------------------------ text */

static const struct {
	const char *text, *folded;
} texts[] = {
	{"abc", "abc"}, {"", ""}, {"ABC@[`{", "abc@[`{"},
	{"\xc3\x84pfel", "\xc3\xa4pfel"},
	{"x\xf0\x9f\x98\x80Y", "x\xf0\x9f\x98\x80y"},
	{"\xf0\x90\x90\x80", "\xf0\x90\x90\xa8"},	/* Deseret */
	/* No UTF-8 stays. */
	{"\xe2\x82", "\xe2\x82"}, {"A\xc3X", "a\xc3x"},
	{"\xe2\x82\xc3\x84", "\xe2\x82\xc3\xa4"}, {"\xcc", "\xcc"},
	{"\xc8\xba", "\xe2\xb1\xa5"},
	/* One becomes two. */
	{"Stra\xc3\x9f" "e", "strasse"}, {"\xef\xac\x81", "fi"},
	/* Two become one, and in their order. */
	{"E\xcc\x81t", "\xc3\xa9t"}, {"e\xcc\x81", "\xc3\xa9"},
	{"a\xcc\x81\xcc\xa3", "\xe1\xba\xa1\xcc\x81"},
	{"\xe2\x84\xab", "\xc3\xa5"},			/* Angstrom */
	{"\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"},
	{"\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81"},
	{"\xcf\x82\xce\xa3", "\xcf\x83\xcf\x83"},
	{"\xce\x91\xcd\x85", "\xce\xb1\xce\xb9"},
	{"\xcc\x81" "a", "\xcc\x81" "a"},
};

static void
test_text(void **state)
{
	struct imap_fold f;
	struct buf b;
	size_t i, at, cut;

	(void)state;
	buf_init(&b, BUF_NO_CAP);
	imap_fold_init(&f);
	for (i = 0; i < COUNT(texts); i++) {
		struct str s = str_from(texts[i].text);

		buf_reset(&b);
		imap_text_fold(&b, s);
		assert_string_equal(buf_c(&b), texts[i].folded);
		for (cut = 1; cut < 6; cut++) {
			buf_reset(&b);
			for (at = 0; at < s.len; at += cut)
				imap_fold_add(&f, &b, str_sub(s, at, cut));
			imap_fold_end(&f, &b);
			assert_string_equal(buf_c(&b), texts[i].folded);
		}
	}
	buf_reset(&b);
	imap_text_fold(&b, str_of("a\0b", 3));
	assert_string_equal(buf_c(&b), "a\1b");
	buf_free(&b);
	imap_fold_free(&f);
}

/* Marks without end: the same however it is cut. */
static void
test_many_marks(void **state)
{
	struct imap_fold f;
	struct buf text, whole, cut;
	size_t at;

	(void)state;
	buf_init(&text, BUF_NO_CAP);
	buf_init(&whole, BUF_NO_CAP);
	buf_init(&cut, BUF_NO_CAP);
	imap_fold_init(&f);
	for (at = 0; at < 5000; at++)
		buf_adds(&text, at % 2 ? "\xcc\x81" : "\xcc\xa3");
	imap_text_fold(&whole, buf_str(&text));
	for (at = 0; at < text.len; at += 7)
		imap_fold_add(&f, &cut, str_sub(buf_str(&text), at, 7));
	imap_fold_end(&f, &cut);
	assert_string_equal(buf_c(&whole), buf_c(&cut));
	buf_free(&text);
	buf_free(&whole);
	buf_free(&cut);
	imap_fold_free(&f);
}

#define FIELD "\0\x10"
#define INNER "\0\x12"
#define BODY "\0\x13"
static const struct {
	struct str records;
	struct legible_key key;
	bool found;
} finds[] = {
	{STR(FIELD "a: b" BODY "text"), {.needle = STR("ex")}, true},
	{STR(FIELD "a: b" BODY "text"), {.needle = STR("a: b")}, true},
	{STR(FIELD "a: b" BODY "text"), {.needle = STR("bt")}, false},
	{STR(FIELD "a: b" BODY "text"), {.needle = STR("b\x13t")}, false},
	{STR(FIELD "a: b" BODY "text"), {.needle = STR("\x13text")}, false},
	{STR(FIELD "a: b" BODY "text"), {IN_BODY, .needle = STR("b")}, false},
	{STR(FIELD "a: b" BODY "b"), {IN_BODY, .needle = STR("b")}, true},
	{STR(FIELD "a: b" INNER "x: y"), {IN_BODY, .needle = STR("x")}, true},
	{STR(FIELD "a: b"), {IN_FIELD, .name = STR("a"), .needle = STR("b")},
		true},
	{STR(FIELD "a: b"), {IN_FIELD, .name = STR("a"), .needle = STR("a")},
		false},
	{STR(FIELD "a: b"), {IN_FIELD, .name = STR("a"), .needle = STR(" ")},
		false},
	{STR(FIELD "a: xa"), {IN_FIELD, .name = STR("a"), .needle = STR("a")},
		true},
	{STR(FIELD "aa: b"), {IN_FIELD, .name = STR("a"), .needle = STR("b")},
		false},
	{STR(FIELD "a: "), {IN_FIELD, .name = STR("a")}, true},
	{STR(FIELD "b: x" FIELD "a: "), {IN_FIELD, .name = STR("a")}, true},
	{STR(FIELD "b: "), {IN_FIELD, .name = STR("a")}, false},
	{STR(INNER "a: b"), {IN_FIELD, .name = STR("a"), .needle = STR("b")},
		false},
	{STR("\0\x02" "s"), {IN_ENVELOPE, ENVELOPE_SUBJECT,
		.needle = STR("s")}, true},
	{STR("\0\x02" "s"), {IN_ENVELOPE, ENVELOPE_FROM, .needle = STR("s")},
		false},
	{STR("\0\x02" "s"), {.needle = STR("s")}, false},
	{STR(""), {.needle = STR("s")}, false}, {STR(""), {IN_BODY}, true},
	{STR(BODY), {IN_BODY, .needle = STR("s")}, false},
};

static void
test_legible(void **state)
{
	struct buf b;
	size_t i, at;
	bool found;

	(void)state;
	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < COUNT(finds); i++) {
		struct str all = finds[i].records;

		assert_int_equal(legible_has(all, &finds[i].key),
			finds[i].found);
		if (finds[i].key.where > IN_BODY)
			continue;	/* fields come whole */
		buf_reset(&b);
		for (at = 0, found = false; at < all.len; at++) {
			buf_addc(&b, all.at[at]);
			if (at + 1 < all.len && (!all.at[at] ||
			    (at > 0 && !all.at[at - 1])))
				continue;
			found = found || legible_has(buf_str(&b),
				&finds[i].key);
			legible_keep_end(&b, &finds[i].key);
		}
		assert_int_equal(found || !finds[i].key.needle.len,
			finds[i].found);
	}
	buf_free(&b);
}

static void
test_envelope(void **state)
{
	static const struct str text = STR("(\"1 Jan\" {3}\r\na\"b "
		"((\"N \\\"q\\\"\" NIL \"l\" \"d\")(NIL NIL \"G\" NIL)"
		"(NIL NIL NIL NIL)) NIL NIL NIL NIL NIL NIL NIL)");
	struct buf b;

	(void)state;
	buf_init(&b, BUF_NO_CAP);
	assert_true(imap_envelope_text(text, ENVELOPE_SUBJECT, &b));
	assert_string_equal(buf_c(&b), "a\"b");
	buf_reset(&b);
	assert_true(imap_envelope_text(text, ENVELOPE_FROM, &b));
	assert_string_equal(buf_c(&b), "N \"q\" <l@d>, G, ");
	assert_false(imap_envelope_text(text, ENVELOPE_TO, &b));
	assert_false(imap_envelope_text(STR("(\"x"), ENVELOPE_TO, &b));
	assert_false(imap_envelope_text(STR("(NIL {99}\r\n"), ENVELOPE_TO,
		&b));
	buf_free(&b);
}

static void
test_ranges(void **state)
{
	struct imap_list l = {0};
	struct mr_range in[] = {{1, 10}, {20, 20}, {30, UINT32_MAX}}, *left;
	struct arena a;
	struct buf b;
	size_t n;

	(void)state;
	arena_init(&a);
	buf_init(&b, BUF_NO_CAP);
	imap_list_add(&l, 3);
	imap_list_add(&l, 4);
	imap_list_add(&l, 20);
	imap_list_add(&l, UINT32_MAX);
	assert_true(imap_list_has(&l, 4));
	assert_false(imap_list_has(&l, 5));
	left = imap_ranges_without(in, 3, &l, &a, &n);
	imap_ranges_out(&b, left, n);
	assert_string_equal(buf_c(&b), "1:2,5:10,30:4294967294");
	imap_list_free(&l);
	buf_free(&b);
	arena_free(&a);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_keys),
	cmocka_unit_test(test_results),
	cmocka_unit_test(test_refused),
	cmocka_unit_test(test_deep),
	cmocka_unit_test(test_text),
	cmocka_unit_test(test_many_marks),
	cmocka_unit_test(test_legible),
	cmocka_unit_test(test_envelope),
	cmocka_unit_test(test_ranges),
};

UNIT_MAIN(tests)
