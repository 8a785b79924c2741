/*
 * bound.c - listening sockets by their text address. Master, one thread.
 */
#include "proc/bound.h"

#include "base/arena.h"
#include "net/sock.h"

#define BACKLOG 1024

int
bound_fd(const struct bound *b, const char *address)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (!strcmp(b->item[i].address, address))
			return b->item[i].fd;
	return -1;
}

static int
bind_one(struct bound *b, const struct listener *l, const char *address,
	struct err *e)
{
	struct sock_addr a;
	int fd;

	if (bound_fd(b, address) >= 0)
		return 0;
	if (sock_parse(str_from(address), &a, e) < 0)
		return err_wrap(e, "[listen.%s] address", l->name);
	fd = sock_listen(&a, BACKLOG, e);
	if (fd < 0)
		return err_wrap(e, "[listen.%s]", l->name);
	b->item = mem_grow(b->item, (b->n + 1) * sizeof *b->item);
	b->item[b->n++] = (struct bound_socket){mem_cstr(address), fd, true};
	return 0;
}

int
bound_take(struct bound *b, const struct config *c, struct err *e)
{
	size_t i, j;

	for (i = 0; i < c->n_listener; i++) {
		const struct listener *l = &c->listener[i];

		for (j = 0; j < l->address.n; j++)
			if (bind_one(b, l, l->address.item[j], e) < 0)
				return -1;
	}
	return 0;
}

static void
mark_wanted(struct bound *b, const struct listener *l)
{
	size_t i, j;

	for (i = 0; i < l->address.n; i++)
		for (j = 0; j < b->n; j++)
			if (!strcmp(b->item[j].address, l->address.item[i]))
				b->item[j].wanted = true;
}

void
bound_trim(struct bound *b, const struct config *c)
{
	size_t i, kept = 0;

	for (i = 0; i < b->n; i++)
		b->item[i].wanted = false;
	for (i = 0; i < c->n_listener; i++)
		mark_wanted(b, &c->listener[i]);
	for (i = 0; i < b->n; i++) {
		if (b->item[i].wanted) {
			b->item[kept++] = b->item[i];
			continue;
		}
		close(b->item[i].fd);
		free(b->item[i].address);
	}
	b->n = kept;
}

void
bound_close(struct bound *b)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		close(b->item[i].fd);
		free(b->item[i].address);
	}
	free(b->item);
	*b = (struct bound){0};
}
