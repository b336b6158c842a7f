/* SPDX-License-Identifier: Apache-2.0 */
/* tiara-dataplane: start, the main lcore's turns, end. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_eal.h>

#include "app/arguments.h"
#include "app/crew.h"
#include "app/eal.h"
#include "app/guard.h"
#include "app/privilege.h"
#include "app/room.h"
#include "control/handle.h"
#include "port/card_sim.h"
#include "port/dpdk.h"
#include "port/exception.h"
#include "port/interface.h"
#include "port/resolver.h"
#include "table/epoch.h"
#include "tiara/tiara.h"

enum {
	MAIN_EXIT_FAILED = 1,
	MAIN_EXIT_ARGUMENT = 2,
	MAIN_SLEEP_BUSY_NS = 100000,
	MAIN_SLEEP_IDLE_NS = 1000000,
	MAIN_BUSY_NS = 50000000,    /* how long after a frame it counts as busy */
	MAIN_DYING_NS = 1000000000, /* how long a killed predecessor may take to let go */
	MAIN_DYING_LOOK_NS = 5000000,
};

/* Everything the program holds, in the order in which it is made. */
struct dataplane {
	struct tiara_arguments arguments;
	uint64_t start_ns;
	struct tiara_handle *handle;
	const struct tiara_map *map;
	struct tiara_interface interface;
	struct tiara_dpdk port;
	struct tiara_exception exception;
	struct tiara_resolver *resolver;
	struct tiara_card_sim *card_sim; /* NULL: no card */
	struct tiara_card card;
	struct tiara_crew *crew;
};

static volatile sig_atomic_t main_stopping;
static volatile sig_atomic_t main_card_power_cycles;

static void
main_stop(int signal_number)
{
	(void)signal_number;
	main_stopping = 1;
}

static void
main_power_cycle_card(int signal_number)
{
	(void)signal_number;
	main_card_power_cycles = 1;
}

static uint64_t
main_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/*
 * After a kill -9 the kernel needs a moment to take back what the process held. True: that moment is
 * not over, look again.
 */
static bool
main_wait_for_dying(enum tiara_status status, uint64_t *until_ns)
{
	struct timespec look = {.tv_nsec = MAIN_DYING_LOOK_NS};

	if (status != TIARA_BUSY || main_stopping)
		return false;
	if (*until_ns == 0)
		*until_ns = main_now_ns() + MAIN_DYING_NS;
	nanosleep(&look, NULL);
	return main_now_ns() < *until_ns;
}

static enum tiara_status
main_segment_open(struct dataplane *d, struct tiara_error *error)
{
	uint64_t until_ns = 0;
	enum tiara_status status;

	do
		status = tiara_room_open_ctl(&d->arguments, &d->handle, error);
	while (main_wait_for_dying(status, &until_ns));
	if (status == TIARA_OK)
		d->map = tiara_handle_map(d->handle);
	return status;
}

/* ---- the port ---- */

static enum tiara_status
main_interface_take(const struct dataplane *d, struct tiara_error *error)
{
	const struct tiara_arguments *a = &d->arguments;
	enum tiara_status status = TIARA_OK;

	if (a->io != TIARA_IO_EAL)
		status = tiara_interface_take(a->interface, error);
	return status == TIARA_OK ? TIARA_OK : tiara_guard_fail(a, error->message, error);
}

static enum tiara_status
main_port_open(struct dataplane *d, struct tiara_error *error)
{
	const struct tiara_arguments *a = &d->arguments;
	struct tiara_dpdk_config config = tiara_eal_frames(a, d->interface.mtu_bytes);
	enum tiara_status status = tiara_eal_start_ctl(a, &config, error);

	if (status == TIARA_OK)
		status = tiara_dpdk_open_ctl(&d->port, &config, error);
	if (status == TIARA_NOT_FOUND && a->io != TIARA_IO_EAL)
		return tiara_guard_fail(a, "DPDK did not open it; its lines above say why", error);
	return status;
}

static const char *
main_mac_text(const uint8_t mac[6], char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
	return text;
}

static void
main_port_print(const struct dataplane *d)
{
	const struct tiara_node *node = &d->map->segment->node;
	char mac[18];

	printf("port     %s, MAC %s, MTU %u, %u worker%s, idle: %s\n", node->port_name,
	       main_mac_text(node->port_mac, mac), node->mtu_bytes, node->worker_cnt,
	       node->worker_cnt == 1 ? "" : "s",
	       d->arguments.idle == TIARA_IDLE_SLEEP ? "sleep" : "poll");
}

