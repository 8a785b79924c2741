/*
 * limit.c - counts by key. l->lock guards the map; the count itself stands in
 * the map's value.
 */
#include "net/limit.h"

#include <netinet/in.h>
#include <pthread.h>

#include "base/arena.h"
#include "base/map.h"

struct limit {
	pthread_mutex_t lock;
	struct map taken;
};

struct limit *
limit_new(void)
{
	struct limit *l = mem_alloc(sizeof *l);

	pthread_mutex_init(&l->lock, NULL);
	map_init(&l->taken);
	return l;
}

void
limit_free(struct limit *l)
{
	if (!l)
		return;
	map_free(&l->taken);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

bool
limit_take(struct limit *l, struct str key, uint32_t most)
{
	uintptr_t n;

	pthread_mutex_lock(&l->lock);
	n = (uintptr_t)map_get(&l->taken, key);
	if (!most || n < most)
		map_put(&l->taken, key, (void *)(n + 1));
	pthread_mutex_unlock(&l->lock);
	return !most || n < most;
}

void
limit_give(struct limit *l, struct str key)
{
	uintptr_t n;

	pthread_mutex_lock(&l->lock);
	n = (uintptr_t)map_get(&l->taken, key);
	if (n > 1)
		map_put(&l->taken, key, (void *)(n - 1));
	else if (n == 1)
		map_remove(&l->taken, key);
	pthread_mutex_unlock(&l->lock);
}

struct str
limit_peer_key(const struct sock_addr *peer, char out[SOCK_TEXT])
{
	struct sock_addr net = *peer;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&net.sa;

	if (net.sa.ss_family == AF_INET6 &&
		!IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		memset(v6->sin6_addr.s6_addr + 8, 0, 8);
	sock_host(&net, out);
	return str_from(out);
}

struct str
limit_network_key(const struct sock_addr *peer, char out[SOCK_TEXT + 4])
{
	struct sock_addr net = *peer;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&net.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&net.sa;

	if (net.sa.ss_family == AF_INET)
		v4->sin_addr.s_addr &= htonl(0xffffff00);
	else if (net.sa.ss_family == AF_INET6)
		memset(v6->sin6_addr.s6_addr + (IN6_IS_ADDR_V4MAPPED(
			&v6->sin6_addr) ? 15 : 6), 0, IN6_IS_ADDR_V4MAPPED(
			&v6->sin6_addr) ? 1 : 10);
	memcpy(out, "net ", 4);
	sock_host(&net, out + 4);
	return str_from(out);
}
