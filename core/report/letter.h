/*
 * letter.h - one report as mail: to whom, packed, composed, dropped. Private to
 * core/report.
 */
#ifndef REPORT_LETTER_H
#define REPORT_LETTER_H

#include "report/outgoing.h"

#define LETTER_TARGETS 5

struct letter {
	const struct report_house *house;
	const char *kind;	/* "dmarc", "tls" */
	const char *domain;	/* that it is about */
	const char *day;	/* "2026-11-25" */
	const char *rua;	/* where it is to go, as the record has it */
	const char *form;	/* "xml", "json" */
	struct str document;
	report_told told;
	void *arg;
};

/* "2026-11-25" as seconds since 1970. -1: it is no day. */
int64_t letter_day(const char *day);
/* Today, which has not ended: "2026-11-25" (UTC). */
void letter_today(char out[32]);
/* Sends it to each mailto: target that wants it. Returns to how many. -1: the
 * disk failed. */
int letter_send(const struct letter *l, struct err *e);

#endif
