/*
 * stream.c - lines and bytes over a socket pair: what the peer sends at once
 * or byte by byte, too slowly, too much, or not at all.
 */
#include "unit.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/stream.h"

static struct stream s;
static int peer;

static int
open_pair(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	stream_init(&s, pair[0]);
	peer = pair[1];
	return 0;
}

static int
close_pair(void **state)
{
	(void)state;
	stream_close(&s);
	stream_close(&s);	/* twice does no harm */
	if (peer >= 0)
		close(peer);
	return 0;
}

static void
end_peer(void)
{
	close(peer);
	peer = -1;
}

static void
put(struct str text)
{
	assert_int_equal(write(peer, text.at, text.len), text.len);
}

/* A peer that sends `text` a byte at a time, again and again until it was
 * sent `times` times, the pipe breaks or it is told to stop. */
struct dripper {
	pthread_t thread;
	struct str text;
	int times;
	useconds_t pause;
	bool stop;
};

static void *
drip(void *arg)
{
	struct dripper *d = arg;
	size_t i;

	for (; d->times > 0; d->times--)
		for (i = 0; i < d->text.len; i++) {
			if (__atomic_load_n(&d->stop, __ATOMIC_ACQUIRE))
				return NULL;
			while (send(peer, d->text.at + i, 1, MSG_NOSIGNAL) < 0)
				if (__atomic_load_n(&d->stop,
					__ATOMIC_ACQUIRE))
					return NULL;
			if (d->pause)
				usleep(d->pause);
		}
	shutdown(peer, SHUT_WR);
	return NULL;
}

static void
start_dripping(struct dripper *d)
{
	assert_int_equal(pthread_create(&d->thread, NULL, drip, d), 0);
}

static void
stop_dripping(struct dripper *d)
{
	__atomic_store_n(&d->stop, true, __ATOMIC_RELEASE);
	pthread_join(d->thread, NULL);
}

/* ---------------------------------------------------------------- lines */

#define OK STREAM_LINE_OK
#define BARE STREAM_LINE_BARE
#define LONG STREAM_LINE_LONG
#define FAILED STREAM_LINE_FAILED

static const struct {
	struct str sent;
	struct {
		enum stream_line kind;
		const char *line;
	} got[5];
} lines[] = {	/* at most 10 bytes a line */
	{STR("a\r\nbc\r\n"), {{OK, "a"}, {OK, "bc"}, {FAILED, ""}}},
	{STR("\r\n\r\n"), {{OK, ""}, {OK, ""}, {FAILED, ""}}},
	{STR("a\nb\r\n"), {{BARE, "a"}, {OK, "b"}, {FAILED, ""}}},
	{STR("\n\r\n"), {{BARE, ""}, {OK, ""}, {FAILED, ""}}},
	{STR("a\rb\r\n"), {{BARE, "a\rb"}, {FAILED, ""}}},
	{STR("a\r\r\n"), {{BARE, "a\r"}, {FAILED, ""}}},
	{STR("\ra\r\n"), {{BARE, "\ra"}, {FAILED, ""}}},
	{STR(".\n\r\n"), {{BARE, "."}, {OK, ""}, {FAILED, ""}}},
	{STR("0123456789\r\nx\r\n"), {{OK, "0123456789"}, {OK, "x"},
		{FAILED, ""}}},
	{STR("0123456789a\r\nx\r\n"), {{LONG, ""}, {OK, "x"}, {FAILED, ""}}},
	{STR("0123456789abcdefghijklmnop\nx\r\n"), {{LONG, ""}, {OK, "x"},
		{FAILED, ""}}},
	{STR("0123456789a\r"), {{FAILED, ""}}},
	{STR("0123456789abcdef"), {{FAILED, ""}}},
	{STR("no end"), {{FAILED, ""}, {FAILED, ""}}},
	{STR("a\r\nno end\r"), {{OK, "a"}, {FAILED, ""}}},
	{STR(""), {{FAILED, ""}}},
};

static void
check_lines(size_t i)
{
	enum stream_line kind = OK;
	struct str line;
	size_t k;

	for (k = 0; kind != FAILED; k++) {
		kind = stream_line(&s, 10, &line);
		if (kind != lines[i].got[k].kind)
			fail_msg("row %zu, line %zu: %d", i, k, kind);
		assert_true(str_is(line, lines[i].got[k].line));
	}
	assert_int_equal(stream_error(&s)->kind, ERR_CLOSED);
	assert_int_equal(stream_line(&s, 10, &line), FAILED);
}

static void
test_lines(void **state)
{
	size_t i;

	for (i = 0; i < COUNT(lines); i++) {
		if (i)
			open_pair(state);
		put(lines[i].sent);
		shutdown(peer, SHUT_WR);
		check_lines(i);
		if (i + 1 < COUNT(lines))
			close_pair(state);
	}
}

