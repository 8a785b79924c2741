/*
 * families.c - which of our addresses the kernel would take to go somewhere,
 * and whether that one has a name. f->lock guards what is remembered.
 */
#include "queue/families.h"

#include <netinet/in.h>
#include <pthread.h>

#include "base/arena.h"
#include "base/clock.h"

#define KEPT_MS 3600000
#define SOURCES 4

enum rank { RANK_GOOD, RANK_NAMELESS, RANK_NO_WAY };

struct known {
	char host[SOCK_TEXT];
	bool is_named;
	int64_t until;
};

struct families {
	enum families_prefer prefer;
	pthread_mutex_t lock;
	struct known known[SOURCES];
	unsigned next;
};

struct families *
families_new(enum families_prefer prefer)
{
	struct families *f = mem_alloc(sizeof *f);

	f->prefer = prefer;
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

void
families_free(struct families *f)
{
	if (!f)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* Connecting a datagram socket sends nothing. */
static bool
find_source(const struct sock_addr *to, struct sock_addr *out)
{
	int fd = socket(to->sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool found;

	if (fd < 0)
		return false;
	found = connect(fd, (const struct sockaddr *)&to->sa, to->len) == 0 &&
		sock_local(fd, out, NULL) == 0;
	close(fd);
	return found;
}

/* Addresses that are not for the whole Internet need no name. */
static bool
is_private(const struct sock_addr *a)
{
	static const char *const nets[] = {"10.0.0.0/8", "172.16.0.0/12",
		"192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
		"fc00::/7", "fe80::/10"};
	struct sock_net n;
	size_t i;

	if (sock_is_loopback(a))
		return true;
	for (i = 0; i < sizeof nets / sizeof *nets; i++)
		if (sock_parse_net(str_from(nets[i]), &n, NULL) == 0 &&
			sock_in_net(a, &n))
			return true;
	return false;
}

static bool
recall(struct families *f, const char *host, bool *is_named)
{
	int64_t now = clock_mono();
	bool found = false;
	unsigned i;

	pthread_mutex_lock(&f->lock);
	for (i = 0; i < SOURCES && !found; i++) {
		found = f->known[i].until > now &&
			!strcmp(f->known[i].host, host);
		if (found)
			*is_named = f->known[i].is_named;
	}
	pthread_mutex_unlock(&f->lock);
	return found;
}

static void
remember(struct families *f, const char *host, bool is_named)
{
	struct known *k;

	pthread_mutex_lock(&f->lock);
	k = &f->known[f->next++ % SOURCES];
	snprintf(k->host, sizeof k->host, "%s", host);
	k->is_named = is_named;
	k->until = clock_mono() + KEPT_MS;
	pthread_mutex_unlock(&f->lock);
}

/* What DNS cannot tell now counts as named, and is asked again. */
static bool
has_name(struct families *f, struct dns *d, const struct sock_addr *source,
	int64_t deadline)
{
	char host[SOCK_TEXT], name[256];
	bool is_named = true;
	enum dns_peer answer;

	sock_host(source, host);
	if (is_private(source) || recall(f, host, &is_named))
		return is_named;
	answer = dns_peer_name(d, source, deadline, name, sizeof name);
	is_named = answer == DNS_PEER_PASS || answer == DNS_PEER_TEMPFAIL;
	if (answer != DNS_PEER_TEMPFAIL)
		remember(f, host, is_named);
	return is_named;
}

int
families_rank(struct families *f, struct dns *d, const struct sock_addr *to,
	int64_t deadline)
{
	bool is_v6 = to->sa.ss_family == AF_INET6;
	struct sock_addr source;

	if (f->prefer != FAMILIES_AUTO)
		return is_v6 == (f->prefer == FAMILIES_IPV6) ? RANK_GOOD :
			RANK_NAMELESS;
	if (!find_source(to, &source))
		return RANK_NO_WAY;
	return has_name(f, d, &source, deadline) ? RANK_GOOD : RANK_NAMELESS;
}
