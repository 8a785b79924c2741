/*
 * plugin_host.h - the role of our binary that holds one isolated plugin
 * (plug/remote.h). Started by a worker, never by hand.
 */
#ifndef PROC_PLUGIN_HOST_H
#define PROC_PLUGIN_HOST_H

#include <stdbool.h>

/* Is this the command line of one? */
bool plugin_host_is(int argc, char **argv);
/* Exit status: 0 when the worker is gone, 78 when it cannot start. */
int plugin_host_main(int argc, char **argv);

#endif