static void
test_lines_in_bytes(void **state)
{
	struct dripper d;
	size_t i;

	for (i = 0; i < COUNT(lines); i++) {
		if (i)
			open_pair(state);
		d = (struct dripper){.text = lines[i].sent, .times = 1};
		start_dripping(&d);
		check_lines(i);
		pthread_join(d.thread, NULL);
		if (i + 1 < COUNT(lines))
			close_pair(state);
	}
}

/* A line longer than any buffer is read to its end and costs none. */
static void *
send_very_long(void *arg)
{
	static char block[100000];
	size_t left = 10 * sizeof block;
	ssize_t sent;

	(void)arg;
	memset(block, 'x', sizeof block);
	while (left) {
		sent = send(peer, block, left < sizeof block ? left :
			sizeof block, MSG_NOSIGNAL);
		if (sent < 0)
			usleep(100);
		else
			left -= (size_t)sent;
	}
	while (send(peer, "\r\nnext\r\n", 8, MSG_NOSIGNAL) != 8)
		usleep(100);
	return NULL;
}

static const size_t maxima[] = {10, 4096, 32766, 32768, 200000};

static void
test_skipped(void **state)
{
	pthread_t thread;
	struct str line;
	size_t i;

	for (i = 0; i < COUNT(maxima); i++) {
		if (i)
			open_pair(state);
		assert_int_equal(pthread_create(&thread, NULL, send_very_long,
			NULL), 0);
		assert_int_equal(stream_line(&s, maxima[i], &line), LONG);
		assert_int_equal(stream_line(&s, maxima[i], &line), OK);
		assert_true(str_is(line, "next"));
		assert_true(s.in_room <= 32768);
		pthread_join(thread, NULL);
		if (i + 1 < COUNT(maxima))
			close_pair(state);
	}
}

static void
test_nul(void **state)
{
	struct str line;

	(void)state;
	put(STR("a\0b\r\n"));
	assert_int_equal(stream_line(&s, 10, &line), OK);
	assert_true(str_eq(line, STR("a\0b")));
}

/* ---------------------------------------------------------------- bytes */

static void
test_bytes(void **state)
{
	struct str got;
	char out[8];

	(void)state;
	put(STR("abcdef"));
	got = stream_peek(&s);
	assert_true(str_is(got, "abcdef"));
	stream_consume(&s, 2);
	assert_true(str_is(stream_peek(&s), "cdef"));
	assert_true(stream_read(&s, out, 3));
	assert_memory_equal(out, "cde", 3);
	assert_false(stream_release(&s));
	assert_true(stream_pending(&s, true));
	assert_false(stream_pending(&s, false));
	put(STR("\r\n"));
	assert_int_equal(stream_line(&s, 10, &got), OK);
	assert_true(str_is(got, "f"));
	put(STR("STARTTLS\r\nEHLO injected\r\n"));
	assert_int_equal(stream_line(&s, 10, &got), OK);
	assert_true(stream_pending(&s, false));
	stream_discard_input(&s);
	assert_false(stream_pending(&s, true));
	put(STR("xy"));
	shutdown(peer, SHUT_WR);
	stream_consume(&s, 99);
	assert_false(stream_read(&s, out, 3));
	assert_int_equal(stream_error(&s)->kind, ERR_CLOSED);
	assert_int_equal(s.bytes_in, 6 + 2 + 25 + 2);
}

static void
test_end(void **state)
{
	(void)state;
	shutdown(peer, SHUT_WR);
	assert_int_equal(stream_peek(&s).len, 0);
	assert_true(s.eof);
	assert_false(stream_failed(&s));	/* an end is no failure */
	stream_puts(&s, "bye");
	assert_true(stream_flush(&s));
}

static void
test_release(void **state)
{
	struct str line;

	(void)state;
	assert_true(stream_release(&s));
	put(STR("a\r\n"));
	stream_line(&s, 10, &line);
	stream_puts(&s, "x");
	assert_false(stream_release(&s));
	assert_true(stream_flush(&s));
	assert_true(stream_release(&s));
	assert_null(s.in);
	assert_null(s.out);
	put(STR("b\r\n"));
	assert_int_equal(stream_line(&s, 10, &line), OK);
	assert_true(str_is(line, "b"));
}

/* -------------------------------------------------------------- writing */

static void *
read_all(void *arg)
{
	static char block[65536];
	size_t *total = arg;
	ssize_t n;

	while ((n = recv(peer, block, sizeof block, 0)) != 0)
		if (n > 0)
			*total += (size_t)n;
	return NULL;
}

static void
test_write(void **state)
{
	static char large[100000];
	size_t total = 0, want = sizeof large, i;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, read_all, &total), 0);
	for (i = 0; i < 40000; i += 777) {
		stream_write(&s, large, i);
		stream_printf(&s, "%*s", (int)(i % 2000), "");
		want += i + i % 2000;
	}
	stream_write(&s, large, sizeof large);
	assert_true(stream_flush(&s));
	shutdown(s.fd, SHUT_WR);
	pthread_join(thread, NULL);
	assert_int_equal(total, want);
	assert_int_equal(s.bytes_out, want);
}

