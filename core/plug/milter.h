/*
 * milter.h - an outside milter wearing a plugin's face.
 *
 * Built in, but written against mailroom/plugin.h only: each [milter.NAME]
 * is an instance of this descriptor and stands in a chain like any filter.
 */
#ifndef PLUG_MILTER_H
#define PLUG_MILTER_H

#include <mailroom/plugin.h>

extern const struct mr_plugin milter_plugin;

#endif
