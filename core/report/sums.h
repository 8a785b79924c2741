/*
 * sums.h - adding up in JSON objects.
 */
#ifndef REPORT_SUMS_H
#define REPORT_SUMS_H

#include <jansson.h>

/* A member as text; "" where it is none. */
static inline const char *
sums_text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static inline json_int_t
sums_number(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

#define SUMS_MOST 1000000000000	/* that is believed of one number */

/* Numbers of strangers: what is none counts as none. */
static inline void
sums_add(json_t *j, const char *key, json_int_t by)
{
	by = by < 0 ? 0 : by > SUMS_MOST ? SUMS_MOST : by;
	json_object_set_new(j, key, json_integer(sums_number(j, key) + by));
}

/* The object that is a member; made where it is missing. */
static inline json_t *
sums_under(json_t *j, const char *key)
{
	json_t *o = json_object_get(j, key);

	if (!o) {
		o = json_object();
		json_object_set_new(j, key, o);
	}
	return o;
}

#endif
