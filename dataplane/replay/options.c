/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPTIONS_PORT_WORDS = 64,
	OPTIONS_DURATION_S = 10,
	OPTIONS_DURATION_S_MAX = 86400,
	OPTIONS_RATE_MAX = 1000000000,
};

static const struct option options_known[] = {
	{"io", required_argument, NULL, 'i'},    {"rate", required_argument, NULL, 'r'},
	{"count", required_argument, NULL, 'c'}, {"duration", required_argument, NULL, 'd'},
	{"to", required_argument, NULL, 't'},    {"take-interface", no_argument, NULL, 'k'},
	{"json", no_argument, NULL, 'j'},        {"version", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
};

/* What the data plane's parser is given. */
struct options_port {
	char *argv[OPTIONS_PORT_WORDS + 1];
	int argc;
	char instance[64];
};

static enum tiara_status __attribute__((format(printf, 2, 3)))
options_wrong(struct tiara_error *error, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(error->message, sizeof(error->message), format, list);
	va_end(list);
	return error->status = TIARA_INVALID;
}

static enum tiara_status
options_number(const char *option, const char *value, uint64_t max, uint64_t *number,
	       struct tiara_error *error)
{
	char *end;

	errno = 0;
	*number = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno || *number < 1 || *number > max)
		return options_wrong(error,
				     "%s: \"%.40s\" is not a whole number from 1 to %lu; give one",
				     option, value, max);
	return TIARA_OK;
}

/* In seconds: "2", "0.5s". */
static enum tiara_status
options_duration(const char *value, struct tiara_replay_options *options, struct tiara_error *error)
{
	char *end;
	double seconds = strtod(value, &end);

	if (*end == 's')
		end++;
	if (end == value || *end || !(seconds > 0) || seconds > OPTIONS_DURATION_S_MAX)
		return options_wrong(
			error, "--duration: \"%.40s\" is not a time up to %d s; give it as 10s",
			value, OPTIONS_DURATION_S_MAX);
	options->duration_ns = (uint64_t)(seconds * 1e9);
	options->duration_given = true;
	return TIARA_OK;
}

static enum tiara_status
options_mac(const char *value, struct tiara_replay_options *options, struct tiara_error *error)
{
	uint8_t *m = options->to;
	int used = 0;

	if (sscanf(value, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &m[0], &m[1], &m[2], &m[3],
		   &m[4], &m[5], &used) != 6 ||
	    value[used])
		return options_wrong(
			error, "--to: \"%.40s\" is not a MAC address; give it as 02:00:00:00:00:02",
			value);
	options->rewrite = true;
	return TIARA_OK;
}

static void
options_port_word(struct options_port *port, char *word)
{
	if (port->argc < OPTIONS_PORT_WORDS)
		port->argv[port->argc++] = word;
}

static enum tiara_status
options_one(int option, struct tiara_replay_options *options, struct options_port *port,
	    struct tiara_error *error)
{
	switch (option) {
	case 'i':
		options_port_word(port, "--io");
		options_port_word(port, optarg);
		return TIARA_OK;
	case 'k':
		options_port_word(port, "--take-interface");
		return TIARA_OK;
	case 'v':
		options_port_word(port, "--version");
		return TIARA_OK;
	case 'h':
		options_port_word(port, "--help");
		return TIARA_OK;
	case 'r':
		return options_number("--rate", optarg, OPTIONS_RATE_MAX, &options->rate, error);
	case 'c':
		return options_number("--count", optarg, UINT64_MAX, &options->count, error);
	case 'd':
		return options_duration(optarg, options, error);
	case 't':
		return options_mac(optarg, options, error);
	case 'j':
		options->json = true;
		return TIARA_OK;
	default:
		return options_wrong(error,
				     "%.60s: is not known or lacks its value; --help lists "
				     "what there is, and arguments for EAL come after --",
				     option == '?' ? "an argument" : optarg);
	}
}

static int
options_own_words(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--"))
			return i;
	return argc;
}

static enum tiara_status
options_path(int own_cnt, char **argv, struct tiara_replay_options *options,
	     struct tiara_error *error)
{
	if (options->port.run != TIARA_RUN_SERVE)
		return TIARA_OK;
	if (optind != own_cnt - 1)
		return options_wrong(error, "give one pcap file to send, not %d", own_cnt - optind);
	options->path = argv[optind];
	return TIARA_OK;
}

enum tiara_status
tiara_replay_options_parse(int argc, char **argv, struct tiara_replay_options *options,
			   struct tiara_error *error)
{
	/* options->port keeps pointers into it */
	static struct options_port port;
	int own_cnt = options_own_words(argc, argv), option;
	enum tiara_status status = TIARA_OK;

	*options = (struct tiara_replay_options){
		.duration_ns = (uint64_t)OPTIONS_DURATION_S * 1000000000,
	};
	snprintf(port.instance, sizeof(port.instance), "--instance=replay-%d", (int)getpid());
	options_port_word(&port, argv[0]);
	options_port_word(&port, port.instance);
	opterr = 0;
	while (status == TIARA_OK &&
	       (option = getopt_long(own_cnt, argv, "h", options_known, NULL)) != -1)
		status = options_one(option, options, &port, error);
	for (int i = own_cnt; i < argc; i++)
		options_port_word(&port, argv[i]);
	if (status == TIARA_OK)
		status = tiara_arguments_parse(port.argc, port.argv, &options->port, error);
	return status == TIARA_OK ? options_path(own_cnt, argv, options, error) : status;
}

void
tiara_replay_options_help(void)
{
	printf("Usage: tiara-replay FILE.pcap [ARGUMENT]... [-- EAL ARGUMENT...]\n"
	       "Sends the frames of a capture through a DPDK port, over and over.\n\n"
	       "  --io HOW          af_packet:IFACE or af_xdp:IFACE sends by an interface of Linux,\n"
	       "                    eal by the first port that the EAL arguments give [eal]\n"
	       "  --rate N          frames a second [as fast as it goes]\n"
	       "  --count N         end after so many frames [each once, or until --duration]\n"
	       "  --duration TIME   end after this many seconds at the latest [%ds]\n"
	       "  --to MAC          send all of them there [as in the file]\n"
	       "  --take-interface  use IFACE even if it carries the default route\n"
	       "  --json            print one JSON object\n"
	       "  --version         print the version and end\n"
	       "  --help            print this and end\n\n"
	       "Example: tiara-replay sent.pcap --io af_packet:eth0 --rate 100000 --duration 5s\n"
	       "Ends with 0 when all was sent, 2 for a wrong argument, 1 for any other failure.\n",
	       OPTIONS_DURATION_S);
}
