/*
 * watch.c - telling each other what has changed.
 *
 * A process that watches has a datagram socket in FOLDER/hints; after each
 * transaction the writer sends one datagram to all of them, also when nobody
 * will care, since a commit without a hint means that one was lost. Its own
 * watcher is told directly. Sending never blocks: where a hint cannot be
 * sent, the next one says that anything may have changed, and is repeated
 * until it arrives. The watching thread also looks at the database every few
 * seconds, for changes by processes that were killed before they could tell.
 *
 * w->lock guards the listener and `heard`. Everything about sending is the
 * writing thread's.
 */
#include "engine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST 64			/* changes in a hint; more: anything */
#define LOOK_MS 3000
#define MAGIC 0x4d724831u	/* another one: of a release we do not know */
#define NAME_SIZE 32

struct hint {
	uint32_t magic, n;
	struct mr_change change[MOST];
};

struct sq_watch {
	struct sq *sq;
	int folder, out;
	/* sending */
	char (*peer)[NAME_SIZE];
	size_t n_peer;
	struct timespec peers_of;	/* mtime of the folder then */
	int64_t read_ms;
	bool is_owing;			/* somebody did not get a hint */
	/* watching */
	pthread_mutex_t lock;
	void (*changed)(void *arg, const struct mr_change *c);
	void *arg;
	bool heard;
	bool has_thread;
	pthread_t thread;
	int in, stop;
	char name[NAME_SIZE];		/* set once, at open */
	struct sq_db *db;
	int64_t version;
};

static const struct mr_change anything[] = {
	{.kind = MR_CHANGE_MAILBOX}, {.kind = MR_CHANGE_QUEUE},
};

/* A path in /proc is short whatever the folder's is. */
static socklen_t
address_of(const struct sq_watch *w, const char *name, struct sockaddr_un *a)
{
	int n;

	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(a->sun_path, sizeof a->sun_path, "%s/hints/%s",
		w->sq->path, name);
	if (n < 0 || (size_t)n >= sizeof a->sun_path)
		snprintf(a->sun_path, sizeof a->sun_path,
			"/proc/self/fd/%d/%s", w->folder, name);
	return sizeof *a;
}

/* -------------------------------------------------------------- listener */

static void
tell_listener(struct sq_watch *w, const struct mr_change *change, size_t n)
{
	size_t i;

	pthread_mutex_lock(&w->lock);
	w->heard = true;
	for (i = 0; i < n && w->changed; i++)
		w->changed(w->arg, &change[i]);
	pthread_mutex_unlock(&w->lock);
}

/* --------------------------------------------------------------- sending */

static void
add_peer(struct sq_watch *w, const char *name)
{
	size_t size = strlen(name) + 1;

	if (name[0] == '.' || size > NAME_SIZE ||
		strcmp(name, w->name) == 0)
		return;
	w->peer = realloc(w->peer, (w->n_peer + 1) * sizeof *w->peer);
	if (!w->peer)
		abort();
	memcpy(w->peer[w->n_peer++], name, size);
}

/* Reads the folder again when it has changed, or had just changed when it was
 * read: times in it are coarse. */
static void
find_peers(struct sq_watch *w)
{
	char *path;
	struct stat st;
	struct dirent *e;
	DIR *d;

	if (fstat(w->folder, &st) < 0)
		return;
	if (w->peers_of.tv_sec == st.st_mtim.tv_sec &&
		w->peers_of.tv_nsec == st.st_mtim.tv_nsec &&
		w->read_ms / 1000 > st.st_mtim.tv_sec + 1)
		return;
	path = sq_printf("%s/hints", w->sq->path);
	d = opendir(path);
	free(path);
	w->peers_of = st.st_mtim;
	w->read_ms = sq_clock_wall();
	w->n_peer = 0;
	while (d && (e = readdir(d)))
		add_peer(w, e->d_name);
	if (d)
		closedir(d);
}

static bool
send_to(struct sq_watch *w, const char *name, const struct hint *h)
{
	struct sockaddr_un a;
	socklen_t size = address_of(w, name, &a);
	size_t len = offsetof(struct hint, change) +
		h->n * sizeof *h->change;

	if (sendto(w->out, h, len, MSG_DONTWAIT | MSG_NOSIGNAL,
		(struct sockaddr *)&a, size) >= 0)
		return true;
	if (errno == ECONNREFUSED)	/* its process is dead */
		unlinkat(w->folder, name, 0);
	return errno == ECONNREFUSED || errno == ENOENT;
}

static void
send_all(struct sq_watch *w, const struct mr_change *change, size_t n)
{
	struct hint h = {.magic = MAGIC};
	size_t i;

	find_peers(w);
	if (!w->n_peer) {
		w->is_owing = false;
		return;
	}
	if (n > MOST || w->is_owing) {
		change = anything;
		n = sizeof anything / sizeof *anything;
	}
	h.n = (uint32_t)n;
	if (n)
		memcpy(h.change, change, n * sizeof *change);
	w->is_owing = false;
	for (i = 0; i < w->n_peer; i++)
		if (!send_to(w, w->peer[i], &h))
			w->is_owing = true;
}

