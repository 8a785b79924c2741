/*
 * mimedump.c - shows what the MIME parser makes of messages, one JSON object
 * a line, for mime.t.
 *
 *	mimedump CUT FILE...	feeds CUT bytes at a time (0: all at once)
 *
 * Bytes become the characters U+0000 to U+00FF.
 */
#include <assert.h>
#include <stdio.h>

#include "base/file.h"
#include "mail/mime.h"

#define SIZE_LIMIT (256u * 1024 * 1024)

static void
print_string(const char *key, struct str s)
{
	size_t i;

	printf("\"%s\": \"", key);
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	printf("\", ");
}

static void
print_part(const struct mime_part *p)
{
	printf("{\"parent\": %u, \"children\": %u, \"first\": %u, "
		"\"next\": %u, \"header\": %llu, \"body\": %llu, "
		"\"end\": %llu, \"lines\": %u, \"multipart\": %s, "
		"\"message\": %s}", p->parent, p->n_children, p->first_child,
		p->next, (unsigned long long)p->header_at,
		(unsigned long long)p->body_at, (unsigned long long)p->end,
		p->lines, p->is_multipart ? "true" : "false",
		p->is_message ? "true" : "false");
}

static void
print_view(const struct mime_view *v)
{
	struct mime_part p;
	uint32_t i;

	printf("{\"length\": %llu, ", (unsigned long long)v->length);
	print_string("envelope", v->envelope);
	print_string("body_text", v->body);
	print_string("bodystructure", v->bodystructure);
	printf("\"parts\": [");
	for (i = 0; mime_part(v, i, &p); i++) {
		printf("%s", i > 0 ? ", " : "");
		print_part(&p);
	}
	printf("]}\n");
}

static void
dump(struct str text, size_t cut)
{
	struct mime *m = mime_new();
	struct mime_view v;
	struct buf cache;
	size_t at, n;

	buf_init(&cache, BUF_NO_CAP);
	for (at = 0; at < text.len; at += n) {
		n = text.len - at;
		if (cut > 0 && n > cut)
			n = cut;
		mime_feed(m, text.at + at, n);
	}
	mime_end(m, &cache);
	assert(mime_open(buf_str(&cache), &v));
	print_view(&v);
	buf_free(&cache);
}

int
main(int argc, char **argv)
{
	uint64_t cut;
	int i;

	if (argc < 3 || !str_u64(str_from(argv[1]), SIZE_LIMIT, &cut)) {
		fprintf(stderr, "usage: mimedump CUT FILE...\n");
		return 2;
	}
	for (i = 2; i < argc; i++) {
		struct arena a;
		struct str text;
		struct err e;

		arena_init(&a);
		if (file_read(argv[i], SIZE_LIMIT, &a, &text, &e) < 0) {
			fprintf(stderr, "mimedump: %s\n", e.text);
			return 1;
		}
		dump(text, (size_t)cut);
		arena_free(&a);
	}
	return 0;
}
