/* Tests of src/symbol: programs and a library that say where their functions are; stripped, with debug
 * files, deleted, replaced. Arguments: the folder with symbol-pie, symbol-fixed and symbol-library.so. */
#include "symbol/symbol.h"
#include "test.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *built; /* the folder */

/* ---- help ---- */

struct place {
	char path[PATH_MAX], functions[128];
	unsigned long offset;
	int line;
};

struct fixture {
	char dir[64]; /* of files; dir/debug: of debug files */
	struct place at[16];
	size_t n;
	struct symbols *symbols;
	uint8_t id[64];
	uint32_t id_len;
	int64_t shift;
};

__attribute__((format(printf, 1, 2))) static int sh(const char *fmt, ...)
{
	char command[4 * PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command);
}

/* The build id, and the first executable segment's distance, read here apart from the library. */
static void read_elf(struct fixture *f, const char *path)
{
	AUTO(buf) struct buf b = {0};
	const Elf64_Ehdr *eh;

	f->id_len = 0;
	f->shift = SYMBOL_NO_SHIFT;
	if (read_file(path, 64u << 20, &b) < 0)
		return;
	eh = (const void *)b.data;
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		const Elf64_Phdr *ph = (const void *)(b.data + eh->e_phoff + i * sizeof(*ph));
		const Elf64_Nhdr *h = (const void *)(b.data + ph->p_offset);

		if (ph->p_type == PT_LOAD && ph->p_flags & PF_X)
			f->shift = (int64_t)ph->p_vaddr - (int64_t)ph->p_offset;
		if (ph->p_type != PT_NOTE)
			continue;
		for (; (const char *)h < b.data + ph->p_offset + ph->p_filesz;
			h = (const void *)((const char *)(h + 1) + ((h->n_namesz + 3) & ~3u) +
				((h->n_descsz + 3) & ~3u)))
			if (h->n_type == NT_GNU_BUILD_ID && h->n_descsz <= sizeof(f->id)) {
				f->id_len = h->n_descsz;
				memcpy(f->id, (const char *)(h + 1) + 4, h->n_descsz);
			}
	}
}

/* Copies a built program to dir/it and has it say its places. False: skip. */
static bool begin(struct fixture *f, const char *program)
{
	char line[PATH_MAX + 256], debug[96];
	FILE *p;

	*f = (struct fixture){.dir = "/tmp/cairn-symbol-XXXXXX"};
	if (!built || sh("command -v objcopy >/dev/null && command -v strip >/dev/null") != 0)
		return false;
	CHECK(mkdtemp(f->dir) != NULL);
	CHECK_INT(sh("cp %s/%s %s/it && cp %s/symbol-library.so %s/lib.so && mkdir %s/debug", built,
			  program, f->dir, built, f->dir, f->dir),
		0);
	(void)snprintf(line, sizeof(line), "%s/it %s/lib.so", f->dir, f->dir);
	p = popen(line, "r");
	while (p && f->n < 16 && fgets(line, sizeof(line), p)) {
		struct place *to = &f->at[f->n];

		f->n += sscanf(line, "%4095s %lx %d %127s", to->path, &to->offset, &to->line,
				to->functions) == 4;
	}
	CHECK(p && pclose(p) == 0);
	(void)snprintf(line, sizeof(line), "%s/it", f->dir);
	read_elf(f, line);
	CHECK(f->id_len > 0);
	(void)snprintf(debug, sizeof(debug), "%s/debug", f->dir);
	CHECK_INT(symbols_new(debug, &f->symbols), 0);
	return true;
}

static void end(struct fixture *f)
{
	symbols_free(f->symbols);
	if (f->dir[0] == '/')
		CHECK_INT(sh("rm -rf %s", f->dir), 0);
}

/* Forgets what is open. */
static void again(struct fixture *f)
{
	char debug[96];

	symbols_free(f->symbols);
	(void)snprintf(debug, sizeof(debug), "%s/debug", f->dir);
	CHECK_INT(symbols_new(debug, &f->symbols), 0);
}

static const struct symbol_list *find(struct fixture *f, const struct place *p)
{
	struct symbol_file file = {.path = p->path,
		.build_id = f->id,
		.build_id_len = f->id_len,
		.shift = SYMBOL_NO_SHIFT};

	return symbols_find(f->symbols, &file, p->offset, 0);
}

