/*
 * milter_export.h - what the files of mailroom-milter share: a program that
 * serves one plugin of ours to other mail servers, over libmilter.
 */
#ifndef PROC_MILTER_EXPORT_H
#define PROC_MILTER_EXPORT_H

#include <stdbool.h>

#include <libmilter/mfapi.h>

#include "mail/message.h"
#include "plug/hooks.h"

/* The plugin and what was agreed about it; read-only once libmilter runs. */
struct export {
	struct plugin plugin;
	struct plugin *item;		/* &plugin, as the chain wants it */
	struct services services;
	struct chain chain;
	const char *hostname;
	const char *tmp;
};
extern struct export export;

/* A field as the other server showed it. */
struct export_field {
	uint64_t id;
	struct str name;
	unsigned nth;			/* of its name, from 1 */
};

/* One session; libmilter's private pointer. */
struct export_session {
	SMFICTX *ctx;
	struct hooks *hooks;
	struct facts facts;
	struct envelope envelope, before;
	struct arena session, message_arena;
	struct message *message;
	struct export_field *field;
	size_t n_field;
	unsigned long steps;		/* agreed on */
	bool in_message, in_body, told_data, broken;
	struct verdict aside;		/* to be said at the end */
	bool drop_all;			/* a discard at connect or HELO */
};

/* milter_talk.c: the call-backs. */
extern const struct smfiDesc export_table;
/* The actions and steps that the plugin's hooks, needs and may ask for. */
unsigned long export_actions(const struct mr_filter *f);
unsigned long export_steps(const struct mr_filter *f);

/* milter_edits.c: notes the fields as they are before the plugin edits. */
void export_note_fields(struct export_session *s);
/* Asks the other server for all that the plugin changed. -1: it refused one
 * of them. */
int export_edits(struct export_session *s);

#endif
