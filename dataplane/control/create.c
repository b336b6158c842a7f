/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a segment, complete or not at all (docs/design/0001). */
#include "control/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

enum { CREATE_SMALL_PAGE_BYTES = 4096, CREATE_NEIGHBOUR_MIN = 1024 };

#define CREATE_CONNECTIONS_MAX (UINT64_C(1) << 34) /* a bucket number has 32 bits */
#define CREATE_HEAP_MIN        (UINT64_C(1) << 20)
#define CREATE_HEAP_MAX        (UINT64_C(1) << 40)

/* A file that has no name yet, or (where the file system knows no such thing) another one. */
struct create_file {
	int fd;
	char other_name[CONTROL_PATH_BYTES]; /* empty: none */
};

static uint64_t
create_align(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

static uint64_t
create_power_of_two(uint64_t min)
{
	uint64_t value = 1;

	while (value < min)
		value <<= 1;
	return value;
}

static enum tiara_status
create_bounds(const char *field, uint64_t value, uint64_t min, uint64_t max,
	      struct tiara_error *error)
{
	if (value >= min && value <= max)
		return TIARA_OK;
	return control_error(error, TIARA_INVALID, field,
			     "%s is %" PRIu64 "; it can be %" PRIu64 " to %" PRIu64
			     "; no segment was made",
			     field, value, min, max);
}

enum tiara_status
control_geometry_check(const struct tiara_segment_config *config, struct tiara_error *error)
{
	const struct {
		const char *field;
		uint64_t value, min, max;
	} bounds[] = {
		{"connections", config->connections, 1, CREATE_CONNECTIONS_MAX},
		{"worker_max", config->worker_max, 1, TIARA_WORKER_MAX},
		{"service_max", config->service_max, 1, TIARA_SERVICE_LIMIT},
		{"backend_max", config->backend_max, 1, TIARA_BACKEND_LIMIT},
		{"heap_bytes", config->heap_bytes, CREATE_HEAP_MIN, CREATE_HEAP_MAX},
	};
	enum tiara_status status = TIARA_OK;

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]) && status == TIARA_OK; i++)
		status = create_bounds(bounds[i].field, bounds[i].value, bounds[i].min,
				       bounds[i].max, error);
	return status;
}

static uint64_t
create_place(uint64_t *end, uint64_t align, uint64_t bytes)
{
	uint64_t off = create_align(*end, align);

	*end = off + bytes;
	return off;
}

void
control_geometry_fill(struct tiara_segment *s)
{
	uint64_t end = sizeof(*s);
	uint64_t flows = (uint64_t)s->service_max + s->backend_max;
	uint64_t neighbours = create_power_of_two(2 * (uint64_t)s->backend_max);

	s->neighbour_cnt = (uint32_t)(neighbours < CREATE_NEIGHBOUR_MIN ? CREATE_NEIGHBOUR_MIN
									: neighbours);
	s->worker_off = create_place(&end, TIARA_LINE_BYTES,
				     s->worker_max * sizeof(struct tiara_worker_slot));
	s->counter_stride = create_align(sizeof(struct tiara_worker_counters) +
						 flows * sizeof(struct tiara_flow_counter),
					 TIARA_LINE_BYTES);
	s->counter_off = create_place(&end, TIARA_LINE_BYTES,
				      (s->worker_max + 1u) * s->counter_stride);
	s->root_off = create_place(&end, TIARA_LINE_BYTES,
				   TIARA_ROOT_CNT * sizeof(struct tiara_root));
	s->neighbour_off = create_place(&end, TIARA_LINE_BYTES,
					s->neighbour_cnt * sizeof(struct tiara_neighbour));
	s->move_off = create_place(&end, TIARA_LINE_BYTES, TIARA_MOVE_STRIPES * sizeof(uint32_t));
	s->move_log_off = create_place(&end, TIARA_LINE_BYTES,
				       (s->worker_max + 1u) * sizeof(struct tiara_move_log));
	s->rate_off = create_place(&end, TIARA_LINE_BYTES,
				   s->service_max * sizeof(struct tiara_rate));
	s->heap_off = create_place(&end, TIARA_HEAP_UNIT_BYTES, s->heap_bytes);
	s->table_off = create_place(&end, s->page_bytes,
				    s->bucket_cnt * sizeof(struct tiara_bucket));
	s->total_bytes = create_align(end, s->page_bytes);
}

static enum tiara_status
create_secret(uint64_t secret[2], struct tiara_error *error)
{
	if (getrandom(secret, 16, 0) != 16)
		return control_error(error, TIARA_IO, "", "no random numbers: getrandom: %s",
				     strerror(errno));
	secret[1] &= UINT64_MAX >> 1; /* 127 bits */
	return TIARA_OK;
}

static enum tiara_status
create_header(const struct tiara_segment_config *config, uint32_t page_bytes,
	      struct tiara_segment *header, struct tiara_error *error)
{
	struct timespec now;
	uint64_t buckets = create_align(config->connections, TIARA_BUCKET_ENTRIES) /
			   TIARA_BUCKET_ENTRIES;

