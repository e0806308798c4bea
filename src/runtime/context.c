/* Context fields: what a session wants to know beside each event, in the order of enum cairn_ctx.
 * Async-signal-safe; values are those of the moment.
 */
#include "runtime/runtime-impl.h"
#include <linux/prctl.h>

static uint32_t cpu_now(const struct rt_thread *t)
{
	uint32_t cpu = 0;

	if (t->rseq)
		return *(volatile uint32_t *)&t->rseq->cpu_id_start;
	(void)SYS(getcpu, &cpu, 0, 0); /* 0 if refused */
	return cpu;
}

static uint64_t context_value(struct rt_thread *t, uint32_t ctx, const void *ip)
{
	switch (ctx) {
	case CAIRN_CTX_TID: return (uint32_t)t->shown_tid;
	case CAIRN_CTX_PID: return (uint32_t)t->shown_pid;
	case CAIRN_CTX_CPU: return cpu_now(t);
	case CAIRN_CTX_NICE: return (uint32_t)(20 - SYS(getpriority, 0 /* PRIO_PROCESS */, 0));
	case CAIRN_CTX_SCHED: return (uint32_t)SYS(sched_getscheduler, 0);
	case CAIRN_CTX_CGROUP: return load_relaxed(&rt.cgroup);
	case CAIRN_CTX_IP: return (uintptr_t)ip;
	default: return 0;
	}
}

void rt_contexts(struct rt_thread *t, const struct rt_set *set, const void *ip, uint8_t *buf)
{
	for (uint32_t i = 0; i < CAIRN_CTX_PERF; i++) {
		uint64_t v;

		if (!(set->contexts >> i & 1))
			continue;
		if (i == CAIRN_CTX_COMM) {
			rt_zero(buf, 16);
			(void)SYS(prctl, PR_GET_NAME, buf, 0, 0, 0); /* stays empty if refused */
		} else {
			v = context_value(t, i, ip);
			rt_copy(buf, &v, cairn_ctx_size(i));
		}
		buf += cairn_ctx_size(i);
	}
	for (uint32_t i = 0; i < set->perf_count; i++, buf += 8) {
		uint64_t v = rt_perf_read(t, &set->perf[i]);

		rt_copy(buf, &v, 8);
	}
}
