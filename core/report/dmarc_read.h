/*
 * dmarc_read.h - aggregate reports of DMARC (RFC 9990, and RFC 7489 appendix
 * C, whose form most still send).
 */
#ifndef REPORT_DMARC_READ_H
#define REPORT_DMARC_READ_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

#define DMARC_RECORDS_MOST 100000

/* NULL with e: it is none, or has a document type of its own (entities are
 * never expanded). The object:
 *   kind "dmarc", org, email, id, begin, end (seconds), domain, policy,
 *   records: [{ip, count, disposition, dkim, spf, reason, header_from,
 *     envelope_from}]; dkim and spf: true if aligned and passed. */
json_t *dmarc_read(struct str xml, struct err *e);

#endif
