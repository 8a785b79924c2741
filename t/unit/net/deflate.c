/*
 * deflate.c - a compressed stream over a socket pair, against zlib's own
 * compressor: every kind of flush, rests between turns, damage, and data that
 * unpack to much more than they are, or to nothing.
 */
#include "unit.h"

#include <pthread.h>
#include <sys/socket.h>
#include <zlib.h>

#include "net/stream.h"

static struct stream s;
static int peer;
static z_stream to, from;

static int
open_pair(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	stream_init(&s, pair[0]);
	peer = pair[1];
	to = from = (z_stream){.next_in = NULL};
	deflateInit2(&to, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
	inflateInit2(&from, -15);
	return 0;
}

static int
close_pair(void **state)
{
	(void)state;
	stream_close(&s);
	close(peer);
	deflateEnd(&to);
	inflateEnd(&from);
	return 0;
}

/* Packs as a client does and sends it. */
static void
put(const char *text, int flush)
{
	unsigned char out[4096];

	to.next_in = (unsigned char *)(uintptr_t)text;
	to.avail_in = (unsigned)strlen(text);
	to.next_out = out;
	to.avail_out = sizeof out;
	deflate(&to, flush);
	assert_int_equal(write(peer, out, sizeof out - to.avail_out),
		sizeof out - to.avail_out);
}

static void
expect(const char *want)
{
	struct str line;

	assert_int_equal(stream_line(&s, 1000, &line), STREAM_LINE_OK);
	assert_int_equal(line.len, strlen(want));
	assert_memory_equal(line.at, want, line.len);
}

/* What the server sent, as a client unpacks it. */
static size_t
unpack(char *out, size_t room)
{
	unsigned char in[65536];
	ssize_t n = read(peer, in, sizeof in);

	from.next_in = in;
	from.avail_in = n > 0 ? (unsigned)n : 0;
	from.next_out = (unsigned char *)out;
	from.avail_out = (unsigned)room;
	inflate(&from, Z_SYNC_FLUSH);
	return room - from.avail_out;
}

/* Whichever way the client flushes, and whether the state of zlib was given
 * back in between or not. */
static void
test_flushes(void **state)
{
	static const int flushes[] = {Z_SYNC_FLUSH, Z_PARTIAL_FLUSH,
		Z_FULL_FLUSH, Z_PARTIAL_FLUSH, Z_PARTIAL_FLUSH, Z_BLOCK};
	char text[80], want[80];
	int i;

	(void)state;
	assert_true(stream_compress(&s));
	for (i = 0; i < 300; i++) {
		snprintf(want, sizeof want, "a line that comes again, %d", i);
		snprintf(text, sizeof text, "%s\r\n", want);
		put(text, flushes[i % 6]);
		if (flushes[i % 6] == Z_BLOCK)
			put("", Z_PARTIAL_FLUSH);
		expect(want);
		if (i % 7)
			assert_true(stream_release(&s));
	}
}

/* What fills the buffer to its last byte may have more behind it, which is
 * looked for. A byte comes then that holds no text, but the end of one block
 * and some bits of the next; after it none. */
static void
test_full_buffer(void **state)
{
	char text[4097], line[511];
	unsigned char out[64];
	bool is_whole;
	int i, j;

	(void)state;
	assert_true(stream_compress(&s));
	for (i = 0; i < 100; i++) {
		for (j = 0; j < 8; j++)
			snprintf(text + 512 * j, 513, "%*d\r\n", 510,
				i * i * 7919 + j);
		put(text, Z_BLOCK);
		to.next_out = out;
		to.avail_out = sizeof out;
		deflate(&to, Z_PARTIAL_FLUSH);
		for (j = 0; j < 8; j++) {
			snprintf(line, sizeof line, "%s", text + 512 * j);
			if (j < 7)
				expect(line);
		}
		is_whole = stream_pending(&s, false);
		if (is_whole)
			expect(line);
		assert_int_equal(write(peer, out, 1), 1);
		if (!is_whole)
			expect(line);
		assert_true(stream_release(&s));
		assert_true(write(peer, out + 1, sizeof out - to.avail_out -
			1) >= 0);
	}
}

/* In the middle of a block what was unpacked is not forgotten. */
static void
test_rest_in_a_block(void **state)
{
	unsigned char out[4096];
	size_t n, i;

	(void)state;
	assert_true(stream_compress(&s));
	to.next_in = (unsigned char *)(uintptr_t)"one two three one two\r\n";
	to.avail_in = 23;
	to.next_out = out;
	to.avail_out = sizeof out;
	deflate(&to, Z_SYNC_FLUSH);
	n = sizeof out - to.avail_out;
	for (i = 0; i < n; i++) {
		assert_int_equal(write(peer, out + i, 1), 1);
		stream_pending(&s, true);
		stream_release(&s);
	}
	expect("one two three one two");
}

/* Input that zlib holds counts as input that is there. */
static void
test_pending(void **state)
{
	char many[30001];
	size_t got = 0;
	struct str have;

	(void)state;
	memset(many, 'x', sizeof many - 1);
	many[sizeof many - 1] = '\0';
	put(many, Z_NO_FLUSH);
	put("\r\nend\r\n", Z_SYNC_FLUSH);
	assert_true(stream_compress(&s));
	assert_false(stream_pending(&s, false));	/* epoll tells of it */
	while (got < 30002) {
		have = stream_peek(&s);
		if (have.len > 30002 - got)
			have.len = 30002 - got;
		stream_consume(&s, have.len);
		got += have.len;
		assert_true(stream_pending(&s, false));
		assert_false(stream_release(&s));
	}
	expect("end");
	assert_false(stream_pending(&s, true));
	assert_true(stream_release(&s));
}

/* What came in one piece with the command is compressed already. */
static void
test_begin(void **state)
{
	(void)state;
	assert_int_equal(write(peer, "compress\r\n", 10), 10);
	put("first\r\n", Z_SYNC_FLUSH);
	expect("compress");
	assert_false(stream_is_compressed(&s));
	assert_true(stream_compress(&s));
	assert_true(stream_is_compressed(&s));
	assert_true(stream_pending(&s, false));
	expect("first");
}

static void
test_write(void **state)
{
	char got[200000], *large = malloc(100000);
	size_t n = 0;
	int i;

	(void)state;
	assert_true(stream_compress(&s));
	for (i = 0; i < 100; i++) {
		stream_printf(&s, "line %d\r\n", i);
		assert_true(stream_flush(&s));
		n += unpack(got + n, sizeof got - n);
		assert_true(stream_release(&s));
	}
	assert_int_equal(n, 10 * 8 + 90 * 9);
	assert_memory_equal(got, "line 0\r\nline 1\r\n", 16);
	memset(large, 'y', 100000);
	stream_write(&s, large, 100000);
	stream_puts(&s, "z");
	assert_true(stream_flush(&s));
	n = unpack(got, sizeof got);
	assert_int_equal(n, 100001);
	assert_memory_equal(got, large, 100000);
	assert_true(s.bytes_out < 3000);
	free(large);
}

/* A thousand times what was sent: a line has its limit all the same. */
static void
test_bomb(void **state)
{
	char *zeros = calloc(1, 1001);
	struct str line;
	int i;

	(void)state;
	memset(zeros, ' ', 1000);
	assert_true(stream_compress(&s));
	for (i = 0; i < 10000; i++)
		put(zeros, Z_NO_FLUSH);
	put("\r\nnext\r\n", Z_SYNC_FLUSH);
	assert_int_equal(stream_line(&s, 1000, &line), STREAM_LINE_LONG);
	assert_true(s.in_room <= 65536);
	expect("next");
	free(zeros);
}

/* Sends blocks that are empty until nobody takes them. */
static void *
send_nothing(void *arg)
{
	static const char blocks[] = "\0\0\0\377\377\0\0\0\377\377";
	bool *stop = arg;

	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE))
		if (send(peer, blocks, sizeof blocks - 1, MSG_NOSIGNAL) < 0)
			usleep(100);
	return NULL;
}