/* What the packet path and the control plane read of this node. Before any worker. */
static void
main_node_fill(struct dataplane *d)
{
	const struct tiara_arguments *a = &d->arguments;
	struct tiara_node *node = &d->map->segment->node;

	node->address = a->address;
	node->netmask = a->netmask;
	node->gateway = a->gateway;
	node->mtu_bytes = d->port.mtu_bytes;
	memcpy(node->port_mac, d->port.mac, sizeof(node->port_mac));
	memcpy(node->kernel_mac, d->port.mac, sizeof(node->kernel_mac));
	node->kernel_mac[0] ^= 0x02; /* the locally administered bit */
	node->worker_cnt = a->worker_cnt;
	node->tsc_hz = rte_get_tsc_hz();
	node->start_ns = d->start_ns;
	node->first_forward_ns = 0;
	snprintf(node->version, sizeof(node->version), "%s", TIARA_VERSION);
	snprintf(node->port_name, sizeof(node->port_name), "%s%s%s", d->port.driver,
		 a->interface[0] ? " " : "", a->interface);
	tiara_tick_start_ctl(d->map, rte_rdtsc(), node->tsc_hz);
}

/* ---- the kernel ---- */

static void
main_kernel_print(const struct tiara_arguments *a)
{
	char addr[INET_ADDRSTRLEN] = "";

	inet_ntop(AF_INET, &a->address, addr, sizeof(addr));
	if (a->address)
		printf("kernel   %s, %s/%u\n", a->kernel_interface, addr, a->prefix_bits);
	else
		printf("kernel   %s, no address\n", a->kernel_interface);
}

static enum tiara_status
main_kernel_open(struct dataplane *d, struct tiara_error *error)
{
	const struct tiara_arguments *a = &d->arguments;
	const struct tiara_node *node = &d->map->segment->node;
	struct tiara_exception_config config = {
		.interface = a->kernel_interface,
		.mtu_bytes = node->mtu_bytes,
		.address = a->address,
		.netmask = a->netmask,
		.gateway = a->gateway,
	};
	enum tiara_status status;
	uint64_t until_ns = 0;

	if (!a->kernel)
		return TIARA_OK;
	memcpy(config.mac, node->kernel_mac, sizeof(config.mac));
	do
		status = tiara_exception_open_ctl(&d->exception, &config, &d->port, error);
	while (main_wait_for_dying(status, &until_ns));
	if (status == TIARA_OK)
		main_kernel_print(a);
	return status;
}

/* ---- the card ---- */

static enum tiara_status
main_card_open(struct dataplane *d, struct tiara_error *error)
{
	struct sigaction cycle = {.sa_handler = main_power_cycle_card};
	const struct tiara_arguments *a = &d->arguments;
	enum tiara_status status;

	d->card = tiara_card_none;
	if (!a->card_library)
		return TIARA_OK;
	status = tiara_card_sim_open_ctl(a->card_library, d->map->segment, a->worker_cnt,
					 &d->card_sim, error);
	if (status != TIARA_OK)
		return status;
	d->card = tiara_card_sim_ops(d->card_sim);
	sigaction(SIGUSR1, &cycle, NULL);
	printf("card     %s, room for %u connections, %u backends\n", d->card.name,
	       d->card.caps.bucket_cnt * TIARA_BUCKET_ENTRIES, d->card.caps.backend_lines);
	return TIARA_OK;
}

static void
main_card_turn(const struct dataplane *d)
{
	if (!main_card_power_cycles)
		return;
	main_card_power_cycles = 0;
	tiara_card_sim_power_cycle_ctl(d->card_sim);
}

/* ---- the main lcore's turns ---- */

/* Until the kernel has a frame for us, or the time is over: frames of workers only show by looking. */
static void
main_sleep(const struct dataplane *d, long sleep_ns)
{
	struct pollfd wait = {.fd = d->exception.fd, .events = POLLIN};
	struct timespec time = {.tv_nsec = sleep_ns};

	ppoll(&wait, 1, &time, NULL);
}

