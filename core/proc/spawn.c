/*
 * spawn.c - a worker's command line, written by the master and read by the
 * worker. Between fork and exec only async-signal-safe calls are made.
 */
#include "proc/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/file.h"

#define FIRST_FD 10	/* descriptors are handed over from here on */

int
spawn_sealed_fd(const char *name, struct str bytes, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(e, "memfd_create");
	if (file_write_all(fd, bytes.at, bytes.len, e) < 0) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK |
		F_SEAL_SEAL);
	return fd;
}

/* The child's side: moves each descriptor of `from` to FIRST_FD + i. They are
 * first lifted out of the way, so that no move overwrites a later source. */
static void
hand_over(const int *from, size_t n)
{
	int lifted[SPAWN_FDS + 2];
	size_t i;

	for (i = 0; i < n; i++) {
		lifted[i] = fcntl(from[i], F_DUPFD, FIRST_FD + (int)n);
		if (lifted[i] < 0)
			_exit(71);
	}
	for (i = 0; i < n; i++)
		if (dup2(lifted[i], FIRST_FD + (int)i) < 0)
			_exit(71);
	for (i = 0; i < n; i++)
		close(lifted[i]);
}

static const char **
make_args(const struct spawn *s, struct arena *a)
{
	const char **argv = arena_alloc(a, (16 +
		2 * (s->n_listen + s->n_copies) + 2 * ISOLATE_NAMES) * sizeof *argv);
	size_t n = 0, i;

	argv[n++] = "mailroomd";
	argv[n++] = "--role";
	argv[n++] = arena_cstr(a, str_from(role_name(s->role)));
	argv[n++] = "--generation";
	argv[n++] = arena_printf(a, "%u", s->generation);
	argv[n++] = "--config";
	argv[n++] = arena_cstr(a, str_from(s->config_file));
	if (s->orphans) {
		argv[n++] = "--orphans";
		argv[n++] = arena_cstr(a, str_from(s->orphans));
	}
	if (s->suspects) {
		argv[n++] = "--suspects";
		argv[n++] = arena_cstr(a, str_from(s->suspects));
	}
	for (i = 0; s->isolate && i < s->isolate->n; i++)
		if (s->isolate->plugin[i].is_moved) {
			argv[n++] = "--isolate";
			argv[n++] = arena_cstr(a, str_from(
				s->isolate->plugin[i].name));
		}
	for (i = 0; i < s->n_listen; i++) {
		argv[n++] = "--listen";
		argv[n++] = arena_printf(a, "%s=%d", s->listen[i].name,
			FIRST_FD + 2 + (int)i);
	}
	for (i = 0; i < s->n_copies; i++) {
		argv[n++] = "--module";
		argv[n++] = arena_printf(a, "%d=%s", FIRST_FD + 2 +
			(int)(s->n_listen + i), s->copies[i].path);
	}
	argv[n] = NULL;
	return argv;
}

pid_t
spawn_worker(const struct spawn *s, int *control, struct err *e)
{
	struct arena a;
	const char **argv;
	int pair[2], from[SPAWN_FDS + 2];
	sigset_t none;
	pid_t pid;
	size_t n = 2, i;

	if (s->n_listen + s->n_copies > SPAWN_FDS)
		return err_set(e, ERR_CONFIG, "more than %d addresses and "
			"modules", SPAWN_FDS);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	arena_init(&a);
	argv = make_args(s, &a);
	from[0] = pair[1];
	from[1] = s->config_fd;
	for (i = 0; i < s->n_listen; i++)
		from[n++] = s->listen[i].fd;
	for (i = 0; i < s->n_copies; i++)
		from[n++] = s->copies[i].fd;
	pid = fork();
	if (pid == 0) {
		hand_over(from, n);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv("/proc/self/exe", (char *const *)argv);
		_exit(71);
	}
	close(pair[1]);
	arena_free(&a);
	if (pid < 0) {
		close(pair[0]);
		return err_sys(e, "fork");
	}
	*control = pair[0];
	return pid;
}

static int
read_listen(char *arg, struct spawn_listen *out)
{
	struct str rest = str_from(arg), name = str_cut(&rest, '=');
	uint64_t fd;

	if (!name.len || !str_u64(rest, 65535, &fd))
		return -1;
	arg[name.len] = '\0';
	out->name = arg;
	out->fd = (int)fd;
	return 0;
}

static int
read_module(const char *arg, struct module_copy *out)
{
	struct str rest = str_from(arg), number = str_cut(&rest, '=');
	uint64_t fd;

	if (!rest.len || !str_u64(number, 65535, &fd))
		return -1;
	*out = (struct module_copy){rest.at, (int)fd};
	return 0;
}

int
spawn_read_args(int argc, char **argv, struct spawn_args *out, struct err *e)
{
	uint64_t n;
	int i;

	*out = (struct spawn_args){.role = ROLE_MASTER,
		.control_fd = FIRST_FD, .config_fd = FIRST_FD + 1};
	for (i = 1; i + 1 < argc; i += 2) {
		const char *key = argv[i], *value = argv[i + 1];

		if (!strcmp(key, "--role"))
			out->role = !strcmp(value, "smtp") ? ROLE_SMTP :
				!strcmp(value, "mailbox") ? ROLE_MAILBOX :
				!strcmp(value, "runner") ? ROLE_RUNNER :
				ROLE_MASTER;
		else if (!strcmp(key, "--generation") &&
			str_u64(str_from(value), UINT32_MAX, &n))
			out->generation = (unsigned)n;
		else if (!strcmp(key, "--config"))
			out->config_file = value;
		else if (!strcmp(key, "--orphans"))
			out->orphans = value;
		else if (!strcmp(key, "--suspects"))
			out->suspects = value;
		else if (!strcmp(key, "--isolate") &&
			out->n_moved < ISOLATE_NAMES)
			out->moved[out->n_moved++] = value;
		else if (!strcmp(key, "--listen") && out->n_listen < 256 &&
			read_listen(argv[i + 1],
				&out->listen[out->n_listen]) == 0)
			out->n_listen++;
		else if (!strcmp(key, "--module") && out->n_copies < SPAWN_FDS
			&& read_module(value,
				&out->copies[out->n_copies]) == 0)
			out->n_copies++;
		else
			return err_set(e, ERR_CONFIG,
				"unknown worker argument %s", key);
	}
	if (out->role == ROLE_MASTER || !out->config_file)
		return err_set(e, ERR_CONFIG, "not a worker's command line");
	for (i = 0; i < 2 + (int)(out->n_listen + out->n_copies); i++)
		fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC);
	fcntl(SPAWN_LOCK_FD, F_SETFD, FD_CLOEXEC);
	return 0;
}
