/* Names of the reasons for losses, as they stand in traces and in what commands print. */
#include "ring/ring.h"

const char *cairn_lost_name(enum cairn_lost why)
{
	static const char *const names[CAIRN_LOST_REASONS] = {
		[CAIRN_LOST_FULL] = "ring_full",
		[CAIRN_LOST_TIMEOUT] = "timeout",
		[CAIRN_LOST_TOO_BIG] = "too_big",
		[CAIRN_LOST_RESTARTS] = "restarts",
		[CAIRN_LOST_NESTED] = "nested",
		[CAIRN_LOST_NO_RING] = "no_ring",
		[CAIRN_LOST_OVERWRITTEN] = "overwritten",
		[CAIRN_LOST_CORRUPT] = "corrupt",
		[CAIRN_LOST_FOREIGN] = "foreign",
		[CAIRN_LOST_DISK] = "disk",
		[CAIRN_LOST_NO_CLOCK] = "no_clock",
	};

	return (unsigned int)why < CAIRN_LOST_REASONS ? names[why] : NULL;
}
