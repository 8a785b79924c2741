/*
 * sock.c - addresses and networks in text, listening, connecting.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "net/sock.h"

static const struct {
	const char *text, *host, *shown;	/* host NULL: refused */
	unsigned port;
	bool loopback;
} addresses[] = {
	{"127.0.0.1:25", "127.0.0.1", "127.0.0.1:25", 25, true},
	{"127.9.9.9:0", "127.9.9.9", "127.9.9.9:0", 0, true},
	{"0.0.0.0:65535", "0.0.0.0", "0.0.0.0:65535", 65535, false},
	{"[::1]:25", "::1", "[::1]:25", 25, true},
	{"[::]:25", "::", "[::]:25", 25, false},
	{"[2001:DB8:0::1]:587", "2001:db8::1", "[2001:db8::1]:587", 587,
		false},
	{"[::ffff:192.0.2.1]:25", "192.0.2.1", "192.0.2.1:25", 25, false},
	{"[::ffff:127.0.0.1]:25", "127.0.0.1", "127.0.0.1:25", 25, true},
	{"unix:/run/a", "/run/a", "unix:/run/a", 0, true},
	{"unix:/a:25", "/a:25", "unix:/a:25", 0, true},
	{"", NULL, NULL, 0, false}, {":25", NULL, NULL, 0, false},
	{"127.0.0.1", NULL, NULL, 0, false},
	{"127.0.0.1:", NULL, NULL, 0, false},
	{"127.0.0.1:65536", NULL, NULL, 0, false},
	{"127.0.0.1:-1", NULL, NULL, 0, false},
	{"127.0.0.1:25x", NULL, NULL, 0, false},
	{"127.0.0.1: 25", NULL, NULL, 0, false},
	{"127.1:25", NULL, NULL, 0, false},
	{"127.0.0.256:25", NULL, NULL, 0, false},
	{"[127.0.0.1]:25", NULL, NULL, 0, false},
	{"::1:25", NULL, NULL, 0, false},
	{"2001:db8::1:25", NULL, NULL, 0, false},
	{"[::1]", NULL, NULL, 0, false}, {"[]:25", NULL, NULL, 0, false},
	{"[::1:25", NULL, NULL, 0, false}, {"::1]:25", NULL, NULL, 0, false},
	{"[fe80::1%lo]:25", NULL, NULL, 0, false},
	{"localhost:25", NULL, NULL, 0, false},
	{"unix:", NULL, NULL, 0, false},
	{"unix:/0123456789012345678901234567890123456789012345678901234567890"
		"12345678901234567890123456789012345678901234567", NULL, NULL,
		0, false},
};

static void
test_addresses(void **state)
{
	char host[SOCK_TEXT], shown[SOCK_TEXT];
	struct sock_addr a, again;
	struct err e;
	size_t i;
	int code;

	(void)state;
	for (i = 0; i < COUNT(addresses); i++) {
		e = (struct err){0};
		code = sock_parse(str_from(addresses[i].text), &a, &e);
		if (code != (addresses[i].host ? 0 : -1))
			fail_msg("%s", addresses[i].text);
		if (code < 0) {
			assert_int_equal(e.kind, ERR_CONFIG);
			continue;
		}
		sock_host(&a, host);
		sock_text(&a, shown);
		assert_string_equal(host, addresses[i].host);
		assert_string_equal(shown, addresses[i].shown);
		assert_int_equal(sock_port(&a), addresses[i].port);
		assert_int_equal(sock_is_loopback(&a), addresses[i].loopback);
		assert_int_equal(sock_parse(str_from(shown), &again, &e), 0);
	}
	assert_int_equal(sock_parse(STR("127.0.0.1\0:25"), &a, &e), -1);
	assert_int_equal(sock_parse(STR("unix:/a\0b"), &a, &e), -1);
}

/* The longest path survives the way to text and back. */
static void
test_longest_path(void **state)
{
	struct sock_addr a, b;
	char path[5 + 108] = "unix:/", shown[SOCK_TEXT];
	struct err e;

	(void)state;
	memset(path + 6, 'x', sizeof path - 7);
	assert_int_equal(sock_parse(str_from(path), &a, &e), 0);
	sock_text(&a, shown);
	assert_string_equal(shown, path);
	assert_int_equal(sock_parse(str_from(shown), &b, &e), 0);
	assert_memory_equal(&a, &b, sizeof a);
}

