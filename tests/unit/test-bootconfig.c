/* Tests of src/kernel/bootconfig*.c: each line of the grammar and each limit, as the kernel has them. */
#include "kernel/bootconfig.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The tree of `text` as a list, or "LINE:COLUMN message". */
static const char *list_of(const char *text)
{
	static char out[16384];
	struct bootconfig c AUTO(bootconfig) = {0};
	AUTO(buf) struct buf b = {0};
	struct text_fault f;
	unsigned line, column;
	size_t begin, end;

	if (bootconfig_parse(text, strlen(text), &c, &f) < 0) {
		text_place(text, strlen(text), f.at, &line, &column, &begin, &end);
		(void)snprintf(out, sizeof(out), "%u:%u %s", line, column, f.message);
	} else
		(void)snprintf(out, sizeof(out), "%s",
			bootconfig_write(&c, BOOTCONFIG_LIST, &b, &f) == 0 ? b.data : f.message);
	return out;
}

TEST(keys_and_values)
{
	CHECK_STR(list_of("foo = bar"), "foo = \"bar\"\n");
	CHECK_STR(list_of("foo.bar.baz = value1\nfoo.bar.qux.quux=value2;"),
		"foo.bar.baz = \"value1\"\nfoo.bar.qux.quux = \"value2\"\n");
	CHECK_STR(list_of("foo.bar { baz = value1; qux.quux = value2 }\n"),
		"foo.bar.baz = \"value1\"\nfoo.bar.qux.quux = \"value2\"\n");
	CHECK_STR(list_of("tp_printk\na;;b\n"), "tp_printk = \"\"\na = \"\"\nb = \"\"\n");
	CHECK_STR(list_of("a = 1, 2 ,3\n"), "a = \"1\", \"2\", \"3\"\n");
	CHECK_STR(list_of("a = two words \t\n"), "a = \"two words\"\n");
	CHECK_STR(list_of("a = \" ; # } \", 'say \"x\"'\n"), "a = \" ; # } \", 'say \"x\"'\n");
	CHECK_STR(list_of("a = x'\"y\n"), "a = x'\"y\n");
	CHECK_STR(list_of("a = ;b =\n"), "a = \"\"\nb = \"\"\n");
	CHECK_STR(list_of("a {}\n"), "a = \"\"\n");
}

TEST(operators)
{
	CHECK_STR(list_of("a = 1, 2\na := 3\n"), "a = \"3\"\n");
	CHECK_STR(list_of("a = 1\na += 2, 3\n"), "a = \"1\", \"2\", \"3\"\n");
	CHECK_STR(list_of("a += 1;a.b := 2"), "a = \"1\"\na.b = \"2\"\n");
	CHECK_STR(list_of("a = 1\na = 2\n"),
		"2:5 this key has a value already: `:=` replaces, `+=` appends to it");
	CHECK_STR(list_of("a + 1\n"), "1:3 a + that is no +=");
	CHECK_STR(list_of("sched:sched_switch\n"), "1:6 a : that is no :=");
	/* A value and keys below it. */
	CHECK_STR(list_of("a.b = 2\na = 1\n"), "a = \"1\"\na.b = \"2\"\n");
}

TEST(comments)
{
	CHECK_STR(list_of("# one\n a = 1 # two\n#three"), "a = \"1\"\n");
	CHECK_STR(list_of("a = 1, # 1st\n 2, # 2nd\n 3 # 3rd\n"), "a = \"1\", \"2\", \"3\"\n");
	CHECK_STR(list_of("a = # on the next line\n x\n"), "a = \"x\"\n");
	/* A comment before the comma ends the value. */
	CHECK_STR(list_of("a = 1 # comment\n ,2\n"),
		"2:2 no key: words of letters, digits, - and _, joined by dots");
	/* The value of an empty one is the next line. */
	CHECK_STR(list_of("a =\nb = 1\n"), "a = \"b = 1\"\n");
}

