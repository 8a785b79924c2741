/*
 * imap_fetch.c - FETCH, STORE, EXPUNGE, COPY, MOVE and APPEND against a
 * mailbox in memory: what is answered, to the byte.
 */
#include "unit.h"

#include "fakestore.h"

#define ONE "From: a@x.test\r\nSubject: one\r\nX-A: 1\r\n\r\nbody one\r\n"
#define TWO "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" \
	"Content-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n--b\r\n" \
	"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nin body\r\n" \
	"--b--\r\n"
#define THREE "no header at all"

#define SEEN MR_FLAG_SEEN

/* Three messages with UIDs 1, 3 and 4; \Recent is the last one. */
static void
begin(struct fake_talk *t)
{
	fake_begin(t);
	fake_add(&t->store, 0, "kw", 0, STR(ONE));
	fake_add(&t->store, 0, "", 0, STR("gone"));
	fake_add(&t->store, SEEN, "", 1612656123000, STR(TWO));
	fake_add(&t->store, MR_FLAG_DELETED, "", 0, STR(THREE));
	fake_remove(&t->store, 2);
	fake_select(t);
}

#define DONE "t OK FETCH done\r\n"

static const struct {
	const char *command, *answer;
} fetches[] = {
	{"FETCH 1 FLAGS", "* 1 FETCH (FLAGS (kw))\r\n" DONE},
	{"FETCH 3 (FLAGS FLAGS UID)",
		"* 3 FETCH (FLAGS (\\Deleted \\Recent) UID 4)\r\n" DONE},
	{"UID FETCH 2:3 (UID FLAGS)",
		"* 2 FETCH (UID 3 FLAGS (\\Seen))\r\n" DONE},
	{"FETCH 1:* UID", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 3)\r\n"
		"* 3 FETCH (UID 4)\r\n" DONE},
	{"FETCH 1 RFC822.SIZE", "* 1 FETCH (RFC822.SIZE 50)\r\n" DONE},
	{"FETCH 1 BODY.PEEK[]<5.4>",
		"* 1 FETCH (BODY[]<5> {4}\r\n a@x)\r\n" DONE},
	{"FETCH 1 BODY.PEEK[]<500.4>",
		"* 1 FETCH (BODY[]<500> {0}\r\n)\r\n" DONE},
	{"FETCH 1 body.peek[header.fields (x-a \"nothing\")]",
		"* 1 FETCH (BODY[HEADER.FIELDS (x-a nothing)] {10}\r\n"
		"X-A: 1\r\n\r\n)\r\n" DONE},
	{"FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (Subject From)]<0.3>",
		"* 1 FETCH (BODY[HEADER.FIELDS.NOT (Subject From)]<0> "
		"{3}\r\nX-A)\r\n" DONE},
	{"FETCH 1 RFC822.HEADER", "* 1 FETCH (RFC822.HEADER {40}\r\n"
		"From: a@x.test\r\nSubject: one\r\nX-A: 1\r\n\r\n)\r\n" DONE},
	{"FETCH 2 BODY.PEEK[1]",
		"* 2 FETCH (BODY[1] {10}\r\naGVs\r\nbG8=)\r\n" DONE},
	{"FETCH 2 BODY.PEEK[1.MIME]", "* 2 FETCH (BODY[1.MIME] {37}\r\n"
		"Content-Transfer-Encoding: base64\r\n\r\n)\r\n" DONE},
	{"FETCH 2 BODY.PEEK[2.HEADER]",
		"* 2 FETCH (BODY[2.HEADER] {15}\r\nSubject: in\r\n\r\n)\r\n"
		DONE},
	{"FETCH 2 (BODY.PEEK[2.1] BODY.PEEK[2.TEXT])",
		"* 2 FETCH (BODY[2.1] {7}\r\nin body BODY[2.TEXT] {7}\r\n"
		"in body)\r\n" DONE},
	{"FETCH 2 (BODY.PEEK[1.HEADER] BODY.PEEK[7.7]<0.1>)",
		"* 2 FETCH (BODY[1.HEADER] NIL BODY[7.7]<0> NIL)\r\n" DONE},
	{"FETCH 2 BINARY.PEEK[1]",
		"* 2 FETCH (BINARY[1] ~{5}\r\nhello)\r\n" DONE},
	{"FETCH 2 BINARY.PEEK[1]<1.2>",
		"* 2 FETCH (BINARY[1]<1> ~{2}\r\nel)\r\n" DONE},
	{"FETCH 2 (BINARY.SIZE[1] BINARY.SIZE[2])",
		"* 2 FETCH (BINARY.SIZE[1] 5 BINARY.SIZE[2] 22)\r\n" DONE},
	{"FETCH 3 (BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1])",
		"* 3 FETCH (BODY[HEADER] {0}\r\n BODY[TEXT] {16}\r\n"
		"no header at all BODY[1] {16}\r\nno header at all)\r\n" DONE},
	{"FETCH 1 BODY.PEEK[", "t BAD unknown section\r\n"},
	{"FETCH 1 BODY.PEEK[1.]", "t BAD unknown section\r\n"},
	{"FETCH 1 BODY.PEEK[MIME]", "t BAD MIME needs a part number\r\n"},
	{"FETCH 1 BODY.PEEK[0]", "t BAD parts count from 1\r\n"},
	{"FETCH 1 BODY.PEEK[]<0.0>", "t BAD partial of no bytes\r\n"},
	{"FETCH 1 BINARY[TEXT]",
		"t BAD a binary section is a part number\r\n"},
	{"FETCH 1 FROB", "t BAD unknown item\r\n"},
	{"FETCH 1 (FLAGS FAST)", "t BAD unknown item\r\n"},
	{"FETCH 4 FLAGS", "t BAD no such message\r\n"},
	{"UID FETCH 9 FLAGS", DONE},
	/* modseq 3 is that of UID 3, the removal came last */
	{"FETCH 1:3 UID (CHANGEDSINCE 2)",
		"* 2 FETCH (UID 3 MODSEQ (3))\r\n"
		"* 3 FETCH (UID 4 MODSEQ (4))\r\n" DONE},
};

