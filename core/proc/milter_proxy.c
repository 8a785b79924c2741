/*
 * milter_proxy.c - bytes go through as they come; frames are read on the
 * side, so that a recorder that does not understand something changes
 * nothing.
 */
#include "proc/milter_proxy.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "net/sock.h"
#include "plug/milter_link.h"
#include "proc/milter_text.h"

#define CHUNK 65536
#define CONNECT_MS 10000

struct half {
	int from, to;
	enum milter_way way;
	struct buf seen;	/* not yet a whole frame */
	bool lost;		/* this is no stream of frames */
};

static uint32_t
frame_length(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.at;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		(uint32_t)p[2] << 8 | p[3];
}

static void
write_frames(struct half *h, FILE *to)
{
	struct buf line;
	struct str s;
	uint32_t n;

	buf_init(&line, BUF_NO_CAP);
	while (!h->lost && (s = buf_str(&h->seen)).len >= 5) {
		n = frame_length(s);
		h->lost = n == 0 || n > MILTER_REPLY_MOST;
		if (h->lost)
			fprintf(to, "# %c a frame of %u bytes: this is not "
				"the milter protocol\n", h->way, n);
		if (h->lost || s.len < n + 4)
			break;
		buf_reset(&line);
		milter_text_write(&line, &(struct milter_frame){h->way,
			s.at[4], str_sub(s, 5, n - 1)});
		fprintf(to, "%s\n", buf_c(&line));
		buf_shift(&h->seen, n + 4);
	}
	fflush(to);
	buf_free(&line);
}

/* false: this side has nothing more to say. */
static bool
pump(struct half *h, FILE *to)
{
	char chunk[CHUNK];
	ssize_t n = read(h->from, chunk, sizeof chunk);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	if (!h->lost)
		buf_add(&h->seen, chunk, (size_t)n);
	/* Written down first: what the other side answers comes after. */
	write_frames(h, to);
	while (file_write_all(h->to, chunk, (size_t)n, NULL) < 0)
		if (errno != EAGAIN || poll(&(struct pollfd){h->to, POLLOUT,
			0}, 1, 60000) < 1)
			return false;
	return true;
}

static void
forward(int client, int filter, FILE *to)
{
	struct half half[2] = {{client, filter, MILTER_TO_FILTER, {0}, false},
		{filter, client, MILTER_FROM_FILTER, {0}, false}};
	struct pollfd p[2] = {{client, POLLIN, 0}, {filter, POLLIN, 0}};
	bool open = true;
	int i;

	for (i = 0; i < 2; i++)
		buf_init(&half[i].seen, BUF_NO_CAP);
	/* A milter's side that closes has ended the talk. */
	while (open && poll(p, 2, -1) >= 0)
		for (i = 0; i < 2; i++)
			if (p[i].revents && !pump(&half[i], to))
				open = false;
	for (i = 0; i < 2; i++)
		buf_free(&half[i].seen);
}

int
milter_proxy_run(int client, const char *filter, FILE *to, struct err *e)
{
	int fd = milter_link_dial(filter, CONNECT_MS, e);

	if (fd >= 0)
		forward(client, fd, to);
	else
		fprintf(to, "# the filter cannot be reached: %s\n", e->text);
	if (fd >= 0)
		close(fd);
	close(client);
	return fd < 0 ? -1 : 0;
}

int
milter_proxy_listen(const char *path, struct err *e)
{
	struct sock_addr at;
	char text[300];
	int fd;

	snprintf(text, sizeof text, "unix:%s", path);
	if (sock_parse(str_from(text), &at, e) < 0)
		return -1;
	fd = sock_listen(&at, 64, e);
	if (fd >= 0 && chmod(path, 0666) < 0)
		err_sys(e, "%s", path);
	return fd;
}