TEST(refused)
{
	CHECK_STR(list_of(""), "1:1 there is no key in it");
	CHECK_STR(list_of("\n# nothing\n"), "1:1 there is no key in it");
	CHECK_STR(list_of("a"), "1:1 the last key needs a newline, a semicolon or a value");
	CHECK_STR(list_of("a b = 1\n"),
		"1:1 no key: words of letters, digits, - and _, joined by dots");
	CHECK_STR(list_of("a..b = 1\n"), "1:3 a key is missing here");
	CHECK_STR(list_of("\n = 1\n"), "2:2 a key is missing here");
	CHECK_STR(list_of("a = \"x\n"), "2:1 the quotes are not closed");
	CHECK_STR(list_of("a = \"x\" y\n"),
		"1:9 after the quotes: one of , ; } # or the end of the line");
	CHECK_STR(list_of("a = x\x01\n"), "1:6 not printable ASCII");
	CHECK_STR(list_of("a = '\xc3\xa4'\n"), "1:6 not printable ASCII");
	CHECK_STR(list_of("a { b = 1 }\n}\n"), "2:1 a closing brace, and none is open");
	CHECK_STR(list_of("x\na { b = 1\n"), "2:1 the brace after this key is not closed");
}

static struct text_fault parse(const char *text, size_t len, int want)
{
	struct bootconfig c AUTO(bootconfig) = {0};
	struct text_fault f;

	CHECK_INT(bootconfig_parse(text, len, &c, &f), want);
	return f;
}

TEST(limits)
{
	static char text[40000];
	AUTO(buf) struct buf b = {0};

	CHECK_INT(parse("a=1\0b", 5, -EINVAL).at, 3);
	/* Size. */
	memset(text, ' ', sizeof(text));
	memcpy(text, "a=1\n", 4);
	parse(text, 32766, 0);
	CHECK_INT(parse(text, 32767, -EINVAL).at, 32766);
	/* A key of 256 bytes with the byte after each word; 16 words. */
	memset(text, 'k', sizeof(text));
	text[255] = '\n';
	parse(text, 256, 0);
	text[255] = 'k';
	text[256] = '\n';
	CHECK_STR(parse(text, 257, -EINVAL).message, "a key of more than 256 bytes");
	parse("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p\n", 32, 0);
	CHECK_STR(parse("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q\n", 34, -EINVAL).message,
		"a key of more than 16 words");
	/* Braces: 16 open ones need keys of 16 words; the 17th is one too many. */
	for (int i = 0; i < 17; i++)
		buf_str(&b, "a{");
	CHECK_STR(parse(b.data, b.len, -EINVAL).message, "more than 16 open braces");
	/* Nodes: a key and 8191 values; one more. */
	buf_clear(&b);
	buf_str(&b, "a=1");
	for (int i = 1; i < 8191; i++)
		buf_str(&b, ",1");
	parse(b.data, b.len, 0);
	buf_str(&b, ",1");
	CHECK_STR(parse(b.data, b.len, -EINVAL).message, "more than 8192 words and values");
}

TEST(written_as_a_tree)
{
	struct bootconfig c AUTO(bootconfig) = {0};
	AUTO(buf) struct buf b = {0};
	struct text_fault f;
	const char *text = "k.f.tracer=function;k.f.events='a:*',b;k.f.i{x.y=1;x.y.z='say \"\"';w}";

	CHECK_INT(bootconfig_parse(text, strlen(text), &c, &f), 0);
	CHECK_INT(c.nodes, 14);
	CHECK_INT(bootconfig_write(&c, BOOTCONFIG_TREE, &b, &f), 0);
	CHECK_STR(b.data,
		"k.f {\n\ttracer = function\n\tevents = \"a:*\", b\n\ti {\n\t\tx.y = 1\n\t\tx.y {\n"
		"\t\t\tz = 'say \"\"'\n\t\t}\n\t\tw\n\t}\n}\n");
}

