/*
 * milter.c - what filters cost a message of 4 KiB with 20 headers and one
 * recipient.
 *
 * usage: milter NOOP_DAEMON TABLE.so NATIVE.so
 *
 * Prints for each way microseconds a message, and of them our own CPU. Four
 * ways are measured in turn, in rounds, and the best round of each
 * counts: no filter (what the hooks cost by themselves), a native plugin, a
 * libmilter filter inside the process, and a libmilter daemon behind our
 * client. Against the last stands a bare client that sends the very frames
 * that our client sent, recorded before.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "plug/hooks.h"
#include "plug/milter.h"

#define HEADERS 20
#define BODY 4096
#define ROUNDS 60
#define FRAMES_MOST 65536

struct way {
	const char *name;
	struct plugins plugins;
	struct chain chain;
	struct arena session, message, content;
	struct facts facts;
	struct envelope envelope;
	struct message *text;
	struct hooks *hooks;
	unsigned times;		/* messages in a round */
	struct figure {
		double wall, cpu;	/* best, microseconds a message */
	} best;
};

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
keep_best(struct figure *f, double wall, double cpu)
{
	if (f->wall == 0 || wall < f->wall)
		f->wall = wall;
	if (f->cpu == 0 || cpu < f->cpu)
		f->cpu = cpu;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* ------------------------------------------------------------ our side */

static struct message *
make_message(struct arena *a)
{
	struct message *m = message_new(a, "/tmp", 1 << 20);
	struct err e = {0};
	int i;

	for (i = 0; i < HEADERS; i++) {
		struct str s = str_from(arena_printf(a, "X-Header-%d: value "
			"number %d of a header of usual length\r\n", i, i));

		message_write(m, s, &e);
	}
	message_write(m, STR("\r\n"), &e);
	for (i = 0; i < BODY / 64; i++)
		message_write(m, STR("a line of a body that is sixty-two "
			"bytes long before its line end\r\n"), &e);
	message_seal(m, &e);
	return m;
}

static void
begin_session(struct way *w)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&w->facts.peer.sa;

	w->facts = (struct facts){.hostname = "mx.example.org",
		.authserv_id = "mx.example.org", .software = "Mailroom",
		.listener = "mx", .purpose = "mx", .chain = "inbound",
		.session = "s1", .protocol = "ESMTP", .auth_mechanism = "",
		.rcpt_mailer = "local", .session_arena = &w->session,
		.message_arena = &w->message,
		.peer_name = STR("client.example"),
		.helo = STR("client.example")};
	v4->sin_family = AF_INET;
	v4->sin_addr.s_addr = htonl(0xc0000207);
	v4->sin_port = htons(4711);
	w->facts.peer.len = sizeof *v4;
	w->facts.local = w->facts.peer;
	w->hooks = hooks_new(&w->chain, &w->facts);
	hooks_connect(w->hooks);
	hooks_helo(w->hooks);
}

static void
one_message(struct way *w)
{
	struct verdict v;

	envelope_init(&w->envelope, &w->message);
	w->envelope.sender = STR("sender@example.net");
	w->envelope.sender_args = STR("SIZE=5000 BODY=8BITMIME");
	w->facts.envelope = &w->envelope;
	memcpy(w->facts.queue_id, "01ABCDEFGHJK", 13);
	hooks_mail(w->hooks);
	envelope_add(&w->envelope, STR("rcpt@example.org"), STR(""));
	hooks_rcpt(w->hooks, 0, NULL);
	hooks_data(w->hooks);
	w->facts.message = w->text;
	v = hooks_message(w->hooks);
	w->facts.message = NULL;
	if (v.kind != MR_PASS)
		die("the filter did not let it pass");
	hooks_reset(w->hooks);
	arena_reset(&w->message);
}

static void
round_of_ours(struct way *w)
{
	double wall = now_us(), cpu = cpu_us();
	unsigned i;

	for (i = 0; i < w->times; i++)
		one_message(w);
	keep_best(&w->best, (now_us() - wall) / w->times,
		(cpu_us() - cpu) / w->times);
}

