/*
 * squeeze.c - would it pay to keep large messages compressed? Run by hand:
 *
 *	make t/bench/squeeze && t/bench/squeeze FILE...
 *
 * Each file is a message. They are cut into blocks of 128 KiB, as they would
 * have to be so that a part can be read, and each block is compressed by
 * zstd. Told are the size that is left, and how fast both ways are beside
 * SHA-256, which each message costs once anyway, and beside a copy.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define BLOCK (128 << 10)

struct corpus {
	char **text;
	size_t *len, n, all;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
read_all(struct corpus *c, int n, char **path)
{
	int i;

	c->text = calloc((size_t)n, sizeof *c->text);
	c->len = calloc((size_t)n, sizeof *c->len);
	for (i = 0; i < n; i++) {
		int fd = open(path[i], O_RDONLY | O_CLOEXEC);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0) {
			perror(path[i]);
			return -1;
		}
		c->len[i] = (size_t)st.st_size;
		c->text[i] = malloc(c->len[i] + 1);
		if (read(fd, c->text[i], c->len[i]) != (ssize_t)c->len[i])
			return -1;
		c->all += c->len[i];
		close(fd);
	}
	c->n = (size_t)n;
	return 0;
}

static void
tell(const char *what, size_t bytes, double seconds)
{
	printf(" %s %6.0f MB/s", what, (double)bytes / 1e6 /
		(seconds > 0 ? seconds : 1e-9));
}

/* One block both ways; the size that is left, the original where it does not
 * shrink. */
static size_t
try_block(ZSTD_CCtx *cctx, ZSTD_DCtx *dctx, const char *at, size_t len,
	int level, double spent[2])
{
	static char small[BLOCK * 2], back[BLOCK];
	double t = now();
	size_t n = ZSTD_compressCCtx(cctx, small, sizeof small, at, len,
		level);

	spent[0] += now() - t;
	if (ZSTD_isError(n) || n >= len)
		return len;
	t = now();
	if (ZSTD_decompressDCtx(dctx, back, sizeof back, small, n) != len ||
		memcmp(back, at, len))
		abort();
	spent[1] += now() - t;
	return n;
}

static void
try_level(const struct corpus *c, int level)
{
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	ZSTD_DCtx *dctx = ZSTD_createDCtx();
	double spent[2] = {0, 0};
	size_t left = 0, i, at;

	for (i = 0; i < c->n; i++)
		for (at = 0; at < c->len[i]; at += BLOCK)
			left += try_block(cctx, dctx, c->text[i] + at,
				c->len[i] - at < BLOCK ? c->len[i] - at :
				BLOCK, level, spent);
	printf("level %2d: %5.1f %% is left,", level,
		(double)left * 100 / (double)c->all);
	tell("in", c->all, spent[0]);
	tell("out", c->all, spent[1]);
	puts("");
	ZSTD_freeCCtx(cctx);
	ZSTD_freeDCtx(dctx);
}

static void
compare(const struct corpus *c)
{
	static char copy[BLOCK];
	uint8_t digest[32];
	double t = now();
	size_t i, at;

	for (i = 0; i < c->n; i++)
		EVP_Digest(c->text[i], c->len[i], digest, NULL, EVP_sha256(),
			NULL);
	printf("%zu messages, %.1f MB;", c->n, (double)c->all / 1e6);
	tell("SHA-256", c->all, now() - t);
	t = now();
	for (i = 0; i < c->n; i++)
		for (at = 0; at + BLOCK <= c->len[i]; at += BLOCK)
			memcpy(copy, c->text[i] + at, BLOCK);
	tell("copy", c->all, now() - t);
	puts("");
}

int
main(int argc, char **argv)
{
	static const int level[] = {1, 3, 9};
	struct corpus c = {.n = 0};
	size_t i;

	if (argc < 2 || read_all(&c, argc - 1, argv + 1) < 0) {
		fputs("usage: squeeze MESSAGE...\n", stderr);
		return 2;
	}
	compare(&c);
	for (i = 0; i < sizeof level / sizeof *level; i++)
		try_level(&c, level[i]);
	return 0;
}