static void
main_serve(struct dataplane *d)
{
	uint64_t resolver_ns = 0, busy_ns = 0;

	while (!main_stopping) {
		uint64_t now_ns = main_now_ns();

		if (d->exception.fd >= 0 && tiara_exception_turn_ctl(&d->exception))
			busy_ns = now_ns + MAIN_BUSY_NS;
		if (now_ns >= resolver_ns) {
			tiara_resolver_turn_ctl(d->resolver, now_ns);
			resolver_ns = now_ns + TIARA_RESOLVER_INTERVAL_NS;
		}
		main_card_turn(d);
		main_sleep(d, now_ns < busy_ns ? MAIN_SLEEP_BUSY_NS : MAIN_SLEEP_IDLE_NS);
	}
}

/* ---- start and end ---- */

static void
main_signals(void)
{
	struct sigaction stop = {.sa_handler = main_stop};

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* else the kernel adds 50 us to each sleep */
	prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
}

static enum tiara_status
main_start(struct dataplane *d, struct tiara_error *error)
{
	enum tiara_status status = tiara_guard_ctl(&d->arguments, &d->interface, error);

	/* nothing is touched before the segment is ours: it may be another data plane's interface */
	if (status == TIARA_OK)
		status = main_segment_open(d, error);
	if (status == TIARA_OK)
		status = main_interface_take(d, error);
	if (status == TIARA_OK)
		status = main_port_open(d, error);
	if (status != TIARA_OK)
		return status;
	main_node_fill(d);
	main_port_print(d);
	status = main_kernel_open(d, error);
	if (status == TIARA_OK)
		status = tiara_resolver_start_ctl(d->map, d->map->segment->worker_max - 1, &d->port,
						  &d->resolver, error);
	if (status == TIARA_OK)
		status = main_card_open(d, error);
	if (status == TIARA_OK)
		status = tiara_crew_start_ctl(&d->arguments, d->map, &d->port, &d->card, &d->crew,
					      error);
	if (status == TIARA_OK)
		status = tiara_privilege_drop_ctl(&d->arguments, error);
	if (status == TIARA_OK)
		printf("ready    after %" PRIu64 " ms\n", (main_now_ns() - d->start_ns) / 1000000);
	return status;
}

/* Workers first: they use all of it. */
static void
main_end(struct dataplane *d)
{
	tiara_crew_stop_ctl(d->crew);
	tiara_card_sim_close_ctl(d->card_sim);
	tiara_resolver_stop_ctl(d->resolver);
	tiara_exception_close_ctl(&d->exception);
	tiara_dpdk_close_ctl(&d->port);
	tiara_segment_detach(d->handle);
	rte_eal_cleanup();
}

static bool
main_is_argument(enum tiara_status status, const struct tiara_error *error)
{
	bool wrong = status == TIARA_INVALID || status == TIARA_BUSY || status == TIARA_NOT_FOUND;

	return wrong && error->field[0] == '-';
}

static int
main_failed(enum tiara_status status, const struct tiara_error *error)
{
	fprintf(stderr, "tiara-dataplane: %s\n", error->message);
	return main_is_argument(status, error) ? MAIN_EXIT_ARGUMENT : MAIN_EXIT_FAILED;
}

int
main(int argc, char **argv)
{
	static struct dataplane d = {.exception.fd = -1};
	struct tiara_error error = {0};
	enum tiara_status status;

	d.start_ns = main_now_ns();
	setvbuf(stdout, NULL, _IOLBF, 0);
	status = tiara_arguments_parse(argc, argv, &d.arguments, &error);
	if (status != TIARA_OK) {
		main_failed(status, &error);
		return MAIN_EXIT_ARGUMENT;
	}
	if (d.arguments.run == TIARA_RUN_HELP) {
		tiara_arguments_help();
		return EXIT_SUCCESS;
	}
	if (d.arguments.run == TIARA_RUN_VERSION) {
		printf("tiara-dataplane %s, layout %016" PRIx64 "\n", TIARA_VERSION,
		       tiara_layout_id());
		return EXIT_SUCCESS;
	}
	main_signals();
	tiara_privilege_seal_ctl();
	status = main_start(&d, &error);
	if (status != TIARA_OK)
		return main_failed(status, &error); /* the kernel takes the rest back */
	main_serve(&d);
	main_end(&d);
	return EXIT_SUCCESS;
}
