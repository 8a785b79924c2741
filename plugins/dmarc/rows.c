/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rows.c - a file a day (UTC), to which all processes append whole lines by
 * one write(2) each. The server makes reports of it when the day is over, and
 * removes it. Losing some lines in a power cut costs figures, no mail.
 *
 * r->lock guards which day is open.
 */
#include "dmarc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY_MOST (64 << 20)	/* bytes of one file */

struct rows {
	pthread_mutex_t lock;
	char folder[4096];
	char day[16];
	int fd;
};

struct rows *
rows_open(const char *folder)
{
	struct rows *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	snprintf(r->folder, sizeof r->folder, "%s", folder);
	r->fd = -1;
	return r;
}

void
rows_close(struct rows *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* Under the lock. A file that was removed meanwhile is made again; *size: what
 * it has. */
static int
open_day(struct rows *r, const char *day, off_t *size)
{
	char path[4200];
	struct stat st;

	*size = 0;
	if (r->fd >= 0 && !strcmp(r->day, day) && fstat(r->fd, &st) == 0 &&
		st.st_nlink) {
		*size = st.st_size;
		return r->fd;
	}
	if (r->fd >= 0)
		close(r->fd);
	snprintf(path, sizeof path, "%s/%s", r->folder, day);
	mkdir(r->folder, 0700);
	r->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	snprintf(r->day, sizeof r->day, "%s", day);
	if (r->fd >= 0 && fstat(r->fd, &st) == 0)
		*size = st.st_size;
	return r->fd;
}

int
rows_add(struct rows *r, const char *line, size_t len, int64_t seconds)
{
	time_t t = (time_t)seconds;
	off_t size;
	struct tm tm;
	char day[16];
	int fd, code = -1;

	if (!gmtime_r(&t, &tm) || !strftime(day, sizeof day, "%Y-%m-%d", &tm))
		return -1;
	pthread_mutex_lock(&r->lock);
	fd = open_day(r, day, &size);
	if (fd >= 0 && size + (off_t)len > DAY_MOST)
		errno = EFBIG;
	else if (fd >= 0)
		code = write(fd, line, len) == (ssize_t)len ? 0 : -1;
	pthread_mutex_unlock(&r->lock);
	return code;
}
