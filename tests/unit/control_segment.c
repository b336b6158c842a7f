/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: made complete or not at all, one owner a role, refused when they do not fit. */
#include "control_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "table/word.h"

static void
segment_patch(const struct world *w, size_t off, const void *bytes, size_t cnt)
{
	int fd = open(w->path, O_RDWR);

	CHECK(pwrite(fd, bytes, cnt, (off_t)off) == (ssize_t)cnt);
	close(fd);
}

/* What was asked for is what a reader is told; capacity is rounded up to a power of two. */
static void
test_create_and_describe(void)
{
	struct tiara_segment_config config = world_config;
	struct tiara_segment_info info;
	struct tiara_handle *reader;
	struct stat file;
	struct world w;

	config.connections = 5000;
	world_make_sized(&w, &config);
	CHECK_OK(tiara_segment_attach(w.path, TIARA_ROLE_READER, &reader, &world_error));
	info = world_describe(reader);
	CHECK(info.layout_id == tiara_layout_id());
	CHECK(info.connections == 8192);
	CHECK(info.worker_max == 4 && info.service_max == 32 && info.backend_max == 64);
	CHECK(info.heap_bytes == 1 << 20);
	CHECK(info.page_bytes == 4096);
	CHECK(info.generation == 0 && info.worker_online == 0);
	CHECK(!info.dataplane_live && info.controlplane_live);
	CHECK(stat(w.path, &file) == 0);
	CHECK((uint64_t)file.st_size == info.total_bytes);
	CHECK((uint64_t)file.st_blocks * 512 >= info.total_bytes); /* reserved, not sparse */
	CHECK(tiara_handle_map(reader)->segment->table_secret[1] >> 63 == 0);
	CHECK(tiara_handle_map(reader)->segment->neighbour_cnt == 1024);
	CHECK(tiara_handle_map(reader)->segment->table_off % 4096 == 0);
	CHECK(tiara_handle_map(reader)->segment->table_secret[0] != 0);
	tiara_segment_detach(reader);
	world_end(&w);
}

/* Each size out of bounds is refused by name, with its bounds, and no file is made. */
static void
test_config_bounds(void)
{
	struct {
		struct tiara_segment_config config;
		const char *field;
	} bad[] = {
		{world_config, "connections"}, {world_config, "worker_max"},
		{world_config, "service_max"}, {world_config, "backend_max"},
		{world_config, "heap_bytes"},
	};
	struct world w;

	world_directory_make(&w);
	bad[0].config.connections = 0;
	bad[1].config.worker_max = 65;
	bad[2].config.service_max = 65537;
	bad[3].config.backend_max = 0;
	bad[4].config.heap_bytes = 4096;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_IS(tiara_segment_create(w.path, &bad[i].config, &world_error), TIARA_INVALID);
		CHECK(!strcmp(world_error.field, bad[i].field));
		CHECK_SAYS("it can be");
		CHECK(access(w.path, F_OK) != 0);
	}
	CHECK(rmdir(w.directory) == 0);
}

/* A second creation touches nothing. */
static void
test_create_never_overwrites(void)
{
	struct tiara_segment_info before, after;
	struct world w;

	world_make(&w);
	before = world_describe(w.control);
	CHECK_IS(tiara_segment_create(w.path, &world_config, &world_error), TIARA_EXISTS);
	world_adopt(&w);
	after = world_describe(w.control);
	CHECK(before.created_ns == after.created_ns);
	world_end(&w);
}

/* A role has one owner; readers are never refused and never counted as owners. */
static void
test_role_is_exclusive(void)
{
	struct tiara_handle *other;
	struct world w;

	world_make(&w);
	world_dataplane_start(&w);
	CHECK_IS(tiara_segment_attach(w.path, TIARA_ROLE_DATAPLANE, &other, &world_error),
		 TIARA_BUSY);
	CHECK_SAYS("tiara-dataplane");
	CHECK(other == NULL);
	CHECK_IS(tiara_segment_attach(w.path, TIARA_ROLE_CONTROLPLANE, &other, &world_error),
		 TIARA_BUSY);
	CHECK_SAYS("tiara-controlplane");
	CHECK_OK(tiara_segment_attach(w.path, TIARA_ROLE_READER, &other, &world_error));
	CHECK(world_describe(other).dataplane_live);
	world_dataplane_die(&w);
	CHECK(!world_describe(other).dataplane_live);
	tiara_segment_detach(other);
	world_dataplane_start(&w);
	world_end(&w);
}

