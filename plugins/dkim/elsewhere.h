/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * elsewhere.h - is a message forwarded?
 */
#ifndef DKIM_ELSEWHERE_H
#define DKIM_ELSEWHERE_H

#include <mailroom/plugin.h>

#include <stdbool.h>

/* In the message hook: one of its recipients at least leads to no account
 * here. */
static inline bool
goes_elsewhere(struct mr_call *call)
{
	struct mr_rcpt rcpt;
	size_t i;

	for (i = 0; call->host->rcpt(call, i, &rcpt) == 0; i++)
		if (!call->host->rcpt_account(call, i).len)
			return true;
	return false;
}

#endif
