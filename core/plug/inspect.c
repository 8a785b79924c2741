/*
 * inspect.c - reading a descriptor through the file's tables.
 *
 * The structs of the file are copied into ours as far as they reach, which
 * leaves zero where the plugin is older; their pointers are then looked up
 * one by one at the places they had in the file.
 */
#include "plug/inspect.h"

#include "base/enc.h"
#include "plug/elf_image.h"
#include "plug/mfapi.h"
#include "plug/plugin.h"

#define TEXT_MOST 4096
#define SETTINGS_MOST 256

/* A word for a bit, or for a pointer at an offset. */
struct word {
	const char *word;
	size_t at;
};

static const struct word role_words[] = {
	{"filter", offsetof(struct mr_plugin, filter)},
	{"auth", offsetof(struct mr_plugin, auth)},
	{"route", offsetof(struct mr_plugin, route)},
	{"store", offsetof(struct mr_plugin, store)},
	{"transport", offsetof(struct mr_plugin, transport)},
	{"observer", offsetof(struct mr_plugin, observer)},
	{"fetcher", offsetof(struct mr_plugin, fetcher)},
	{NULL, 0},
};

static const struct word hook_words[] = {
	{"connect", offsetof(struct mr_filter, connect)},
	{"helo", offsetof(struct mr_filter, helo)},
	{"mail", offsetof(struct mr_filter, mail)},
	{"rcpt", offsetof(struct mr_filter, rcpt)},
	{"data", offsetof(struct mr_filter, data)},
	{"message", offsetof(struct mr_filter, message)},
	{"unknown", offsetof(struct mr_filter, unknown)},
	{"reset", offsetof(struct mr_filter, reset)},
	{"disconnect", offsetof(struct mr_filter, disconnect)},
	{NULL, 0},
};

static const struct word needs_words[] = {
	{"headers", MR_NEEDS_HEADERS}, {"body", MR_NEEDS_BODY},
	{"results", MR_NEEDS_RESULTS}, {NULL, 0},
};

static const struct word may_words[] = {
	{"headers", MR_MAY_HEADERS}, {"body", MR_MAY_BODY},
	{"sender", MR_MAY_SENDER}, {"recipients", MR_MAY_RCPTS},
	{"results", MR_MAY_RESULTS}, {"sign", MR_MAY_SIGN}, {NULL, 0},
};

static const struct word wants_words[] = {
	{"refused", MR_WANT_REFUSED}, {"process", MR_WANT_PROCESS},
	{"fresh", MR_WANT_FRESH}, {NULL, 0},
};

/* ------------------------------------------------------------------ words */

static const char *
add_word(struct arena *a, const char *words, const char *word)
{
	return *words ? arena_printf(a, "%s %s", words, word) : word;
}

static const char *
bit_words(const struct word *w, uint32_t bits, struct arena *a)
{
	const char *out = "";

	for (; w->word; w++)
		if (bits & w->at)
			out = add_word(a, out, w->word);
	return out;
}

const char *
inspect_needs(uint32_t needs, struct arena *a)
{
	return bit_words(needs_words, needs, a);
}

const char *
inspect_may(uint32_t may, struct arena *a)
{
	return bit_words(may_words, may, a);
}

const char *
inspect_wants(uint32_t wants, struct arena *a)
{
	return bit_words(wants_words, wants, a);
}

const char *
inspect_roles(const struct mr_plugin *d, struct arena *a)
{
	const struct word *w;
	const char *out = "";
	const void *role;

	for (w = role_words; w->word; w++) {
		if (d->size < w->at + sizeof role)
			continue;
		memcpy(&role, (const char *)d + w->at, sizeof role);
		if (role)
			out = add_word(a, out, w->word);
	}
	return out;
}

/* ---------------------------------------------------------------- reading */

struct reading {
	struct elf_image image;
	struct arena *arena;
	const char *module;
	struct err *e;
};

/* A pointer of a struct at `base`; 0 for none, or beyond its size. */
static uint64_t
pointer(const struct reading *r, uint64_t base, uint64_t size, size_t offset)
{
	uint64_t to;

	if (size < offset + sizeof(void *) ||
		!elf_pointer(&r->image, base + offset, &to))
		return 0;
	return to;
}

/* The text that a pointer leads to, made harmless; NULL if it is none. */
static const char *
text(const struct reading *r, uint64_t to)
{
	struct str s = to ? elf_string(&r->image, to, TEXT_MOST) :
		(struct str){NULL, 0};
	bool is_utf8 = enc_is_utf8(s);
	char *out;
	size_t i;

	if (!s.at)
		return NULL;
	out = arena_cstr(r->arena, s);
	for (i = 0; i < s.len; i++)
		if ((unsigned char)out[i] < ' ' || out[i] == 127 ||
			(!is_utf8 && (unsigned char)out[i] > 127))
			out[i] = '?';
	return out;
}

#define TEXT_AT(r, base, size, type, field) \
	text((r), pointer((r), (base), (size), offsetof(struct type, field)))

static const char *
pointer_words(const struct reading *r, const struct word *w, uint64_t base,
	uint64_t size)
{
	const char *out = "";

	for (; w->word; w++)
		if (pointer(r, base, size, w->at))
			out = add_word(r->arena, out, w->word);
	return out;
}

