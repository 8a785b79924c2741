/*
 * mfapi_call.c - the functions of libmilter that a filter calls from its
 * call-backs, under libmilter's names.
 *
 * Behaviour follows libmilter 1.0.1, sendmail's release 8.17: what it
 * answers with MI_FAILURE is answered so here. Edits are built as the frames
 * that libmilter would send and carried out by milter_edit.c, so an index
 * means the same in and out of the process.
 *
 * What differs: a macro's value is looked up when it is first asked for, not
 * when its stage began; it is to be had only while a call-back runs.
 */
#include "plug/mfapi_parts.h"

#include <stdarg.h>

#include "plug/milter_edit.h"
#include "plug/milter_macro.h"

#define REPLY_MOST 980		/* bytes of one line */
#define REPLY_LINES 32

/* ---------------------------------------------------------------- macros */

void
mfapi_forget(struct smfi_str *s, enum milter_stage first)
{
	for (; first < MILTER_STAGES; first++) {
		s->reached[first] = false;
		s->values[first] = NULL;
	}
}

void
mfapi_reach(struct smfi_str *s, enum milter_stage stage)
{
	/* From DATA on the numbers do not stand in the order of time. */
	if (stage <= MILTER_AT_RCPT)
		mfapi_forget(s, stage);
	s->reached[stage] = true;
}

/* Memory that lives as long as the macros of that stage. */
static void *
stage_alloc(struct smfi_str *s, enum milter_stage stage, size_t size)
{
	const struct mr_host *host = s->call->host;

	return stage >= MILTER_AT_MAIL ? host->message_alloc(s->call, size) :
		host->session_alloc(s->call, size);
}

static char *
keep_value(struct smfi_str *s, enum milter_stage stage, struct str name,
	struct str text)
{
	struct mfapi_value *v = stage_alloc(s, stage, sizeof *v);
	char *room = stage_alloc(s, stage, name.len + text.len + 2);

	if (!v || !room)
		return NULL;
	v->name = room;
	v->text = room + name.len + 1;
	memcpy(v->name, name.at, name.len);
	memcpy(v->text, text.at, text.len);
	v->next = s->values[stage];
	s->values[stage] = v;
	return v->text;
}

static char *
value_at(struct smfi_str *s, enum milter_stage stage, struct str name)
{
	const struct milter_scene about = {.call = s->call, .rcpt = s->rcpt};
	const struct mfapi_value *v;
	char *text = NULL;
	struct buf b;

	for (v = s->values[stage]; v; v = v->next)
		if (str_is(name, v->name))
			return v->text;
	buf_init(&b, MILTER_DATA_MOST);
	if (milter_macro(&about, stage, s->symbols[stage], name, &b))
		text = keep_value(s, stage, name, buf_str(&b));
	buf_free(&b);
	return text;
}

/* Names of one letter may stand in braces or not. The latest stage that has
 * the macro wins. */
char *
smfi_getsymval(SMFICTX *s, char *symbol)
{
	static const enum milter_stage latest_first[] = {MILTER_AT_END,
		MILTER_AT_EOH, MILTER_AT_DATA, MILTER_AT_RCPT, MILTER_AT_MAIL,
		MILTER_AT_HELO, MILTER_AT_CONNECT};
	struct str name = str_from(symbol);
	char *text = NULL;
	size_t i;

	if (!s || !s->call || !name.len)
		return NULL;
	if (name.len == 3 && name.at[0] == '{' && name.at[2] == '}')
		name = str_sub(name, 1, 1);
	for (i = 0; !text && i < MILTER_STAGES; i++)
		if (s->reached[latest_first[i]])
			text = value_at(s, latest_first[i], name);
	return text;
}

int
smfi_setsymlist(SMFICTX *s, int where, char *macros)
{
	size_t n;
	char *kept;

	if (!s || !s->negotiating || where < 0 || where >= MILTER_STAGES ||
		!macros || !*macros || s->symbols[where].at)
		return MI_FAILURE;
	n = strlen(macros);
	kept = s->call->host->session_alloc(s->call, n + 1);
	memcpy(kept, macros, n);
	s->symbols[where] = str_of(kept, n);
	return MI_SUCCESS;
}

/* --------------------------------------------------------------- replies */

static bool
is_code(const char *code)
{
	return code && (code[0] == '4' || code[0] == '5') &&
		is_digit(code[1]) && is_digit(code[2]) && !code[3];
}

/* One to three digits. */
static const char *
skip_number(const char *s)
{
	const char *from = s;

	while (is_digit(*s) && s - from < 3)
		s++;
	return s > from ? s : NULL;
}

/* RFC 3463: class.subject.detail. */
static bool
is_enhanced(const char *s)
{
	if ((*s != '2' && *s != '4' && *s != '5') || s[1] != '.')
		return false;
	s = skip_number(s + 2);
	if (!s || *s != '.')
		return false;
	s = skip_number(s + 1);
	return s && !*s;
}

static bool
is_line(const char *text)
{
	return strlen(text) <= REPLY_MOST && !strpbrk(text, "\r\n");
}

int
smfi_setreply(SMFICTX *s, char *code, char *enhanced, char *text)
{
	if (!s || !is_code(code) || (enhanced && !is_enhanced(enhanced)) ||
		(text && !is_line(text)))
		return MI_FAILURE;
	buf_reset(&s->reply);
	buf_addf(&s->reply, "%s %s%s%s", code, enhanced ? enhanced : "",
		enhanced && text ? " " : "", text ? text : "");
	return MI_SUCCESS;
}

