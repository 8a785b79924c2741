/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * keys.c - the keys of our domains: files that `mailroom dkim` makes, read
 * once. Which one signs is said by a link, so that a switch is one rename(2);
 * a message costs a readlink(2) for each kind.
 *
 * k->lock guards the list. A key stays in memory until the end: others may
 * be signing with it.
 */
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEM_MOST 16384

struct held {
	struct held *next;
	char *path;		/* of the file */
	struct key key;
};

struct keys {
	pthread_mutex_t lock;
	char *folder;
	struct held *first;
};

struct keys *
keys_new(const char *folder)
{
	struct keys *k = calloc(1, sizeof *k);

	if (!k)
		return NULL;
	k->folder = strdup(folder);
	if (!k->folder) {
		free(k);
		return NULL;
	}
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

static void
free_held(struct held *h)
{
	if (!h)
		return;
	if (h->key.pem)
		explicit_bzero(h->key.pem, strlen((char *)h->key.pem));
	free(h->key.pem);
	free(h->path);
	free(h);
}

void
keys_free(struct keys *k)
{
	struct held *h, *next;

	if (!k)
		return;
	for (h = k->first; h; h = next) {
		next = h->next;
		free_held(h);
	}
	pthread_mutex_destroy(&k->lock);
	free(k->folder);
	free(k);
}

static unsigned char *
read_pem(const char *path, char *why)
{
	unsigned char *pem = calloc(1, PEM_MOST + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 || !pem ? -1 : read(fd, pem, PEM_MOST);

	if (n <= 0) {
		snprintf(why, 200, "%.150s: %s", path, n < 0 ?
			strerror(errno) : "empty");
		free(pem);
		pem = NULL;
	}
	if (fd >= 0)
		close(fd);
	return pem;
}

/* "SELECTOR.pem" */
static struct held *
load(const char *path, const char *file, char *why)
{
	size_t n = strlen(file);
	struct held *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	if (n < 5 || strcmp(file + n - 4, ".pem") ||
		n - 4 >= sizeof h->key.selector || strchr(file, '/')) {
		snprintf(why, 200, "%.150s is no SELECTOR.pem", path);
		free(h);
		return NULL;
	}
	memcpy(h->key.selector, file, n - 4);
	h->path = strdup(path);
	h->key.pem = read_pem(path, why);
	if (h->path && h->key.pem)
		return h;
	free_held(h);
	return NULL;
}

static const struct key *
find_held(struct keys *k, const char *path, const char *file, char *why)
{
	struct held *h;

	pthread_mutex_lock(&k->lock);
	for (h = k->first; h && strcmp(h->path, path); h = h->next)
		;
	if (!h && (h = load(path, file, why))) {
		h->next = k->first;
		k->first = h;
	}
	pthread_mutex_unlock(&k->lock);
	return h ? &h->key : NULL;
}

const struct key *
keys_find(struct keys *k, const char *domain, const char *kind, char *why)
{
	char link[PATH_MAX], file[NAME_MAX + 1], path[PATH_MAX];
	ssize_t n;

	*why = '\0';
	if (strchr(domain, '/') || *domain == '.' || (size_t)snprintf(link,
		sizeof link, "%s/%s/%s", k->folder, domain, kind) >=
		sizeof link)
		return NULL;
	n = readlink(link, file, sizeof file - 1);
	if (n < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			snprintf(why, 200, "%.150s: %s", link,
				errno == EINVAL ? "is no link to a key" :
				strerror(errno));
		return NULL;
	}
	file[n] = '\0';
	if ((size_t)snprintf(path, sizeof path, "%s/%s/%s", k->folder, domain,
		file) >= sizeof path)
		return NULL;
	return find_held(k, path, file, why);
}
