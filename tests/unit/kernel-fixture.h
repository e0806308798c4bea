/* What tests of src/kernel share: the fixtures taken from a kernel (fixtures-kernel/capture.py). */
#ifndef CAIRN_TESTS_KERNEL_FIXTURE_H
#define CAIRN_TESTS_KERNEL_FIXTURE_H

#include "base/base.h"
#include "kernel/format.h"
#include "kernel/page.h"
#include "kernel/texts.h"
#include "test.h"

#define PAGE 4096

static void fixture(const char *name, struct buf *ret)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), TESTS_DIR "/fixtures-kernel/%s", name);
	CHECK_INT(read_file(path, 16u << 20, ret), 0);
}

/* The text of one format (system NULL: the file `name`), in b; empty if it is not there. */
static struct ktext fixture_text(const struct buf *texts, const char *system, const char *name)
{
	struct ktext t = {0};
	size_t at = 0;

	while (ktexts_next(texts->data, texts->len, &at, &t) == 1)
		if (strcmp(t.name, name) == 0 && strcmp(t.system, system ? system : "-") == 0)
			return t;
	CHECK(!"there is no such fixture");
	return (struct ktext){.text = ""};
}

static inline struct kformat *fixture_format(
	const struct buf *texts, const char *system, const char *name)
{
	struct ktext t = fixture_text(texts, system, name);
	struct kformat *f = NULL;
	struct error e = {0};

	CHECK_INT(kformat_parse(t.text, t.len, system, 8, &f, &e), 0);
	return f;
}

static inline struct kpage_layout fixture_layout(const struct buf *texts)
{
	struct ktext t = fixture_text(texts, NULL, "header_page");
	struct kpage_layout l = {0};

	CHECK_INT(kpage_layout_parse(t.text, t.len, 0, false, &l, NULL), 0);
	return l;
}

#endif