static pid_t
segment_fork_dataplane(const char *path, int *ready)
{
	struct tiara_handle *handle;
	int ends[2];
	pid_t child;

	CHECK(pipe(ends) == 0);
	child = fork();
	if (child == 0) {
		CHECK_OK(tiara_segment_attach(path, TIARA_ROLE_DATAPLANE, &handle, &world_error));
		tiara_epoch_enter_wk(tiara_handle_map(handle), 1);
		CHECK(write(ends[1], "r", 1) == 1);
		pause();
		_exit(0);
	}
	close(ends[1]);
	*ready = ends[0];
	return child;
}

/* While a data plane's process lives its role is taken; after kill -9 it is free, slots and all. */
static void
test_kill_frees_the_role(void)
{
	struct tiara_collect_info info;
	struct tiara_handle *other;
	struct world w;
	pid_t child;
	char byte;
	int ready;

	world_make(&w);
	world_first_generation(&w);
	child = segment_fork_dataplane(w.path, &ready);
	CHECK(read(ready, &byte, 1) == 1);
	close(ready);
	CHECK_IS(tiara_segment_attach(w.path, TIARA_ROLE_DATAPLANE, &other, &world_error),
		 TIARA_BUSY);
	CHECK(world_describe(w.control).worker_online == 1);
	kill(child, SIGKILL);
	CHECK(waitpid(child, NULL, 0) == child);
	CHECK(tiara_handle_map(w.control)->worker[1].generation == 1); /* what it left behind */
	CHECK(world_describe(w.control).worker_online == 0);
	info = world_collect(&w);
	CHECK(info.slowest_worker == -1 && info.applied_generation == 1);
	world_dataplane_start(&w);
	CHECK(tiara_handle_map(w.control)->worker[1].generation == 0);
	world_end(&w);
}

/* A data plane's start resets slots and counts itself; what connections need stays. */
static void
test_dataplane_start_keeps_the_rest(void)
{
	const struct tiara_map *map;
	struct world w;

	world_make(&w);
	world_dataplane_start(&w);
	map = tiara_handle_map(w.dataplane);
	map->worker[2].generation = 5;
	map->worker[2].sweep_slice = 3;
	map->segment->tick = 77;
	map->segment->node.worker_cnt = 3;
	map->bucket[9].entry[1].client_addr = 42;
	world_dataplane_die(&w);
	world_dataplane_start(&w);
	map = tiara_handle_map(w.dataplane);
	CHECK(map->worker[2].generation == 0 && map->worker[2].sweep_slice == UINT64_MAX);
	CHECK(map->segment->node.worker_cnt == 0);
	CHECK(map->segment->tick == 77);
	CHECK(map->bucket[9].entry[1].client_addr == 42);
	CHECK(map->segment->sweep_restarts == 2 && map->segment->node.start_cnt == 2);
	world_end(&w);
}

/* A foreign, damaged or other-layout file is refused and says why; both layout ids are told. */
static void
test_refused_files(void)
{
	uint64_t id = 0x0123456789abcdef, mine = tiara_layout_id(), secret;
	struct tiara_segment header;
	struct tiara_handle *other;
	char text[32];
	struct world w;

	world_make(&w);
	header = *tiara_handle_map(w.control)->segment;
	segment_patch(&w, offsetof(struct tiara_segment, layout_id), &id, 8);
	CHECK_IS(tiara_segment_attach(w.path, TIARA_ROLE_DATAPLANE, &other, &world_error),
		 TIARA_LAYOUT);
	CHECK_SAYS("0123456789abcdef");
	snprintf(text, sizeof(text), "%016lx", mine);
	CHECK_SAYS(text);
	segment_patch(&w, 0, &header, sizeof(header));
	secret = header.table_off + 64;
	segment_patch(&w, offsetof(struct tiara_segment, table_off), &secret, 8);
	CHECK_IS(tiara_segment_attach(w.path, TIARA_ROLE_READER, &other, &world_error),
		 TIARA_INVALID);
	CHECK_SAYS("damaged");
	segment_patch(&w, 0, &header, sizeof(header));
	CHECK(truncate(w.path, (off_t)header.total_bytes - 4096) == 0);
	CHECK_IS(tiara_segment_attach(w.path, TIARA_ROLE_READER, &other, &world_error),
		 TIARA_INVALID);
	segment_patch(&w, 0, "NOTTIARA", 8);
	CHECK_IS(tiara_segment_attach(w.path, TIARA_ROLE_READER, &other, &world_error),
		 TIARA_INVALID);
	CHECK_SAYS("not a Tiara segment");
	unlink(w.path);
	CHECK_IS(tiara_segment_attach(w.path, TIARA_ROLE_READER, &other, &world_error),
		 TIARA_NOT_FOUND);
	CHECK_SAYS("tiara-dataplane");
	world_end(&w);
}

