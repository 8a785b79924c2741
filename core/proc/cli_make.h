/*
 * cli_make.h - a plugin in the folder that `plugin new` made, or one like it:
 * NAME/Makefile, which makes NAME/NAME.so.
 */
#ifndef PROC_CLI_MAKE_H
#define PROC_CLI_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* Is there a Makefile in it? */
bool cli_make_is_folder(const char *path);
/* make NAME.so in the folder, whose own name may be another. flags: instead
 * of the CFLAGS and CXXFLAGS of its Makefile, and all is built anew; or NULL.
 * What the compiler says goes to standard error. 0, or -1. */
int cli_make(const char *folder, const char *name, const char *flags);
/* When a file in it that is no product was last written. */
struct timespec cli_make_written(const char *folder);
/* Runs a program and waits. Its exit status, or 127. */
int cli_make_run(const char *const *argv);
/* A file or a folder with all in it. */
void cli_make_remove(const char *path);

#endif
