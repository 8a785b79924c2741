/*
 * mime.c - section numbers, the cache and its checks, IMAP strings. What the
 * parser finds is compared with another one in mime.t.
 */
#include "unit.h"

#include "mail/mime.h"

/* 0 mixed
 *   1 text
 *   2 mixed
 *     3 text, 4 text
 *   5 message -> 6 mixed -> 7 text, 8 message -> 9 text
 *   10 message -> 11 message -> 12 text */
static const char nested[] =
	"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
	"--a\r\n\r\none\r\n"
	"--a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
	"--b\r\n\r\ntwo\r\n--b\r\n\r\nthree\r\n--b--\r\n"
	"--a\r\nContent-Type: message/rfc822\r\n\r\n"
	"Content-Type: multipart/mixed; boundary=c\r\n\r\n"
	"--c\r\n\r\nfour\r\n--c\r\nContent-Type: message/rfc822\r\n\r\n"
	"Subject: in\r\n\r\nfive\r\n--c--\r\n"
	"--a\r\nContent-Type: message/rfc822\r\n\r\n"
	"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nsix\r\n"
	"--a--\r\n";

static const struct {
	const char *text;
	uint32_t path[6];
	size_t n_path;
	int64_t part;
	const char *body;
} sections[] = {
	{nested, {0}, 0, 0, NULL},
	{nested, {1}, 1, 1, "one"},
	{nested, {2}, 1, 2, NULL},
	{nested, {2, 1}, 2, 3, "two"},
	{nested, {2, 2}, 2, 4, "three"},
	{nested, {2, 3}, 2, -1, NULL},
	{nested, {3}, 1, 5, NULL},
	{nested, {3, 1}, 2, 7, "four"},
	{nested, {3, 2}, 2, 8, "Subject: in\r\n\r\nfive"},
	{nested, {3, 2, 1}, 3, 9, "five"},
	{nested, {3, 2, 2}, 3, -1, NULL},
	{nested, {4}, 1, 10, NULL},
	{nested, {4, 1}, 2, 11, "Subject: in\r\n\r\nsix"},
	{nested, {4, 1, 1}, 3, 12, "six"},
	{nested, {4, 1, 1, 1}, 4, -1, NULL},
	{nested, {5}, 1, -1, NULL},
	{nested, {0}, 1, -1, NULL},
	{nested, {1, 1}, 2, -1, NULL},
	{nested, {UINT32_MAX}, 1, -1, NULL},
	{"Subject: a\r\n\r\nbody", {1}, 1, 0, "body"},
	{"Subject: a\r\n\r\nbody", {2}, 1, -1, NULL},
	{"Subject: a\r\n\r\nbody", {1, 1}, 2, -1, NULL},
	{"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx", {1}, 1, 0,
		"A: b\r\n\r\nx"},
	{"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx", {1, 1}, 2, 1,
		"x"},
	{"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx", {1, 2}, 2, -1,
		NULL},
	{"", {1}, 1, 0, ""},
};

static void
cache_of(struct str text, struct buf *out)
{
	struct mime *m = mime_new();

	mime_feed(m, text.at, text.len);
	mime_end(m, out);
}

static void
test_sections(void **state)
{
	struct mime_view v;
	struct mime_part p;
	struct buf cache;
	int64_t part;
	size_t i;

	(void)state;
	buf_init(&cache, BUF_NO_CAP);
	for (i = 0; i < COUNT(sections); i++) {
		struct str text = str_from(sections[i].text);

		buf_reset(&cache);
		cache_of(text, &cache);
		assert_true(mime_open(buf_str(&cache), &v));
		part = mime_find(&v, sections[i].path, sections[i].n_path);
		assert_true(part == sections[i].part);
		if (part < 0 || sections[i].body == NULL)
			continue;
		assert_true(mime_part(&v, (uint32_t)part, &p));
		assert_true(str_is(str_sub(text, (size_t)p.body_at,
			(size_t)(p.end - p.body_at)), sections[i].body));
	}
	buf_free(&cache);
}