static const struct place *place_of(const struct fixture *f, const char *functions)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->at[i].functions, functions) == 0)
			return &f->at[i];
	CHECK(!"the program says this place");
	return &f->at[0];
}

/* The list as "a,b,c". */
static void check_names(const struct symbol_list *l, const struct place *p, bool lines)
{
	char names[256] = "";

	CHECK_INT(l->why, SYMBOL_FOUND);
	for (size_t i = 0; i < l->n; i++) {
		(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			i ? "," : "", l->at[i].function);
		CHECK_INT(l->at[i].inlined, i + 1 < l->n);
		CHECK(!lines || (l->at[i].file && l->at[i].line));
	}
	CHECK_STR(names, p->functions);
	if (lines && l->n) {
		CHECK_INT(l->at[0].line, p->line);
		CHECK(l->at[0].file && strstr(l->at[0].file, "symbol/") != NULL);
	}
}

/* Makes the debug file of dir/it, and strips that. */
static void strip_it(struct fixture *f, const char *to)
{
	CHECK_INT(sh("cd %s && objcopy --only-keep-debug it %s && strip it", f->dir, to), 0);
}

static void debug_path(const struct fixture *f, char *ret, size_t size)
{
	int n = snprintf(ret, size, "debug/.build-id/%02x/", f->id[0]);

	for (uint32_t i = 1; i < f->id_len; i++)
		n += snprintf(ret + n, size - (size_t)n, "%02x", f->id[i]);
	(void)snprintf(ret + n, size - (size_t)n, ".debug");
}

/* ---- files ---- */

static void whole_program(const char *program)
{
	struct fixture f;
	char lib[96];

	if (!begin(&f, program))
		SKIP("objcopy and strip are needed");
	CHECK_INT(f.n, 5);
	check_names(find(&f, &f.at[0]), &f.at[0], true);
	check_names(find(&f, &f.at[1]), &f.at[1], true);
	CHECK(find(&f, &f.at[1]) == find(&f, &f.at[1])); /* remembered */
	(void)snprintf(lib, sizeof(lib), "%s/lib.so", f.dir);
	read_elf(&f, lib);
	for (size_t i = 2; i < f.n; i++)
		check_names(find(&f, &f.at[i]), &f.at[i], true);
	end(&f);
}

TEST(position_independent_program_and_library)
{
	whole_program("symbol-pie");
}

TEST(fixed_program)
{
	whole_program("symbol-fixed");
}

TEST(stripped_says_exported_names_only)
{
	struct fixture f;
	const struct place *shown, *hidden;

	if (!begin(&f, "symbol-pie"))
		SKIP("objcopy and strip are needed");
	shown = place_of(&f, "innermost,middle,shown_one");
	hidden = place_of(&f, "hidden_one");
	CHECK_INT(sh("strip %s/it", f.dir), 0);
	CHECK_INT(find(&f, shown)->why, SYMBOL_FOUND);
	CHECK_INT(find(&f, shown)->n, 1);
	CHECK_STR(find(&f, shown)->at[0].function, "shown_one");
	CHECK(find(&f, shown)->at[0].file == NULL);
	CHECK_INT(find(&f, hidden)->why, SYMBOL_NO_NAME);
	end(&f);
}

TEST(debug_file_by_build_id)
{
	struct fixture f;
	char path[192];

	if (!begin(&f, "symbol-pie"))
		SKIP("objcopy and strip are needed");
	debug_path(&f, path, sizeof(path));
	CHECK_INT(sh("cd %s && mkdir -p $(dirname %s)", f.dir, path), 0);
	strip_it(&f, path);
	check_names(find(&f, &f.at[0]), &f.at[0], true);
	check_names(find(&f, &f.at[1]), &f.at[1], true);
	/* Another build's debug file in its place is not used. */
	CHECK_INT(sh("cd %s && objcopy --only-keep-debug lib.so %s", f.dir, path), 0);
	again(&f);
	CHECK_INT(find(&f, place_of(&f, "hidden_one"))->why, SYMBOL_NO_NAME);
	end(&f);
}

