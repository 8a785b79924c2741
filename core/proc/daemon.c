/*
 * daemon.c - what makes a process the server of its machine: the lock on the
 * data folder, the background, and word to those who started it.
 */
#include "proc/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "net/sock.h"
#include "proc/spawn.h"

#define LOCK_MS 10000	/* for workers to end whose master was killed */

/* Only a master listens there. */
static bool
answers(const char *control_socket)
{
	struct sock_addr a;
	char name[256];
	int fd = -1;

	snprintf(name, sizeof name, "unix:%s", control_socket);
	if (sock_parse(str_from(name), &a, NULL) == 0)
		fd = sock_connect(&a, NULL, clock_mono() + 1000, NULL);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* The kernel drops the lock when we and our workers have died, however we die,
 * so a stale file never blocks a start. Workers that outlive a killed master
 * are waited for: their sockets are in use and their runner holds leases. */
int
daemon_lock(const struct server_settings *s, struct err *e)
{
	int64_t end = clock_mono() + LOCK_MS;
	char path[4096];
	int fd, lock;

	if (file_mkdirs(s->data, 0700, e) < 0)
		return err_wrap(e, "data folder");
	snprintf(path, sizeof path, "%s/master.lock", s->data);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, "%s", path);
	lock = fcntl(fd, F_DUPFD, SPAWN_LOCK_FD);
	close(fd);
	if (lock != SPAWN_LOCK_FD)
		return err_set(e, ERR_SYS, "descriptor %d is not free",
			SPAWN_LOCK_FD);
	while (flock(lock, LOCK_EX | LOCK_NB) < 0) {
		if (answers(s->control_socket) || clock_mono() > end)
			return err_set(e, ERR_EXISTS,
				"a server is already running on %s", s->data);
		poll(NULL, 0, 20);
	}
	return 0;
}

/* The parent waits for a byte that says "ready" and ends with 0; end of file
 * means that we failed, and our messages were seen. */
int
daemon_become(int *ready_pipe)
{
	int fd[2];
	char byte;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid > 0) {
		close(fd[1]);
		_exit(read(fd[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(fd[0]);
	setsid();
	*ready_pipe = fd[1];
	fd[0] = open("/dev/null", O_RDWR);
	if (fd[0] >= 0) {
		dup2(fd[0], 0);
		dup2(fd[0], 1);
		close(fd[0]);
	}
	return 0;
}

/* sd_notify(3) without the library: a datagram to $NOTIFY_SOCKET. */
void
daemon_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n;
	int fd;

	if (!path || (*path != '/' && *path != '@'))
		return;
	n = strlen(path);
	if (n >= sizeof sa.sun_path)
		return;
	memcpy(sa.sun_path, path, n);
	if (*path == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL,
		(struct sockaddr *)&sa,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warn("master.notify", LOG_S("error", strerror(errno)));
	close(fd);
}