static void
test_fetch(void **state)
{
	struct fake_talk t;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(fetches); i++) {
		begin(&t);
		assert_string_equal(fake_ask(&t, fetches[i].command),
			fetches[i].answer);
		assert_int_equal(t.store.changes, 0);
		fake_end(&t);
	}
}

/* Flags, sizes, envelopes and structures open no message. */
static void
test_cached(void **state)
{
	struct fake_talk t;

	(void)state;
	begin(&t);
	fake_ask(&t, "FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY "
		"BODYSTRUCTURE)");
	assert_int_equal(t.store.opened, 0);
	/* A cache of another version: parsed again, with the same result. */
	t.store.message[0].cache.at[3]++;
	assert_string_equal(fake_ask(&t, "FETCH 1 BODY"),
		"* 1 FETCH (BODY (\"text\" \"plain\" (\"CHARSET\" "
		"\"US-ASCII\") NIL NIL \"7BIT\" 10 1))\r\n" DONE);
	assert_int_equal(t.store.opened, 1);
	fake_end(&t);
}

static void
test_seen(void **state)
{
	struct fake_talk t;

	(void)state;
	begin(&t);
	assert_string_equal(fake_ask(&t, "FETCH 1:2 BODY[]<0.1>"),
		"* 1 FETCH (BODY[]<0> {1}\r\nF FLAGS (\\Seen kw))\r\n"
		"* 2 FETCH (BODY[]<0> {1}\r\nC)\r\n" DONE);
	assert_int_equal(t.store.changes, 1);
	assert_string_equal(fake_ask(&t, "FETCH 1:2 RFC822.TEXT"),
		"* 1 FETCH (RFC822.TEXT {10}\r\nbody one\r\n)\r\n"
		"* 2 FETCH (RFC822.TEXT {122}\r\n--b\r\n"
		"Content-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n"
		"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n"
		"\r\nin body\r\n--b--\r\n)\r\n" DONE);
	assert_int_equal(t.store.changes, 1);
	t.imap->box->read_only = true;
	fake_ask(&t, "FETCH 3 BODY[]");
	assert_int_equal(t.store.changes, 1);
	fake_end(&t);
}

static void
test_gone(void **state)
{
	struct fake_talk t;

	(void)state;
	begin(&t);
	fake_remove(&t.store, 3);
	assert_string_equal(fake_ask(&t, "FETCH 1:3 UID"),
		"* 1 FETCH (UID 1)\r\n* 3 FETCH (UID 4)\r\n"
		"t NO [EXPUNGEISSUED] Some messages are not there any more"
		"\r\n");
	assert_string_equal(fake_ask(&t, "UID FETCH 1:3 UID"),
		"* 1 FETCH (UID 1)\r\n* 2 EXPUNGE\r\n" DONE);
	fake_end(&t);
}

static void
test_broken_disk(void **state)
{
	struct fake_talk t;

	(void)state;
	begin(&t);
	t.store.fails = true;
	/* Inside a literal nothing else can be said: the session ends. */
	assert_null(strstr(fake_ask(&t, "FETCH 1 BODY.PEEK[TEXT]"), "t OK"));
	assert_true(stream_failed(&t.session.stream));
	fake_end(&t);
}