/* They hold nobody beyond the time limit. */
static void
test_nothing(void **state)
{
	pthread_t thread;
	struct str line;
	bool stop = false;

	(void)state;
	assert_true(stream_compress(&s));
	stream_limit(&s, 100, 0);
	pthread_create(&thread, NULL, send_nothing, &stop);
	assert_int_equal(stream_line(&s, 100, &line), STREAM_LINE_FAILED);
	assert_int_equal(stream_error(&s)->kind, ERR_TIMEOUT);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

static void
test_damage(void **state)
{
	struct str line;

	(void)state;
	assert_true(stream_compress(&s));
	assert_int_equal(write(peer, "a NOOP\r\n\377\377\377", 11), 11);
	assert_int_equal(stream_line(&s, 100, &line), STREAM_LINE_FAILED);
	assert_int_equal(stream_error(&s)->kind, ERR_PROTOCOL);
	assert_false(stream_release(&s));
}

/* A client that ends its data is gone, like one that closes. */
static void
test_finish(void **state)
{
	struct str line;

	(void)state;
	assert_true(stream_compress(&s));
	put("last\r\n", Z_FINISH);
	expect("last");
	assert_int_equal(stream_line(&s, 100, &line), STREAM_LINE_FAILED);
	assert_int_equal(stream_error(&s)->kind, ERR_CLOSED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)

static const struct CMUnitTest tests[] = {
	TEST(test_flushes), TEST(test_full_buffer),
	TEST(test_rest_in_a_block), TEST(test_pending),
	TEST(test_begin), TEST(test_write), TEST(test_bomb),
	TEST(test_nothing), TEST(test_damage), TEST(test_finish),
};
UNIT_MAIN(tests)
