/* SPDX-License-Identifier: Apache-2.0 */
/* Where an instance's segment is or would be (docs/design/0001). */
#include "control/internal.h"

#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#define LOCATE_SHM "/dev/shm"

/* tiara_segment.page_bytes knows 4 KiB and this. */
enum { LOCATE_HUGE_BYTES = 2097152, LOCATE_MOUNT_LINE_BYTES = 4096 };

static enum tiara_status
locate_instance_check(const char *instance, struct tiara_error *error)
{
	size_t len = strlen(instance);

	if (len > 0 && len <= 32 &&
	    strspn(instance, "abcdefghijklmnopqrstuvwxyz0123456789-") == len)
		return TIARA_OK;
	return control_error(error, TIARA_INVALID, "instance",
			     "\"%.40s\" cannot name an instance; give 1 to 32 of the characters "
			     "a-z, 0-9 and -",
			     instance);
}

static enum tiara_status
locate_path(const char *directory, const char *instance, char *path, size_t path_bytes,
	    struct tiara_error *error)
{
	int len = snprintf(path, path_bytes, "%s/tiara-%s.segment", directory, instance);

	if (len >= 0 && (size_t)len < path_bytes)
		return TIARA_OK;
	return control_error(error, TIARA_INVALID, "path_bytes",
			     "the path of instance %s needs %d bytes, there are %zu", instance,
			     len + 1, path_bytes);
}

static bool
locate_is_huge(const char *directory)
{
	struct statfs fs;

	return statfs(directory, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC &&
	       fs.f_bsize == LOCATE_HUGE_BYTES;
}

/* The first hugetlbfs mount of 2 MiB pages that holds the segment, or (existing false) takes one. */
static bool
locate_hugetlbfs(const char *instance, bool existing, char *path, size_t path_bytes)
{
	char line[LOCATE_MOUNT_LINE_BYTES];
	struct mntent entry;
	bool found = false;
	FILE *mounts = setmntent("/proc/mounts", "r");

	if (!mounts)
		return false;
	while (!found && getmntent_r(mounts, &entry, line, sizeof(line))) {
		if (strcmp(entry.mnt_type, "hugetlbfs") || !locate_is_huge(entry.mnt_dir) ||
		    locate_path(entry.mnt_dir, instance, path, path_bytes, NULL) != TIARA_OK)
			continue;
		found = access(existing ? path : entry.mnt_dir, existing ? F_OK : W_OK) == 0;
	}
	endmntent(mounts);
	return found;
}

enum tiara_status
control_locate_shm(const char *instance, char *path, size_t path_bytes, struct tiara_error *error)
{
	return locate_path(LOCATE_SHM, instance, path, path_bytes, error);
}

enum tiara_status
tiara_segment_locate(const char *instance, char *path, size_t path_bytes, struct tiara_error *error)
{
	enum tiara_status status = locate_instance_check(instance, error);

	if (status != TIARA_OK)
		return status;
	if (locate_hugetlbfs(instance, true, path, path_bytes))
		return TIARA_OK;
	status = control_locate_shm(instance, path, path_bytes, error);
	if (status != TIARA_OK || access(path, F_OK) == 0)
		return status;
	if (locate_hugetlbfs(instance, false, path, path_bytes))
		return TIARA_OK;
	return control_locate_shm(instance, path, path_bytes, error);
}
