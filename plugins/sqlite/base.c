/*
 * base.c - memory, clocks and threads of this plugin, which links nothing of
 * the core.
 */
#include "engine.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STACK (256 << 10)

void *
sq_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

char *
sq_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	return text;
}

static int64_t
clock_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
sq_clock_wall(void)
{
	return clock_ms(CLOCK_REALTIME);
}

int64_t
sq_clock_mono(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

struct timespec
sq_from_now(int64_t ms)
{
	int64_t at = sq_clock_mono() + ms;

	return (struct timespec){.tv_sec = at / 1000,
		.tv_nsec = at % 1000 * 1000000};
}

void
sq_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

int
sq_thread(pthread_t *t, void *(*run)(void *), void *arg, struct mr_error *err)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	code = pthread_create(t, &attr, run, arg);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code)
		return sq_fail(err, MR_STORE_FAILED, "cannot start a thread: "
			"%s", strerror(code));
	return MR_STORE_OK;
}