static const struct {
	const char *command, *answer;
} changes[] = {
	{"STORE 1 +FLAGS (\\Seen)",
		"* 1 FETCH (FLAGS (\\Seen kw))\r\nt OK STORE done\r\n"},
	{"UID STORE 3:4 -FLAGS \\Seen \\Deleted",
		"* 2 FETCH (UID 3 FLAGS ())\r\n"
		"* 3 FETCH (UID 4 FLAGS (\\Recent))\r\nt OK STORE done\r\n"},
	{"STORE 1:2 FLAGS.SILENT (new)", "t OK STORE done\r\n"},
	{"STORE 1:3 (UNCHANGEDSINCE 3) +FLAGS.SILENT (\\Draft)",
		"* 1 FETCH (MODSEQ (6))\r\n* 2 FETCH (MODSEQ (6))\r\n"
		"t OK [MODIFIED 3] Some messages were changed by others\r\n"},
	{"STORE 1:3 (UNCHANGEDSINCE 0) +FLAGS (\\Draft)",
		"t OK [MODIFIED 1:3] Some messages were changed by others"
		"\r\n"},
	{"STORE 1 +FLAG (x)", "t BAD unknown change of flags\r\n"},
	{"STORE 1 FLAGS (\\Frob)",
		"t BAD That flag is not known or cannot be set\r\n"},
	{"EXPUNGE", "* 3 EXPUNGE\r\nt OK EXPUNGE done\r\n"},
	{"UID EXPUNGE 1:3", "t OK EXPUNGE done\r\n"},
	{"UID EXPUNGE 4", "* 3 EXPUNGE\r\nt OK EXPUNGE done\r\n"},
	{"COPY 1:2 other", "t OK [COPYUID 99 1,3 100:101] COPY done\r\n"},
	{"UID COPY 2 other", "t OK COPY done\r\n"},
	{"COPY 1 nothing",
		"t NO [TRYCREATE] There is no such mailbox\r\n"},
	{"MOVE 1:2 other", "* OK [COPYUID 99 1,3 100:101] Moved\r\n"
		"* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nt OK MOVE done\r\n"},
};

static void
test_changes(void **state)
{
	struct fake_talk t;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(changes); i++) {
		begin(&t);
		assert_string_equal(fake_ask(&t, changes[i].command),
			changes[i].answer);
		fake_end(&t);
	}
}

/* RFC 7162: removals are told as UIDs, with the modseq they led to. */
static void
test_qresync(void **state)
{
	struct fake_talk t;

	(void)state;
	begin(&t);
	t.imap->enabled = IMAP_CONDSTORE | IMAP_QRESYNC;
	assert_string_equal(fake_ask(&t, "EXPUNGE"), "* VANISHED 4\r\n"
		"t OK [HIGHESTMODSEQ 6] EXPUNGE done\r\n");
	assert_string_equal(fake_ask(&t, "UID FETCH 1:9 (FLAGS) "
		"(CHANGEDSINCE 1 VANISHED)"),
		"* VANISHED (EARLIER) 2,4\r\n"
		"* 2 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (3))\r\n" DONE);
	assert_string_equal(fake_ask(&t, "MOVE 1 other"),
		"* OK [COPYUID 99 1 100] Moved\r\n* VANISHED 1\r\n"
		"t OK [HIGHESTMODSEQ 7] MOVE done\r\n");
	fake_end(&t);
}

static void
test_read_only(void **state)
{
	static const char *const refused[] = {"STORE 1 FLAGS ()", "EXPUNGE",
		"UID EXPUNGE 1", "MOVE 1 other"};
	struct fake_talk t;
	size_t i;

	(void)state;
	begin(&t);
	t.imap->box->read_only = true;
	for (i = 0; i < COUNT(refused); i++)
		assert_string_equal(fake_ask(&t, refused[i]),
			"t NO The mailbox was opened for reading only\r\n");
	fake_end(&t);
}

/* --------------------------------------------------------------- APPEND */

