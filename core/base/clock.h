/*
 * clock.h - the two clocks and the date formats of mail.
 *
 * Deadlines use the monotonic clock, stamps that are stored or shown use the
 * wall clock. Both count milliseconds in int64_t.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define CLOCK_NEVER INT64_MAX

int64_t clock_mono(void);
/* The same, up to one tick of the kernel (10 ms) behind; costs next to
 * nothing. */
int64_t clock_mono_rough(void);	/* ms since some start */
int64_t clock_wall(void);	/* ms since 1970-01-01 UTC */

/* RFC 5322 section 3.3, local zone: "Tue, 24 Nov 2026 12:00:00 +0000".
 * out holds 40 bytes. */
void clock_mail_date(int64_t wall_ms, char out[40]);
/* Parses a Date field leniently (obsolete zones, comments, missing day and
 * seconds). zone_minutes may be NULL. */
bool clock_parse_mail_date(struct str s, int64_t *wall_ms, int *zone_minutes);
/* RFC 3501 date-time: "17-Jul-1996 02:44:25 -0700"; out holds 32 bytes. */
void clock_imap_date(int64_t wall_ms, char out[32]);
bool clock_parse_imap_date(struct str s, int64_t *wall_ms);
/* RFC 3501 date "1-Feb-1994" as a day number since 1970-01-01. */
bool clock_parse_imap_day(struct str s, int64_t *day);
/* When that day begins in the local zone. */
int64_t clock_day_start(int64_t day);
/* "2026-11-24T12:00:00.123Z" for logs; out holds 32 bytes. */
void clock_iso(int64_t wall_ms, char out[32]);
/* RFC 3339 date-time, with Z or an offset; fractions are passed over. */
bool clock_parse_iso(struct str s, int64_t *wall_ms);

#endif
