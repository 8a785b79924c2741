/*
 * mfapi.h - filters written for <libmilter/mfapi.h>, inside the process.
 *
 * Such a filter is a shared object that offers one of two ways in:
 *	struct smfiDesc *mailroom_milter(int argc, char **argv);
 *		gives its table of call-backs;
 *	mailroom_milter_main
 *		the main of an unmodified filter, renamed when it was built
 *		(-Dmain=mailroom_milter_main). It runs on a thread of its own
 *		and ends there in smfi_main, until the filter is unloaded.
 * The programs export libmilter's 26 functions (mfapi.list), which a filter
 * finds in place of the library's, linked with -lmilter or not.
 *
 * All such modules share one descriptor; which module an instance stands
 * for is said by mfapi_bind.
 */
#ifndef PLUG_MFAPI_H
#define PLUG_MFAPI_H

#include <stdbool.h>

#include <mailroom/plugin.h>

#include "base/arena.h"

#define MFAPI_TABLE "mailroom_milter"
#define MFAPI_MAIN "mailroom_milter_main"

extern const struct mr_plugin mfapi_plugin;

/* Has the module (of dlopen) one of the two ways in? Runs none of it. */
bool mfapi_is(void *module);
/* Ties the config of an instance of mfapi_plugin to its module, which stays
 * loaded. name is borrowed. */
void mfapi_bind(void *config, void *module, const char *name,
	struct arena *a);

#endif
