/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * letter.h - from a host's call to the parts that know none.
 */
#ifndef ARC_LETTER_H
#define ARC_LETTER_H

#include "arc.h"

/* In the message hook; what it gives is good until the hook returns. false:
 * no memory. */
bool letter_open(struct mr_call *call, struct letter *out,
	struct resolver *resolver);
void letter_close(struct letter *l);

#endif