static void
test_write_to_nobody(void **state)
{
	(void)state;
	end_peer();
	stream_puts(&s, "x");
	assert_false(stream_flush(&s));	/* and no SIGPIPE */
	assert_int_equal(stream_error(&s)->kind, ERR_CLOSED);
	stream_puts(&s, "x");
	assert_false(stream_flush(&s));
}

static void
test_write_deadline(void **state)
{
	static char large[4 << 20];
	int64_t start = clock_mono();

	(void)state;
	stream_limit(&s, 100, 0);
	stream_write(&s, large, sizeof large);
	assert_int_equal(stream_error(&s)->kind, ERR_TIMEOUT);
	assert_in_range(clock_mono() - start, 90, 5000);
}

/* ------------------------------------------------------------- deadlines */

static void
test_deadline(void **state)
{
	int64_t start = clock_mono();
	struct str line;

	(void)state;
	stream_limit(&s, 100, 0);
	put(STR("half a li"));
	assert_int_equal(stream_line(&s, 100, &line), FAILED);
	assert_in_range(clock_mono() - start, 90, 5000);
	assert_int_equal(stream_error(&s)->kind, ERR_TIMEOUT);
	/* The first error stays. */
	put(STR("ne\r\n"));
	stream_fail(&s, ERR_PROTOCOL, "other");
	assert_int_equal(stream_line(&s, 100, &line), FAILED);
	assert_int_equal(stream_error(&s)->kind, ERR_TIMEOUT);
	assert_true(stream_pending(&s, false));
}

static void
by_line(void)
{
	struct str line;

	assert_int_equal(stream_line(&s, 100000, &line), FAILED);
}

static void
by_long_line(void)
{
	struct str line;

	assert_int_equal(stream_line(&s, 1, &line), FAILED);
}

static void
by_read(void)
{
	static char out[100000];

	assert_false(stream_read(&s, out, sizeof out));
}

/* The limit is for the call, however many bytes come during it. */
static void
test_drip(void **state)
{
	static void (*const calls[])(void) = {by_line, by_long_line, by_read};
	struct dripper d;
	int64_t start;
	size_t i;

	for (i = 0; i < COUNT(calls); i++) {
		if (i)
			open_pair(state);
		d = (struct dripper){.text = STR("x"), .times = 100000,
			.pause = 10000};
		start_dripping(&d);
		stream_limit(&s, 300, 0);
		start = clock_mono();
		calls[i]();
		assert_int_equal(stream_error(&s)->kind, ERR_TIMEOUT);
		assert_in_range(clock_mono() - start, 250, 5000);
		stop_dripping(&d);
		if (i + 1 < COUNT(calls))
			close_pair(state);
	}
}

/* ------------------------------------------------------------------ rate */

/* Within a window of 10 s; the test begins near its end. */
static void
test_rate(void **state)
{
	struct dripper d = {.text = STR("x"), .times = 100000,
		.pause = 10000};
	struct str line;

	(void)state;
	stream_limit(&s, 60000, 50);
	start_dripping(&d);
	s.window_waited = 9800;
	assert_int_equal(stream_line(&s, 100000, &line), FAILED);
	assert_int_equal(stream_error(&s)->kind, ERR_TIMEOUT);
	assert_non_null(strstr(stream_error(&s)->text, "too slow"));
	stop_dripping(&d);
}

static void
test_rate_kept(void **state)
{
	struct dripper d = {.text = STR("x\r\n"), .times = 30,
		.pause = 10000};
	struct str line;
	int i;

	(void)state;
	stream_limit(&s, 60000, 50);
	start_dripping(&d);
	s.window_waited = 9800;
	s.window_bytes = 500;
	for (i = 0; i < 30; i++)
		assert_int_equal(stream_line(&s, 10, &line), OK);
	assert_in_range(s.window_waited, 1, 2000);	/* a new window */
	pthread_join(d.thread, NULL);
}

/* What we do ourselves between calls is not the peer's fault. */
static void
test_rate_of_ours(void **state)
{
	struct str line;

	(void)state;
	stream_limit(&s, 60000, 50);
	put(STR("a\r\n"));
	assert_int_equal(stream_line(&s, 10, &line), OK);
	usleep(300000);
	put(STR("b\r\n"));
	assert_int_equal(stream_line(&s, 10, &line), OK);
	assert_in_range(s.window_waited, 0, 200);
	stream_limit(&s, 60000, 60);
	assert_int_equal(s.window_waited, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)

static const struct CMUnitTest tests[] = {
	TEST(test_lines), TEST(test_lines_in_bytes), TEST(test_skipped),
	TEST(test_nul), TEST(test_bytes), TEST(test_end), TEST(test_release),
	TEST(test_write), TEST(test_write_to_nobody),
	TEST(test_write_deadline), TEST(test_deadline), TEST(test_drip),
	TEST(test_rate), TEST(test_rate_kept), TEST(test_rate_of_ours),
};
UNIT_MAIN(tests)