static int
compare(const void *a, const void *b)
{
	const struct mr_change *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* One for each mailbox, with its highest modseq. */
static size_t
merge(struct mr_change *change, size_t n)
{
	size_t i, kept = 0;

	if (n > 1)
		qsort(change, n, sizeof *change, compare);
	for (i = 0; i < n; i++) {
		struct mr_change *last = kept ? &change[kept - 1] : NULL;

		if (!last || compare(last, &change[i]) != 0)
			change[kept++] = change[i];
		else if (change[i].modseq > last->modseq)
			last->modseq = change[i].modseq;
	}
	return kept;
}

void
sq_watch_tell(struct sq_watch *w, struct mr_change *change, size_t n)
{
	n = merge(change, n);
	tell_listener(w, change, n);
	send_all(w, change, n);
}

bool
sq_watch_owes(struct sq_watch *w)
{
	if (w->is_owing)
		send_all(w, anything, sizeof anything / sizeof *anything);
	return w->is_owing;
}

/* -------------------------------------------------------------- watching */

static void
receive(struct sq_watch *w)
{
	struct hint h;
	ssize_t n;

	while ((n = recv(w->in, &h, sizeof h, MSG_DONTWAIT)) >= 0) {
		if ((size_t)n >= offsetof(struct hint, change) &&
			h.magic == MAGIC && h.n <= MOST &&
			(size_t)n == offsetof(struct hint, change) +
			h.n * sizeof *h.change)
			tell_listener(w, h.change, h.n);
		else
			tell_listener(w, anything,
				sizeof anything / sizeof *anything);
	}
}

/* Something was committed, and nobody told us of anything since the last
 * look. */
static void
look(struct sq_watch *w)
{
	int64_t version;
	bool heard;

	if (sq_number(w->db, NULL, &version, "PRAGMA data_version", "") !=
		MR_STORE_OK)
		return;
	pthread_mutex_lock(&w->lock);
	heard = w->heard;
	w->heard = false;
	pthread_mutex_unlock(&w->lock);
	if (version != w->version && !heard) {
		tell_listener(w, anything, sizeof anything / sizeof *anything);
		w->heard = false;
	}
	w->version = version;
}

static void *
run_watch(void *arg)
{
	struct sq_watch *w = arg;
	struct pollfd p[] = {{.fd = w->in, .events = POLLIN},
		{.fd = w->stop, .events = POLLIN}};
	int64_t look_at = sq_clock_mono() + LOOK_MS, left;

	while (!p[1].revents) {
		left = look_at - sq_clock_mono();
		if (left <= 0) {
			look(w);
			look_at = sq_clock_mono() + LOOK_MS;
			sq_pool_trim(w->sq->pool);
			continue;
		}
		if (poll(p, 2, (int)left) > 0 && p[0].revents)
			receive(w);
	}
	return NULL;
}

static int
bind_in(struct sq_watch *w, struct mr_error *err)
{
	struct sockaddr_un a;
	socklen_t size;

	w->in = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	w->stop = eventfd(0, EFD_CLOEXEC);
	size = address_of(w, w->name, &a);
	if (w->in < 0 || w->stop < 0 ||
		bind(w->in, (struct sockaddr *)&a, size) < 0)
		return sq_fail(err, MR_STORE_FAILED, "cannot watch at "
			"hints/%s: %s", w->name, strerror(errno));
	return MR_STORE_OK;
}

int
sq_watch(void *self, void (*changed)(void *arg, const struct mr_change *c),
	void *arg, struct mr_error *err)
{
	struct sq *s = self;
	struct sq_watch *w = s->watch;
	int code;

	if (w->has_thread)
		return sq_fail(err, MR_STORE_EXISTS,
			"this process watches already");
	w->db = sq_db_open(s->path, SQ_READS, err);
	if (!w->db)
		return MR_STORE_FAILED;
	sqlite3_exec(w->db->handle, "PRAGMA cache_size = 8", NULL, NULL,
		NULL);
	code = sq_number(w->db, err, &w->version, "PRAGMA data_version", "");
	if (code == MR_STORE_OK)
		code = bind_in(w, err);
	if (code != MR_STORE_OK)
		return code;
	pthread_mutex_lock(&w->lock);
	w->changed = changed;
	w->arg = arg;
	pthread_mutex_unlock(&w->lock);
	code = sq_thread(&w->thread, run_watch, w, err);
	w->has_thread = code == MR_STORE_OK;
	return code;
}

/* ---------------------------------------------------------------- life */

struct sq_watch *
sq_watch_new(struct sq *s, struct mr_error *err)
{
	struct sq_watch *w = sq_alloc(sizeof *w);
	char *path = sq_printf("%s/hints", s->path);
	uint32_t random = 0;

	if (getrandom(&random, sizeof random, 0) < 0)
		random = (uint32_t)sq_clock_mono();
	snprintf(w->name, sizeof w->name, "%d-%08x", (int)getpid(), random);
	w->sq = s;
	w->in = w->stop = -1;
	pthread_mutex_init(&w->lock, NULL);
	w->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (w->folder < 0 || w->out < 0)
		sq_fail(err, MR_STORE_FAILED, "cannot open %s: %s", path,
			strerror(errno));
	free(path);
	if (w->folder >= 0 && w->out >= 0)
		return w;
	sq_watch_free(w);
	return NULL;
}

static void
close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
sq_watch_free(struct sq_watch *w)
{
	uint64_t one = 1;

	if (!w)
		return;
	if (w->has_thread) {
		if (write(w->stop, &one, sizeof one) < 0)
			abort();	/* an eventfd takes it */
		pthread_join(w->thread, NULL);
	}
	if (w->in >= 0)		/* else it is not there */
		unlinkat(w->folder, w->name, 0);
	close_if_open(w->in);
	close_if_open(w->stop);
	close_if_open(w->out);
	close_if_open(w->folder);
	sq_db_close(w->db);
	free(w->peer);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
