/*
 * imap.c - IMAP commands: every argument function over the input, and the
 * input as what a client sends.
 */
#include <assert.h>
#include <stdint.h>
#include <sys/socket.h>

#include "serve/imap.h"
#include "serve/imap_acl.h"
#include "serve/imap_metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct imap_in
begin(struct str all, struct arena *a)
{
	return (struct imap_in){all, a, NULL};
}

/* What was taken and what is left are parts of the input. */
static void
check_view(const struct imap_in *in, struct str all, bool good)
{
	assert(in->rest.len <= all.len);
	assert(good || in->wrong);
	assert(!in->rest.len ||
		in->rest.at + in->rest.len == all.at + all.len);
}

static void
take_strings(struct str all, struct arena *a)
{
	static bool (*const take[])(struct imap_in *, struct str *) = {
		imap_atom, imap_string, imap_astring, imap_nstring,
		imap_list_mailbox,
	};
	struct imap_in in;
	struct str out;
	size_t i;

	for (i = 0; i < sizeof take / sizeof *take; i++) {
		in = begin(all, a);
		while (take[i](&in, &out) && in.rest.len) {
			check_view(&in, all, true);
			assert(out.len <= all.len);
			if (!imap_blank(&in))
				break;
		}
		check_view(&in, all, !in.rest.len);
	}
}

static void
take_lists(struct str all, struct arena *a)
{
	struct imap_in in = begin(all, a);
	const char *keywords;
	struct mr_range *set;
	struct str *word;
	uint32_t flags;
	bool saved;
	size_t n, i;

	check_view(&in, all, imap_words(&in, true, &word, &n));
	in = begin(all, a);
	check_view(&in, all, imap_flag_list(&in, true, &flags, &keywords));
	in = begin(all, a);
	if (!imap_set(&in, &set, &n, &saved) || saved)
		return;
	for (i = 0; i < n; i++)
		assert(set[i].first && set[i].first <= set[i].last);
	n = imap_ranges_join(set, n);
	for (i = 1; i < n; i++)
		assert(set[i].first > (uint64_t)set[i - 1].last + 1);
}

static void
take_numbers(struct str all, struct arena *a)
{
	struct imap_in in = begin(all, a);
	uint64_t large;
	uint32_t small;
	int64_t time;

	check_view(&in, all, imap_number(&in, &small));
	in = begin(all, a);
	check_view(&in, all, imap_number64(&in, &large));
	in = begin(all, a);
	check_view(&in, all, imap_day(&in, &time));
	in = begin(all, a);
	check_view(&in, all, imap_date_time(&in, &time));
}

/* A name that is taken comes back from what we write of it. */
static void
take_name(struct str all, unsigned enabled)
{
	struct session s = {.tls = false};
	struct imap k = {.session = &s, .enabled = enabled};
	const char *name, *again;
	struct imap_in in;
	struct str word;
	struct buf b;

	arena_init(&s.command);
	buf_init(&b, BUF_NO_CAP);
	name = imap_name_in(&k, all);
	if (name) {
		imap_name_out(&k, &b, name);
		in = begin(buf_str(&b), &s.command);
		assert(imap_astring(&in, &word) && imap_end(&in));
		again = imap_name_in(&k, word);
		assert(again && str_is(str_from(again), name));
		assert(imap_name_matches(name, name) ||
			strchr(name, '%') || strchr(name, '*'));
		imap_name_matches("%a*b%", name);
	}
	buf_free(&b);
	arena_free(&s.command);
}

static void
read_commands(struct str all, struct arena *a)
{
	enum imap_got got = IMAP_GOT_COMMAND;
	struct imap_command c;
	struct stream s;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return;
	if (write(fd[1], all.at, all.len) < 0)
		all.len = 0;
	shutdown(fd[1], SHUT_WR);
	stream_init(&s, fd[0]);
	stream_limit(&s, 1000, 0);
	while (got != IMAP_GOT_LOST) {
		got = imap_read(&s, a, &c);
		assert(got != IMAP_GOT_BAD || c.in.wrong);
		imap_pass_over(&s, a, &c);
	}
	assert(stream_failed(&s));
	stream_close(&s);
	close(fd[1]);
}

/* Names of annotations, and letters of rights. */
static void
take_entries(struct str all, struct arena *a)
{
	struct imap_in in = begin(all, a);
	char room[IMAP_RIGHTS_ROOM];
	struct imap_entries w;
	uint32_t rights;
	bool good = imap_metadata_entries(&in, &w);

	check_view(&in, all, good);
	assert(w.n <= IMAP_ENTRIES_MOST);
	if (imap_rights_in(all, &rights))
		assert(rights <= MR_RIGHTS_ALL &&
			str_from(imap_rights_out(rights, room)).len <
			IMAP_RIGHTS_ROOM);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = str_of(data, size);
	struct arena a;

	arena_init(&a);
	take_strings(all, &a);
	take_lists(all, &a);
	take_numbers(all, &a);
	take_entries(all, &a);
	take_name(all, 0);
	take_name(all, IMAP_UTF8);
	read_commands(all, &a);
	arena_free(&a);
	return 0;
}
