/*
 * imap_sync.c - several sessions and one mailbox that changes at random: what
 * each client is told must add up to what the store holds, and no number may
 * ever name another message than the client thinks.
 */
#include "unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "serve/imap.h"
#include "serve/imap_admin.h"
#include "serve/imap_metadata.h"
#include "serve/imap_place.h"

#define MOST 600
#define CLIENTS 4

/* ------------------------------------------------------- a store in memory */

struct fake_message {
	uint32_t uid, flags;
	uint64_t modseq;
	bool gone;
};

static struct fake_message message[MOST];
static uint32_t n_messages;
static uint64_t modseq;
static bool is_deleted;
static unsigned n_gets, n_others;

static int
fake_get(void *self, int64_t id, struct mr_mailbox *out, struct mr_error *e)
{
	(void)self;
	(void)e;
	n_gets++;
	*out = (struct mr_mailbox){.id = id, .uidvalidity = 1,
		.uidnext = n_messages + 1, .modseq = modseq,
		.recent_uid = n_messages + 1};
	return is_deleted ? MR_STORE_MISSING : MR_STORE_OK;
}

static int
fake_uids(void *self, int64_t id, int (*each)(void *, struct mr_range),
	void *arg, struct mr_error *e)
{
	uint32_t i;

	(void)self;
	(void)id;
	(void)e;
	n_others++;
	for (i = 0; i < n_messages; i++)
		if (!message[i].gone)
			each(arg, (struct mr_range){i + 1, i + 1});
	return MR_STORE_OK;
}

static int
fake_scan(void *self, int64_t id, const struct mr_range *range, size_t n,
	uint64_t since, uint32_t want,
	int (*each)(void *, const struct mr_row *), void *arg,
	struct mr_error *e)
{
	struct mr_row row;
	uint32_t i;

	(void)self;
	(void)id;
	(void)want;
	(void)e;
	n_others++;
	for (i = 0; i < n_messages; i++) {
		if (message[i].gone || message[i].modseq <= since ||
			(n && (message[i].uid < range->first ||
			message[i].uid > range->last)))
			continue;
		row = (struct mr_row){.uid = message[i].uid,
			.flags = message[i].flags,
			.modseq = message[i].modseq};
		if (each(arg, &row))
			return MR_STORE_STOPPED;
	}
	return MR_STORE_OK;
}

static int
fake_vanished(void *self, int64_t id, uint64_t since,
	int (*each)(void *, struct mr_range), void *arg, struct mr_error *e)
{
	uint32_t i;

	(void)self;
	(void)id;
	(void)e;
	n_others++;
	for (i = n_messages; i-- > 0;)		/* in no helpful order */
		if (message[i].gone && message[i].modseq > since)
			each(arg, (struct mr_range){i + 1, i + 1});
	return MR_STORE_OK;
}

static const struct mr_store fake = {
	.size = sizeof fake, .mailbox_get = fake_get, .uids = fake_uids,
	.scan = fake_scan, .vanished = fake_vanished,
};

/* ------------------------------------------------------------- the clients */

struct client {
	struct imap k;
	struct session s;
	int far;
	uint32_t uid[MOST], flags[MOST];	/* by number - 1 */
	uint32_t n, known;	/* known: highest UID told */
};

static struct house house = {.store = {.op = &fake}};

static void
client_open(struct client *c)
{
	struct mr_error me;
	struct mr_mailbox m;
	int fd[2];
	uint32_t i;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
		fd), 0);
	*c = (struct client){.far = fd[1]};
	stream_init(&c->s.stream, fd[0]);
	c->k = (struct imap){.session = &c->s, .house = &house,
		.state = IMAP_SELECTED, .account = ""};
	fake_get(NULL, 1, &m, &me);
	c->k.box = imap_box_new(&m, false);
	imap_box_load(&house, c->k.box, &me);
	for (i = 0; i < n_messages; i++)
		if (!message[i].gone) {
			c->flags[c->n] = message[i].flags;
			c->uid[c->n++] = message[i].uid;
		}
	c->known = n_messages;
}

