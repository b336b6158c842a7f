/* SPDX-License-Identifier: Apache-2.0 */
#include "app/arguments.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a value goes, and whom to name when it is wrong. */
struct parse {
	struct tiara_arguments *to;
	struct tiara_error *error;
	const char *option; /* with its dashes */
};

struct option {
	const char *name;
	const char *value; /* its name in the help; NULL: takes none */
	enum tiara_status (*parse)(const struct parse *p, const char *value);
	const char *help;
};

static enum tiara_status __attribute__((format(printf, 2, 3)))
arguments_wrong(const struct parse *p, const char *format, ...)
{
	char text[380];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	p->error->status = TIARA_INVALID;
	snprintf(p->error->field, sizeof(p->error->field), "%s", p->option);
	snprintf(p->error->message, sizeof(p->error->message), "%.63s: %s", p->option, text);
	return TIARA_INVALID;
}

static enum tiara_status
arguments_number(const struct parse *p, const char *value, uint64_t min, uint64_t max,
		 uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno || *number < min || *number > max)
		return arguments_wrong(p,
				       "\"%.40s\" is not a whole number from %lu to %lu; give one",
				       value, min, max);
	return TIARA_OK;
}

static enum tiara_status
arguments_u32(const struct parse *p, const char *value, uint32_t min, uint32_t max,
	      uint32_t *number)
{
	uint64_t wide;
	enum tiara_status status = arguments_number(p, value, min, max, &wide);

	if (status == TIARA_OK)
		*number = (uint32_t)wide;
	return status;
}

static enum tiara_status
arguments_interface(const struct parse *p, const char *name, char to[IFNAMSIZ])
{
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ || strpbrk(name, "/ ,=%\t") || name[0] == '.')
		return arguments_wrong(
			p,
			"\"%.40s\" cannot name an interface; give 1 to 15 characters without "
			"blank, slash, comma, percent or equals sign",
			name);
	memcpy(to, name, len + 1);
	return TIARA_OK;
}

static enum tiara_status
parse_instance(const struct parse *p, const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len > 32 || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		return arguments_wrong(p,
				       "\"%.40s\" cannot name an instance; give 1 to 32 of the "
				       "characters a-z, 0-9 and -",
				       value);
	p->to->instance = value;
	return TIARA_OK;
}

static enum tiara_status
parse_io(const struct parse *p, const char *value)
{
	static const struct {
		const char *prefix;
		enum tiara_io io;
	} kinds[] = {{"af_packet:", TIARA_IO_AF_PACKET}, {"af_xdp:", TIARA_IO_AF_XDP}};

	if (!strcmp(value, "eal")) {
		p->to->io = TIARA_IO_EAL;
		p->to->interface[0] = '\0';
		return TIARA_OK;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(value, kinds[i].prefix, len))
			continue;
		p->to->io = kinds[i].io;
		return arguments_interface(p, value + len, p->to->interface);
	}
	return arguments_wrong(p,
			       "\"%.40s\" is no way to receive packets; give af_packet:IFACE, "
			       "af_xdp:IFACE or eal",
			       value);
}

static enum tiara_status
parse_take_interface(const struct parse *p, const char *value)
{
	(void)value;
	p->to->take_interface = true;
	return TIARA_OK;
}

static bool
arguments_is_host(tiara_be32 addr)
{
	uint32_t a = ntohl(addr);

	return a >> 24 != 0 && a >> 24 != 127 && a >> 28 < 14;
}

static enum tiara_status
parse_address(const struct parse *p, const char *value)
{
	char text[INET_ADDRSTRLEN] = "";
	const char *slash = strchr(value, '/');
	struct in_addr addr;
	char *end;
	long bits;

	if (slash && (size_t)(slash - value) < sizeof(text))
		memcpy(text, value, (size_t)(slash - value));
	bits = slash ? strtol(slash + 1, &end, 10) : -1;
	if (inet_pton(AF_INET, text, &addr) != 1 || slash[1] < '0' || slash[1] > '9' || *end ||
	    bits < 1 || bits > 31)
		return arguments_wrong(p,
				       "\"%.40s\" is not an IPv4 address with its prefix; give it "
				       "as 198.18.0.2/24",
				       value);
	if (!arguments_is_host(addr.s_addr))
		return arguments_wrong(p, "%.40s cannot be a host's address; give an unicast one",
				       value);
	p->to->address = addr.s_addr;
	p->to->prefix_bits = (uint8_t)bits;
	p->to->netmask = htonl(UINT32_MAX << (32 - bits));
	return TIARA_OK;
}