/* The NOOP behind each shows that the session is in step. */
static const struct {
	const char *bytes, *answer, *stored;
} appends[] = {
	{"APPEND INBOX {4+}\r\na\r\nb\r\n",
		"t OK [APPENDUID 99 41] APPEND done\r\n", "a\r\nb"},
	{"APPEND INBOX (\\Seen kw) \" 7-Feb-2021 01:02:03 +0100\" {1+}\r\nx\r\n",
		"t OK [APPENDUID 99 41] APPEND done\r\n", "x"},
	{"APPEND INBOX {3}\r\nabc\r\n",
		"+ OK\r\nt OK [APPENDUID 99 41] APPEND done\r\n", "abc"},
	{"APPEND nothing {3+}\r\nabc\r\n",
		"t NO [TRYCREATE] There is no such mailbox\r\n", NULL},
	{"APPEND nothing {3}\r\n",
		"t NO [TRYCREATE] There is no such mailbox\r\n", NULL},
	{"APPEND INBOX {100001}\r\n",
		"t NO [TOOBIG] The message is larger than what is taken here"
		"\r\n", NULL},
	{"APPEND INBOX {0+}\r\n\r\n",
		"t NO [CANNOT] A message of no bytes is not stored\r\n", NULL},
	{"APPEND INBOX (\\Frob) {3+}\r\nabc\r\n",
		"t BAD That flag is not known or cannot be set\r\n", NULL},
	{"APPEND INBOX {3+}\r\nabc junk\r\n", "t BAD Too many arguments\r\n",
		NULL},
	{"APPEND INBOX {1+}\r\na {2+}\r\nbc\r\n",
		"t OK [APPENDUID 99 41:42] APPEND done\r\n", "a|bc"},
	{"APPEND INBOX (\\Seen) {1+}\r\na (\\Draft) \"17-Jul-1996 02:44:25 "
		"-0700\" ~{2}\r\nbc {1}\r\nd\r\n", "+ OK\r\n+ OK\r\n"
		"t OK [APPENDUID 99 41:43] APPEND done\r\n", "a|bc|d"},
	{"APPEND INBOX {1+}\r\na{2+}\r\nbc\r\n", "t BAD Syntax error\r\n",
		NULL},
	{"APPEND INBOX {1+}\r\na  {2+}\r\nbc\r\n",
		"t BAD Too many arguments\r\n", NULL},
	{"APPEND INBOX {1+}\r\na \r\n", "t BAD a message is missing\r\n",
		NULL},
	{"APPEND INBOX {1+}\r\na {100001}\r\n",
		"t NO [TOOBIG] The message is larger than what is taken here"
		"\r\n", NULL},
	{"APPEND INBOX {1+}\r\na {0+}\r\n {2+}\r\nbc\r\n",
		"t NO [CANNOT] A message of no bytes is not stored\r\n", NULL},
	{"APPEND INBOX {1+}\r\na (\\Frob) {3+}\r\nabc {2+}\r\nde\r\n",
		"t BAD That flag is not known or cannot be set\r\n", NULL},
	{"APPEND INBOX\r\n", "t BAD An argument is missing\r\n", NULL},
	{"APPEND INBOX (\\Seen)\r\n", "t BAD An argument is missing\r\n",
		NULL},
};

static void
test_append(void **state)
{
	struct fake_talk t;
	struct buf bytes, want;
	size_t i;

	(void)state;
	buf_init(&bytes, BUF_NO_CAP);
	buf_init(&want, BUF_NO_CAP);
	for (i = 0; i < COUNT(appends); i++) {
		begin(&t);
		buf_reset(&bytes);
		buf_addf(&bytes, "t %su NOOP\r\n", appends[i].bytes);
		buf_reset(&want);
		buf_addf(&want, "%su OK Done\r\n", appends[i].answer);
		assert_string_equal(fake_say(&t, buf_str(&bytes)),
			buf_c(&want));
		assert_string_equal(buf_c(&t.store.committed),
			appends[i].stored ? appends[i].stored : "");
		fake_end(&t);
	}
	buf_free(&bytes);
	buf_free(&want);
}

/* Larger than what stays in memory; NUL and bare LF are kept. */
static void
test_append_spooled(void **state)
{
	struct fake_talk t;
	struct buf bytes;
	size_t i;

	(void)state;
	fake_begin(&t);
	buf_init(&bytes, BUF_NO_CAP);
	buf_adds(&bytes, "t APPEND INBOX {5000+}\r\n");
	for (i = 0; i < 5000; i++)
		buf_addc(&bytes, (char)(i % 251));
	buf_adds(&bytes, "\r\n");
	t.house.data = ".";	/* ./tmp is there in no build tree */
	assert_string_equal(fake_say(&t, buf_str(&bytes)),
		"t NO [UNAVAILABLE] The message cannot be taken now\r\n");
	t.house.data = "/var";
	assert_string_equal(fake_say(&t, buf_str(&bytes)),
		"t OK [APPENDUID 99 41] APPEND done\r\n");
	assert_int_equal(t.store.committed.len, 5000);
	assert_memory_equal(t.store.committed.at, bytes.at + 24, 5000);
	assert_int_equal(t.store.place.flags, 0);
	assert_int_equal(t.store.last.length, 5000);
	t.store.commit_code = MR_STORE_OVER_QUOTA;
	assert_string_equal(fake_say(&t, buf_str(&bytes)),
		"t NO [OVERQUOTA] No room: over quota\r\n");
	buf_free(&bytes);
	fake_end(&t);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_fetch),
	cmocka_unit_test(test_cached),
	cmocka_unit_test(test_seen),
	cmocka_unit_test(test_gone),
	cmocka_unit_test(test_broken_disk),
	cmocka_unit_test(test_changes),
	cmocka_unit_test(test_qresync),
	cmocka_unit_test(test_read_only),
	cmocka_unit_test(test_append),
	cmocka_unit_test(test_append_spooled),
};

UNIT_MAIN(tests)
