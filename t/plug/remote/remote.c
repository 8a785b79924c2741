/*
 * remote.c - a filter in its own process: the same work as in the worker,
 * and whatever happens to that process.
 */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "proc/plugin_host.h"
#include "rig.h"

static const char *module;	/* the line that names it */
static int log_file;

/* Sanitizers map more memory than any limit allows. */
#ifdef __has_feature		/* clang's word for it */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define NO_LIMIT "\nmemory = 0"
#else
#define NO_LIMIT ""
#endif

static bool
open_rig(struct rig *r, const char *isolate, const char *more)
{
	char settings[1000];
	struct err e = {0};

	snprintf(settings, sizeof settings, "%s\nisolate = \"%s\"%s\n%s",
		module, isolate, NO_LIMIT, more);
	if (rig_open(r, settings, &e))
		return true;
	print_message("%s\n", e.text);
	return false;
}

static struct verdict
deliver(struct rig *r, const char *subject, struct buf *out)
{
	buf_reset(out);
	return rig_deliver(r, &(struct rig_mail){.subject = subject,
		.body = 300}, out);
}

static void
assert_has(const struct buf *b, const char *text)
{
	if (!strstr(buf_c(b), text)) {
		print_message("no \"%s\" in:\n%s\n", text, buf_c(b));
		fail();
	}
}

static const char *
read_log(void)
{
	static char all[1 << 20];
	ssize_t n = pread(log_file, all, sizeof all - 1, 0);

	all[n > 0 ? n : 0] = '\0';
	return all;
}

/* Those of the plugin's process come through the log. */
static void
assert_no_reports(void)
{
	const char *report = strstr(read_log(), "ThreadSanitizer");

	if (!report)
		report = strstr(read_log(), "runtime error");
	if (report)
		print_message("%.3000s\n", report);
	assert_null(report);
}

static void
forget_log(void)
{
	assert_no_reports();
	assert_int_equal(ftruncate(log_file, 0), 0);
	lseek(log_file, 0, SEEK_SET);
}

static void
assert_logged(const char *text)
{
	const char *all = read_log();

	if (!strstr(all, text)) {
		print_message("no \"%s\" in the log:\n%s\n", text, all);
		fail();
	}
}

