/* SPDX-License-Identifier: Apache-2.0 */
#include "app/room.h"

#include <inttypes.h>
#include <stdio.h>

#include "control/handle.h"

enum { ROOM_WORKER_SLOTS_MIN = 8 }; /* so that a later start may have more workers */

static uint32_t
room_worker_slots(uint32_t worker_cnt)
{
	uint32_t slots = ROOM_WORKER_SLOTS_MIN;

	while (slots < worker_cnt + 1)
		slots *= 2;
	return slots;
}

static struct tiara_segment_config
room_config(const struct tiara_arguments *a)
{
	uint64_t heap_mb = a->heap_mb ? a->heap_mb : TIARA_DEFAULT_HEAP_MB;

	return (struct tiara_segment_config){
		.connections = a->connections ? a->connections : TIARA_DEFAULT_CONNECTIONS,
		.worker_max = room_worker_slots(a->worker_cnt),
		.service_max = a->services ? a->services : TIARA_DEFAULT_SERVICES,
		.backend_max = a->backends ? a->backends : TIARA_DEFAULT_BACKENDS,
		.heap_bytes = heap_mb << 20,
	};
}

static enum tiara_status
room_size_check(const char *option, uint64_t asked, uint64_t had, bool fits, const char *path,
		struct tiara_error *error)
{
	if (asked == 0 || fits)
		return TIARA_OK;
	*error = (struct tiara_error){.status = TIARA_INVALID};
	snprintf(error->field, sizeof(error->field), "%s", option);
	snprintf(error->message, sizeof(error->message),
		 "%s: %" PRIu64 " was asked for, but %.200s was made with %" PRIu64
		 "; drop the argument to take it as it is, or remove the file when nobody uses it",
		 option, asked, path, had);
	return TIARA_INVALID;
}

/* An existing segment is as it is: arguments that say otherwise are refused. */
static enum tiara_status
room_sizes_check(const struct tiara_arguments *a, const struct tiara_segment_info *had,
		 const char *path, struct tiara_error *error)
{
	/* the table is rounded up to a power of two of buckets */
	bool connections_fit = a->connections <= had->connections &&
			       (a->connections > had->connections / 2 || had->connections == 8);
	enum tiara_status status;

	status = room_size_check("--connections", a->connections, had->connections, connections_fit,
				 path, error);
	if (status == TIARA_OK)
		status = room_size_check("--services", a->services, had->service_max,
					 a->services == had->service_max, path, error);
	if (status == TIARA_OK)
		status = room_size_check("--backends", a->backends, had->backend_max,
					 a->backends == had->backend_max, path, error);
	if (status == TIARA_OK)
		status = room_size_check("--heap-mb", a->heap_mb, had->heap_bytes >> 20,
					 a->heap_mb == had->heap_bytes >> 20, path, error);
	/* the last slot is the resolver's */
	if (status == TIARA_OK)
		status = room_size_check("--workers", a->worker_cnt, had->worker_max - 1,
					 a->worker_cnt < had->worker_max, path, error);
	return status;
}

static void
room_print(const struct tiara_segment_info *info, const char *path, bool created)
{
	const char *pages = info->page_bytes > 4096 ? "2 MiB" : "4 KiB";

	printf("segment  %s, %s pages, %" PRIu64 " connections, %s\n", path, pages,
	       info->connections, created ? "created" : "adopted");
}

enum tiara_status
tiara_room_open_ctl(const struct tiara_arguments *a, struct tiara_handle **handle,
		    struct tiara_error *error)
{
	struct tiara_segment_config config = room_config(a);
	struct tiara_segment_info info;
	enum tiara_status status;
	char path[512];
	bool created;

	status = tiara_segment_open_or_create(a->instance, &config, TIARA_ROLE_DATAPLANE, handle,
					      &created, path, sizeof(path), error);
	if (status == TIARA_OK)
		status = tiara_segment_describe(*handle, &info, error);
	if (status == TIARA_OK && !created)
		status = room_sizes_check(a, &info, path, error);
	if (status == TIARA_OK && a->group_given)
		status = tiara_handle_share_ctl(*handle, a->group, error);
	if (status == TIARA_OK)
		room_print(&info, path, created);
	return status;
}