static void
client_close(struct client *c)
{
	imap_box_free(c->k.box);
	stream_close(&c->s.stream);
	close(c->far);
}

static void
take_exists(struct client *c, uint32_t n)
{
	uint32_t uid = c->known;

	assert_true(n > c->n);
	for (; c->n < n; c->n++) {
		/* As a client would ask for it. */
		c->uid[c->n] = imap_box_uid(c->k.box, c->n + 1);
		assert_true(c->uid[c->n] > uid);
		uid = c->uid[c->n];
		c->flags[c->n] = message[uid - 1].flags;
	}
	c->known = uid;
}

static void
take_expunge(struct client *c, uint32_t n, bool allowed)
{
	assert_true(allowed && n >= 1 && n <= c->n);
	assert_true(message[c->uid[n - 1] - 1].gone);
	memmove(c->uid + n - 1, c->uid + n, (c->n - n) * sizeof *c->uid);
	memmove(c->flags + n - 1, c->flags + n,
		(c->n - n) * sizeof *c->flags);
	c->n--;
}

static void
take_fetch(struct client *c, uint32_t n, struct str rest)
{
	uint64_t uid;

	assert_true(n >= 1 && n <= c->n);
	assert_true(str_starts(rest, "(UID "));
	rest = str_sub(rest, 5, rest.len);
	assert_true(str_u64(str_cut(&rest, ' '), UINT32_MAX, &uid));
	assert_int_equal(uid, c->uid[n - 1]);
	c->flags[n - 1] = str_find_str(rest, STR("\\Seen")) < rest.len ?
		MR_FLAG_SEEN : 0;
}

static void
take_line(struct client *c, struct str line, bool allowed)
{
	uint64_t n;
	struct str what;

	assert_true(str_is(str_cut(&line, ' '), "*"));
	assert_true(str_u64(str_cut(&line, ' '), MOST, &n));
	what = str_cut(&line, ' ');
	if (str_is(what, "EXISTS"))
		take_exists(c, (uint32_t)n);
	else if (str_is(what, "EXPUNGE"))
		take_expunge(c, (uint32_t)n, allowed);
	else if (str_is(what, "FETCH"))
		take_fetch(c, (uint32_t)n, line);
	else
		assert_true(str_is(what, "RECENT"));
}

static void
client_sync(struct client *c, bool may_expunge)
{
	static char said[200000];
	struct mr_error me;
	struct str rest, line;
	ssize_t n;

	assert_int_equal(imap_box_sync(&c->k, may_expunge, true, &me),
		MR_STORE_OK);
	stream_flush(&c->s.stream);
	n = read(c->far, said, sizeof said);
	rest = str_of(said, n > 0 ? (size_t)n : 0);
	while (rest.len) {
		line = str_cut(&rest, '\n');
		line.len--;
		take_line(c, line, may_expunge);
	}
	assert_int_equal(imap_box_exists(c->k.box), c->n);
}

/* After a sync that may tell all, the client knows all. */
static void
compare(const struct client *c)
{
	uint32_t i, at = 0;

	for (i = 0; i < n_messages; i++) {
		if (message[i].gone)
			continue;
		assert_true(at < c->n);
		assert_int_equal(c->uid[at], message[i].uid);
		assert_int_equal(c->flags[at], message[i].flags);
		at++;
	}
	assert_int_equal(at, c->n);
}

/* ------------------------------------------------------------------ tests */

static uint32_t seed = 7;

static uint32_t
random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void
start(uint32_t n)
{
	n_messages = 0;
	modseq = 1;
	is_deleted = false;
	for (; n_messages < n; n_messages++)
		message[n_messages] = (struct fake_message){n_messages + 1, 0,
			++modseq, false};
}