TEST(built)
{
	struct bootconfig c AUTO(bootconfig) = {0};
	AUTO(buf) struct buf b = {0};
	struct text_fault f;
	struct bootconfig_key *k = bootconfig_key(&c, NULL, "ftrace");

	CHECK(k && bootconfig_key(&c, NULL, "ftrace") == k);
	CHECK(bootconfig_key(&c, k, "no word") == NULL);
	CHECK(bootconfig_key(&c, k, "") == NULL);
	k = bootconfig_key(&c, k, "tracer");
	CHECK_INT(bootconfig_value(&c, k, "function"), 0);
	CHECK_INT(bootconfig_value(&c, k, "with, \" and '"), -EINVAL);
	CHECK_INT(bootconfig_value(&c, k, "\xc3\xa4"), -EINVAL);
	CHECK_INT(bootconfig_value(&c, k, "x\"'y"), 0);
	CHECK(bootconfig_find(&c, NULL, "ftrace.tracer") == k);
	CHECK(bootconfig_find(&c, NULL, "ftrace.trace") == NULL);
	CHECK_INT(bootconfig_write(&c, BOOTCONFIG_LIST, &b, &f), 0);
	CHECK_STR(b.data, "ftrace.tracer = \"function\", x\"'y\n");
}

static int initrd(size_t n)
{
	int fd = memfd_create("initrd", MFD_CLOEXEC);

	for (size_t i = 0; i < n; i++)
		CHECK_INT(write(fd, "x", 1), 1);
	return fd;
}

/* What the kernel's own tool made of an initrd of 5 bytes "xxxxx" and "foo = bar\n". */
TEST(initrd_footer)
{
	AUTO(fd) int fd = initrd(5);
	AUTO(buf) struct buf text = {0};
	static const char want[] = "xxxxxfoo = bar\n\0\x0b\0\0\0\0\x03\0\0#BOOTCONFIG\n";
	char got[64];
	struct error e;
	uint64_t begin = 0;

	CHECK_INT(bootconfig_initrd_remove(fd, &e), -ENOENT);
	CHECK_INT(bootconfig_initrd_apply(fd, "foo = bar\n", 10, &e), 0);
	CHECK_INT(pread(fd, got, sizeof(got), 0), sizeof(want) - 1);
	CHECK(memcmp(got, want, sizeof(want) - 1) == 0);
	CHECK_INT(bootconfig_initrd_apply(fd, "longer = bar\n", 13, &e), 0);
	CHECK_INT(bootconfig_initrd_read(fd, &text, &begin, &e), 0);
	CHECK_STR(text.data, "longer = bar\n");
	CHECK_INT(begin, 5);
	CHECK_INT(lseek(fd, 0, SEEK_END) % 4, 0);
	/* One changed byte. */
	CHECK_INT(pwrite(fd, "L", 1, 5), 1);
	CHECK_INT(bootconfig_initrd_read(fd, &text, &begin, &e), -EINVAL);
	CHECK_STR(e.message, "the sum of its boot configuration is wrong");
	CHECK_INT(bootconfig_initrd_apply(fd, "a\n", 2, &e), -EINVAL);
	CHECK_INT(pwrite(fd, "l", 1, 5), 1);
	CHECK_INT(bootconfig_initrd_remove(fd, &e), 0);
	CHECK_INT(lseek(fd, 0, SEEK_END), 5);
}

TEST(initrd_too_big)
{
	static char text[32767];
	AUTO(fd) int fd = initrd(4);
	struct error e;

	memset(text, 'a', sizeof(text));
	CHECK_INT(bootconfig_initrd_apply(fd, text, 32764, &e), -E2BIG);
	CHECK_INT(lseek(fd, 0, SEEK_END), 4);
	CHECK_INT(bootconfig_initrd_apply(fd, text, 32763, &e), 0);
}

TEST_MAIN()
