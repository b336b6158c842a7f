/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching to a segment and taking a role in it (docs/design/0001). */
#include "control/internal.h"

#include "table/word.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* A role's lock is the byte of its number. */
static struct flock
segment_role_lock(enum tiara_role role)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = role, .l_len = 1};
}

bool
control_role_live(const struct tiara_handle *handle, enum tiara_role role)
{
	struct flock lock = segment_role_lock(role);

	if (handle->role == role)
		return true;
	/* When the kernel does not say, nothing may be freed. */
	return fcntl(handle->fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

uint64_t
control_oldest(const struct tiara_handle *handle, int32_t *worker)
{
	uint64_t current = control_generation(handle);
	uint64_t oldest = UINT64_MAX;

	*worker = -1;
	if (control_role_live(handle, TIARA_ROLE_DATAPLANE))
		oldest = tiara_epoch_oldest_ctl(&handle->map, worker);
	if (oldest < current)
		return oldest;
	*worker = -1;
	return current;
}

/* A reader changes nothing, but on some machines a 16-byte load is a CAS (docs/design/0003, "Arm"). */
static bool
segment_read_only(enum tiara_role role)
{
	return role == TIARA_ROLE_READER && !WORD_LOAD_WRITES;
}

static enum tiara_status
segment_open(const char *path, enum tiara_role role, int *fd, struct tiara_error *error)
{
	*fd = open(path, (segment_read_only(role) ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (*fd >= 0)
		return TIARA_OK;
	if (errno == ENOENT)
		return control_error(error, TIARA_NOT_FOUND, "path",
				     "there is no segment %s; tiara-dataplane creates it: start it "
				     "first, with the same --instance",
				     path);
	return control_error(error, TIARA_IO, "path", "cannot open %s: %s", path, strerror(errno));
}

static bool
segment_geometry_matches(const struct tiara_segment *header, uint64_t file_bytes)
{
	const struct tiara_segment_config config = {
		.connections = header->bucket_cnt * TIARA_BUCKET_ENTRIES,
		.worker_max = header->worker_max,
		.service_max = header->service_max,
		.backend_max = header->backend_max,
		.heap_bytes = header->heap_bytes,
	};
	struct tiara_segment expected = *header;

	if (header->bucket_cnt < 2 || header->bucket_cnt & (header->bucket_cnt - 1) ||
	    header->bucket_cnt >> 32 || header->page_bytes < 4096 ||
	    control_geometry_check(&config, NULL) != TIARA_OK)
		return false;
	control_geometry_fill(&expected);
	return !memcmp(&expected, header, sizeof(expected)) && header->total_bytes == file_bytes;
}

static enum tiara_status
segment_verify(const char *path, int fd, struct tiara_segment *header, struct tiara_error *error)
{
	struct stat file;
	ssize_t got = pread(fd, header, sizeof(*header), 0);

	if (got < 0 || fstat(fd, &file))
		return control_error(error, TIARA_IO, "path", "cannot read %s: %s", path,
				     strerror(errno));
	if (got < 16 || memcmp(header->magic, CONTROL_MAGIC, sizeof(header->magic)))
		return control_error(error, TIARA_INVALID, "path",
				     "%s is not a Tiara segment; it was not touched", path);
	if (header->layout_id != tiara_layout_id())
		return control_error(
			error, TIARA_LAYOUT, "layout_id",
			"%s has layout %016" PRIx64 ", this program has %016" PRIx64
			"; it was not touched; run the version that made it, or remove "
			"it when its connections may go (`tiara connections dump` and "
			"`load` take them over)",
			path, header->layout_id, tiara_layout_id());
	if (got < (ssize_t)sizeof(*header) ||
	    !segment_geometry_matches(header, (uint64_t)file.st_size))
		return control_error(error, TIARA_INVALID, "path",
				     "%s is damaged: its header does not fit its %" PRIu64
				     " bytes; it was not touched; remove it",
				     path, (uint64_t)file.st_size);
	return TIARA_OK;
}

static enum tiara_status
segment_lock(const char *path, int fd, enum tiara_role role, struct tiara_error *error)
{
	static const char *const program[] = {"", "tiara-dataplane", "tiara-controlplane"};
	struct flock lock = segment_role_lock(role);

	if (role == TIARA_ROLE_READER || fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return TIARA_OK;
	if (errno == EAGAIN || errno == EACCES)
		return control_error(error, TIARA_BUSY, "role",
				     "another %s runs on %s; stop it, or give this one another "
				     "--instance",
				     program[role], path);
	return control_error(error, TIARA_IO, "role", "cannot lock %s: %s", path, strerror(errno));
}

/* A data plane starts: whatever workers it had before are gone. */
static void
segment_reset_workers(struct tiara_map *map)
{
	struct tiara_node *node = &map->segment->node;

	tiara_entries_start_ctl(map);
	tiara_sweep_start_ctl(map);
	tiara_epoch_start_ctl(map);
	__atomic_store_n(&node->first_forward_ns, 0, __ATOMIC_RELAXED);
	/* Until it has workers, no packet sees any configuration. */
	__atomic_store_n(&node->worker_cnt, 0, __ATOMIC_RELAXED);
	/* release: who sees the new count does not see the last start's first_forward_ns */
	__atomic_store_n(&node->start_cnt, node->start_cnt + 1, __ATOMIC_RELEASE);
}

static void
segment_state_free(struct control_state *state)
{
	if (!state)
		return;
	control_names_free(&state->backend_by_name);
	control_names_free(&state->service_by_name);
	control_names_free(&state->service_by_frontend);
	free(state->heap_bits);
	free(state);
}

static enum tiara_status
segment_state_make(struct tiara_handle *handle, struct tiara_error *error)
{
	const struct tiara_segment *s = handle->map.segment;
	struct control_state *state = calloc(1, sizeof(*state));
	enum tiara_status status = TIARA_OK;

	handle->state = state;
	if (!state)
		return control_out_of_memory(error);
	state->heap_units = s->heap_bytes / TIARA_HEAP_UNIT_BYTES;
	state->heap_bits = calloc((state->heap_units + 63) / 64, 8);
	state->quarantine.counted_generation = UINT64_MAX;
	/* A tentative word of a killed predecessor must not look like one of ours. */
	state->writer.owner = TIARA_OWNER_CONTROL;
	state->writer.search_max = TIARA_SEARCH_BULK;
	state->writer.unconfirmed = (int64_t)s->unconfirmed;
	state->writer.backend = tiara_map_backend_counters(&handle->map, s->worker_max);
	state->writer.backend_cnt = s->backend_max;
	if (getrandom(&state->writer.nonce, sizeof(state->writer.nonce), 0) < 0)
		return control_error(error, TIARA_IO, "", "no random numbers: getrandom: %s",
				     strerror(errno));
	if (!state->heap_bits)
		return control_out_of_memory(error);
	if (status == TIARA_OK)
		status = control_names_make(&state->backend_by_name, s->backend_max, error);
	if (status == TIARA_OK)
		status = control_names_make(&state->service_by_name, s->service_max, error);
	if (status == TIARA_OK)
		status = control_names_make(&state->service_by_frontend, s->service_max, error);
	if (status == TIARA_OK)
		control_names_load(handle);
	return status;
}

static enum tiara_status
segment_map(struct tiara_handle *handle, const char *path, uint64_t bytes,
	    struct tiara_error *error)
{
	int protection = PROT_READ | (segment_read_only(handle->role) ? 0 : PROT_WRITE);
	/* The packet path must not meet a page fault. */
	int populate = handle->role == TIARA_ROLE_DATAPLANE ? MAP_POPULATE : 0;
	void *base = mmap(NULL, bytes, protection, MAP_SHARED | populate, handle->fd, 0);

	if (base == MAP_FAILED)
		return control_error(error, TIARA_IO, "path", "cannot map %s: %s", path,
				     strerror(errno));
	handle->bytes = bytes;
	handle->map = tiara_map_of(base);
	if (handle->role == TIARA_ROLE_DATAPLANE)
		segment_reset_workers(&handle->map);
	return handle->role == TIARA_ROLE_CONTROLPLANE ? segment_state_make(handle, error)
						       : TIARA_OK;
}

enum tiara_status
tiara_segment_attach(const char *path, enum tiara_role role, struct tiara_handle **handle,
		     struct tiara_error *error)
{
	struct tiara_segment header;
	struct tiara_handle *h;
	enum tiara_status status;

	*handle = NULL;
	if ((unsigned)role > TIARA_ROLE_CONTROLPLANE)
		return control_error(error, TIARA_INVALID, "role", "there is no role %d", role);
	if (!control_machine_fits())
		return control_error(
			error, TIARA_IO, "",
			"this program was built for Armv8.4 and this core is older (no LSE2); "
			"use a build for Armv8.1");
	h = calloc(1, sizeof(*h));
	if (!h)
		return control_out_of_memory(error);
	h->role = role;
	status = segment_open(path, role, &h->fd, error);
	if (status == TIARA_OK)
		status = segment_verify(path, h->fd, &header, error);
	if (status == TIARA_OK)
		status = segment_lock(path, h->fd, role, error);
	if (status == TIARA_OK)
		status = segment_map(h, path, header.total_bytes, error);
	if (status == TIARA_OK)
		*handle = h;
	else
		tiara_segment_detach(h);
	return status;
}

void
tiara_segment_detach(struct tiara_handle *handle)
{
	if (!handle)
		return;
	if (handle->state)
		tiara_change_abort(handle->state->change);
	segment_state_free(handle->state);
	if (handle->map.base)
		munmap(handle->map.base, handle->bytes);
	if (handle->fd >= 0)
		close(handle->fd); /* and with it the role */
	free(handle);
}

/* Creates it at path, or where hugetlbfs has no room for a named instance on /dev/shm: then path changes. */
static enum tiara_status
segment_create_where_it_fits(const char *instance, const struct tiara_segment_config *config,
			     char path[CONTROL_PATH_BYTES], struct tiara_error *error)
{
	char shm[CONTROL_PATH_BYTES];
	enum tiara_status status = tiara_segment_create(path, config, error);

	if (status != TIARA_NO_SPACE || strchr(instance, '/') ||
	    control_locate_shm(instance, shm, sizeof(shm), error) != TIARA_OK || !strcmp(shm, path))
		return status;
	memcpy(path, shm, sizeof(shm));
	return tiara_segment_create(path, config, error);
}

enum tiara_status
tiara_segment_open_or_create(const char *instance, const struct tiara_segment_config *config,
			     enum tiara_role role, struct tiara_handle **handle, bool *created,
			     char *path, size_t path_bytes, struct tiara_error *error)
{
	char where[CONTROL_PATH_BYTES] = "";
	enum tiara_status status = TIARA_OK;

	*handle = NULL;
	*created = false;
	if (!strchr(instance, '/'))
		status = tiara_segment_locate(instance, where, sizeof(where), error);
	else
		strncpy(where, instance, sizeof(where) - 1);
	if (status == TIARA_OK)
		status = tiara_segment_attach(where, role, handle, error);
	if (status == TIARA_NOT_FOUND) {
		status = segment_create_where_it_fits(instance, config, where, error);
		*created = status == TIARA_OK;
		/* EXISTS: another process has just made it. */
		if (status == TIARA_OK || status == TIARA_EXISTS)
			status = tiara_segment_attach(where, role, handle, error);
	}
	if (path && path_bytes) {
		strncpy(path, where, path_bytes - 1);
		path[path_bytes - 1] = '\0';
	}
	return status;
}

const struct tiara_map *
tiara_handle_map(const struct tiara_handle *handle)
{
	return &handle->map;
}

enum tiara_status
tiara_handle_share_ctl(struct tiara_handle *handle, gid_t group, struct tiara_error *error)
{
	/* the mode too: a umask took the group's right to write from it */
	if (fchown(handle->fd, (uid_t)-1, group) == 0 && fchmod(handle->fd, 0660) == 0)
		return TIARA_OK;
	return control_error(
		error, TIARA_IO, "--group",
		"--group: the segment cannot be given to the group %u: %s; start as its "
		"owner or as root",
		(unsigned)group, strerror(errno));
}

static uint32_t
segment_workers_online(const struct tiara_handle *handle)
{
	const struct tiara_segment *s = handle->map.segment;
	uint32_t cnt = 0;

	if (!control_role_live(handle, TIARA_ROLE_DATAPLANE))
		return 0;
	for (uint32_t i = 0; i < s->worker_max; i++)
		cnt += __atomic_load_n(&handle->map.worker[i].generation, __ATOMIC_RELAXED) != 0;
	return cnt;
}

static uint64_t
segment_heap_used_bytes(struct tiara_handle *handle)
{
	if (!handle->state)
		return 0;
	if (!handle->state->change)
		control_heap_mark(handle);
	return control_heap_used_bytes(handle->state);
}

enum tiara_status
tiara_segment_describe(struct tiara_handle *handle, struct tiara_segment_info *info,
		       struct tiara_error *error)
{
	const struct tiara_map *map = &handle->map;
	const struct tiara_segment *s = map->segment;
	uint64_t generation = control_generation(handle);
	uint64_t claimed = __atomic_load_n(&s->sweep_claimed, __ATOMIC_RELAXED);

	(void)error;
	*info = (struct tiara_segment_info){
		.layout_id = s->layout_id,
		.total_bytes = s->total_bytes,
		.created_ns = s->created_ns,
		.page_bytes = s->page_bytes,
		.worker_max = s->worker_max,
		.service_max = s->service_max,
		.backend_max = s->backend_max,
		.connections = s->bucket_cnt * TIARA_BUCKET_ENTRIES,
		.heap_bytes = s->heap_bytes,
		.heap_used_bytes = segment_heap_used_bytes(handle),
		.generation = generation,
		.revision = generation ? map->root[generation % TIARA_ROOT_CNT].revision : 0,
		.tick = tiara_tick_now(map),
		.dataplane_live = control_role_live(handle, TIARA_ROLE_DATAPLANE),
		.controlplane_live = control_role_live(handle, TIARA_ROLE_CONTROLPLANE),
		.worker_online = segment_workers_online(handle),
		.sweep_passes = claimed / tiara_sweep_slices_per_pass(map),
		.node = s->node,
	};
	return TIARA_OK;
}
