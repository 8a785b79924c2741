/*
 * daily.h - what the runner does once a day: reports of the days that are over
 * go out, mailboxes that have `expire` are gone through, DNS is looked at.
 */
#ifndef PROC_DAILY_H
#define PROC_DAILY_H

#include "base/err.h"
#include "report/outgoing.h"

struct config;
struct daily;

/* The first round begins some minutes after the start, then each day some time
 * after midnight UTC, not at the same minute as all others. NULL with e. The
 * house and the configuration are the caller's, but for is_over. */
struct daily *daily_start(struct report_house *h, const struct config *c,
	struct err *e);
/* Waits for the report that is being sent. */
void daily_stop(struct daily *d);
/* One round, now. How many were sent, or -1. */
int daily_send(const struct report_house *h, report_told told, void *arg,
	struct err *e);

#endif
