/* SPDX-License-Identifier: Apache-2.0 */
#include "app/guard.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum tiara_status
tiara_guard_fail(const struct tiara_arguments *a, const char *why, struct tiara_error *error)
{
	char text[380];

	snprintf(text, sizeof(text), "%s", why);
	snprintf(error->field, sizeof(error->field), "--io");
	snprintf(error->message, sizeof(error->message), "--io %s:%s: %s",
		 a->io == TIARA_IO_AF_XDP ? "af_xdp" : "af_packet", a->interface, text);
	return error->status;
}

/* ---- privileges ---- */

/* A capability, the one that stands for it too, and who asks for it. */
struct guard_need {
	uint8_t capability;
	uint8_t or_else;
	const char *name;
};

static const struct guard_need guard_needs_af_packet[] = {
	{CAP_NET_RAW, CAP_NET_RAW, "NET_RAW"},
	{CAP_NET_ADMIN, CAP_NET_ADMIN, "NET_ADMIN"},
	{0},
};
static const struct guard_need guard_needs_af_xdp[] = {
	{CAP_NET_RAW, CAP_NET_RAW, "NET_RAW"},
	{CAP_NET_ADMIN, CAP_NET_ADMIN, "NET_ADMIN"},
	{CAP_BPF, CAP_SYS_ADMIN, "SYS_ADMIN"},
	{CAP_IPC_LOCK, CAP_IPC_LOCK, "IPC_LOCK"},
	{0},
};

/* All, where the kernel does not say. */
static uint64_t
guard_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return UINT64_MAX;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

static enum tiara_status
guard_privileges(const struct tiara_arguments *a, struct tiara_error *error)
{
	const struct guard_need *need = a->io == TIARA_IO_AF_XDP ? guard_needs_af_xdp
								 : guard_needs_af_packet;
	uint64_t has = guard_capabilities();
	char text[200];

	for (; need->name; need++) {
		if (has >> need->capability & 1 || has >> need->or_else & 1)
			continue;
		error->status = TIARA_IO;
		snprintf(text, sizeof(text),
			 "this process lacks the capability %s; run it as root, or give it CAP_%s "
			 "(setcap, AmbientCapabilities=, cap_add:)",
			 need->name, need->name);
		return tiara_guard_fail(a, text, error);
	}
	return TIARA_OK;
}

/* The TAP needs it whatever the port needs. */
static enum tiara_status
guard_kernel(const struct tiara_arguments *a, struct tiara_error *error)
{
	if (!a->kernel || guard_capabilities() >> CAP_NET_ADMIN & 1)
		return TIARA_OK;
	*error = (struct tiara_error){
		.status = TIARA_IO,
		.field = "--kernel-interface",
		.message = "--kernel-interface: this process lacks the capability NET_ADMIN, which a "
			   "TAP needs; run it as root, give it CAP_NET_ADMIN, or give --no-kernel"};
	return TIARA_IO;
}

/* ---- queues ---- */

/*
 * af_packet makes its own queues; af_xdp has those of the interface, and what arrives at a queue
 * without a worker would go to the kernel.
 */
static enum tiara_status
guard_queues(const struct tiara_arguments *a, struct tiara_error *error)
{
	uint32_t queue_cnt = tiara_interface_queues(a->interface);

	if (a->io != TIARA_IO_AF_XDP || a->worker_cnt == queue_cnt)
		return TIARA_OK;
	*error = (struct tiara_error){.status = TIARA_INVALID, .field = "--workers"};
	if (a->worker_cnt > queue_cnt)
		snprintf(
			error->message, sizeof(error->message),
			"--workers: %u workers need a queue each, but %s has %u; give at most that "
			"many, or --io af_packet:%s",
			a->worker_cnt, a->interface, queue_cnt, a->interface);
	else
		snprintf(error->message, sizeof(error->message),
			 "--workers: %s has %u queues, and af_xdp gets nothing of those without a "
			 "worker; give %u, or lower them with `ethtool -L`",
			 a->interface, queue_cnt, queue_cnt);
	return TIARA_INVALID;
}

enum tiara_status
tiara_guard_ctl(const struct tiara_arguments *a, struct tiara_interface *interface,
		struct tiara_error *error)
{
	enum tiara_status status;

	if (a->io == TIARA_IO_EAL)
		return guard_kernel(a, error);
	status = tiara_interface_read(a->interface, interface, error);
	if (status == TIARA_OK && !a->take_interface)
		status = tiara_interface_check_unused(a->interface, error);
	if (status != TIARA_OK)
		return tiara_guard_fail(a, error->message, error);
	status = guard_queues(a, error);
	return status == TIARA_OK ? guard_privileges(a, error) : status;
}
