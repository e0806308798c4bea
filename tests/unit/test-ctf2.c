/* Metadata of CTF 2 that is refused, and why; what is accepted is in tests/traces. */
#include "ctf/ctf-read.h"
#include "test.h"

#include <errno.h>

#define RS "\x1e"
#define PREAMBLE RS "{\"type\":\"preamble\",\"version\":2}\n"
#define TRACE RS "{\"type\":\"trace-class\"}\n"
#define STREAM RS "{\"type\":\"data-stream-class\"}\n"
#define EVENT(members) \
	PREAMBLE TRACE STREAM RS "{\"type\":\"event-record-class\",\"name\":\"e\"," \
				 "\"payload-field-class\":{\"type\":\"structure\"," \
				 "\"member-classes\":[" members "]}}\n"
#define FIELD(name, class) "{\"name\":\"" name "\",\"field-class\":{" class "}}"
#define U8 \
	"\"type\":\"fixed-length-unsigned-integer\",\"length\":8,\"byte-order\":\"little-endian\""
#define VS "\"type\":\"variable-length-signed-integer\""
#define STRING "\"type\":\"null-terminated-string\""
#define AT(path) "\"selector-field-location\":{\"path\":[" path "]}"
#define OPTIONAL(more) "\"type\":\"optional\",\"field-class\":{" U8 "}," more

/* 0 and nothing said, or the error. */
static int feed(const char *text, struct error *e)
{
	struct ctfr_meta m;
	int r;

	memset(e, 0, sizeof(*e));
	CHECK_INT(ctfr_meta_init(&m, "metadata"), 0);
	r = ctfr_meta_feed(&m, text, strlen(text), true, e);
	CHECK_INT(r == 0 ? m.nclasses : 0, r == 0);
	ctfr_meta_done(&m);
	return r;
}

TEST(accepted)
{
	static const char *const texts[] = {
		EVENT(""),
		EVENT(FIELD("n", VS) "," FIELD(
			"o", OPTIONAL(AT("\"n\"") ",\"selector-field-ranges\":[[-1,-1]]"))),
		EVENT(FIELD("n", U8) "," FIELD("o", OPTIONAL(AT("\"n\"")))),
		EVENT(FIELD("n", U8) "," FIELD("o", OPTIONAL(AT("\"x\",null,\"n\"")))),
		EVENT(FIELD("s", STRING ",\"encoding\":\"utf-8\"")),
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct error e;

		CHECK_INT(feed(texts[i], &e), 0);
		if (e.message[0])
			printf("# %zu: %s\n", i, e.message);
	}
}

TEST(refused)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{RS "{\"type\":\"preamble\",\"version\":3}\n", "version 2"},
		{RS "{\"type\":\"preamble\",\"version\":2,\"extensions\":{\"me\":{\"x\":1}}}\n",
			"extensions"},
		{EVENT(FIELD("s", STRING ",\"encoding\":\"utf-16le\"")), "utf-16le"},
		{EVENT(FIELD("s",
			 "\"type\":\"static-length-string\",\"length\":4,\"encoding\":\"utf-32be\"")),
			"utf-32be"},
		{EVENT(FIELD("n",
			 "\"type\":\"fixed-length-unsigned-integer\",\"length\":65,"
			 "\"byte-order\":\"little-endian\"")),
			"length"},
		{EVENT(FIELD("n", U8 ",\"bit-order\":\"last-to-first\"")), "bit-order"},
		{EVENT(FIELD("n", "\"type\":\"fixed-length-riddle\"")), "fixed-length-riddle"},
		{EVENT(FIELD("n", "\"type\":\"riddle\"")), "riddle"},
		{EVENT(FIELD("n", VS) "," FIELD("o", OPTIONAL(AT("\"n\"")))), "ranges must"},
		{EVENT(FIELD("o", OPTIONAL(AT("\"n\""))) "," FIELD("n", U8)), "before"},
		{EVENT(FIELD("s", STRING) "," FIELD("o", OPTIONAL(AT("\"s\"")))), "no integer"},
		{EVENT(FIELD("n", U8) "," FIELD("o", OPTIONAL(AT("\"n\",null")))),
			"ends without a name"},
		{EVENT(FIELD("n", U8) "," FIELD("o", OPTIONAL(AT("null,\"n\"")))), "before"},
		{EVENT(FIELD("n", U8) "," FIELD("o",
			 OPTIONAL(
				 "\"selector-field-location\":{\"origin\":\"event-record-payload\","
				 "\"path\":[null,\"n\"]}"))),
			"leaves"},
		{EVENT(FIELD("n", U8) "," FIELD("o", OPTIONAL(AT("7")))), "no name in a path"},
		{EVENT(FIELD("o", OPTIONAL("\"x\":1"))), "needs a path"},
		{EVENT(FIELD("o", "\"type\":\"optional\"," AT("\"n\""))), "field class is missing"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error e;

		CHECK_INT(feed(cases[i].text, &e), -EINVAL);
		if (!strstr(e.message, cases[i].why))
			printf("# %zu: %s\n", i, e.message);
		CHECK(strstr(e.message, cases[i].why));
	}
}

TEST_MAIN()