TEST(debug_file_by_link)
{
	struct fixture f;

	if (!begin(&f, "symbol-pie"))
		SKIP("objcopy and strip are needed");
	strip_it(&f, "it.debug");
	CHECK_INT(sh("cd %s && objcopy --add-gnu-debuglink=it.debug it && mkdir .debug && "
		     "mv it.debug .debug",
			  f.dir),
		0);
	check_names(find(&f, &f.at[0]), &f.at[0], true);
	/* debug/DIR */
	CHECK_INT(
		sh("cd %s && mkdir -p debug%s && mv .debug/it.debug debug%s", f.dir, f.dir, f.dir),
		0);
	again(&f);
	check_names(find(&f, &f.at[1]), &f.at[1], true);
	/* A changed one is not used. */
	CHECK_INT(sh("printf x >>%s/debug%s/it.debug", f.dir, f.dir), 0);
	again(&f);
	CHECK_INT(find(&f, place_of(&f, "hidden_one"))->why, SYMBOL_NO_NAME);
	end(&f);
}

TEST(deleted_file)
{
	struct fixture f;
	struct symbol_file file;
	char path[192];

	if (!begin(&f, "symbol-pie"))
		SKIP("objcopy and strip are needed");
	debug_path(&f, path, sizeof(path));
	CHECK_INT(sh("cd %s && mkdir -p $(dirname %s)", f.dir, path), 0);
	strip_it(&f, path);
	CHECK_INT(sh("rm %s/it", f.dir), 0);
	CHECK_INT(find(&f, &f.at[0])->why, SYMBOL_NO_FILE);
	CHECK_INT(find(&f, &f.at[0])->n, 0);
	file = (struct symbol_file){.path = "/nowhere/it (deleted)",
		.build_id = f.id,
		.build_id_len = f.id_len,
		.shift = f.shift};
	check_names(symbols_find(f.symbols, &file, f.at[0].offset, 0), &f.at[0], true);
	check_names(symbols_find(f.symbols, &file, f.at[1].offset, 0), &f.at[1], true);
	end(&f);
}

TEST(replaced_file_is_not_used)
{
	struct fixture f;

	if (!begin(&f, "symbol-pie"))
		SKIP("objcopy and strip are needed");
	CHECK_INT(sh("cp %s/symbol-fixed %s/it", built, f.dir), 0);
	for (size_t i = 0; i < 2; i++) {
		CHECK_INT(find(&f, &f.at[i])->why, SYMBOL_OTHER_BUILD);
		CHECK_INT(find(&f, &f.at[i])->n, 0);
	}
	CHECK_INT(sh("head -c 100 %s/symbol-pie >%s/it", built, f.dir), 0);
	again(&f);
	CHECK(find(&f, &f.at[0])->why != SYMBOL_FOUND);
	CHECK_INT(sh("cd %s && rm it && mkfifo it", f.dir), 0);
	again(&f);
	CHECK(find(&f, &f.at[0])->why != SYMBOL_FOUND);
	end(&f);
}

TEST(files_without_build_id_must_not_be_newer)
{
	struct fixture f;
	struct symbol_file file;
	struct stat st;
	char path[96];
	int64_t changed;

	if (!begin(&f, "symbol-pie"))
		SKIP("objcopy and strip are needed");
	CHECK_INT(sh("cd %s && objcopy --remove-section .note.gnu.build-id it", f.dir), 0);
	(void)snprintf(path, sizeof(path), "%s/it", f.dir);
	CHECK_INT(stat(path, &st), 0);
	changed = st.st_ctim.tv_sec * 1000000000ll + st.st_ctim.tv_nsec;
	file = (struct symbol_file){.path = path, .shift = SYMBOL_NO_SHIFT, .seen_ns = changed};
	check_names(symbols_find(f.symbols, &file, f.at[0].offset, 0), &f.at[0], true);
	file.seen_ns = changed - 1;
	CHECK_INT(symbols_find(f.symbols, &file, f.at[0].offset, 0)->why, SYMBOL_OTHER_BUILD);
	/* One that had a build id then is not one without. */
	CHECK_INT(find(&f, &f.at[0])->why, SYMBOL_OTHER_BUILD);
	end(&f);
}

