/*
 * spool.c - bytes that are kept while a message is taken.
 *
 * The file holds only what is beyond the memory limit, so that nothing is
 * written twice. Leaves to others: what the bytes mean (message.c). One
 * session's thread at a time; may block on disk.
 */
#include "mail/spool.h"

#include "base/file.h"

#define WAITING_MAX 65536

void
spool_init(struct spool *s, const char *dir, size_t memory_limit)
{
	*s = (struct spool){.dir = dir, .fd = -1};
	buf_init(&s->memory, memory_limit);
	buf_init(&s->waiting, WAITING_MAX);
}

void
spool_free(struct spool *s)
{
	buf_free(&s->memory);
	buf_free(&s->waiting);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->length = 0;
}

int
spool_flush(struct spool *s, struct err *e)
{
	if (s->waiting.len == 0)
		return 0;
	if (s->fd < 0 && (s->fd = file_temp(s->dir, e)) < 0)
		return err_wrap(e, "spooling a message");
	if (file_write_all(s->fd, s->waiting.at, s->waiting.len, e) < 0)
		return err_wrap(e, "spooling a message");
	buf_reset(&s->waiting);
	return 0;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

int
spool_write(struct spool *s, const void *bytes, size_t len, struct err *e)
{
	const char *at = bytes;
	size_t n = least(len, s->memory.cap - s->memory.len);

	buf_add(&s->memory, at, n);
	while (n < len) {
		size_t part = least(len - n, WAITING_MAX - s->waiting.len);

		buf_add(&s->waiting, at + n, part);
		n += part;
		if (s->waiting.len == WAITING_MAX && spool_flush(s, e) < 0)
			return -1;
	}
	s->length += len;
	return 0;
}

int64_t
spool_read(const struct spool *s, uint64_t offset, void *out, size_t len,
	struct err *e)
{
	size_t n = 0;

	if (offset >= s->length)
		return 0;
	if (len > s->length - offset)
		len = (size_t)(s->length - offset);
	if (offset < s->memory.len) {
		n = least(len, s->memory.len - (size_t)offset);
		memcpy(out, s->memory.at + offset, n);
	}
	if (n < len && file_pread_all(s->fd, (char *)out + n, len - n,
	    offset + n - s->memory.len, e) < 0)
		return err_wrap(e, "reading a spooled message");
	return (int64_t)len;
}

size_t
spool_pieces(const struct spool *s, uint64_t offset, uint64_t len,
	struct mr_piece out[2])
{
	size_t n = 0;
	uint64_t part;

	if (offset < s->memory.len && len > 0) {
		part = s->memory.len - offset;
		part = len < part ? len : part;
		out[n++] = (struct mr_piece){.mem = s->memory.at + offset,
			.fd = -1, .length = part};
		offset += part;
		len -= part;
	}
	if (len > 0)
		out[n++] = (struct mr_piece){.fd = s->fd,
			.offset = offset - s->memory.len, .length = len};
	return n;
}
