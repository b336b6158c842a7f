/* SPDX-License-Identifier: Apache-2.0 */
#include "app/eal.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

enum {
	EAL_WORDS_MAX = 128,
	EAL_TEXT_BYTES = 16384,
	EAL_RING_BYTES = 8388608, /* of af_packet, each way and queue */
	EAL_PAGE_BYTES = 2097152,
	EAL_OWN_MB = 16, /* what DPDK needs beside the frames */
	EAL_NO_HUGE_MB = 256,
};

/* The words of the command line that EAL gets. EAL may reorder argv, so it is ours alone. */
struct eal_line {
	char *argv[EAL_WORDS_MAX + 1];
	int argc;
	char text[EAL_TEXT_BYTES];
	size_t used;
	bool full;
};

static void __attribute__((format(printf, 2, 3)))
eal_word(struct eal_line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->used;
	va_list list;
	int len;

	va_start(list, format);
	len = vsnprintf(line->text + line->used, room, format, list);
	va_end(list);
	if (line->argc == EAL_WORDS_MAX || len < 0 || (size_t)len >= room) {
		line->full = true;
		return;
	}
	line->argv[line->argc++] = line->text + line->used;
	line->used += (size_t)len + 1;
}

static enum tiara_status __attribute__((format(printf, 3, 4)))
eal_fail(struct tiara_error *error, const char *field, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(error->message, sizeof(error->message), format, list);
	va_end(list);
	snprintf(error->field, sizeof(error->field), "%s", field);
	return error->status = TIARA_INVALID;
}

/* ---- lcores: 0 is the main one, then one for each worker ---- */

/* The CPUs this process may use, in order. */
static uint32_t
eal_cpus(uint32_t cpu[CPU_SETSIZE])
{
	cpu_set_t set;
	uint32_t cnt = 0;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (uint32_t i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			cpu[cnt++] = i;
	return cnt;
}

/* "LCORE@(CPU,CPU,...)" appended; returns the new length. */
static size_t
eal_lcore(char *to, size_t room, size_t len, uint32_t lcore, const uint32_t *cpu, uint32_t cnt)
{
	len += (size_t)snprintf(to + len, room - len, "%s%u@(", lcore ? "," : "", lcore);
	for (uint32_t i = 0; i < cnt && len < room; i++)
		len += (size_t)snprintf(to + len, room - len, "%s%u", i ? "," : "", cpu[i]);
	if (len < room)
		len += (size_t)snprintf(to + len, room - len, ")");
	return len < room ? len : room - 1;
}

/*
 * Polling workers get a CPU each, the last ones, and the main lcore the rest (or all, if none is
 * left). Workers that sleep go where the scheduler finds room, as any other program does.
 */
static enum tiara_status
eal_lcores(struct eal_line *line, const struct tiara_arguments *a, struct tiara_error *error)
{
	uint32_t cpu[CPU_SETSIZE], cnt = eal_cpus(cpu), main_cnt = cnt;
	bool pinned = a->idle == TIARA_IDLE_POLL;
	char map[8192];
	size_t len;

	if (pinned && a->worker_cnt > cnt)
		return eal_fail(
			error, "--workers",
			"--workers: %u polling workers need a CPU each, but this process may use "
			"%u; give fewer, or --idle sleep",
			a->worker_cnt, cnt);
	if (pinned && a->worker_cnt < cnt)
		main_cnt = cnt - a->worker_cnt;
	len = eal_lcore(map, sizeof(map), 0, 0, cpu, main_cnt);
	for (uint32_t i = 0; i < a->worker_cnt; i++)
		len = eal_lcore(map, sizeof(map), len, i + 1,
				pinned ? &cpu[cnt - a->worker_cnt + i] : cpu, pinned ? 1 : cnt);
	eal_word(line, "--lcores=%s", map);
	return TIARA_OK;
}

/* ---- memory ---- */

static uint64_t
eal_read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long number = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%lu", &number) != 1)
		number = 0;
	fclose(file);
	return number;
}