static const struct {
	const char *net, *in[2], *out[3];	/* in[0] NULL: refused */
} nets[] = {
	{"192.0.2.0/24", {"192.0.2.0:1", "192.0.2.255:1"},
		{"192.0.3.0:1", "192.0.1.255:1", "[::c000:200]:1"}},
	{"192.0.2.77/24", {"192.0.2.1:1"}, {"192.0.3.1:1"}},
	{"10.0.0.0/9", {"10.127.255.255:1"}, {"10.128.0.0:1"}},
	{"127.0.0.1", {"127.0.0.1:1", "[::ffff:127.0.0.1]:1"},
		{"127.0.0.2:1", "[::1]:1", "unix:/a"}},
	{"0.0.0.0/0", {"255.255.255.255:1", "[::ffff:1.2.3.4]:1"},
		{"[::]:1", "[2001:db8::1]:1", "unix:/a"}},
	{"192.0.2.128/25", {"192.0.2.128:1"}, {"192.0.2.127:1"}},
	{"192.0.2.4/31", {"192.0.2.4:1", "192.0.2.5:1"}, {"192.0.2.6:1"}},
	{"2001:db8::/32", {"[2001:db8:ffff::1]:1"},
		{"[2001:db9::]:1", "192.0.2.1:1"}},
	{"2001:db8::/33", {"[2001:db8:7fff::]:1"}, {"[2001:db8:8000::]:1"}},
	{"::/0", {"[2001:db8::1]:1", "[::1]:1"}, {"192.0.2.1:1"}},
	{"::1", {"[::1]:1"}, {"[::2]:1", "127.0.0.1:1"}},
	{"::1/128", {"[::1]:1"}, {"[::]:1"}},
	{"", {NULL}, {NULL}}, {"/8", {NULL}, {NULL}},
	{"10.0.0.0/", {NULL}, {NULL}}, {"10.0.0.0/33", {NULL}, {NULL}},
	{"10.0.0.0/-1", {NULL}, {NULL}}, {"10.0.0.0/8/8", {NULL}, {NULL}},
	{"::/129", {NULL}, {NULL}}, {"10.0.0/8", {NULL}, {NULL}},
	{"10.0.0.0 /8", {NULL}, {NULL}}, {"[::1]", {NULL}, {NULL}},
	{"example.org/8", {NULL}, {NULL}}, {"10.0.0.0/8x", {NULL}, {NULL}},
};

static bool
is_in(const char *address, const struct sock_net *n)
{
	struct sock_addr a;
	struct err e;

	assert_int_equal(sock_parse(str_from(address), &a, &e), 0);
	return sock_in_net(&a, n);
}

static void
test_nets(void **state)
{
	struct sock_net n;
	struct err e;
	size_t i, k;
	int code;

	(void)state;
	for (i = 0; i < COUNT(nets); i++) {
		code = sock_parse_net(str_from(nets[i].net), &n, &e);
		if (code != (nets[i].in[0] ? 0 : -1))
			fail_msg("%s", nets[i].net);
		for (k = 0; k < 2 && nets[i].in[k]; k++)
			if (!is_in(nets[i].in[k], &n))
				fail_msg("%s not in %s", nets[i].in[k],
					nets[i].net);
		for (k = 0; k < 3 && nets[i].out[k]; k++)
			if (is_in(nets[i].out[k], &n))
				fail_msg("%s in %s", nets[i].out[k],
					nets[i].net);
	}
}

/* -------------------------------------------------------------- sockets */

/* Listens on the text, connects, and shows what each side sees. */
static void
try_connection(const char *text, char seen[SOCK_TEXT])
{
	struct sock_addr a, local, peer, mine;
	struct err e = {0};
	int server, client, got;

	assert_int_equal(sock_parse(str_from(text), &a, &e), 0);
	server = sock_listen(&a, 5, &e);
	assert_true(server >= 0);
	assert_int_equal(sock_accept(server, &peer, &e), -1);
	assert_int_equal(e.sys, EAGAIN);
	assert_int_equal(sock_local(server, &local, &e), 0);
	client = sock_connect(&local, NULL, clock_mono() + 5000, &e);
	assert_true(client >= 0);
	got = sock_accept(server, &peer, &e);
	assert_true(got >= 0);
	assert_true(fcntl(got, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(sock_local(client, &mine, &e), 0);
	assert_int_equal(sock_port(&peer), sock_port(&mine));
	sock_host(&peer, seen);
	close(got);
	close(client);
	close(server);
}

static void
test_tcp(void **state)
{
	char seen[SOCK_TEXT];
	struct sock_addr a, source;
	struct err e = {0};

	(void)state;
	try_connection("127.0.0.1:0", seen);
	assert_string_equal(seen, "127.0.0.1");
	/* Nobody listens; an address that is not ours. */
	sock_parse(STR("127.0.0.1:1"), &a, &e);
	assert_int_equal(sock_connect(&a, NULL, clock_mono() + 5000, &e), -1);
	assert_int_equal(e.sys, ECONNREFUSED);
	assert_non_null(strstr(e.text, "127.0.0.1:1"));
	sock_parse(STR("192.0.2.1:0"), &source, &e);
	assert_int_equal(sock_connect(&a, &source, clock_mono() + 5000, &e),
		-1);
	assert_int_equal(e.sys, EADDRNOTAVAIL);
}

static void
test_unix(void **state)
{
	char folder[] = "/tmp/unit-sock.XXXXXX", text[100], seen[SOCK_TEXT];
	const char *path = text + 5;
	struct sock_addr a;
	struct err e = {0};
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(text, sizeof text, "unix:%s/s", folder);
	try_connection(text, seen);
	assert_string_equal(seen, "");
	/* The file has stayed: nobody answers, so it is replaced. */
	assert_int_equal(access(path, F_OK), 0);
	sock_parse(str_from(text), &a, &e);
	fd = sock_listen(&a, 5, &e);
	assert_true(fd >= 0);
	/* Somebody does. */
	assert_int_equal(sock_listen(&a, 5, &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	unlink(path);
	/* Not a socket: stays. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(sock_listen(&a, 5, &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	rmdir(folder);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_addresses),
	cmocka_unit_test(test_longest_path),
	cmocka_unit_test(test_nets),
	cmocka_unit_test(test_tcp),
	cmocka_unit_test(test_unix),
};
UNIT_MAIN(tests)
