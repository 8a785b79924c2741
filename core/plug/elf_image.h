/*
 * elf_image.h - a shared object as bytes: symbols and what a loader would
 * put into memory, without loading it.
 *
 * The file may be anybody's: nothing of it is run, mapped or believed.
 * Every address is looked up in the segments, every read is bounded, and all
 * work is at most in proportion to the size of the file.
 */
#ifndef PLUG_ELF_IMAGE_H
#define PLUG_ELF_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct elf_fix {		/* a relocation */
	uint64_t at, value;
};

struct elf_image {
	struct str file;	/* borrowed */
	uint64_t segments;	/* offset of the table */
	unsigned n_segment;
	uint64_t symbols, names, names_size, gnu_hash, hash;
	struct elf_fix *fix;	/* sorted by `at` */
	size_t n_fix;
};

/* Reads the headers; tables live in the arena. -1 with what the file is
 * instead: no ELF, cut short, of another machine, no shared object. */
int elf_open(struct elf_image *f, struct str file, struct arena *a,
	struct err *e);
/* The address and size of an exported symbol; false if there is none. */
bool elf_symbol(const struct elf_image *f, const char *name, uint64_t *at,
	uint64_t *size);
/* Bytes as they would stand in memory before relocation. false: outside. */
bool elf_read(const struct elf_image *f, uint64_t at, void *out, size_t len);
/* A pointer after relocation; one that leads to another object is
 * ELF_ELSEWHERE. false: outside. */
#define ELF_ELSEWHERE UINT64_MAX
bool elf_pointer(const struct elf_image *f, uint64_t at, uint64_t *out);
/* The bytes before the NUL at an address, at most `most`; at NULL if there
 * is no such string. */
struct str elf_string(const struct elf_image *f, uint64_t at, size_t most);

#endif