static enum tiara_status
parse_gateway(const struct parse *p, const char *value)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, value, &addr) != 1 || !arguments_is_host(addr.s_addr))
		return arguments_wrong(
			p, "\"%.40s\" is not a host's IPv4 address; give it as 198.18.0.1", value);
	p->to->gateway = addr.s_addr;
	return TIARA_OK;
}

static enum tiara_status
parse_workers(const struct parse *p, const char *value)
{
	/* the last slot of the segment is the resolver's */
	return arguments_u32(p, value, 1, TIARA_WORKER_MAX - 1, &p->to->worker_cnt);
}

static enum tiara_status
parse_lcores(const struct parse *p, const char *value)
{
	if (!value[0])
		return arguments_wrong(p,
				       "is empty; give it as EAL's --lcores, for example 0@0,1@1");
	p->to->lcores = value;
	return TIARA_OK;
}

static enum tiara_status
parse_card(const struct parse *p, const char *value)
{
	if (!strcmp(value, "none"))
		p->to->card_library = NULL;
	else if (!strcmp(value, "sim"))
		p->to->card_library = "";
	else if (!strncmp(value, "sim:", 4) && value[4])
		p->to->card_library = value + 4;
	else
		return arguments_wrong(p, "\"%.40s\" is no card; give none, sim or sim:LIBRARY",
				       value);
	return TIARA_OK;
}

static enum tiara_status
parse_connections(const struct parse *p, const char *value)
{
	return arguments_number(p, value, 8, UINT64_C(1) << 34, &p->to->connections);
}

static enum tiara_status
parse_services(const struct parse *p, const char *value)
{
	return arguments_u32(p, value, 1, TIARA_SERVICE_LIMIT, &p->to->services);
}

static enum tiara_status
parse_backends(const struct parse *p, const char *value)
{
	return arguments_u32(p, value, 1, 1 << 24, &p->to->backends);
}

static enum tiara_status
parse_heap_mb(const struct parse *p, const char *value)
{
	return arguments_u32(p, value, 1, 1 << 20, &p->to->heap_mb);
}

static enum tiara_status
parse_idle(const struct parse *p, const char *value)
{
	p->to->idle_given = true;
	p->to->idle = !strcmp(value, "sleep") ? TIARA_IDLE_SLEEP : TIARA_IDLE_POLL;
	if (p->to->idle == TIARA_IDLE_POLL && strcmp(value, "poll"))
		return arguments_wrong(p, "\"%.40s\" is not known; give sleep or poll", value);
	return TIARA_OK;
}

static enum tiara_status
parse_no_kernel(const struct parse *p, const char *value)
{
	(void)value;
	p->to->kernel = false;
	return TIARA_OK;
}

static enum tiara_status
parse_kernel_interface(const struct parse *p, const char *value)
{
	p->to->kernel_interface_given = true;
	return arguments_interface(p, value, p->to->kernel_interface);
}

static enum tiara_status
parse_group(const struct parse *p, const char *value)
{
	const struct group *found = getgrnam(value);
	uint32_t number;

	p->to->group_given = true;
	if (!found && arguments_u32(p, value, 0, INT32_MAX, &number) != TIARA_OK)
		return arguments_wrong(p, "there is no group \"%.40s\" on this machine", value);
	p->to->group = found ? found->gr_gid : number;
	return TIARA_OK;
}

static enum tiara_status
parse_user(const struct parse *p, const char *value)
{
	const struct passwd *found = getpwnam(value);

	if (!found)
		return arguments_wrong(p, "there is no user \"%.40s\" on this machine", value);
	if (found->pw_uid == 0)
		return arguments_wrong(p, "is root; leave it away, or give another user");
	p->to->user = found->pw_uid;
	p->to->user_group = found->pw_gid;
	return TIARA_OK;
}