static uint64_t
eal_huge_pages_free(void)
{
	uint64_t available = eal_read_number(
		"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
	uint64_t reserved = eal_read_number(
		"/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages");

	return available > reserved ? available - reserved : 0;
}

struct tiara_dpdk_config
tiara_eal_frames(const struct tiara_arguments *arguments, uint32_t mtu_bytes)
{
	struct tiara_dpdk_config config = {
		.queue_cnt = arguments->worker_cnt,
		.port_per_queue = arguments->io == TIARA_IO_AF_XDP,
		/* a queue's descriptors, both rings to the main lcore, bursts and caches */
		.mbuf_cnt = 4096 + 4096 * arguments->worker_cnt - 1,
		.mbuf_bytes = 2048,
		.mtu_bytes = mtu_bytes,
		.kernel = arguments->kernel,
	};

	/* af_packet's ring frame holds its own header, the link header and a tag beside the MTU */
	while (config.mbuf_bytes < mtu_bytes + 128)
		config.mbuf_bytes *= 2;
	config.mbuf_bytes += RTE_PKTMBUF_HEADROOM;
	return config;
}

/* Huge pages when enough are free, and no files: nothing stale is left by a kill. */
static void
eal_memory(struct eal_line *line, const struct tiara_dpdk_config *frames)
{
	uint64_t frame_bytes = frames->mbuf_bytes + sizeof(struct rte_mbuf) + 64;
	uint64_t need_mb = EAL_OWN_MB + (frames->mbuf_cnt * frame_bytes >> 20);

	eal_word(line, "--iova-mode=va");
	if (eal_huge_pages_free() * EAL_PAGE_BYTES >> 20 >= need_mb + 4) {
		eal_word(line, "--in-memory");
		return;
	}
	eal_word(line, "--no-huge");
	eal_word(line, "--no-shconf");
	eal_word(line, "-m");
	eal_word(line, "%lu", need_mb > EAL_NO_HUGE_MB ? need_mb : EAL_NO_HUGE_MB);
}

/* ---- the port ---- */

static void
eal_af_packet(struct eal_line *line, const struct tiara_arguments *a,
	      const struct tiara_dpdk_config *frames)
{
	uint32_t frame_bytes = frames->mbuf_bytes - RTE_PKTMBUF_HEADROOM;

	eal_word(line,
		 "--vdev=net_af_packet0,iface=%s,qpairs=%u,blocksz=65536,framesz=%u,framecnt=%u,"
		 "qdisc_bypass=1",
		 a->interface, a->worker_cnt, frame_bytes, EAL_RING_BYTES / frame_bytes);
}

static void
eal_af_xdp(struct eal_line *line, const struct tiara_arguments *a)
{
	/* one program, straight on the interface: what a kill leaves there can be taken off */
	setenv("LIBXDP_SKIP_DISPATCHER", "1", 1);
	for (uint32_t i = 0; i < a->worker_cnt; i++)
		eal_word(line, "--vdev=net_af_xdp%u,iface=%s,start_queue=%u,queue_count=1%s", i,
			 a->interface, i, a->idle == TIARA_IDLE_SLEEP ? ",busy_budget=0" : "");
}

static bool
eal_given(const struct tiara_arguments *a, const char *word)
{
	for (int i = 0; i < a->eal_argc; i++)
		if (!strncmp(a->eal_argv[i], word, strlen(word)))
			return true;
	return false;
}

static bool
eal_hugetlbfs_is_mounted(void)
{
	FILE *file = fopen("/proc/mounts", "re");
	char line[512];
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = strstr(line, " hugetlbfs ") != NULL;
	fclose(file);
	return found;
}

/* Why EAL found no huge pages, and what to do; NULL: it was not for want of them. */
static const char *
eal_huge_pages_missing(const struct tiara_arguments *a)
{
	static const char one_gib[] = "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages";

	if (a->io != TIARA_IO_EAL || eal_given(a, "--no-huge"))
		return NULL;
	if (eal_huge_pages_free() == 0 && eal_read_number(one_gib) == 0)
		return "none is free; reserve some (`sysctl vm.nr_hugepages=512`)";
	if (!eal_given(a, "--in-memory") && !eal_hugetlbfs_is_mounted())
		return "no hugetlbfs is mounted; give --in-memory after --";
	return NULL;
}

/* Ours first: of what is given twice, EAL takes the last. */
static enum tiara_status
eal_line_make(struct eal_line *line, const struct tiara_arguments *a,
	      const struct tiara_dpdk_config *frames, struct tiara_error *error)
{
	bool cores_given = eal_given(a, "-l") || eal_given(a, "-c") || eal_given(a, "--lcores");
	enum tiara_status status = TIARA_OK;

	eal_word(line, "tiara-dataplane");
	eal_word(line, "--file-prefix=tiara-%s", a->instance);
	eal_word(line, "--no-telemetry");
	if (!eal_given(a, "--log-level"))
		eal_word(line, "--log-level=*:error");
	if (a->lcores)
		eal_word(line, "--lcores=%s", a->lcores);
	else if (!cores_given)
		status = eal_lcores(line, a, error);
	if (a->io != TIARA_IO_EAL) {
		eal_word(line, "--no-pci");
		eal_memory(line, frames);
	}
	if (a->io == TIARA_IO_AF_PACKET)
		eal_af_packet(line, a, frames);
	if (a->io == TIARA_IO_AF_XDP)
		eal_af_xdp(line, a);
	for (int i = 0; i < a->eal_argc; i++)
		eal_word(line, "%s", a->eal_argv[i]);
	if (status == TIARA_OK && line->full)
		status = eal_fail(error, "--",
				  "--: too many or too long arguments for EAL; give fewer");
	return status;
}

enum tiara_status
tiara_eal_start_ctl(const struct tiara_arguments *arguments, const struct tiara_dpdk_config *frames,
		    struct tiara_error *error)
{
	/* EAL keeps pointers into it */
	static struct eal_line line;
	enum tiara_status status = eal_line_make(&line, arguments, frames, error);
	const char *missing;

	if (status != TIARA_OK)
		return status;
	if (rte_eal_init(line.argc, line.argv) >= 0)
		return TIARA_OK;
	missing = eal_huge_pages_missing(arguments);
	if (missing)
		return eal_fail(
			error, "--",
			"EAL did not start: it was to use huge pages and %s, or do without: "
			"--no-huge --no-shconf -m 256",
			missing);
	return eal_fail(error, "--",
			"EAL did not start (%s); its lines above say why, and arguments after -- "
			"change what it is given",
			rte_strerror(rte_errno));
}
