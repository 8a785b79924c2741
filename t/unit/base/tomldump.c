/*
 * tomldump.c - shows what the configuration reader makes of documents, one
 * JSON object a line, for toml.t.
 *
 * Standard input holds the documents, each as its length in decimal, a line
 * feed and so many bytes. Bytes become the characters U+0000 to U+00FF.
 */
#include <stdio.h>

#include "base/conf.h"

#define SIZE_MOST (16u << 20)

static void
print_string(struct str s)
{
	size_t i;

	putchar('"');
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_node(const struct conf *c, const struct conf_node *n);

static void
print_children(const struct conf *c, const struct conf_node *n, bool keys)
{
	const struct conf_node *child;
	struct str key;
	size_t at = 0;

	printf("[");
	while ((child = conf_next(n, &at, &key))) {
		printf("%s", at > 1 ? ", " : "");
		if (keys) {
			printf("[");
			print_string(key);
			printf(", ");
		}
		print_node(c, child);
		printf("%s", keys ? "]" : "");
	}
	printf("]");
}

static void
print_value(const struct conf *c, const struct conf_node *n)
{
	switch (conf_type_of(n)) {
	case CONF_TABLE:
	case CONF_ARRAY:
		print_children(c, n, conf_type_of(n) == CONF_TABLE);
		break;
	case CONF_STRING:
	case CONF_DATETIME:
		print_string(conf_string(n));
		break;
	case CONF_INT:
		printf("\"%lld\"", (long long)conf_int(n));
		break;
	case CONF_FLOAT:
		printf("\"%a\"", conf_float(n));
		break;
	case CONF_BOOL:
		printf("%s", conf_bool(n) ? "true" : "false");
		break;
	}
}

/* ["type", value, "the bytes in the file"] */
static void
print_node(const struct conf *c, const struct conf_node *n)
{
	static const char *const names[] = {"table", "array", "string", "int",
		"float", "bool", "datetime"};

	printf("[\"%s\", ", names[conf_type_of(n)]);
	print_value(c, n);
	printf(", ");
	print_string(conf_raw(c, n));
	printf("]");
}

static void
dump(struct str text)
{
	struct conf_report report;
	struct conf *c;

	conf_report_init(&report);
	c = conf_parse(text, "t", &report);
	printf("{\"errors\": %u, \"report\": ", report.errors);
	print_string(buf_str(&report.text));
	printf(", \"root\": ");
	print_node(c, conf_root(c));
	printf("}\n");
	conf_free(c);
	conf_report_free(&report);
}

int
main(void)
{
	char line[32];
	uint64_t size;
	char *text;

	while (fgets(line, sizeof line, stdin)) {
		if (!str_u64(str_trim(str_from(line)), SIZE_MOST, &size))
			return 2;
		/* Its own size, so that sanitizers see a step too far. */
		text = mem_alloc((size_t)size);
		if (fread(text, 1, (size_t)size, stdin) != size)
			return 2;
		dump(str_of(text, (size_t)size));
		free(text);
	}
	return 0;
}