static enum tiara_status
parse_keep_capabilities(const struct parse *p, const char *value)
{
	(void)value;
	p->to->keep_capabilities = true;
	return TIARA_OK;
}

static enum tiara_status
parse_version(const struct parse *p, const char *value)
{
	(void)value;
	p->to->run = TIARA_RUN_VERSION;
	return TIARA_OK;
}

static enum tiara_status
parse_help(const struct parse *p, const char *value)
{
	(void)value;
	p->to->run = TIARA_RUN_HELP;
	return TIARA_OK;
}

static const struct option options[] = {
	{"--instance", "NAME", parse_instance,
	 "which balancer this is; the control plane is given the same name [default]"},
	{"--io", "HOW", parse_io,
	 "af_packet:IFACE or af_xdp:IFACE take a network interface of Linux over,\n"
	 "eal takes the first port that the EAL arguments give [eal]"},
	{"--take-interface", NULL, parse_take_interface,
	 "take IFACE even if it has an IPv4 address or carries the default route"},
	{"--address", "A/BITS", parse_address,
	 "own address, for health checks and to reach this machine, as 198.18.0.2/24 [none]"},
	{"--gateway", "A", parse_gateway,
	 "next hop of what is not on the own address's link [none]"},
	{"--workers", "N", parse_workers, "packet workers, a CPU and a queue of the port each [1]"},
	{"--card", "HOW", parse_card,
	 "sim: the offload card's RTL before the workers, simulated, for a look\n"
	 "at it, not for speed; sim:LIBRARY: another build of it; SIGUSR1 cycles\n"
	 "its power [none]"},
	{"--lcores", "MAP", parse_lcores,
	 "EAL's lcore map, when the choice from the CPU affinity will not do"},
	{"--connections", "N", parse_connections, "room in the connection table [1048576]"},
	{"--services", "N", parse_services, "room for frontends (address, protocol, port) [4096]"},
	{"--backends", "N", parse_backends, "room for backends [16384]"},
	{"--heap-mb", "N", parse_heap_mb,
	 "room for services', backends' and selection tables [256]"},
	{"--idle", "HOW", parse_idle,
	 "what idle workers do: sleep saves power, poll answers sooner\n"
	 "[sleep with af_packet and af_xdp, poll with eal]"},
	{"--no-kernel", NULL, parse_no_kernel,
	 "no exception path: what is for the kernel is dropped and counted"},
	{"--kernel-interface", "NAME", parse_kernel_interface,
	 "the TAP through which the kernel has the own address [tiara0]"},
	{"--group", "NAME", parse_group,
	 "who may attach to the segment beside its owner: give the control plane's group"},
	{"--user", "NAME", parse_user, "started as root, run as this user once all is open"},
	{"--keep-capabilities", NULL, parse_keep_capabilities,
	 "give no privilege up after the start, for DPDK drivers that need them later"},
	{"--version", NULL, parse_version, "print the version and end"},
	{"--help", NULL, parse_help, "print this and end"},
};
enum { OPTION_CNT = sizeof(options) / sizeof(options[0]) };

static const struct option *
option_find(const char *text, const char **value)
{
	for (int i = 0; i < OPTION_CNT; i++) {
		size_t len = strlen(options[i].name);

		if (strncmp(text, options[i].name, len) || (text[len] && text[len] != '='))
			continue;
		*value = text[len] ? text + len + 1 : NULL;
		return &options[i];
	}
	return NULL;
}

/* Parses argv[*i] and moves *i to its last word. */
static enum tiara_status
option_parse(struct parse *p, int argc, char **argv, int *i)
{
	const char *value;
	const struct option *o = option_find(argv[*i], &value);

	p->option = argv[*i];
	if (!o)
		return arguments_wrong(
			p, "there is no such argument; --help lists them, and arguments "
			   "for EAL come after --");
	p->option = o->name;
	if (!o->value && value)
		return arguments_wrong(p, "takes no value; leave \"=%.40s\" away", value);
	if (o->value && !value && *i + 1 < argc)
		value = argv[++*i];
	if (o->value && !value)
		return arguments_wrong(p, "lacks its value %s; --help shows its form", o->value);
	return o->parse(p, value);
}

