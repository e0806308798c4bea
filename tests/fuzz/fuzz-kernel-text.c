/* Records of kernel events printed by plans: the first byte chooses the event, and whether its number is put right;
 * the rest is its record. */
#include "view/kernel-text.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COMMON(name, id) \
	"name: " name "\nID: " id "\nformat:\n" \
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n" \
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"

static const struct {
	const char *system, *text;
} formats[] = {
	{"made",
		COMMON("strings",
			"400") "\tfield:__data_loc char[] a;\toffset:8;\tsize:4;\tsigned:0;\n"
			       "\tfield:__rel_loc char[] b;\toffset:12;\tsize:4;\tsigned:0;\n"
			       "\tfield:char c[8];\toffset:16;\tsize:8;\tsigned:0;\n"
			       "\nprint fmt: \"%s %-10s %.3s|%8s\", __get_str(a), "
			       "__get_rel_str(b), REC->c, REC->c\n"},
	{"made",
		COMMON("arrays",
			"401") "\tfield:__data_loc u8[] a;\toffset:8;\tsize:4;\tsigned:0;\n"
			       "\tfield:u32 n;\toffset:12;\tsize:4;\tsigned:0;\n"
			       "\tfield:u16 b[4];\toffset:16;\tsize:8;\tsigned:0;\n"
			       "\nprint fmt: \"%s %s %d\", "
			       "__print_hex(__get_dynamic_array(a), REC->n), "
			       "__print_array(REC->b, REC->n, 2), REC->b[2]\n"},
	{"made",
		COMMON("flags",
			"402") "\tfield:unsigned long f;\toffset:8;\tsize:8;\tsigned:0;\n"
			       "\tfield:int d;\toffset:16;\tsize:4;\tsigned:1;\n"
			       "\nprint fmt: \"%s %s %lx %08lx %5d %d %u\", "
			       "__print_flags(REC->f, \"|\", { 1, \"A\" }, { 6, \"B\" }), "
			       "__print_symbolic(REC->d, { 0, \"zero\" }, { -1, \"minus\" }), "
			       "REC->f, REC->f % 7, REC->f / REC->d, REC->d, "
			       "REC->d ? REC->d << 3 : 1\n"},
	{"ftrace",
		COMMON("kernel_stack", "4") "\tfield:int size;\toffset:8;\tsize:4;\tsigned:1;\n"
					    "\tfield:unsigned long caller[8];\toffset:16;\tsize:64;"
					    "\tsigned:0;\n"
					    "\nprint fmt: \"%p\", (void *)REC->caller[0]\n"},
	{"ftrace",
		COMMON("print", "5") "\tfield:unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;\n"
				     "\tfield:char buf[];\toffset:16;\tsize:0;\tsigned:0;\n"
				     "\nprint fmt: \"%ps: %s\", (void *)REC->ip, REC->buf\n"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kernel_text_event *events[ARRAY_SIZE(formats)];
	static struct kernel_text *k;
	struct kernel_text_options o = {.long_size = 8, .ncpus = 2, .like_report = true};
	uint8_t *record;
	size_t n;

	if (!k && kernel_text_new(&o, &k) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!events[i]) {
			events[i] = kernel_text_event(
				k, formats[i].system, formats[i].text, strlen(formats[i].text));
			if (!kernel_text_has_plan(events[i]))
				abort(); /* this is what is tested */
		}
	if (size == 0)
		return 0;
	record = malloc(size); /* so that reading behind it is seen */
	if (!record)
		return 0;
	memcpy(record, data + 1, size - 1);
	if (size > 2 && data[0] < 128) { /* little endian, as this machine */
		const char *id = strstr(formats[data[0] % ARRAY_SIZE(formats)].text, "\nID: ");
		unsigned number = (unsigned)atoi(id + 5);

		record[0] = (uint8_t)number;
		record[1] = (uint8_t)(number >> 8);
	}
	(void)kernel_text_put(k, events[data[0] % ARRAY_SIZE(formats)], record, size - 1, 0, &n);
	free(record);
	return 0;
}