	clock_gettime(CLOCK_REALTIME, &now);
	*header = (struct tiara_segment){
		.layout_id = tiara_layout_id(),
		.created_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
		.page_bytes = page_bytes,
		.worker_max = config->worker_max,
		.service_max = config->service_max,
		.backend_max = config->backend_max,
		.bucket_cnt = create_power_of_two(buckets < 2 ? 2 : buckets),
		.heap_bytes = create_align(config->heap_bytes, TIARA_HEAP_UNIT_BYTES),
	};
	memcpy(header->magic, CONTROL_MAGIC, sizeof(header->magic));
	control_geometry_fill(header);
	return create_secret(header->table_secret, error);
}

static enum tiara_status
create_open(const char *path, struct create_file *file, struct tiara_error *error)
{
	char directory[CONTROL_PATH_BYTES];
	char *slash;

	file->other_name[0] = '\0';
	if (snprintf(directory, sizeof(directory), "%s", path) >= (int)sizeof(directory) - 12)
		return control_error(error, TIARA_INVALID, "path", "the path is too long");
	slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	file->fd = open(slash ? directory : ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0660);
	if (file->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		snprintf(file->other_name, sizeof(file->other_name), "%.4080s.newXXXXXX", path);
		file->fd = mkostemp(file->other_name, O_CLOEXEC);
	}
	if (file->fd >= 0)
		return TIARA_OK;
	file->other_name[0] = '\0';
	return control_error(error, TIARA_IO, "path", "cannot make a file for %s: %s", path,
			     strerror(errno));
}

static void
create_close(struct create_file *file)
{
	close(file->fd);
	if (file->other_name[0])
		unlink(file->other_name);
}

static enum tiara_status
create_reserve(const char *path, int fd, uint64_t bytes, struct tiara_error *error)
{
	struct statfs fs = {0};
	int failed;

	do
		failed = fallocate(fd, 0, 0, (off_t)bytes);
	while (failed && errno == EINTR);
	if (!failed)
		return TIARA_OK;
	if (errno != ENOSPC && errno != EFBIG && errno != ENOMEM && errno != EDQUOT)
		return control_error(error, TIARA_IO, "path",
				     "cannot reserve %" PRIu64
				     " bytes for %s: %s; no file was made",
				     bytes, path, strerror(errno));
	fstatfs(fd, &fs);
	return control_error(error, TIARA_NO_SPACE, "path",
			     "%s needs %" PRIu64 " bytes and its file system has room for %" PRIu64
			     "; no file was made; give smaller --connections or --heap-mb, or make "
			     "more room",
			     path, bytes, (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize);
}

static enum tiara_status
create_write(const char *path, int fd, const struct tiara_segment *header,
	     struct tiara_error *error)
{
	/* Not write(): hugetlbfs has none. */
	void *base = mmap(NULL, header->total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct tiara_worker_slot *slot;

	if (base == MAP_FAILED)
		return control_error(error, TIARA_IO, "path", "cannot map %s: %s; no file was made",
				     path, strerror(errno));
	memcpy(base, header, sizeof(*header));
	slot = (void *)((uint8_t *)base + header->worker_off);
	for (uint32_t i = 0; i < header->worker_max; i++)
		slot[i].sweep_slice = UINT64_MAX;
	munmap(base, header->total_bytes);
	return TIARA_OK;
}

/* The moment it exists. Never overwrites: of two creators one has made it. */
static enum tiara_status
create_link(const char *path, int fd, struct tiara_error *error)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return TIARA_OK;
	if (errno == EEXIST)
		return control_error(error, TIARA_EXISTS, "path",
				     "%s exists; it was not touched; attach to it or remove it",
				     path);
	return control_error(error, TIARA_IO, "path", "cannot name the new file %s: %s", path,
			     strerror(errno));
}

static enum tiara_status
create_fill(const char *path, int fd, const struct tiara_segment_config *config,
	    struct tiara_error *error)
{
	struct tiara_segment header;
	struct statfs fs = {0};
	enum tiara_status status;

	fstatfs(fd, &fs);
	status = create_header(config,
			       fs.f_type == HUGETLBFS_MAGIC ? (uint32_t)fs.f_bsize
							    : CREATE_SMALL_PAGE_BYTES,
			       &header, error);
	CONTROL_STEP("file opened");
	if (status == TIARA_OK)
		status = create_reserve(path, fd, header.total_bytes, error);
	CONTROL_STEP("file reserved");
	if (status == TIARA_OK)
		status = create_write(path, fd, &header, error);
	CONTROL_STEP("file written");
	if (status == TIARA_OK)
		status = create_link(path, fd, error);
	CONTROL_STEP("file linked");
	return status;
}

enum tiara_status
tiara_segment_create(const char *path, const struct tiara_segment_config *config,
		     struct tiara_error *error)
{
	struct create_file file;
	enum tiara_status status = control_geometry_check(config, error);

	if (status == TIARA_OK && access(path, F_OK) == 0)
		status = control_error(error, TIARA_EXISTS, "path",
				       "%s exists; it was not touched; attach to it or remove it",
				       path);
	if (status == TIARA_OK)
		status = create_open(path, &file, error);
	if (status != TIARA_OK)
		return status;
	status = create_fill(path, file.fd, config, error);
	create_close(&file);
	return status;
}
