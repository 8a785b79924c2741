/*
 * log.h - one event a line, to standard error or the journal.
 *
 *	log_info("smtp.accept", LOG_S("session", id), LOG_N("size", n));
 *
 * writes `2026-... info smtp.accept session=... size=...`, or a JSON object a
 * line with log.format = "json". Values are quoted and escaped where needed,
 * so nothing a stranger sends can forge a line or a field. Secrets are never
 * passed to this module. Lines are written with one write(2); any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
	const char *key;
	struct str text;
	int64_t number;
	bool is_number;
};

#define LOG_S(k, c) ((struct log_field){(k), str_from(c), 0, false})
#define LOG_STR(k, s) ((struct log_field){(k), (s), 0, false})
#define LOG_N(k, n) ((struct log_field){(k), {NULL, 0}, (int64_t)(n), true})

/* role ("master", "smtp", ...) stands in every line. The file descriptor is
 * borrowed. Call once before threads start; the default is text to fd 2. */
void log_open(int fd, enum log_level least, bool json, const char *role);
void log_write(enum log_level level, const char *event,
	const struct log_field *fields, size_t n);

#define LOG_FIELDS_(...) ((const struct log_field[]){__VA_ARGS__})
#define LOG_AT_(level, event, ...) log_write((level), (event), \
	LOG_FIELDS_(__VA_ARGS__), \
	sizeof LOG_FIELDS_(__VA_ARGS__) / sizeof(struct log_field))
#define log_debug(event, ...) LOG_AT_(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT_(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) LOG_AT_(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT_(LOG_ERROR, event, __VA_ARGS__)

#endif
