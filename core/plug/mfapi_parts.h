/*
 * mfapi_parts.h - what the files of mfapi share. Nobody else includes it.
 */
#ifndef PLUG_MFAPI_PARTS_H
#define PLUG_MFAPI_PARTS_H

#include <pthread.h>
#include <stdbool.h>

#include <libmilter/mfapi.h>

#include "base/buf.h"
#include "plug/mfapi.h"
#include "plug/milter_wire.h"

/* One loaded filter. From `lock` on: under that lock. */
struct mfapi {
	const char *name;		/* of [plugin.NAME] */
	struct smfiDesc *(*table)(int, char **);
	int (*main)(int, char **);
	struct smfiDesc desc;
	uint32_t steps;			/* MILTER_NO_* for call-backs it lacks */
	char **argv;
	int argc;
	struct mfapi *next;		/* of those that are open */
	/* Hooks that run its code, and whether new ones may begin: read and
	 * written as atomics by every session. */
	int running, stopping;
	pthread_t thread;		/* of main */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum { MFAPI_IDLE, MFAPI_STARTING, MFAPI_READY, MFAPI_RETURNED } state;
	bool registered;
	int status;			/* what main returned */
};

struct mfapi_config {
	struct mr_list args;
	int64_t on_failure;
	struct mfapi *filter;		/* by mfapi_bind */
};

/* A macro that was asked for: its value must stay where it is. */
struct mfapi_value {
	char *name, *text;
	struct mfapi_value *next;
};

/* libmilter's SMFICTX: one session of a filter. */
struct smfi_str {
	struct mfapi *filter;
	struct mr_call *call;		/* the hook that runs, else NULL */
	void *priv;
	uint32_t actions, steps;	/* agreed on */
	bool open;			/* negotiated and well */
	bool failed;
	bool finished;			/* accepted the session */
	bool in_message;		/* an abort is due if it ends early */
	bool negotiating;
	bool at_end;			/* in xxfi_eom: edits are allowed */
	bool edit_failed, quarantined;
	struct buf reply;		/* as a y frame has it */
	struct buf out;			/* arguments of a call-back */
	struct str symbols[MILTER_STAGES];
	bool reached[MILTER_STAGES];
	struct mfapi_value *values[MILTER_STAGES];
	const char *rcpt;		/* the last one told of */
};

/* mfapi_load.c */
int mfapi_open(void *config, struct mr_open *o);
void mfapi_close(void *config);
/* A hook begins or ends to run the filter's code. enter: false once it is
 * stopping; then do not. */
bool mfapi_enter(struct mfapi *f);
void mfapi_leave(struct mfapi *f);

/* mfapi_call.c: a stage of macros begins; those of later stages go. */
void mfapi_reach(struct smfi_str *s, enum milter_stage stage);
/* The macros of this stage and later ones end; their values with them. */
void mfapi_forget(struct smfi_str *s, enum milter_stage first);

#endif
