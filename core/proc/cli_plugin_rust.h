/*
 * cli_plugin_rust.h - templates of plugins; @NAME@ is replaced.
 */
#ifndef PROC_CLI_PLUGIN_RUST_H
#define PROC_CLI_PLUGIN_RUST_H

extern const char plugin_rust_text[], plugin_rust_make[];

#endif