static void
open_way(struct way *w, const char *section, const char *key,
	const char *value)
{
	struct conf_report report;
	struct err e = {0};
	struct arena a;
	struct conf *c;

	arena_init(&a);
	plugins_init(&w->plugins);
	conf_report_init(&report);
	c = conf_parse(str_from(arena_printf(&a, "[%s.f]\n%s = \"%s\"\n",
		section, key, value)), "bench", &report);
	if (!plugins_add(&w->plugins, "f", ".", strcmp(section, "milter") ?
		NULL : &milter_plugin, c, conf_find(conf_find(conf_root(c),
		section), "f"), &report)) {
		fputs(buf_c(&report.text), stderr);
		exit(1);
	}
	if (plugins_open(&w->plugins, "smtp", "/tmp", "h", &e) < 0)
		die(e.text);
	w->chain.item = w->plugins.item;
	w->chain.n = 1;
	conf_free(c);
	conf_report_free(&report);
	arena_free(&a);
}

static void
prepare(struct way *w, const char *name, unsigned times)
{
	w->name = name;
	w->times = times;
	w->chain.name = "inbound";
	w->chain.timeout_ms = 60000;
	w->text = make_message(&w->content);
	begin_session(w);
}

/* ------------------------------------------------- recording our frames */

struct record {
	int listener;
	char path[100];
	char bytes[FRAMES_MOST];	/* of the second message */
	size_t len;
	pthread_t thread;
};

/* Looking before waiting is faster here than a read that blocks. */
static ssize_t
read_some(int fd, void *to, size_t n)
{
	struct pollfd p = {fd, POLLIN, 0};
	ssize_t got = recv(fd, to, n, MSG_DONTWAIT);

	if (got >= 0)
		return got;
	poll(&p, 1, -1);
	return recv(fd, to, n, 0);
}

static bool
read_all(int fd, void *to, size_t n)
{
	char *at = to;
	ssize_t got;

	for (; n; at += got, n -= (size_t)got) {
		got = read_some(fd, at, n);
		if (got <= 0)
			return false;
	}
	return true;
}

static bool
is_answered(char command)
{
	return !strchr("DAQ", command);
}

static void
reply(int fd, char command)
{
	/* Our offer, as libmilter answers it for a filter of all steps. */
	static const char options[] = {0, 0, 0, 13, 'O', 0, 0, 0, 6, 0, 0, 0,
		0, 0, 0, 1, 0};
	static const char go_on[] = {0, 0, 0, 1, 'c'};

	if (!is_answered(command))
		return;
	if (write(fd, command == 'O' ? options : go_on, command == 'O' ?
		sizeof options : sizeof go_on) < 0)
		die("record");
}

static uint32_t
frame_length(const char *at)
{
	const unsigned char *p = (const unsigned char *)at;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		(uint32_t)p[2] << 8 | p[3];
}

static void *
record(void *arg)
{
	struct record *r = arg;
	int fd = accept(r->listener, NULL, NULL), messages = 0;
	static char frame[FRAMES_MOST];
	uint32_t n;

	while (read_all(fd, frame, 4)) {
		n = frame_length(frame);
		if (n > sizeof frame - 4 || !read_all(fd, frame + 4, n))
			break;
		if (frame[4] == 'D' && frame[5] == 'M')
			messages++;
		if (messages == 2 && frame[4] != 'Q') {
			memcpy(r->bytes + r->len, frame, n + 4);
			r->len += n + 4;
		}
		reply(fd, frame[4]);
	}
	close(fd);
	return NULL;
}

