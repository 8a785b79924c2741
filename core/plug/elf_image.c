/*
 * elf_image.c - reading a shared object of this machine's kind, ELF gABI
 * chapters 4 and 5. Looks symbols up by the hash tables, as dlsym does, so
 * that both find the same one. Any thread; no state.
 */
#include "plug/elf_image.h"

#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MOST 128
#define CHAIN_MOST 65536	/* symbols of one hash value */

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#elif defined(__i386__)
#define MACHINE EM_386
#elif defined(__arm__)
#define MACHINE EM_ARM
#elif defined(__riscv)
#define MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define MACHINE EM_PPC64
#elif defined(__s390x__)
#define MACHINE EM_S390
#else
#error "name this machine's EM_ constant here"
#endif

#define CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)
#define ORDER (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : \
	ELFDATA2MSB)
#if __SIZEOF_POINTER__ == 8
#define SYMBOL_OF(info) ELF64_R_SYM(info)
#else
#define SYMBOL_OF(info) ELF32_R_SYM(info)
#endif

/* ------------------------------------------------------------------ bytes */

/* len bytes at an offset of the file. */
static bool
raw(const struct elf_image *f, uint64_t offset, void *out, size_t len)
{
	if (offset > f->file.len || len > f->file.len - offset)
		return false;
	memcpy(out, f->file.at + offset, len);
	return true;
}

/* The segment that holds the address; *inside counts from its begin. */
static bool
find_segment(const struct elf_image *f, uint64_t at, ElfW(Phdr) *p,
	uint64_t *inside)
{
	unsigned i;

	for (i = 0; i < f->n_segment; i++) {
		if (!raw(f, f->segments + i * sizeof *p, p, sizeof *p))
			return false;
		if (p->p_type != PT_LOAD || at < p->p_vaddr)
			continue;
		*inside = at - p->p_vaddr;
		if (*inside < p->p_memsz)
			return true;
	}
	return false;
}

/* The bytes of the file from an address to the end of its segment. What is
 * zeroed memory there has none. */
static struct str
bytes_at(const struct elf_image *f, uint64_t at)
{
	ElfW(Phdr) p;
	uint64_t inside;

	if (!find_segment(f, at, &p, &inside) || inside >= p.p_filesz ||
		p.p_offset > f->file.len ||
		inside > f->file.len - p.p_offset)
		return (struct str){NULL, 0};
	return str_sub(f->file, p.p_offset + inside, p.p_filesz - inside);
}

bool
elf_read(const struct elf_image *f, uint64_t at, void *out, size_t len)
{
	struct str got = bytes_at(f, at);
	ElfW(Phdr) p;
	uint64_t inside;

	if (got.at && got.len >= len) {
		memcpy(out, got.at, len);
		return true;
	}
	if (got.at || !find_segment(f, at, &p, &inside) ||
		inside < p.p_filesz || len > p.p_memsz - inside)
		return false;
	memset(out, 0, len);
	return true;
}

struct str
elf_string(const struct elf_image *f, uint64_t at, size_t most)
{
	struct str s = bytes_at(f, at);
	size_t n;

	if (!s.at)
		return s;
	s = str_sub(s, 0, most);
	n = str_find(s, '\0');
	return n < s.len ? str_sub(s, 0, n) : (struct str){NULL, 0};
}

/* ------------------------------------------------------------ relocations */

/* The value that a relocation gives, from its symbol (0: none) and addend.
 * Which of the machine's types it is does not matter for pointers. */
static uint64_t
value_of(const struct elf_image *f, uint64_t symbol, uint64_t addend)
{
	ElfW(Sym) s;

	if (!symbol)
		return addend;
	if (symbol > f->file.len || !elf_read(f,
		f->symbols + symbol * sizeof s, &s, sizeof s) ||
		s.st_shndx == SHN_UNDEF)
		return ELF_ELSEWHERE;
	return s.st_value + addend;
}