/* --------------------------------------------------------------- settings */

static const char *
type_name(uint32_t type)
{
	static const char *const names[] = {[MR_BOOL] = "true or false",
		[MR_INT] = "integer", [MR_SIZE] = "size",
		[MR_DURATION] = "duration", [MR_TEXT] = "text",
		[MR_PATH] = "path", [MR_SECRET] = "secret",
		[MR_CHOICE] = "choice", [MR_LIST] = "list"};

	return type >= MR_BOOL && type <= MR_LIST ? names[type] : "?";
}

/* One row; false: the last was before, or this is none. */
static bool
take_setting(const struct reading *r, uint64_t at, struct inspect_setting *out)
{
	struct mr_setting row;

	if (!elf_read(&r->image, at, &row, sizeof row))
		return false;
	out->name = TEXT_AT(r, at, sizeof row, mr_setting, name);
	if (!out->name)
		return false;
	out->type = type_name(row.type);
	out->required = row.flags & MR_REQUIRED;
	out->fallback = TEXT_AT(r, at, sizeof row, mr_setting, fallback);
	out->least = row.least;
	out->most = row.most;
	out->choices = TEXT_AT(r, at, sizeof row, mr_setting, choices);
	out->help = TEXT_AT(r, at, sizeof row, mr_setting, help);
	return true;
}

static void
take_settings(const struct reading *r, struct inspect *out, uint64_t at)
{
	if (!at || at == ELF_ELSEWHERE)
		return;
	out->setting = arena_alloc(r->arena,
		SETTINGS_MOST * sizeof *out->setting);
	while (out->n_setting < SETTINGS_MOST && take_setting(r, at,
		&out->setting[out->n_setting])) {
		out->n_setting++;
		at += sizeof(struct mr_setting);
	}
}

/* ------------------------------------------------------------ descriptor */

static int
take_filter(const struct reading *r, struct inspect *out, uint64_t at)
{
	struct mr_filter f = {.size = 0};
	const size_t least = offsetof(struct mr_filter, connect);

	out->hooks = "";
	if (!at)
		return 0;
	if (!elf_read(&r->image, at, &f, least) || f.size < least ||
		f.size > PLUGIN_TABLE_MOST)
		return err_set(r->e, ERR_CONFIG, "%s: its filter table says a "
			"size of %u bytes, which no release had", r->module,
			f.size);
	out->needs = f.needs;
	out->may = f.may;
	out->wants = f.wants;
	out->hooks = pointer_words(r, hook_words, at, f.size);
	return 0;
}

static int
take_plugin(const struct reading *r, struct inspect *out, uint64_t at,
	uint64_t symbol_size)
{
	struct mr_plugin d = {.abi = 0};
	const size_t least = offsetof(struct mr_plugin, open);

	if (!elf_read(&r->image, at, &d, offsetof(struct mr_plugin, name)))
		return err_set(r->e, ERR_CONFIG, "%s: its " MR_PLUGIN_SYMBOL
			" lies outside the file", r->module);
	if (d.abi != MR_ABI)
		return plugin_wrong_abi(r->e, r->module, d.abi);
	if (d.size < least || d.size > PLUGIN_TABLE_MOST ||
		d.size > symbol_size || !elf_read(&r->image, at, &d, least))
		return plugin_wrong_size(r->e, r->module, d.size);
	out->abi = d.abi;
	out->size = d.size;
	out->name = TEXT_AT(r, at, d.size, mr_plugin, name);
	out->version = TEXT_AT(r, at, d.size, mr_plugin, version);
	out->summary = TEXT_AT(r, at, d.size, mr_plugin, summary);
	out->config_size = d.config_size;
	out->session_size = d.session_size;
	out->message_size = d.message_size;
	if (!plugin_is_name(out->name) || !out->version)
		return err_set(r->e, ERR_CONFIG, "%s: its descriptor has no "
			"valid name or version", r->module);
	out->roles = pointer_words(r, role_words, at, d.size);
	take_settings(r, out, pointer(r, at, d.size,
		offsetof(struct mr_plugin, settings)));
	return take_filter(r, out, pointer(r, at, d.size,
		offsetof(struct mr_plugin, filter)));
}

int
inspect_module(struct inspect *out, const char *module, struct str file,
	struct arena *a, struct err *e)
{
	static const char *const milters[] = {MFAPI_TABLE, MFAPI_MAIN};
	struct reading r = {.arena = a, .module = module, .e = e};
	uint64_t at, size;
	size_t i;

	*out = (struct inspect){.kind = INSPECT_PLUGIN, .roles = "",
		.hooks = "", .entry = MR_PLUGIN_SYMBOL};
	if (elf_open(&r.image, file, a, e) < 0) {
		char why[200];

		snprintf(why, sizeof why, "%s", e ? e->text : "");
		return err_set(e, ERR_CONFIG, "%s %s", module, why);
	}
	if (elf_symbol(&r.image, MR_PLUGIN_SYMBOL, &at, &size))
		return take_plugin(&r, out, at, size);
	for (i = 0; i < 2; i++)
		if (elf_symbol(&r.image, milters[i], &at, &size)) {
			out->kind = INSPECT_MFAPI;
			out->entry = milters[i];
			out->roles = "filter";
			return 0;
		}
	return plugin_no_entry(e, module);
}