TEST(returning_calls_are_their_callers)
{
	struct fixture f;
	struct symbol_file file;
	uint64_t first;
	const struct symbol_list *l;

	if (!begin(&f, "symbol-pie"))
		SKIP("objcopy and strip are needed");
	l = find(&f, &f.at[0]);
	CHECK_INT(l->n, 1);
	first = f.at[0].offset - l->at[0].offset; /* hidden_one's first byte */
	file = (struct symbol_file){.path = f.at[0].path,
		.build_id = f.id,
		.build_id_len = f.id_len,
		.shift = SYMBOL_NO_SHIFT};
	l = symbols_find(f.symbols, &file, first, 0);
	CHECK(l->n && strcmp(l->at[l->n - 1].function, "hidden_one") == 0);
	CHECK_INT(l->at[l->n - 1].offset, 0);
	l = symbols_find(f.symbols, &file, first, 1);
	CHECK(!l->n || strcmp(l->at[l->n - 1].function, "hidden_one") != 0);
	CHECK_INT(symbols_find(f.symbols, &file, 0, 1)->why, SYMBOL_NO_NAME);
	CHECK_INT(symbols_find(f.symbols, &file, UINT64_MAX, 0)->why, SYMBOL_NO_NAME);
	end(&f);
}

TEST(what_is_no_file)
{
	static const char *const paths[] = {"[vdso]", "", "//anon", "relative", "/", "/dev/null"};
	struct symbols *s;

	CHECK_INT(symbols_new(NULL, &s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct symbol_file file = {.path = paths[i], .shift = SYMBOL_NO_SHIFT};

		CHECK_INT(symbols_find(s, &file, 64, 0)->why, SYMBOL_NO_FILE);
	}
	symbols_free(s);
	symbols_free(NULL);
}

/* ---- the kernel ---- */

static const char kallsyms[] = "0000000000000000 A fixed_percpu_data\n"
			       "ffffffff81000100 T second\n"
			       "ffffffff81000000 T first\n"
			       "ffffffff81000000 t first_too\n"
			       "ffffffff81000180 d data\n"
			       "ffffffff81000200 W last\n"
			       "broken line\n"
			       "\n"
			       "ffffffffc0100000 t init_one\t[one]\n"
			       "ffffffffc0100040 T work\t[one]\n"
			       "ffffffffc0101000 t work\t[two]";

TEST(kernel_functions)
{
	struct kallsyms *k;
	struct kfunction s;
	struct error e;

	CHECK_INT(kallsyms_parse(kallsyms, strlen(kallsyms), &k, &e), 0);
	CHECK(kallsyms_find(k, 0xffffffff81000010, &s) && !s.module);
	CHECK_STR(s.name, "first");
	CHECK_INT(s.size, 0x100);
	CHECK(kallsyms_find(k, 0xffffffff810001ff, &s));
	CHECK_STR(s.name, "second");
	CHECK(kallsyms_find(k, 0xffffffff81000200, &s));
	CHECK_STR(s.name, "last");
	CHECK(!kallsyms_find(k, 0xffffffff80ffffff, &s));
	CHECK(!kallsyms_find(k, 0xffffffff81900000, &s)); /* behind the last: nobody's */
	CHECK(kallsyms_find(k, 0xffffffffc0100fff, &s));
	CHECK_STR(s.name, "work");
	CHECK_STR(s.module, "one");
	CHECK(kallsyms_find(k, 0xffffffffc0101000, &s));
	CHECK_STR(s.module, "two");
	CHECK(!kallsyms_find(k, UINT64_MAX, &s));
	kallsyms_free(k);
	kallsyms_free(NULL);
}

TEST(kernel_that_hides_or_says_nothing)
{
	static const char hidden[] = "0000000000000000 T first\n0000000000000000 T second\n";
	struct kallsyms *k;
	struct error e;

	CHECK_INT(kallsyms_parse(hidden, strlen(hidden), &k, &e), -EACCES);
	CHECK(strstr(e.message, "kptr_restrict") != NULL);
	CHECK_INT(kallsyms_parse("", 0, &k, &e), -ENODATA);
	CHECK_INT(kallsyms_parse("f T", 3, &k, &e), -ENODATA);
}

__attribute__((constructor)) static void find_built(void)
{
	built = getenv("CAIRN_TEST_PROGRAMS");
}

TEST_MAIN()
