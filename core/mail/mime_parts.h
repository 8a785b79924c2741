/*
 * mime_parts.h - what the mime*.c files share. Nobody else includes it.
 */
#ifndef MAIL_MIME_PARTS_H
#define MAIL_MIME_PARTS_H

#include "mail/mime.h"

#define MIME_PARTS_MAX 10000
#define MIME_DEPTH_MAX 100

/* A part while its message is parsed. The texts are offsets into mime->text,
 * in the form that IMAP wants (mime_imap.c says which). */
struct mime_span {
	uint32_t at, len;
};

struct mime_entity {
	struct mime_part at;
	uint32_t last_child;
	bool is_text;			/* its line count is shown */
	struct mime_span head, tail, envelope;
};

/* What the header section of a part says. Views in the arena. */
struct mime_content {
	struct str type, subtype;
	struct str params;		/* for mime_param_next */
	struct str id, description, encoding;	/* at NULL: absent */
	struct str md5, location, language;
	struct str disposition, disposition_params;
	bool no_charset;		/* text/plain without one */
};

enum mime_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE };

/* Reads the Content- fields of a header section. in_digest: RFC 2046 5.1.5.
 * Returns what the part claims to be; *boundary is set for multiparts. */
enum mime_kind mime_content_read(struct str section, bool in_digest,
	struct arena *a, struct mime_content *out, struct str *boundary);
/* A part that claims to hold others and cannot (limits, encoding). */
void mime_content_opaque(struct mime_content *c);
/* The next "attribute=value" of *in, quotes and comments resolved. */
bool mime_param_next(struct str *in, struct arena *a, struct str *name,
	struct str *value);
/* The next word of a comma list (Content-Language). */
bool mime_word_next(struct str *in, struct str *word);

/* Writes the texts of a part into `text`. */
void mime_text_content(struct buf *text, struct mime_entity *e,
	const struct mime_content *c, struct arena *a);
void mime_text_envelope(struct buf *text, struct mime_entity *e,
	struct str section, struct arena *a);
void mime_text_structure(struct buf *out, const struct mime_entity *e,
	const struct buf *text, bool extended);

/* What the parse of a message came to. */
struct mime_result {
	const struct mime_entity *part;
	uint32_t n_parts;
	const struct buf *text;
	uint64_t length;
	uint64_t thread;
	int64_t sent_ms;
	int sent_zone;
	const struct buf *preview;
};

/* The thread that a header section names; 0: it has no ids. */
uint64_t mime_thread(struct str section);

/* What it takes to read a part, as mime_form_read. */
void mime_content_form(const struct mime_content *c, struct arena *a,
	struct mime_form *out);
/* Appends how the text of a part begins, at most MIME_PREVIEW_MOST bytes of
 * UTF-8; nothing for one without text. raw: as it is encoded. */
#define MIME_PREVIEW_MOST 800
void mime_preview(struct buf *out, const struct mime_form *form,
	struct str raw);

/* Packs everything. */
void mime_cache_write(struct buf *out, const struct mime_result *r);

#endif
