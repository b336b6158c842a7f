/* SPDX-License-Identifier: Apache-2.0 */
/* tiara-replay: sends a capture through a DPDK port, for rates that Python does not reach. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>

#include "app/eal.h"
#include "port/dpdk.h"
#include "port/interface.h"
#include "replay/capture.h"
#include "replay/options.h"
#include "replay/sender.h"

enum {
	MAIN_EXIT_FAILED = 1,
	MAIN_EXIT_ARGUMENT = 2,
	MAIN_LINK_HEADER_BYTES = 18, /* with a tag */
};

static volatile sig_atomic_t main_stopping;

static void
main_stop(int signal_number)
{
	(void)signal_number;
	main_stopping = 1;
}

static void
main_signals(void)
{
	struct sigaction stop = {.sa_handler = main_stop};

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
}

/* af_packet leaves the interface as it is; af_xdp takes all that it receives. */
static enum tiara_status
main_interface_check(const struct tiara_arguments *a, struct tiara_error *error)
{
	if (a->take_interface)
		return TIARA_OK;
	if (a->io == TIARA_IO_AF_XDP)
		return tiara_interface_check_unused(a->interface, error);
	if (!tiara_interface_default_route(a->interface))
		return TIARA_OK;
	snprintf(error->message, sizeof(error->message),
		 "%s carries the default route, and the frames would leave by it; give another "
		 "interface, or --take-interface",
		 a->interface);
	return error->status = TIARA_INVALID;
}

static enum tiara_status
main_port_open(const struct tiara_arguments *a, struct tiara_dpdk *port, struct tiara_error *error)
{
	struct tiara_interface interface = {0};
	struct tiara_dpdk_config config;
	enum tiara_status status = TIARA_OK;

	if (a->io != TIARA_IO_EAL) {
		status = tiara_interface_read(a->interface, &interface, error);
		if (status == TIARA_OK)
			status = main_interface_check(a, error);
	}
	if (status != TIARA_OK)
		return status;
	config = tiara_eal_frames(a, interface.mtu_bytes);
	config.kernel = false;
	status = tiara_eal_start_ctl(a, &config, error);
	return status == TIARA_OK ? tiara_dpdk_open_ctl(port, &config, error) : status;
}

static enum tiara_status
main_capture_check(const struct tiara_capture *capture, const struct tiara_dpdk *port,
		   struct tiara_error *error)
{
	uint32_t most_bytes = port->mtu_bytes + MAIN_LINK_HEADER_BYTES;

	if (capture->longest_bytes <= most_bytes)
		return TIARA_OK;
	snprintf(error->message, sizeof(error->message),
		 "the longest frame has %u bytes and the port carries %u; raise its MTU, or write "
		 "shorter ones. Nothing was sent",
		 capture->longest_bytes, most_bytes);
	return error->status = TIARA_INVALID;
}

static void
main_rewrite(const struct tiara_capture *capture, const struct tiara_replay_options *options)
{
	for (uint32_t i = 0; options->rewrite && i < capture->cnt; i++)
		memcpy(capture->frame[i].data, options->to, sizeof(options->to));
}

static struct tiara_sender_config
main_bounds(const struct tiara_replay_options *options, const struct tiara_capture *capture)
{
	uint64_t without = options->duration_given ? UINT64_MAX : capture->cnt;

	return (struct tiara_sender_config){
		.rate = options->rate,
		.count = options->count ? options->count : without,
		.duration_ns = options->duration_ns,
	};
}

static void
main_print(const struct tiara_sender_result *r, bool json)
{
	double seconds = r->took_ns ? (double)r->took_ns / 1e9 : 1e-9;

	printf(json ? "{\"sent\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"dropped\": %" PRIu64
		      ", \"refused\": %" PRIu64 ", \"received\": %" PRIu64
		      ", \"seconds\": %.6f, \"rate\": %.0f}\n"
		    : "sent %" PRIu64 " frames, %" PRIu64 " bytes; dropped %" PRIu64
		      ", refused %" PRIu64 " times; received %" PRIu64 "; %.3f s, %.0f frames/s\n",
	       r->sent, r->bytes, r->dropped, r->refused, r->received, seconds,
	       (double)r->sent / seconds);
}

static int
main_failed(const struct tiara_error *error, int code)
{
	fprintf(stderr, "tiara-replay: %s\n", error->message);
	return code;
}

static int
main_send(const struct tiara_replay_options *options, struct tiara_capture *capture,
	  struct tiara_dpdk *port)
{
	struct tiara_sender_config bounds = main_bounds(options, capture);
	struct tiara_sender_result result;

	main_rewrite(capture, options);
	result = tiara_sender_run(port, capture, &bounds, &main_stopping);
	main_print(&result, options->json);
	return result.dropped ? MAIN_EXIT_FAILED : EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	static struct tiara_dpdk port;
	struct tiara_replay_options options;
	struct tiara_capture capture;
	struct tiara_error error = {0};
	int code;

	if (tiara_replay_options_parse(argc, argv, &options, &error) != TIARA_OK)
		return main_failed(&error, MAIN_EXIT_ARGUMENT);
	if (options.port.run == TIARA_RUN_HELP) {
		tiara_replay_options_help();
		return EXIT_SUCCESS;
	}
	if (options.port.run == TIARA_RUN_VERSION) {
		printf("tiara-replay %s\n", TIARA_VERSION);
		return EXIT_SUCCESS;
	}
	if (tiara_capture_read(options.path, &capture, &error) != TIARA_OK)
		return main_failed(&error, MAIN_EXIT_ARGUMENT);
	main_signals();
	if (main_port_open(&options.port, &port, &error) != TIARA_OK)
		return main_failed(&error, MAIN_EXIT_ARGUMENT);
	if (main_capture_check(&capture, &port, &error) == TIARA_OK)
		code = main_send(&options, &capture, &port);
	else
		code = main_failed(&error, MAIN_EXIT_ARGUMENT);
	tiara_dpdk_close_ctl(&port);
	rte_eal_cleanup();
	tiara_capture_free(&capture);
	return code;
}
