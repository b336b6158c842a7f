/* SPDX-License-Identifier: Apache-2.0 */
/* Cycles and instructions, where the kernel and the (virtual) machine count them; else nothing. */
#ifndef TIARA_BENCH_COUNTERS_H
#define TIARA_BENCH_COUNTERS_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct counters {
	int fd[2]; /* cycles, instructions; 0: not open */
	uint64_t from[2];
	double per_op[2];
	bool known;
};

static inline int
counters_open(uint64_t what)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
				       .size = sizeof(attr),
				       .config = what,
				       .exclude_kernel = 1,
				       .exclude_hv = 1};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static inline bool
counters_read(const struct counters *c, uint64_t value[2])
{
	for (int i = 0; i < 2; i++)
		if (c->fd[i] <= 0 ||
		    read(c->fd[i], &value[i], sizeof(value[i])) != (ssize_t)sizeof(value[i]))
			return false;
	return true;
}

static inline void
counters_begin(struct counters *c)
{
	if (c->fd[0] == 0) {
		c->fd[0] = counters_open(PERF_COUNT_HW_CPU_CYCLES);
		c->fd[1] = counters_open(PERF_COUNT_HW_INSTRUCTIONS);
	}
	c->known = counters_read(c, c->from);
}

static inline void
counters_end(struct counters *c, double ops)
{
	uint64_t now[2];

	if (!c->known || !counters_read(c, now)) {
		c->known = false;
		return;
	}
	for (int i = 0; i < 2; i++)
		c->per_op[i] = (double)(now[i] - c->from[i]) / ops;
}

/* As params of a row, of the last repeat; empty where nothing is counted. */
static inline const char *
counters_params(const struct counters *c)
{
	static char text[100];

	if (!c->known)
		return "";
	snprintf(text, sizeof(text), "\"cycles_per_op\": %.1f, \"instructions_per_op\": %.1f",
		 c->per_op[0], c->per_op[1]);
	return text;
}

#endif