/* Whatever the store gives back: refused, or safe to walk. */
static void
walk(struct str cache)
{
	static const uint32_t path[] = {1, 2, 1, 1};
	struct mime_view v;
	struct mime_part p;
	size_t steps = 0, n;
	uint32_t i, k;

	if (!mime_open(cache, &v))
		return;
	assert_false(mime_part(&v, v.n_parts, &p));
	for (i = 0; mime_part(&v, i, &p); i++) {
		assert_true(p.header_at <= p.body_at && p.body_at <= p.end);
		assert_true(p.end <= v.length);
		for (k = p.first_child; k != 0; k = p.next) {
			assert_true(mime_part(&v, k, &p));
			assert_true(steps++ < 1000);
		}
	}
	for (n = 0; n <= COUNT(path); n++)
		assert_true(mime_find(&v, path, n) < (int64_t)v.n_parts);
}

static void
test_broken_caches(void **state)
{
	struct mime_view v;
	struct buf cache, copy;
	size_t i, bit;

	(void)state;
	buf_init(&cache, BUF_NO_CAP);
	buf_init(&copy, BUF_NO_CAP);
	cache_of(str_from(nested), &cache);
	assert_true(mime_open(buf_str(&cache), &v));
	assert_int_equal(v.n_parts, 13);
	assert_true(v.length == sizeof nested - 1);
	for (i = 0; i < cache.len; i++) {
		assert_false(mime_open(str_sub(buf_str(&cache), 0, i), &v));
		for (bit = 0; bit < 8; bit++) {
			buf_reset(&copy);
			buf_addstr(&copy, buf_str(&cache));
			copy.at[i] = (char)(copy.at[i] ^ (1 << bit));
			walk(buf_str(&copy));
		}
	}
	buf_addc(&cache, '\0');
	assert_false(mime_open(buf_str(&cache), &v));
	assert_false(mime_open(STR(""), &v));
	buf_free(&cache);
	buf_free(&copy);
}

static void
test_other_version(void **state)
{
	struct mime_view v;
	struct buf cache;

	(void)state;
	buf_init(&cache, BUF_NO_CAP);
	cache_of(STR("A: b\r\n\r\nx"), &cache);
	assert_true(mime_open(buf_str(&cache), &v));
	assert_true(cache.len < 300);
	cache.at[3]++;
	assert_false(mime_open(buf_str(&cache), &v));
	buf_free(&cache);
}

/* Version 1 had no more than the head in front of its texts. */
static void
test_old_version(void **state)
{
	struct mime_view v, old;
	struct buf cache, copy;

	(void)state;
	buf_init(&cache, BUF_NO_CAP);
	buf_init(&copy, BUF_NO_CAP);
	cache_of(STR("Message-ID: <a@b>\r\n\r\nx"), &cache);
	assert_true(mime_open(buf_str(&cache), &v));
	assert_true(!v.is_old && v.thread != 0);
	buf_add(&copy, cache.at, 29);
	copy.at[3] = 1;
	buf_addstr(&copy, v.envelope);
	buf_addstr(&copy, v.body);
	buf_addstr(&copy, v.bodystructure);
	buf_addstr(&copy, v.parts);
	assert_true(mime_open(buf_str(&copy), &old));
	assert_true(old.is_old && old.thread == 0);
	assert_true(str_eq(old.envelope, v.envelope));
	assert_true(str_eq(old.parts, v.parts));
	buf_free(&cache);
	buf_free(&copy);
}

#define TYPE(x) "Content-Type: " x "\r\n"
#define CODING(x) "Content-Transfer-Encoding: " x "\r\n"
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