static enum tiara_status
arguments_agree(struct parse *p)
{
	const struct tiara_arguments *a = p->to;

	p->option = "--gateway";
	if (a->gateway && !a->address)
		return arguments_wrong(p,
				       "is of no use without an own address; give --address too");
	if (a->gateway && (a->gateway & a->netmask) != (a->address & a->netmask))
		return arguments_wrong(
			p, "is not on the link of --address; give one inside its prefix");
	if (a->gateway && a->gateway == a->address)
		return arguments_wrong(p, "is the own address; give the router's");
	p->option = "--kernel-interface";
	if (a->kernel_interface_given && !a->kernel)
		return arguments_wrong(p, "contradicts --no-kernel; give one of the two");
	if (a->kernel && !strcmp(a->kernel_interface, a->interface))
		return arguments_wrong(p, "is the interface of --io; give the TAP another name");
	p->option = "--take-interface";
	if (a->take_interface && a->io == TIARA_IO_EAL)
		return arguments_wrong(
			p, "is for --io af_packet:IFACE and af_xdp:IFACE; leave it away");
	p->option = "--user";
	if (a->user && a->keep_capabilities)
		return arguments_wrong(p, "contradicts --keep-capabilities; give one of the two");
	if (a->user && geteuid() != 0)
		return arguments_wrong(p, "needs root at the start; or start it as that user");
	p->option = "--lcores";
	if (a->lcores && strcspn(a->lcores, " ") != strlen(a->lcores))
		return arguments_wrong(
			p, "has a blank; give it as EAL's --lcores, for example 0@0,1@1");
	return TIARA_OK;
}

enum tiara_status
tiara_arguments_parse(int argc, char **argv, struct tiara_arguments *arguments,
		      struct tiara_error *error)
{
	struct parse p = {.to = arguments, .error = error};

	*arguments = (struct tiara_arguments){.instance = "default",
					      .worker_cnt = 1,
					      .kernel = true,
					      .kernel_interface = "tiara0"};
	for (int i = 1; i < argc && arguments->run == TIARA_RUN_SERVE; i++) {
		if (!strcmp(argv[i], "--")) {
			arguments->eal_argc = argc - i - 1;
			arguments->eal_argv = argv + i + 1;
			break;
		}
		enum tiara_status status = option_parse(&p, argc, argv, &i);

		if (status != TIARA_OK)
			return status;
	}
	if (!arguments->idle_given && arguments->io != TIARA_IO_EAL)
		arguments->idle = TIARA_IDLE_SLEEP;
	return arguments->run == TIARA_RUN_SERVE ? arguments_agree(&p) : TIARA_OK;
}

static void
option_help(const struct option *o)
{
	char head[40];
	const char *line = o->help;

	snprintf(head, sizeof(head), "%s%s%s", o->name, o->value ? " " : "",
		 o->value ? o->value : "");
	for (const char *left = head; *line; left = "") {
		size_t len = strcspn(line, "\n");

		printf("  %-24s  %.*s\n", left, (int)len, line);
		line += len + (line[len] == '\n');
	}
}

void
tiara_arguments_help(void)
{
	printf("Usage: tiara-dataplane [ARGUMENT]... [-- EAL ARGUMENT...]\n"
	       "Forwards the packets of one Tiara instance. Its connections live in a segment that\n"
	       "outlives it: started again, it adopts them and goes on.\n\n");
	for (int i = 0; i < OPTION_CNT; i++)
		option_help(&options[i]);
	printf("\nThe sizes (connections, services, backends, heap) are set when the segment is made and\n"
	       "stay: leave them away to take an existing segment as it is.\n"
	       "Example: tiara-dataplane --io af_packet:eth1 --address 198.18.0.2/24\n"
	       "Ends with 0 after SIGINT or SIGTERM, 2 for a wrong argument, 1 for any other failure.\n");
}
