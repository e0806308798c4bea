/* A plugin with an event of its own, loaded and unloaded while recording. */
#include <cairn/trace.h>
#include <stdint.h>

void plugin_work(int64_t n);
void plugin_work(int64_t n)
{
	CAIRN(plugin, work, n);
}
