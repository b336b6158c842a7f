/* SPDX-License-Identifier: Apache-2.0 */
#include "port/interface.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INTERFACE_MTU_MAX = 9216 };

static enum tiara_status __attribute__((format(printf, 3, 4)))
interface_fail(struct tiara_error *error, enum tiara_status status, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(error->message, sizeof(error->message), format, list);
	va_end(list);
	return error->status = status;
}

static struct ifreq
interface_request(const char *name)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return request;
}

/* One ioctl on a socket of its own. 0 or -1 with errno. */
static int
interface_ioctl(unsigned long what, void *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc, kept;

	if (fd < 0)
		return -1;
	rc = ioctl(fd, what, request);
	kept = errno;
	close(fd);
	errno = kept;
	return rc;
}

enum tiara_status
tiara_interface_read(const char *name, struct tiara_interface *interface, struct tiara_error *error)
{
	struct ifreq request = interface_request(name);

	if (interface_ioctl(SIOCGIFHWADDR, &request))
		return interface_fail(
			error, TIARA_INVALID,
			"there is no interface %s in this network namespace; give one "
			"that `ip link` shows",
			name);
	snprintf(interface->name, sizeof(interface->name), "%s", name);
	memcpy(interface->mac, request.ifr_hwaddr.sa_data, 6);
	if (request.ifr_hwaddr.sa_family != 1 /* ARPHRD_ETHER */)
		return interface_fail(error, TIARA_INVALID,
				      "%s is not an Ethernet interface; give one that is", name);
	if (interface_ioctl(SIOCGIFMTU, &request))
		return interface_fail(error, TIARA_IO, "cannot read the MTU of %s: %s", name,
				      strerror(errno));
	interface->mtu_bytes = (uint32_t)request.ifr_mtu;
	if (interface->mtu_bytes > INTERFACE_MTU_MAX)
		return interface_fail(error, TIARA_INVALID,
				      "%s has an MTU of %u bytes and up to %u are carried; run "
				      "`ip link set %s mtu %u`",
				      name, interface->mtu_bytes, INTERFACE_MTU_MAX, name,
				      INTERFACE_MTU_MAX);
	return TIARA_OK;
}

uint32_t
tiara_interface_queues(const char *name)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = interface_request(name);
	uint32_t pairs;

	request.ifr_data = (void *)&channels;
	if (interface_ioctl(SIOCETHTOOL, &request))
		return 1;
	pairs = channels.rx_count < channels.tx_count ? channels.rx_count : channels.tx_count;
	pairs += channels.combined_count;
	return pairs ? pairs : 1;
}

/* The next default route of the table; there may be several, of several metrics. */
static bool
interface_default_route_next(FILE *table, char via[IFNAMSIZ])
{
	unsigned destination, gateway, flags, mask;
	char line[256];

	while (fgets(line, sizeof(line), table)) {
		if (sscanf(line, "%15s %x %x %x %*d %*d %*d %x", via, &destination, &gateway,
			   &flags, &mask) == 5 &&
		    destination == 0 && mask == 0)
			return true;
	}
	return false;
}

bool
tiara_interface_default_route(const char *name)
{
	FILE *table = fopen("/proc/net/route", "re");
	char via[IFNAMSIZ];
	bool found = false;

	if (!table)
		return false;
	while (!found && interface_default_route_next(table, via))
		found = !name || !strcmp(via, name);
	fclose(table);
	return found;
}

enum tiara_status
tiara_interface_check_unused(const char *name, struct tiara_error *error)
{
	struct ifreq request = interface_request(name);

	if (tiara_interface_default_route(name))
		return interface_fail(
			error, TIARA_INVALID,
			"%s carries the default route, which would be cut; give another "
			"interface, or --take-interface",
			name);
	if (interface_ioctl(SIOCGIFADDR, &request) == 0)
		return interface_fail(
			error, TIARA_INVALID,
			"%s has an IPv4 address, which would no longer be reached; remove "
			"it, give another interface, or --take-interface",
			name);
	return TIARA_OK;
}