static const struct {
	const char *text, *want;
} previews[] = {
	{"A: b\r\n\r\n", ""},
	{"A: b\r\n\r\n Hello,\r\n\r\n\tworld \t\r\n", "Hello, world"},
	{"A: b\r\n\r\n> old\r\nnew\r\n>old\r\nmore\r\n", "new more"},
	{"A: b\r\n\r\n> only this\r\n", "> only this"},
	{"A: b\r\n\r\n" FIFTY FIFTY FIFTY FIFTY "x", FIFTY FIFTY FIFTY FIFTY},
	{"A: b\r\n\r\n" FIFTY FIFTY FIFTY TEN TEN TEN TEN "123456789 x",
		FIFTY FIFTY FIFTY TEN TEN TEN TEN "123456789"},
	{"A: b\r\n\r\nutf-8 unsaid: \303\244", "utf-8 unsaid: \303\244"},
	{"A: b\r\n\r\nbad \344", "bad \357\277\275"},
	{TYPE("text/plain; charset=iso-8859-1") "\r\n\344", "\303\244"},
	{TYPE("text/plain; charset=utf-8") CODING("quoted-printable")
		"\r\nGr=C3=BC=\r\n=C3=9Fe", "Gr\303\274\303\237e"},
	{TYPE("text/plain; charset=utf-8") CODING("base64")
		"\r\nR3LDvMOf\r\nZQ==\r\n", "Gr\303\274\303\237e"},
	{TYPE("text/html") "\r\n<html><head><title>no</title><style>p{a:b}"
		"</style></head><!-- no --><p title='>no'>One<br>t<b>wo</b>"
		"</p><script>if (a < b) no</SCRIPT >&amp;&#228;&#xe4;&bogus;&",
		"One two &\303\244\303\244&bogus;&"},
	{TYPE("text/html") "\r\na < b <<i>c</i> <style>never closed",
		"a < b <c"},
	{TYPE("text/html") "\r\nHi&nbsp;&zwnj;&#847;&nbsp;&zwnj;&shy; you<",
		"Hi you<"},
	{TYPE("text/plain") "\r\n\342\200\256abc \331\205\342\200\214\331"
		"\205", "abc \331\205\342\200\214\331\205"},
	{TYPE("application/pdf") "\r\n%PDF", ""},
	{TYPE("text/calendar") "\r\nBEGIN:VCALENDAR", ""},
	{TYPE("multipart/mixed; boundary=x") "\r\npreamble\r\n--x\r\n"
		TYPE("text/plain") "Content-Disposition: attachment\r\n\r\n"
		"no\r\n--x\r\n" TYPE("text/plain") "\r\n \r\n--x\r\n"
		TYPE("text/html") "\r\n<p>yes\r\n--x\r\n\r\nno\r\n--x--\r\n",
		"yes"},
	{TYPE("multipart/mixed; boundary=x") "\r\n--x\r\n\r\n--x\r\n\r\n"
		"--y\r\nb\r\n--x--\r\n", "--y b"},
	{TYPE("message/rfc822") "\r\nSubject: in\r\n\r\ninside", "inside"},
};

static void
test_previews(void **state)
{
	struct mime_view v;
	struct buf cache;
	size_t i;

	(void)state;
	buf_init(&cache, BUF_NO_CAP);
	for (i = 0; i < COUNT(previews); i++) {
		buf_reset(&cache);
		cache_of(str_from(previews[i].text), &cache);
		assert_true(mime_open(buf_str(&cache), &v));
		if (!str_is(v.preview, previews[i].want))
			fail_msg("%zu: %.*s", i, STR_ARGS(v.preview));
	}
	buf_free(&cache);
}

static uint64_t
thread_of(const char *header)
{
	struct mime_view v;
	struct buf cache;
	uint64_t thread;

	buf_init(&cache, BUF_NO_CAP);
	cache_of(str_from(header), &cache);
	assert_true(mime_open(buf_str(&cache), &v));
	thread = v.thread;
	buf_free(&cache);
	return thread;
}