/* Nobody but the control plane's handle may change or collect. */
static void
test_only_control_changes(void)
{
	struct tiara_collect_info info;
	struct tiara_handle *reader;
	struct tiara_change *change;
	struct world w;

	world_make(&w);
	CHECK_OK(tiara_segment_attach(w.path, TIARA_ROLE_READER, &reader, &world_error));
	CHECK_IS(tiara_change_begin(reader, &change, &world_error), TIARA_INVALID);
	CHECK_IS(tiara_generation_collect(reader, &info, &world_error), TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "role"));
	tiara_segment_detach(reader);
	world_end(&w);
}

/* The permissions of the mapping that begins at `base`, as /proc has them: "rw-s". */
static void
segment_permissions(const void *base, char permissions[5])
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from = 0;

	CHECK(maps);
	while (from != (uintptr_t)base)
		CHECK(fscanf(maps, "%lx-%*x %4s%*[^\n]", &from, permissions) == 2);
	fclose(maps);
}

/* A reader cannot write what it reads, but where a 16-byte load needs to be able to. */
static void
test_reader_maps_read_only(void)
{
	struct tiara_handle *reader;
	char permissions[5];
	struct world w;

	world_make(&w);
	CHECK_OK(tiara_segment_attach(w.path, TIARA_ROLE_READER, &reader, &world_error));
	segment_permissions(tiara_handle_map(reader)->base, permissions);
	CHECK(!strcmp(permissions, WORD_LOAD_WRITES ? "rw-s" : "r--s"));
	tiara_segment_detach(reader);
	world_end(&w);
}

/* Names that are no names are refused; a path is taken as it is. */
static void
test_open_or_create(void)
{
	struct tiara_handle *handle;
	char path[256];
	bool created;
	struct world w;

	CHECK_IS(tiara_segment_locate("no spaces", path, sizeof(path), &world_error),
		 TIARA_INVALID);
	CHECK_IS(tiara_segment_locate("", path, sizeof(path), &world_error), TIARA_INVALID);
	CHECK_OK(tiara_segment_locate("unit-test-none", path, sizeof(path), &world_error));
	CHECK(strstr(path, "/tiara-unit-test-none.segment"));
	world_directory_make(&w);
	for (int i = 0; i < 2; i++) {
		CHECK_OK(tiara_segment_open_or_create(w.path, &world_config, TIARA_ROLE_DATAPLANE,
						      &handle, &created, path, sizeof(path),
						      &world_error));
		CHECK(created == (i == 0));
		CHECK(!strcmp(path, w.path));
		tiara_segment_detach(handle);
	}
	world_end(&w);
}

/* ---- in a mount namespace of its own ---- */

/* The host's own huge page mounts are not this test's. */
static void
segment_leave_huge_pages(void)
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	struct mntent *m;

	CHECK(mounts);
	while ((m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "hugetlbfs"))
			CHECK(umount2(m->mnt_dir, MNT_DETACH) == 0);
	endmntent(mounts);
}

static bool
segment_namespace(void)
{
	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return false;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return false;
	segment_leave_huge_pages();
	return true;
}

