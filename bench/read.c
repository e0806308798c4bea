/* read TRACE: reads a whole trace through the reader library, decoding every event, printing only how
 * many there were: the floor of everything that reads.
 */
#include <cairn/reader.h>
#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *paths[] = {argc == 2 ? argv[1] : NULL};
	struct cairn_reader_options opts = {.size = sizeof(opts), .paths = paths, .npaths = 1};
	struct cairn_reader *reader;
	struct cairn_error err;
	struct cairn_item item;
	uint64_t events = 0;
	int got;

	if (argc != 2) {
		fprintf(stderr, "usage: read TRACE\n");
		return 2;
	}
	if (cairn_reader_open(&opts, &reader, &err) < 0) {
		fprintf(stderr, "read: %s\n", err.message);
		return 1;
	}
	while ((got = cairn_reader_next(reader, &item, &err)) > 0)
		events += item.kind == CAIRN_ITEM_EVENT;
	cairn_reader_free(reader);
	if (got < 0) {
		fprintf(stderr, "read: %s\n", err.message);
		return 1;
	}
	printf("%" PRIu64 "\n", events);
	return 0;
}
