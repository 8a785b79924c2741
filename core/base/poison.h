/*
 * poison.h - put before every file of core/ by the build.
 *
 * The functions below write without a bound, keep hidden state or depend on
 * the locale. Naming one is a compile error. The headers that declare them
 * are included first.
 */
#ifndef BASE_POISON_H
#define BASE_POISON_H

#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#undef alloca	/* a macro in glibc, which cannot be poisoned */
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok strncpy strncat
#pragma GCC poison stpcpy atoi atol atoll alloca tmpnam mktemp
#pragma GCC poison asctime ctime gmtime localtime strerror_l
#ifndef UNIT_TEST	/* cmocka jumps */
#pragma GCC poison setjmp longjmp
#endif

#endif