static void
segment_in_namespace(const char *what, void (*test)(const struct world *w))
{
	struct world w;
	pid_t child;

	world_directory_make(&w);
	child = fork();
	if (child == 0) {
		if (!segment_namespace())
			_exit(77);
		test(&w);
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		printf("skipped, no mounts here: %s\n", what);
	else
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(rmdir(w.directory) == 0);
}

static int
segment_files(const char *directory)
{
	DIR *d = opendir(directory);
	int cnt = 0;

	CHECK(d);
	while (readdir(d))
		cnt++;
	closedir(d);
	return cnt - 2; /* . and .. */
}

/* A full file system is told at creation, with both numbers, and nothing is left. */
static void
segment_no_space(const struct world *w)
{
	if (mount("tmpfs", w->directory, "tmpfs", 0, "size=1m"))
		_exit(77);
	CHECK_IS(tiara_segment_create(w->path, &world_config, &world_error), TIARA_NO_SPACE);
	CHECK_SAYS("room for 1048576");
	CHECK_SAYS("no file was made");
	CHECK(segment_files(w->directory) == 0);
	CHECK(umount(w->directory) == 0);
}

/* Too few huge pages: the segment goes to /dev/shm; an existing one is found there again. */
static void
segment_falls_back(const struct world *w)
{
	struct tiara_segment_config config = world_config;
	struct tiara_handle *handle;
	char path[256];
	bool created;

	config.heap_bytes = 32 << 20;
	if (mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=64m") || mkdir(w->directory, 0700) ||
	    mount("hugetlbfs", w->directory, "hugetlbfs", 0, "pagesize=2M,size=16M"))
		_exit(77);
	CHECK_OK(tiara_segment_locate("t", path, sizeof(path), &world_error));
	CHECK(!strcmp(path, w->path));
	CHECK_OK(tiara_segment_open_or_create("t", &config, TIARA_ROLE_DATAPLANE, &handle, &created,
					      path, sizeof(path), &world_error));
	CHECK(created && !strcmp(path, "/dev/shm/tiara-t.segment"));
	CHECK(world_describe(handle).page_bytes == 4096);
	tiara_segment_detach(handle);
	CHECK_OK(tiara_segment_locate("t", path, sizeof(path), &world_error));
	CHECK(!strcmp(path, "/dev/shm/tiara-t.segment"));
	CHECK(segment_files(w->directory) == 0);
}

/* An emulated program (qemu-user) has them on its machine but cannot map them. */
static bool
segment_maps_huge(const struct world *w)
{
	char path[300];
	void *base;
	int fd;

	snprintf(path, sizeof(path), "%s/probe", w->directory);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	base = mmap(NULL, 2097152, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base != MAP_FAILED)
		munmap(base, 2097152);
	close(fd);
	unlink(path);
	return base != MAP_FAILED;
}

/* Where there are huge pages, the segment is on them, and says so. */
static void
segment_huge(const struct world *w)
{
	struct tiara_handle *handle, *again;
	char path[256];
	bool created;

	if (mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1g") || mkdir(w->directory, 0700) ||
	    mount("hugetlbfs", w->directory, "hugetlbfs", 0, "pagesize=2M") ||
	    !segment_maps_huge(w))
		_exit(77);
	CHECK_OK(tiara_segment_open_or_create("t", &world_config, TIARA_ROLE_DATAPLANE, &handle,
					      &created, path, sizeof(path), &world_error));
	if (strcmp(path, w->path))
		_exit(77); /* no free huge page */
	CHECK(world_describe(handle).page_bytes == 2097152);
	CHECK(tiara_handle_map(handle)->segment->table_off % 2097152 == 0);
	tiara_handle_map(handle)->bucket[3].entry[0].client_addr = 7;
	tiara_segment_detach(handle);
	CHECK_OK(tiara_segment_attach(path, TIARA_ROLE_READER, &again, &world_error));
	CHECK(tiara_handle_map(again)->bucket[3].entry[0].client_addr == 7);
	CHECK(unlink(path) == 0);
}

int
main(void)
{
	test_create_and_describe();
	test_config_bounds();
	test_create_never_overwrites();
	test_role_is_exclusive();
	test_kill_frees_the_role();
	test_dataplane_start_keeps_the_rest();
	test_refused_files();
	test_only_control_changes();
	test_reader_maps_read_only();
	test_open_or_create();
	segment_in_namespace("no space", segment_no_space);
	segment_in_namespace("fall back to /dev/shm", segment_falls_back);
	segment_in_namespace("huge pages", segment_huge);
	return 0;
}
