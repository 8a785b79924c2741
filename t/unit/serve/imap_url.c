/*
 * imap_url.c - URLs of messages, taken apart.
 */
#include "unit.h"

#include "serve/imap_url.h"

#define ALL UINT64_MAX

static const struct {
	const char *text;
	struct imap_url url;	/* uid 0: it is none */
} urls[] = {
	{"/INBOX/;UID=20", {STR("INBOX"), 0, 20, STR(""), 0, ALL}},
	{"/a/b;UIDVALIDITY=7/;UID=4294967295",
		{STR("a/b"), 7, 4294967295, STR(""), 0, ALL}},
	{"/w;uidvalidity=7/;uid=2/;section=1.2.MIME",
		{STR("w"), 7, 2, STR("1.2.MIME"), 0, ALL}},
	{"/w/;UID=2/;SECTION=HEADER.FIELDS%20(To%20cc)/;PARTIAL=5.10",
		{STR("w"), 0, 2, STR("HEADER.FIELDS (To cc)"), 5, 10}},
	{"/w/;UID=2/;PARTIAL=512", {STR("w"), 0, 2, STR(""), 512, ALL}},
	{"/Entw%C3%BCrfe%2f%3B/;UID=2",
		{STR("Entw\xc3\xbcrfe/;"), 0, 2, STR(""), 0, ALL}},
	{"", {.uid = 0}}, {"/", {.uid = 0}}, {"/INBOX", {.uid = 0}},
	{"INBOX/;UID=1", {.uid = 0}}, {"//host/INBOX/;UID=1", {.uid = 0}},
	{"imap://host/INBOX/;UID=1", {.uid = 0}}, {"//;UID=1", {.uid = 0}},
	{"/;UID=1", {.uid = 0}}, {"/w/;UID=0", {.uid = 0}},
	{"/w/;UID=", {.uid = 0}}, {"/w/;UID=4294967296", {.uid = 0}},
	{"/w;UIDVALIDITY=0/;UID=1", {.uid = 0}},
	{"/w;UIDVALIDITY=/;UID=1", {.uid = 0}},
	{"/w/;UID=1/;SECTION=", {.uid = 0}},
	{"/w/;UID=1/;PARTIAL=", {.uid = 0}},
	{"/w/;UID=1/;PARTIAL=1.", {.uid = 0}},
	{"/w/;UID=1/;PARTIAL=1.0", {.uid = 0}},
	{"/w/;UID=1/;URLAUTH=x", {.uid = 0}},
	{"/w%0/;UID=1", {.uid = 0}}, {"/w%/;UID=1", {.uid = 0}},
	{"/w%00/;UID=1", {.uid = 0}}, {"/w%ff/;UID=1", {.uid = 0}},
	{"/w%g0/;UID=1", {.uid = 0}},
};

static void
test_urls(void **state)
{
	struct imap_url url;
	struct arena a;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(urls); i++) {
		const struct imap_url *want = &urls[i].url;

		print_message("# %s\n", urls[i].text);
		assert_int_equal(imap_url_parse(str_from(urls[i].text), &a,
			&url), want->uid != 0);
		if (!want->uid)
			continue;
		assert_true(str_eq(url.mailbox, want->mailbox));
		assert_true(str_eq(url.section, want->section));
		assert_int_equal(url.uidvalidity, want->uidvalidity);
		assert_int_equal(url.uid, want->uid);
		assert_int_equal(url.from, want->from);
		assert_true(url.most == want->most);
	}
	arena_free(&a);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_urls),
};
UNIT_MAIN(tests)