static void
change(void)
{
	uint32_t at = n_messages ? random_below(n_messages) : 0;

	switch (random_below(4)) {
	case 0:
		if (n_messages == MOST)
			return;
		message[n_messages] = (struct fake_message){n_messages + 1, 0,
			++modseq, false};
		n_messages++;
		return;
	case 1:
	case 2:
		if (!n_messages || message[at].gone)
			return;
		message[at].flags ^= MR_FLAG_SEEN;
		message[at].modseq = ++modseq;
		return;
	default:
		if (!n_messages || message[at].gone)
			return;
		message[at].gone = true;
		message[at].modseq = ++modseq;
	}
}

static void
test_random(void **state)
{
	static struct client c[CLIENTS];
	int round, i, j;

	(void)state;
	for (round = 0; round < 20; round++) {
		start(random_below(30));
		for (i = 0; i < CLIENTS; i++)
			client_open(&c[i]);
		for (i = 0; i < 300; i++) {
			for (j = (int)random_below(6); j > 0; j--)
				change();
			j = (int)random_below(CLIENTS);
			client_sync(&c[j], random_below(2));
		}
		for (i = 0; i < CLIENTS; i++) {
			client_sync(&c[i], true);
			compare(&c[i]);
			client_close(&c[i]);
		}
	}
}

/* Nothing new: one look at the mailbox and not a byte. */
static void
test_quiet(void **state)
{
	static struct client c;

	(void)state;
	start(50);
	client_open(&c);
	n_gets = n_others = 0;
	client_sync(&c, true);
	assert_int_equal(n_gets, 1);
	assert_int_equal(n_others, 0);
	client_close(&c);
}

/* More than one scan's worth of changes. */
static void
test_chunks(void **state)
{
	static struct client c;
	uint32_t i, turn;

	(void)state;
	start(MOST);
	client_open(&c);
	for (turn = 0; turn < 3; turn++) {
		for (i = 0; i < MOST; i++) {
			message[i].flags ^= MR_FLAG_SEEN | (turn ? 0 :
				MR_FLAG_ANSWERED | MR_FLAG_FLAGGED |
				MR_FLAG_DELETED | MR_FLAG_DRAFT);
			message[i].modseq = ++modseq;
		}
		n_others = 0;
		client_sync(&c, false);
		assert_true(n_others > (turn == 0));
	}
	for (i = 0; i < MOST; i++)
		assert_int_equal(c.flags[i], message[i].flags & MR_FLAG_SEEN);
	client_close(&c);
}

static void
test_deleted(void **state)
{
	static struct client c;
	struct mr_error me;

	(void)state;
	start(3);
	client_open(&c);
	is_deleted = true;
	assert_int_equal(imap_box_sync(&c.k, true, false, &me),
		MR_STORE_MISSING);
	assert_false(imap_tell_changes(&c.k, true, false));
	assert_int_equal(c.k.state, IMAP_OUT);
	client_close(&c);
}

/* What a store leaves empty is not offered. */
static void
test_plain_store(void **state)
{
	static char admin[] = "root@here.test", *admins[] = {admin};
	const struct imap_settings settings = {.admins = {
		(const char *const *)admins, 1}};
	struct house plain = {.store = {.op = &fake}, .imap = &settings};
	const struct imap k = {.house = &plain, .account = admin};

	(void)state;
	assert_false(imap_may_append_many(&k));
	assert_false(imap_has_acl(&k));
	assert_false(imap_has_quota(&k));
	assert_false(imap_has_metadata(&k));
	assert_false(imap_has_notify(&k));
	assert_false(imap_admin_owns(&k, MR_SPECIAL_HELD));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_random),
	cmocka_unit_test(test_quiet),
	cmocka_unit_test(test_chunks),
	cmocka_unit_test(test_deleted),
	cmocka_unit_test(test_plain_store),
};
UNIT_MAIN(tests)
