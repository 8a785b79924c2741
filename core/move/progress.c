/*
 * progress.c - see progress.h.
 */
#include "move/progress.h"

#include <inttypes.h>

#include "base/clock.h"

void
progress_begin(struct progress *p, bool quiet)
{
	p->begun_ms = p->shown_ms = clock_mono();
	p->is_quiet = quiet;
	p->is_terminal = isatty(STDERR_FILENO) == 1;
}

double
progress_rate(const struct progress *p)
{
	int64_t ms = clock_mono() - p->begun_ms;

	return (double)p->done * 1000 / (double)(ms > 0 ? ms : 1);
}

static void
show(const struct progress *p)
{
	uint64_t seen = p->done + p->passed + p->failed;
	double rate = progress_rate(p), left = -1;

	if (p->total > seen && rate > 0)
		left = (double)(p->total - seen) / rate;
	else if (p->size && p->at)
		left = (double)(clock_mono() - p->begun_ms) / 1000 *
			((double)p->size / (double)p->at - 1);
	fprintf(stderr, "%s%" PRIu64, p->is_terminal ? "\r" : "", seen);
	if (p->total)
		fprintf(stderr, " of %" PRIu64, p->total);
	fprintf(stderr, " messages, %.1f MB, %.0f/s",
		(double)p->bytes / 1e6, rate);
	if (!p->total && p->size)
		fprintf(stderr, ", %.0f %% of %.1f MB",
			(double)p->at * 100 / (double)p->size,
			(double)p->size / 1e6);
	if (left >= 0)
		fprintf(stderr, ", %.0f:%02.0f left",
			(double)((int64_t)left / 60),
			(double)((int64_t)left % 60));
	fputs(p->is_terminal ? "\033[K" : "\n", stderr);
}

void
progress_tick(struct progress *p)
{
	int64_t now = clock_mono_rough();

	if (p->is_quiet || now - p->shown_ms <
		(p->is_terminal ? 1000 : 10000))
		return;
	p->shown_ms = now;
	show(p);
}

void
progress_end(struct progress *p)
{
	if (p->is_terminal && !p->is_quiet)
		fputs("\r\033[K", stderr);
}

void
progress_warn(struct progress *p, const char *what, const char *why)
{
	progress_end(p);
	fprintf(stderr, "mailroom: %s: %s\n", what, why);
}
