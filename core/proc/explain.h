/*
 * explain.h - a dry run of one message, told as JSON: what each filter said
 * and changed at each step, what was answered, where the message would go.
 */
#ifndef PROC_EXPLAIN_H
#define PROC_EXPLAIN_H

#include <jansson.h>

#include "serve/smtp_dry.h"

/* Runs d, with its call-backs and the onlooker of all chains set to ours.
 * NULL with e if it could not be run. The object:
 *   steps: [{command, filters: [{filter, hook, verdict, text, edits,
 *     asked: [{name, type, answer, records}],
 *     results: [{method, value, reason, props, means}]}], answer}], reply, accepted, places: [...], discarded_by */
json_t *explain_run(struct smtp_dry *d, struct err *e);
/* The same for people. */
void explain_print(const json_t *run);

#endif
