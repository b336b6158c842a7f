/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of the creator of a segment, and of a control plane before and after each step of a change:
 * whoever comes next finds all of it or none of it, and can go on.
 */
#include "control_world.h"

#include "control_step.h"

static int kill_at = -1; /* the step to die at; -1: none */
static int kill_steps;

void
control_test_step(const char *name)
{
	(void)name;
	if (kill_steps++ == kill_at)
		kill(getpid(), SIGKILL);
}

static bool
kill_child_died(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

/* ---- creation ---- */

static void
test_kill_in_creation(void)
{
	struct tiara_handle *handle;
	int died = 0;
	bool dies = true;
	struct world w;

	for (int at = 0; dies; at++) {
		bool created;
		pid_t child;

		world_directory_make(&w);
		child = fork();
		if (child == 0) {
			kill_steps = 0;
			kill_at = at;
			CHECK_OK(tiara_segment_create(w.path, &world_config, &world_error));
			_exit(0);
		}
		dies = kill_child_died(child);
		died += dies;
		CHECK_OK(tiara_segment_open_or_create(w.path, &world_config, TIARA_ROLE_DATAPLANE,
						      &handle, &created, NULL, 0, &world_error));
		/* The name appears in the last step. */
		CHECK(created == (dies && at < 3));
		tiara_segment_detach(handle);
		world_end(&w);
	}
	CHECK(died == 4);
}

/* ---- a change ---- */

/* b1 and s0 go, b2 and s1 come, b0 is down: every kind of block differs. */
static struct tiara_change *
kill_prepare(struct world *w)
{
	struct tiara_backend_spec b0 = world_backend(0, 0), b1 = world_backend(1, 0);
	struct tiara_backend_spec b2 = world_backend(2, 0);
	struct tiara_service_spec s0 = world_service(0, 0), s1 = world_service(1, 0);
	struct tiara_change *change = world_begin(w);
	uint32_t idx[2];

	b0.record.use = TIARA_USE_DOWN;
	idx[0] = world_put_backend(change, &b0);
	idx[1] = world_put_backend(change, &b2);
	world_remove_backend(change, &b1);
	world_remove_service(change, &s0);
	world_put_service(change, &s1, idx, 2);
	return change;
}

/* Everything that generation holds, as one number. */
static uint64_t
kill_digest(const struct world *w, uint64_t generation)
{
	const struct tiara_map *map = tiara_handle_map(w->control);
	struct tiara_view view = tiara_view_of(map, generation);
	const struct {
		const void *from;
		uint64_t bytes;
	} part[] = {
		{view.root, sizeof(*view.root)},
		{view.service, view.service_cnt * sizeof(*view.service)},
		{view.backend, view.backend_cnt * sizeof(*view.backend)},
		{view.frontend, (view.frontend_mask + 1) * sizeof(*view.frontend)},
		{view.base + view.service[0].select_off, 404},
	};
	uint64_t digest = 0;

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		for (uint64_t k = 0; k < part[i].bytes; k++)
			digest = digest * 31 + ((const uint8_t *)part[i].from)[k];
	return digest;
}

static void
kill_check_old(struct world *w)
{
	struct tiara_service_spec s;
	struct tiara_backend_spec b;

	CHECK_OK(tiara_service_read(w->control, 0, &s, &world_error));
	CHECK(!strcmp(s.service, "s0") && s.record.use == TIARA_USE_ACTIVE);
	CHECK_OK(tiara_backend_read(w->control, 0, &b, &world_error));
	CHECK(b.record.use == TIARA_USE_ACTIVE);
	CHECK_IS(tiara_backend_read(w->control, 2, &b, &world_error), TIARA_NOT_FOUND);
}

static void
kill_check_new(struct world *w)
{
	struct tiara_service_spec s;
	struct tiara_backend_spec b;

	CHECK_OK(tiara_service_read(w->control, 0, &s, &world_error));
	CHECK(s.record.use == TIARA_USE_FREE);
	CHECK_OK(tiara_service_read(w->control, 1, &s, &world_error));
	CHECK(!strcmp(s.service, "s1") && s.table_cnt == 101);
	CHECK_OK(tiara_backend_read(w->control, 0, &b, &world_error));
	CHECK(b.record.use == TIARA_USE_DOWN);
	CHECK_OK(tiara_backend_read(w->control, 1, &b, &world_error));
	CHECK(b.record.use == TIARA_USE_FREE);
}

/* The successor, in its own process as in life. Whatever the state, the same change leads to new. */
static void
kill_adopt(const char *path, bool published, uint64_t digest)
{
	struct tiara_change *change;
	uint64_t generation;
	struct world w = {.dataplane = NULL};

	snprintf(w.path, sizeof(w.path), "%s", path);
	world_adopt(&w);
	CHECK(world_describe(w.control).generation == (published ? 2 : 1));
	if (!published) {
		CHECK(kill_digest(&w, 1) == digest);
		kill_check_old(&w);
		change = kill_prepare(&w);
		CHECK_OK(tiara_change_commit(change, 7, &generation, &world_error));
		CHECK(generation == 2);
	}
	kill_check_new(&w);
	CHECK(world_collect(&w).quarantined_backends == 1);
	CHECK(world_collect(&w).quarantined_services == 1);
	tiara_segment_detach(w.control);
}

static void
kill_change(const char *path, int at)
{
	struct world w = {.dataplane = NULL};

	snprintf(w.path, sizeof(w.path), "%s", path);
	CHECK_OK(tiara_segment_attach(path, TIARA_ROLE_CONTROLPLANE, &w.control, &world_error));
	kill_steps = 0;
	kill_at = at;
	world_commit(kill_prepare(&w));
}

/* Runs fn in a child; true: it was killed. */
static bool
kill_in_child(const char *path, int at)
{
	pid_t child = fork();

	if (child == 0) {
		kill_change(path, at);
		_exit(0);
	}
	return kill_child_died(child);
}

/* The number of steps up to and with "published". */
static int
kill_count_steps(void)
{
	int steps;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	kill_steps = 0;
	world_commit(kill_prepare(&w));
	steps = kill_steps;
	world_end(&w);
	return steps;
}

static void
test_kill_in_change(void)
{
	int steps = kill_count_steps();
	struct world w;

	CHECK(steps >= 9); /* 5 blocks, a table, blocks, root, root, publication */
	for (int at = 0; at <= steps; at++) {
		uint64_t digest;
		pid_t child;

		world_make(&w);
		world_first_generation(&w);
		digest = kill_digest(&w, 1);
		tiara_segment_detach(w.control);
		w.control = NULL;
		CHECK(kill_in_child(w.path, at) == (at < steps));
		child = fork();
		if (child == 0) {
			kill_adopt(w.path, at >= steps - 1, digest);
			_exit(0);
		}
		CHECK(world_child_passed(child));
		world_end(&w);
	}
}

/* A worker that reads the old generation all the while never sees its blocks change. */
static void
test_old_generation_is_untouched(void)
{
	int steps = kill_count_steps();
	uint64_t digest;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	world_dataplane_start(&w);
	world_worker_enter(&w, 0);
	digest = kill_digest(&w, 1);
	tiara_segment_detach(w.control);
	for (int at = 0; at < steps; at++) {
		CHECK(kill_in_child(w.path, at));
		w.control = w.dataplane;
		CHECK(kill_digest(&w, 1) == digest);
		w.control = NULL;
		if (at == steps - 1)
			break;
		CHECK(tiara_handle_map(w.dataplane)->segment->generation == 1);
	}
	CHECK(tiara_handle_map(w.dataplane)->segment->generation == 2);
	world_end(&w);
}

int
main(void)
{
	test_kill_in_creation();
	test_kill_in_change();
	test_old_generation_is_untouched();
	return 0;
}