int
smfi_setmlreply(SMFICTX *s, const char *code, const char *enhanced, ...)
{
	const char *line[REPLY_LINES], *text;
	size_t n = 0, i;
	va_list ap;
	bool good = true;

	if (!s || !is_code(code) || (enhanced && !is_enhanced(enhanced)))
		return MI_FAILURE;
	va_start(ap, enhanced);
	while (good && (text = va_arg(ap, const char *))) {
		good = n < REPLY_LINES && is_line(text);
		if (good)
			line[n++] = text;
	}
	va_end(ap);
	if (!good || !n)
		return MI_FAILURE;
	if (!enhanced)
		enhanced = code[0] == '4' ? "4.0.0" : "5.0.0";
	buf_reset(&s->reply);
	for (i = 0; i < n; i++)
		buf_addf(&s->reply, "%s%s%c%s %s", i ? "\r\n" : "", code,
			i + 1 < n ? '-' : ' ', enhanced, line[i]);
	return MI_SUCCESS;
}

/* ----------------------------------------------------------------- edits */

/* At the end of a message, by a filter that said it would. */
static bool
may(const struct smfi_str *s, unsigned long action)
{
	return s && s->at_end && s->call && (s->actions & action) == action;
}

static bool
is_text(const char *text)
{
	return text && *text;
}

static int
edit(struct smfi_str *s, char command, struct str data)
{
	struct err e = {0};

	if (milter_edit(s->call, command, data, &e) == 0)
		return MI_SUCCESS;
	mr_log(s->call, MR_LOG_WARN, "%s", e.text);
	s->edit_failed = true;
	return MI_FAILURE;
}

/* The edit with its strings, of which the second may be NULL: left out. */
static int
edit_strings(struct smfi_str *s, char command, const uint32_t *index,
	const char *one, const char *two)
{
	char place[4];
	struct buf b;
	int result;

	buf_init(&b, BUF_NO_CAP);
	if (index) {
		place[0] = (char)(*index >> 24);
		place[1] = (char)(*index >> 16);
		place[2] = (char)(*index >> 8);
		place[3] = (char)*index;
		buf_add(&b, place, sizeof place);
	}
	buf_add(&b, one, strlen(one) + 1);
	if (two)
		buf_add(&b, two, strlen(two) + 1);
	result = edit(s, command, buf_str(&b));
	buf_free(&b);
	return result;
}

int
smfi_addheader(SMFICTX *s, char *name, char *value)
{
	if (!may(s, SMFIF_ADDHDRS) || !is_text(name) || !value)
		return MI_FAILURE;
	return edit_strings(s, 'h', NULL, name, value);
}

int
smfi_insheader(SMFICTX *s, int place, char *name, char *value)
{
	uint32_t index = (uint32_t)place;

	if (!may(s, SMFIF_ADDHDRS) || place < 0 || !is_text(name) || !value)
		return MI_FAILURE;
	return edit_strings(s, 'i', &index, name, value);
}

int
smfi_chgheader(SMFICTX *s, char *name, int place, char *value)
{
	uint32_t index = (uint32_t)place;

	if (!may(s, SMFIF_CHGHDRS) || place < 0 || !is_text(name))
		return MI_FAILURE;
	return edit_strings(s, 'm', &index, name, value ? value : "");
}

int
smfi_chgfrom(SMFICTX *s, char *mail, char *args)
{
	if (!may(s, SMFIF_CHGFROM) || !is_text(mail))
		return MI_FAILURE;
	return edit_strings(s, 'e', NULL, mail, args);
}

int
smfi_addrcpt(SMFICTX *s, char *rcpt)
{
	if (!may(s, SMFIF_ADDRCPT) || !is_text(rcpt))
		return MI_FAILURE;
	return edit_strings(s, '+', NULL, rcpt, NULL);
}

int
smfi_addrcpt_par(SMFICTX *s, char *rcpt, char *args)
{
	if (!may(s, SMFIF_ADDRCPT_PAR) || !is_text(rcpt))
		return MI_FAILURE;
	return edit_strings(s, '2', NULL, rcpt, args);
}

int
smfi_delrcpt(SMFICTX *s, char *rcpt)
{
	if (!may(s, SMFIF_DELRCPT) || !is_text(rcpt))
		return MI_FAILURE;
	return edit_strings(s, '-', NULL, rcpt, NULL);
}

int
smfi_replacebody(SMFICTX *s, unsigned char *bytes, int len)
{
	if (!may(s, SMFIF_CHGBODY) || len < 0 || (!bytes && len))
		return MI_FAILURE;
	return edit(s, 'b', str_of(bytes ? (char *)bytes : "", (size_t)len));
}

int
smfi_quarantine(SMFICTX *s, char *reason)
{
	if (!may(s, SMFIF_QUARANTINE) || !is_text(reason))
		return MI_FAILURE;
	s->quarantined = true;
	mr_say(s->call, 0, NULL, reason);
	return MI_SUCCESS;
}

/* ------------------------------------------------------------ small ones */

/* Nobody waits at the other end of a socket. */
int
smfi_progress(SMFICTX *s)
{
	return s && s->call ? MI_SUCCESS : MI_FAILURE;
}

int
smfi_setpriv(SMFICTX *s, void *data)
{
	if (!s)
		return MI_FAILURE;
	s->priv = data;
	return MI_SUCCESS;
}

void *
smfi_getpriv(SMFICTX *s)
{
	return s ? s->priv : NULL;
}

int
smfi_version(unsigned int *major, unsigned int *minor, unsigned int *patch)
{
	if (major)
		*major = SM_LM_VRS_MAJOR(SMFI_VERSION);
	if (minor)
		*minor = SM_LM_VRS_MINOR(SMFI_VERSION);
	if (patch)
		*patch = SM_LM_VRS_PLVL(SMFI_VERSION);
	return MI_SUCCESS;
}