/* False: it is neither so already nor could it be made so. */
static bool
interface_sysctl(const char *family, const char *name, const char *key, char value)
{
	char path[128], now = 0;
	bool done;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, key);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	done = read(fd, &now, 1) == 1 && now == value;
	close(fd);
	if (done)
		return true;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, &value, 1) == 1;
	close(fd);
	return done;
}

/*
 * The kernel gets a copy of every frame from af_packet. Forwarding off and a strict reverse path on
 * an interface without address or route: it drops all of them.
 */
static enum tiara_status
interface_deafen(const char *name, struct tiara_error *error)
{
	if (!interface_sysctl("ipv4", name, "forwarding", '0'))
		return interface_fail(
			error, TIARA_IO,
			"cannot switch IPv4 forwarding off on %s, and the kernel would "
			"forward packets too; run `sysctl net.ipv4.ip_forward=0`",
			name);
	interface_sysctl("ipv4", name, "rp_filter", '1');
	interface_sysctl("ipv6", name, "disable_ipv6", '1');
	return TIARA_OK;
}

static void
interface_flags_off(const char *name, uint32_t off)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq request = interface_request(name);

	request.ifr_data = (void *)&flags;
	if (interface_ioctl(SIOCETHTOOL, &request) || !(flags.data & off))
		return;
	flags.cmd = ETHTOOL_SFLAGS;
	flags.data &= ~off;
	interface_ioctl(SIOCETHTOOL, &request);
}

/*
 * Frames that were merged, left unfinished or robbed of their tag are not what was on the wire. Best
 * effort: not every driver can.
 */
static void
interface_offloads_off(const char *name)
{
	static const uint32_t commands[] = {ETHTOOL_SGRO, ETHTOOL_STSO, ETHTOOL_SGSO,
					    ETHTOOL_SRXCSUM, ETHTOOL_STXCSUM};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct ethtool_value off = {.cmd = commands[i], .data = 0};
		struct ifreq request = interface_request(name);

		request.ifr_data = (void *)&off;
		interface_ioctl(SIOCETHTOOL, &request);
	}
	interface_flags_off(name, ETH_FLAG_LRO | ETH_FLAG_RXVLAN);
}

/* An XDP program outlives the process that set it. Best effort: mostly there is none. */
static void
interface_xdp_detach(const char *name, uint32_t flags)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
		struct nlattr xdp;
		struct nlattr fd;
		int32_t fd_value;
		struct nlattr flags;
		uint32_t flags_value;
	} message = {
		.header = {.nlmsg_len = sizeof(message),
			   .nlmsg_type = RTM_SETLINK,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.info = {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(name)},
		.xdp = {.nla_len = 20, .nla_type = IFLA_XDP | NLA_F_NESTED},
		.fd = {.nla_len = 8, .nla_type = IFLA_XDP_FD},
		.fd_value = -1,
		.flags = {.nla_len = 8, .nla_type = IFLA_XDP_FLAGS},
		.flags_value = flags,
	};
	char answer[512];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return;
	/* the answer tells that it is done; whether there was one to detach does not matter */
	if (send(fd, &message, sizeof(message), 0) == (ssize_t)sizeof(message))
		(void)!recv(fd, answer, sizeof(answer), 0);
	close(fd);
}

enum tiara_status
tiara_interface_take(const char *name, struct tiara_error *error)
{
	struct ifreq request = interface_request(name);
	enum tiara_status status = interface_deafen(name, error);

	if (status != TIARA_OK)
		return status;
	interface_xdp_detach(name, XDP_FLAGS_DRV_MODE);
	interface_xdp_detach(name, XDP_FLAGS_SKB_MODE);
	interface_offloads_off(name);
	if (interface_ioctl(SIOCGIFFLAGS, &request))
		return interface_fail(error, TIARA_IO, "cannot read the flags of %s: %s", name,
				      strerror(errno));
	request.ifr_flags |= IFF_UP | IFF_NOARP;
	if (interface_ioctl(SIOCSIFFLAGS, &request))
		return interface_fail(
			error, TIARA_IO,
			"cannot take %s up without ARP: %s; the capability NET_ADMIN is "
			"needed",
			name, strerror(errno));
	return TIARA_OK;
}