static int
by_address(const void *a, const void *b)
{
	const struct elf_fix *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

struct table {
	uint64_t at, size;
};

static void
add_rela(struct elf_image *f, struct table t)
{
	ElfW(Rela) r;
	uint64_t i;

	for (i = 0; i < t.size / sizeof r; i++) {
		if (!elf_read(f, t.at + i * sizeof r, &r, sizeof r))
			return;
		f->fix[f->n_fix++] = (struct elf_fix){r.r_offset, value_of(f,
			SYMBOL_OF(r.r_info), (uint64_t)r.r_addend)};
	}
}

/* The older form: the addend stands in the place itself. */
static void
add_rel(struct elf_image *f, struct table t)
{
	ElfW(Rel) r;
	ElfW(Addr) addend;
	uint64_t i;

	for (i = 0; i < t.size / sizeof r; i++) {
		if (!elf_read(f, t.at + i * sizeof r, &r, sizeof r))
			return;
		if (!elf_read(f, r.r_offset, &addend, sizeof addend))
			continue;
		f->fix[f->n_fix++] = (struct elf_fix){r.r_offset, value_of(f,
			SYMBOL_OF(r.r_info), addend)};
	}
}

/* Tables larger than the file are lies; they are cut to it. What is packed
 * in DT_RELR needs nothing: its addends stand in their places. */
static void
read_fixes(struct elf_image *f, struct table rela, struct table rel,
	struct arena *a)
{
	if (rela.size > f->file.len)
		rela.size = f->file.len;
	if (rel.size > f->file.len)
		rel.size = f->file.len;
	f->fix = arena_alloc(a, (rela.size / sizeof(ElfW(Rela)) +
		rel.size / sizeof(ElfW(Rel)) + 1) * sizeof *f->fix);
	add_rela(f, rela);
	add_rel(f, rel);
	qsort(f->fix, f->n_fix, sizeof *f->fix, by_address);
}

bool
elf_pointer(const struct elf_image *f, uint64_t at, uint64_t *out)
{
	struct elf_fix key = {.at = at}, *found;
	ElfW(Addr) plain;

	if (!elf_read(f, at, &plain, sizeof plain))
		return false;
	found = f->n_fix ? bsearch(&key, f->fix, f->n_fix, sizeof key,
		by_address) : NULL;
	*out = found ? found->value : plain;
	return true;
}

/* ---------------------------------------------------------------- symbols */

static bool
is_symbol(const struct elf_image *f, uint32_t index, const char *name,
	ElfW(Sym) *s)
{
	struct str is;

	if (!elf_read(f, f->symbols + (uint64_t)index * sizeof *s, s,
		sizeof *s) || s->st_shndx == SHN_UNDEF ||
		s->st_name >= f->names_size)
		return false;
	is = elf_string(f, f->names + s->st_name, 256);
	return is.at && str_is(is, name);
}

static bool
word_at(const struct elf_image *f, uint64_t at, uint32_t *out)
{
	return elf_read(f, at, out, sizeof *out);
}

static bool
look_up_gnu(const struct elf_image *f, const char *name, ElfW(Sym) *s)
{
	uint32_t h = 5381, buckets, first, bloom, i, hash, n = 0;
	uint64_t bucket, chain;
	const char *c;

	for (c = name; *c; c++)
		h = h * 33 + (unsigned char)*c;
	if (!word_at(f, f->gnu_hash, &buckets) || !buckets ||
		!word_at(f, f->gnu_hash + 4, &first) ||
		!word_at(f, f->gnu_hash + 8, &bloom))
		return false;
	bucket = f->gnu_hash + 16 + (uint64_t)bloom * sizeof(ElfW(Addr));
	chain = bucket + (uint64_t)buckets * 4;
	if (!word_at(f, bucket + (uint64_t)(h % buckets) * 4, &i) || i < first)
		return false;
	for (; n++ < CHAIN_MOST; i++) {
		if (!word_at(f, chain + (uint64_t)(i - first) * 4, &hash))
			return false;
		if ((hash | 1) == (h | 1) && is_symbol(f, i, name, s))
			return true;
		if (hash & 1)
			return false;
	}
	return false;
}

static bool
look_up_sysv(const struct elf_image *f, const char *name, ElfW(Sym) *s)
{
	uint32_t h = 0, buckets, i, n = 0;
	const char *c;

	for (c = name; *c; c++) {
		h = (h << 4) + (unsigned char)*c;
		h = (h ^ (h & 0xf0000000) >> 24) & 0x0fffffff;
	}
	if (!word_at(f, f->hash, &buckets) || !buckets || !word_at(f,
		f->hash + 8 + (uint64_t)(h % buckets) * 4, &i))
		return false;
	for (; i && n++ < CHAIN_MOST; ) {
		if (is_symbol(f, i, name, s))
			return true;
		if (!word_at(f, f->hash + 8 + (uint64_t)buckets * 4 +
			(uint64_t)i * 4, &i))
			return false;
	}
	return false;
}

bool
elf_symbol(const struct elf_image *f, const char *name, uint64_t *at,
	uint64_t *size)
{
	ElfW(Sym) s;

	if (!(f->gnu_hash && look_up_gnu(f, name, &s)) &&
		!(f->hash && look_up_sysv(f, name, &s)))
		return false;
	*at = s.st_value;
	*size = s.st_size;
	return true;
}

/* ---------------------------------------------------------------- headers */

static int
check_header(const ElfW(Ehdr) *h, struct err *e)
{
	if (h->e_ident[EI_CLASS] != CLASS || h->e_ident[EI_DATA] != ORDER ||
		h->e_machine != MACHINE)
		return err_set(e, ERR_CONFIG, "is built for another machine "
			"(ELF machine %u, this one is %u)",
			(unsigned)h->e_machine, (unsigned)MACHINE);
	if (h->e_type != ET_DYN)
		return err_set(e, ERR_CONFIG, "is no shared object (build it "
			"with -shared -fPIC)");
	if (h->e_phentsize != sizeof(ElfW(Phdr)) || !h->e_phnum ||
		h->e_phnum > SEGMENTS_MOST)
		return err_set(e, ERR_CONFIG, "has a damaged table of "
			"segments");
	return 0;
}

static void
take_dynamic(struct elf_image *f, const ElfW(Phdr) *p, struct arena *a)
{
	struct table rela = {0, 0}, rel = {0, 0};
	const struct {
		int64_t tag;
		uint64_t *into;
	} want[] = {{DT_SYMTAB, &f->symbols}, {DT_STRTAB, &f->names},
		{DT_STRSZ, &f->names_size}, {DT_GNU_HASH, &f->gnu_hash},
		{DT_HASH, &f->hash}, {DT_RELA, &rela.at},
		{DT_RELASZ, &rela.size}, {DT_REL, &rel.at},
		{DT_RELSZ, &rel.size}};
	ElfW(Dyn) d;
	uint64_t i;
	size_t k;

	for (i = 0; i < p->p_filesz / sizeof d; i++) {
		if (!raw(f, p->p_offset + i * sizeof d, &d, sizeof d) ||
			d.d_tag == DT_NULL)
			break;
		for (k = 0; k < sizeof want / sizeof *want; k++)
			if (want[k].tag == (int64_t)d.d_tag)
				*want[k].into = d.d_un.d_val;
	}
	read_fixes(f, rela, rel, a);
}

int
elf_open(struct elf_image *f, struct str file, struct arena *a, struct err *e)
{
	ElfW(Ehdr) h;
	ElfW(Phdr) p;
	unsigned i;

	*f = (struct elf_image){.file = file};
	if (file.len < SELFMAG || memcmp(file.at, ELFMAG, SELFMAG))
		return err_set(e, ERR_CONFIG, "is no ELF file");
	if (!raw(f, 0, &h, sizeof h))
		return err_set(e, ERR_CONFIG, "is cut short");
	if (check_header(&h, e) < 0)
		return -1;
	f->segments = h.e_phoff;
	f->n_segment = h.e_phnum;
	for (i = 0; i < f->n_segment; i++) {
		if (!raw(f, f->segments + i * sizeof p, &p, sizeof p))
			return err_set(e, ERR_CONFIG, "is cut short");
		if (p.p_type != PT_DYNAMIC)
			continue;
		take_dynamic(f, &p, a);
		return 0;
	}
	return err_set(e, ERR_CONFIG, "exports nothing");
}