static int
unix_socket(const char *path, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(a->sun_path, sizeof a->sun_path, "%s", path);
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static void
record_frames(struct record *r, const char *folder)
{
	struct sockaddr_un a;
	struct way w = {.name = "recorded"};
	char where[120];

	snprintf(r->path, sizeof r->path, "%s/record", folder);
	r->listener = unix_socket(r->path, &a);
	if (bind(r->listener, (struct sockaddr *)&a, sizeof a) < 0 ||
		listen(r->listener, 1) < 0)
		die("record");
	pthread_create(&r->thread, NULL, record, r);
	snprintf(where, sizeof where, "unix:%s", r->path);
	open_way(&w, "milter", "socket", where);
	prepare(&w, "recorded", 1);
	one_message(&w);
	one_message(&w);
	hooks_end(w.hooks);
	pthread_join(r->thread, NULL);
	close(r->listener);
	unlink(r->path);
}

/* -------------------------------------------------------- the bare client */

static void
expect(int fd, char want)
{
	char head[5], rest[256];

	if (!read_all(fd, head, 5) || head[4] != want ||
		!read_all(fd, rest, frame_length(head) - 1))
		die("bare client");
}

static int
bare_connect(const char *path)
{
	/* O with our offer, C, H. */
	static const char hello[] = {0, 0, 0, 13, 'O', 0, 0, 0, 6, 0, 0, 1,
		(char)0xff, 0, 0x1f, (char)0xff, (char)0xff};
	static const char client[] = "\0\0\0\035Cclient.example\0004\022g"
		"192.0.2.7";
	static const char helo[] = "\0\0\0\020Hclient.example";
	struct sockaddr_un a;
	int fd = unix_socket(path, &a);

	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
		write(fd, hello, sizeof hello) < 0)
		die(path);
	expect(fd, 'O');
	if (write(fd, client, sizeof client) < 0)
		die(path);
	expect(fd, 'c');
	if (write(fd, helo, sizeof helo) < 0)
		die(path);
	expect(fd, 'c');
	return fd;
}

static void
bare_message(int fd, const struct record *r)
{
	const char *from = r->bytes, *at = from, *end = from + r->len;
	char command;

	while (at < end) {
		command = at[4];
		at += 4 + frame_length(at);
		if (!is_answered(command) && at < end)
			continue;
		if (write(fd, from, (size_t)(at - from)) != at - from)
			die("bare client");
		from = at;
		if (is_answered(command))
			expect(fd, 'c');
	}
}

static void
round_of_bare(int fd, const struct record *r, unsigned times,
	struct figure *best)
{
	double wall = now_us(), cpu = cpu_us();
	unsigned i;

	for (i = 0; i < times; i++)
		bare_message(fd, r);
	keep_best(best, (now_us() - wall) / times, (cpu_us() - cpu) / times);
}

static pid_t
start_daemon(const char *program, const char *path)
{
	char where[120];
	pid_t pid = fork();
	int i;

	snprintf(where, sizeof where, "unix:%s", path);
	if (pid == 0) {
		execl(program, program, where, (char *)NULL);
		_exit(127);
	}
	for (i = 0; i < 500 && access(path, F_OK) < 0; i++)
		usleep(10000);
	return pid;
}

static void
print_figure(const char *what, struct figure f)
{
	printf("%s %.3f %.3f\n", what, f.wall, f.cpu);
}

int
main(int argc, char **argv)
{
	static struct record frames;
	static struct way none, native, inside, outside;
	char folder[] = "/tmp/mailroom-bench.XXXXXX", path[80], where[100];
	struct figure bare = {0, 0};
	int i, fd;
	pid_t pid;

	if (argc != 4 || !mkdtemp(folder))
		return 2;
	log_open(2, LOG_ERROR, false, "bench");
	snprintf(path, sizeof path, "%s/noop", folder);
	snprintf(where, sizeof where, "unix:%s", path);
	record_frames(&frames, folder);
	pid = start_daemon(argv[1], path);
	prepare(&none, "no filter", 5000);
	open_way(&native, "plugin", "module", argv[3]);
	prepare(&native, "native plugin", 5000);
	open_way(&inside, "plugin", "module", argv[2]);
	prepare(&inside, "libmilter filter inside", 3000);
	open_way(&outside, "milter", "socket", where);
	prepare(&outside, "libmilter daemon, our client", 150);
	fd = bare_connect(path);
	for (i = 0; i < ROUNDS; i++) {
		round_of_ours(&none);
		round_of_ours(&native);
		round_of_ours(&inside);
		round_of_ours(&outside);
		round_of_bare(fd, &frames, outside.times, &bare);
	}
	print_figure("none", none.best);
	print_figure("native", native.best);
	print_figure("inside", inside.best);
	print_figure("outside", outside.best);
	print_figure("bare", bare);
	hooks_end(outside.hooks);
	close(fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
	rmdir(folder);
	return 0;
}