/* Processes of ours that hold a plugin. */
static size_t
find_hosts(pid_t *out, size_t most)
{
	DIR *d = opendir("/proc");
	const struct dirent *entry;
	size_t n = 0;

	while (n < most && (entry = readdir(d))) {
		char path[300], text[300] = "";
		int pid, parent, fd;
		char name[60], state;

		snprintf(path, sizeof path, "/proc/%.200s/stat",
			entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		if (read(fd, text, sizeof text - 1) > 0 &&
			sscanf(text, "%d (%50[^)]) %c %d", &pid, name, &state,
			&parent) == 4 && parent == getpid())
			out[n++] = pid;
		close(fd);
	}
	closedir(d);
	return n;
}

/* ------------------------------------------------------- the same results */

static void
test_same(void **state)
{
	static const struct rig_mail mails[] = {
		{.subject = "plain", .body = 300},
		{.subject = "edit", .body = 300},
		{.subject = "sum", .body = 300},
		{.subject = "sum", .body = 0},
		{.subject = "edit sum", .body = 100000},
		{.subject = "sum of a spool", .body = 900000, .memory = 65536},
		{.subject = "sum, all in a file", .body = 90000, .memory = 8},
		{.subject = "edit undo", .body = 300},
		{.subject = "replace", .body = 300},
		{.subject = "replace edit", .body = 90000, .memory = 4096},
		{.subject = "edit reject", .body = 300},
		{.subject = "edit quarantine", .body = 300},
		{.subject = "discard", .body = 300},
		{.subject = "verdict", .body = 300},
		{.subject = "log", .body = 300},
		{.subject = "x", .helo = "reject", .body = 3},
		{.subject = "x", .sender = "refused@x", .body = 3},
		{.subject = "x", .sender = "", .body = 3},
	};
	static const char *const how[] = {"none", "process", "sandbox"};
	struct rig rig[3];
	struct buf out[3];
	size_t i, j;

	(void)state;
	for (j = 0; j < 3; j++) {
		assert_true(open_rig(&rig[j], how[j], "mark = \"here\""));
		buf_init(&out[j], BUF_NO_CAP);
	}
	for (i = 0; i < COUNT(mails); i++)
		for (j = 0; j < 3; j++) {
			buf_reset(&out[j]);
			rig_deliver(&rig[j], &mails[i], &out[j]);
			if (!str_eq(buf_str(&out[0]), buf_str(&out[j])))
				print_message("\"%s\", none:\n%s\n%s:\n%s\n",
					mails[i].subject, buf_c(&out[0]),
					how[j], buf_c(&out[j]));
			assert_true(str_eq(buf_str(&out[0]),
				buf_str(&out[j])));
		}
	for (j = 0; j < 3; j++) {
		rig_close(&rig[j]);
		buf_free(&out[j]);
	}
}

static void
test_refuses_to_load(void **state)
{
	struct rig r;

	(void)state;
	assert_false(open_rig(&r, "process", "mark = \"refuse\""));
	rig_close(&r);
	assert_false(open_rig(&r, "process", "mork = \"typing error\""));
	rig_close(&r);
	assert_false(open_rig(&r, "sandbox", "allow_files = [\"/not/there\"]"));
	rig_close(&r);
}

/* -------------------------------------------------------------- crashes */

static void
crash(const char *isolate, const char *order, const char *signal_name)
{
	struct rig r;
	struct buf out;
	char text[200];

	buf_init(&out, BUF_NO_CAP);
	forget_log();
	assert_true(open_rig(&r, isolate, *NO_LIMIT ?
		"time = \"3s\"" : "time = \"700ms\"\n"
		"memory = \"64 MiB\""));
	assert_int_equal(deliver(&r, order, &out).kind, MR_TEMPFAIL);
	assert_has(&out, "message: 2 451 4.3.0");
	assert_null(strstr(buf_c(&out), "X-Told"));
	snprintf(text, sizeof text, "plugin=p hook=message session=s1 "
		"message=Qs1 signal=%s", signal_name);
	assert_logged(text);
	assert_logged("sandbox, second try");
	assert_int_equal(deliver(&r, "plain", &out).kind, MR_PASS);
	assert_has(&out, "hooks=6");
	rig_close(&r);
	buf_free(&out);
}

static void
test_crashes(void **state)
{
	(void)state;
	crash("process", "segv", "\"Segmentation fault\"");
	crash("sandbox", "segv", "\"Segmentation fault\"");
	crash("process", "abort", "Aborted");
	crash("sandbox", "exit", "\"exit 7\"");
	crash("process", "hang", "\"killed: not back in time\"");
	crash("sandbox", "spin", "\"killed: not back in time\"");
	if (!*NO_LIMIT)
		crash("process", "leak", "Aborted");
	crash("process", "nonsense frame", "\"killed: spoke nonsense\"");
}

static void
test_cpu(void **state)
{
	struct rig r;
	struct buf out;

	(void)state;
	buf_init(&out, BUF_NO_CAP);
	forget_log();
	assert_true(open_rig(&r, "sandbox", "cpu = \"200ms\""));
	assert_int_equal(deliver(&r, "spin", &out).kind, MR_TEMPFAIL);
	assert_logged("CPU time limit exceeded");
	assert_int_equal(deliver(&r, "plain", &out).kind, MR_PASS);
	rig_close(&r);
	buf_free(&out);
}

/* The second try is in the sandbox, and knows all that came before. */
static void
test_second_try(void **state)
{
	struct rig r;
	struct buf out;

	(void)state;
	buf_init(&out, BUF_NO_CAP);
	assert_true(open_rig(&r, "process", ""));
	assert_int_equal(deliver(&r, "once edit", &out).kind, MR_PASS);
	assert_has(&out, "hooks=6 helo=client from=a@example.test rcpts=2");
	assert_has(&out, "X-Renamed: by its id");
	rig_close(&r);
	buf_free(&out);
}

static void
test_on_crash(void **state)
{
	struct rig r;
	struct buf out;

	(void)state;
	buf_init(&out, BUF_NO_CAP);
	assert_true(open_rig(&r, "process", "on_crash = \"skip\""));
	assert_int_equal(deliver(&r, "segv", &out).kind, MR_PASS);
	assert_has(&out, "Subject: segv");
	assert_null(strstr(buf_c(&out), "X-Told"));
	rig_close(&r);
	assert_true(open_rig(&r, "process", "on_crash = \"hold\""));
	assert_int_equal(deliver(&r, "segv", &out).kind, MR_QUARANTINE);
	assert_has(&out, "the filter crashed on it");
	buf_reset(&out);
	assert_int_equal(rig_deliver(&r, &(struct rig_mail){.subject = "x",
		.helo = "segv"}, &out).kind, MR_TEMPFAIL);
	assert_has(&out, "helo: 2 451");
	rig_close(&r);
	buf_free(&out);
}

/* --------------------------------------------------------------- sandbox */

static void
probe(const char *isolate, const char *more, const char *want)
{
	struct rig r;
	struct buf out;

	buf_init(&out, BUF_NO_CAP);
	assert_true(open_rig(&r, isolate, more));
	assert_int_equal(deliver(&r, "probe", &out).kind, MR_PASS);
	assert_has(&out, want);
	rig_close(&r);
	buf_free(&out);
}

static void
test_sandbox(void **state)
{
	(void)state;
	probe("process", "", "write=done read=done socket=done fork=done");
	probe("sandbox", "", "write=refused read=refused socket=refused "
		"fork=refused kill=refused");
	probe("sandbox", "allow_network = true", "write=refused read=refused "
		"socket=done fork=refused kill=refused");
	probe("sandbox", "allow_files = [\"/etc\"]", "write=refused read=done "
		"socket=refused");
	probe("sandbox", "allow_files = [\"rw:/tmp\"]", "write=done "
		"read=refused socket=refused");
}

/* ----------------------------------------------------------------- storm */

#define SENDERS 6
#define MESSAGES 300

static struct rig storm_rig;
static _Atomic int sent, passed, put_off, other;

static void *
send_many(void *arg)
{
	struct buf out;
	char session[20];
	int n;

	buf_init(&out, BUF_NO_CAP);
	while ((n = sent++) < MESSAGES) {
		struct rig_mail mail = {.subject = "nap edit sum",
			.body = 40000, .session = session};
		struct verdict v;

		snprintf(session, sizeof session, "s%d", n);
		buf_reset(&out);
		v = rig_deliver(&storm_rig, &mail, &out);
		if (v.kind == MR_PASS && strstr(buf_c(&out), "hooks=6 helo="
			"client from=a@example.test rcpts=2") &&
			strstr(buf_c(&out), "X-Sum: 0 4"))
			passed++;
		else if (v.kind == MR_TEMPFAIL && v.reply.code == 451)
			put_off++;
		else {
			print_message("%d %s", v.kind, buf_c(&out));
			other++;
		}
	}
	buf_free(&out);
	return arg;
}

static void
test_storm(void **state)
{
	/* No SIGSEGV: sanitizers would report it, until the process has given
	 * its handlers up. */
	static const int signals[] = {SIGKILL, SIGSTOP, SIGSYS, SIGKILL,
		SIGTERM, SIGSTOP, SIGKILL, SIGABRT};
	pthread_t t[SENDERS];
	unsigned seed = (unsigned)getpid();
	pid_t pids[20];
	size_t i, n;

	(void)state;
	assert_true(open_rig(&storm_rig, "process", "time = \"1s\""));
	for (i = 0; i < SENDERS; i++)
		pthread_create(&t[i], NULL, send_many, NULL);
	for (i = 0; i < COUNT(signals); i++) {
		struct timespec pause = {0, (long)(rand_r(&seed) % 300) *
			1000000};

		nanosleep(&pause, NULL);
		n = find_hosts(pids, 20);
		if (n)
			kill(pids[(size_t)rand_r(&seed) % n], signals[i]);
	}
	for (i = 0; i < SENDERS; i++)
		pthread_join(t[i], NULL);
	print_message("# %d judged, %d put off\n", passed, put_off);
	assert_int_equal(other, 0);
	assert_int_equal(passed + put_off, MESSAGES);
	assert_true(passed >= MESSAGES / 2);
	rig_close(&storm_rig);
	for (i = 0; i < 100 && find_hosts(pids, 20); i++)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	assert_int_equal(find_hosts(pids, 20), 0);
	assert_no_reports();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_refuses_to_load),
		cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_cpu),
		cmocka_unit_test(test_second_try),
		cmocka_unit_test(test_on_crash),
		cmocka_unit_test(test_sandbox),
		cmocka_unit_test(test_storm),
	};
	static char line[4300];
	char here[4096];
	struct err e = {0};

	if (plugin_host_is(argc, argv))
		return plugin_host_main(argc, argv);
	/* rogue.so lies beside us. */
	if (!realpath("/proc/self/exe", here))
		return 1;
	*strrchr(here, '/') = '\0';
	snprintf(line, sizeof line, "module = \"%s/rogue.so\"", here);
	module = line;
	log_file = file_temp("/tmp", &e);
	log_open(log_file, LOG_INFO, false, "test");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
