/* SPDX-License-Identifier: Apache-2.0 */
#include "app/privilege.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	PRIVILEGE_LOOK_NS = 100000,
	PRIVILEGE_LOOKS = 20000, /* two seconds for the slowest thread */
};

/* Written by each thread's handler, read by the main one. Release and acquire: its capset is done. */
static uint32_t privilege_done_cnt;
static uint32_t privilege_failed_cnt;

static enum tiara_status
privilege_fail(const char *what, int error_number, struct tiara_error *error)
{
	*error = (struct tiara_error){.status = TIARA_IO};
	snprintf(
		error->message, sizeof(error->message),
		"%s: %s; privileges that serving does not need could not be given up, so nothing is "
		"served",
		what, strerror(error_number));
	return TIARA_IO;
}

void
tiara_privilege_seal_ctl(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
}

/* Of the calling thread alone: the kernel keeps them for each, and glibc has no call for all. */
static int
privilege_set(uint64_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
		{.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
	};

	return (int)syscall(SYS_capset, &header, data);
}

static void
privilege_on_signal(int number)
{
	int had = errno;

	(void)number;
	if (privilege_set(0))
		__atomic_fetch_add(&privilege_failed_cnt, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&privilege_done_cnt, 1, __ATOMIC_RELEASE);
	errno = had;
}

/* ---- all threads but this one: EAL's own, and the workers ---- */

/* Returns how many were asked, or -1 with errno. */
static int
privilege_ask(pid_t self)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	int cnt = 0;

	if (!tasks)
		return -1;
	while ((entry = readdir(tasks))) {
		pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

		if (thread > 0 && thread != self &&
		    syscall(SYS_tgkill, getpid(), thread, SIGRTMIN) == 0)
			cnt++;
	}
	closedir(tasks);
	return cnt;
}

static bool
privilege_wait(uint32_t asked_cnt)
{
	struct timespec look = {.tv_nsec = PRIVILEGE_LOOK_NS};

	for (int i = 0; i < PRIVILEGE_LOOKS; i++) {
		if (__atomic_load_n(&privilege_done_cnt, __ATOMIC_ACQUIRE) >= asked_cnt)
			return true;
		nanosleep(&look, NULL);
	}
	return false;
}

static enum tiara_status
privilege_drop_others(struct tiara_error *error)
{
	struct sigaction act = {.sa_handler = privilege_on_signal, .sa_flags = SA_RESTART};
	int asked_cnt;

	sigaction(SIGRTMIN, &act, NULL);
	asked_cnt = privilege_ask((pid_t)syscall(SYS_gettid));
	if (asked_cnt < 0)
		return privilege_fail("/proc/self/task", errno, error);
	if (!privilege_wait((uint32_t)asked_cnt))
		return privilege_fail("a thread did not answer", ETIMEDOUT, error);
	if (__atomic_load_n(&privilege_failed_cnt, __ATOMIC_RELAXED))
		return privilege_fail("capset", EPERM, error);
	act = (struct sigaction){.sa_handler = SIG_IGN};
	sigaction(SIGRTMIN, &act, NULL);
	return TIARA_OK;
}

/* ---- the user ---- */

/* glibc changes all threads. What this one keeps survives it; the others lose all. */
static enum tiara_status
privilege_user(const struct tiara_arguments *a, struct tiara_error *error)
{
	gid_t shared = a->group_given ? a->group : a->user_group;

	if (!a->user)
		return TIARA_OK;
	prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL);
	if (setgroups(1, &shared) || setresgid(a->user_group, a->user_group, a->user_group) ||
	    setresuid(a->user, a->user, a->user))
		return privilege_fail("--user", errno, error);
	prctl(PR_SET_KEEPCAPS, 0UL, 0UL, 0UL, 0UL);
	return TIARA_OK;
}

/* At its end the XDP program is taken off the interface, which only NET_ADMIN may. */
static uint64_t
privilege_kept(const struct tiara_arguments *a)
{
	return a->io == TIARA_IO_AF_XDP ? UINT64_C(1) << CAP_NET_ADMIN : 0;
}

enum tiara_status
tiara_privilege_drop_ctl(const struct tiara_arguments *a, struct tiara_error *error)
{
	enum tiara_status status;

	if (a->keep_capabilities)
		return TIARA_OK;
	status = privilege_user(a, error);
	if (status == TIARA_OK)
		status = privilege_drop_others(error);
	if (status == TIARA_OK && privilege_set(privilege_kept(a)))
		status = privilege_fail("capset", errno, error);
	return status;
}