static void
test_dates(void **state)
{
	static const struct {
		const char *header;
		int64_t ms;
		int zone;
	} cases[] = {
		{"Date: Thu, 1 Jan 1970 02:00:01 +0200\r\n\r\n", 1000, 120},
		{"date:\r\n 1 Jan 1970 00:00:00 -0030\r\n\r\n", 1800000, -30},
		{"Date: Mon, 31 Dec 1900 00:00:00 GMT\r\n\r\n",
			-2177539200000, 0},
		{"Date: soon\r\n\r\n", MIME_NOT_SENT, 0},
		{"Subject: x\r\n\r\nDate: 1 Jan 2020 00:00:00 +0000\r\n",
			MIME_NOT_SENT, 0},
	};
	struct mime_view v;
	struct buf cache;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		buf_init(&cache, BUF_NO_CAP);
		cache_of(str_from(cases[i].header), &cache);
		assert_true(mime_open(buf_str(&cache), &v));
		assert_int_equal(v.sent_ms, cases[i].ms);
		assert_int_equal(v.sent_zone, cases[i].zone);
		buf_free(&cache);
	}
}

static void
test_threads(void **state)
{
	static const char *const of_a[] = {
		"Message-ID: <a@x>\r\n\r\n",
		"message-id:\r\n <a@x>\r\n\r\n",
		"In-Reply-To: your mail <a@x>\r\nMessage-ID: <b@x>\r\n\r\n",
		"References: <a@x>\r\n <c@x>\r\nIn-Reply-To: <c@x>\r\n\r\n",
		"References: none\r\nIn-Reply-To: <a@x>\r\n\r\n",
	};
	size_t i;

	(void)state;
	for (i = 1; i < COUNT(of_a); i++)
		assert_true(thread_of(of_a[i]) == thread_of(of_a[0]));
	assert_true(thread_of("Message-ID: <A@x>\r\n\r\n") !=
		thread_of(of_a[0]));
	assert_true(thread_of("Subject: x\r\n\r\n"
		"Message-ID: <a@x>\r\n") == 0);
	assert_true(thread_of("Message-ID: <a b>\r\n\r\n") == 0);
}

static const struct {
	struct str in;
	const char *out;
} strings[] = {
	{{NULL, 0}, "NIL"},
	{STR(""), "\"\""},
	{STR("a b"), "\"a b\""},
	{STR("a\"b\\c"), "\"a\\\"b\\\\c\""},
	{STR("a\r\nb"), "{4}\r\na\r\nb"},
	{STR("\xc3\xa4"), "{2}\r\n\xc3\xa4"},
	{STR("a\0b"), "{3}\r\na b"},
	{STR("\t\x01"), "\"\t\x01\""},
};

static void
test_strings(void **state)
{
	struct buf out, big;
	size_t i;

	(void)state;
	buf_init(&out, BUF_NO_CAP);
	buf_init(&big, BUF_NO_CAP);
	for (i = 0; i < COUNT(strings); i++) {
		buf_reset(&out);
		mime_imap_string(&out, strings[i].in);
		assert_string_equal(buf_c(&out), strings[i].out);
	}
	for (i = 0; i < 5000; i++)
		buf_addc(&big, 'x');
	buf_reset(&out);
	mime_imap_string(&out, buf_str(&big));
	assert_true(str_starts(buf_str(&out), "{5000}\r\nxxx"));
	buf_free(&out);
	buf_free(&big);
}

/* A parse that is given up frees what it holds. */
static void
test_give_up(void **state)
{
	struct mime *m = mime_new();

	(void)state;
	mime_feed(m, nested, 200);
	mime_free(m);
	mime_free(NULL);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_sections),
	cmocka_unit_test(test_broken_caches),
	cmocka_unit_test(test_other_version),
	cmocka_unit_test(test_old_version),
	cmocka_unit_test(test_dates),
	cmocka_unit_test(test_threads),
	cmocka_unit_test(test_previews),
	cmocka_unit_test(test_strings),
	cmocka_unit_test(test_give_up),
};
UNIT_MAIN(tests)
