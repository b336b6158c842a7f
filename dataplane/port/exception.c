/* SPDX-License-Identifier: Apache-2.0 */
#include "port/exception.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_mbuf.h>

#include "port/interface.h"

enum { EXCEPTION_BURST = 64 };

static enum tiara_status __attribute__((format(printf, 3, 4)))
exception_fail(struct tiara_error *error, enum tiara_status status, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(error->message, sizeof(error->message), format, list);
	va_end(list);
	snprintf(error->field, sizeof(error->field), "--kernel-interface");
	return error->status = status;
}

/* ---- the TAP ---- */

static struct ifreq
exception_request(const struct tiara_exception_config *config)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", config->interface);
	return request;
}

static struct sockaddr
exception_address(tiara_be32 addr)
{
	union {
		struct sockaddr_in in;
		struct sockaddr any;
	} address = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = addr}};

	return address.any;
}

static enum tiara_status
exception_tap_make(struct tiara_exception *self, const struct tiara_exception_config *config,
		   struct tiara_error *error)
{
	struct ifreq request = exception_request(config);

	request.ifr_flags = IFF_TAP | IFF_NO_PI;
	self->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (self->fd < 0)
		return exception_fail(
			error, TIARA_IO,
			"--kernel-interface: cannot open /dev/net/tun: %s; load the module "
			"tun, or give --no-kernel",
			strerror(errno));
	if (ioctl(self->fd, TUNSETIFF, &request) == 0)
		return TIARA_OK;
	if (errno == EBUSY || errno == EINVAL)
		return exception_fail(
			error, TIARA_BUSY,
			"--kernel-interface: %s is in use in this network namespace; give "
			"another name",
			config->interface);
	return exception_fail(
		error, TIARA_IO,
		"--kernel-interface: cannot make the TAP %s: %s; the capability NET_ADMIN is "
		"needed, or --no-kernel",
		config->interface, strerror(errno));
}

/* IPv4 only for now: an own IPv6 address would answer nobody. */
static void
exception_ipv6_off(const char *interface)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", interface);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "1", 1);
	close(fd);
}

static int
exception_link_set(int fd, const struct tiara_exception_config *config)
{
	struct ifreq request = exception_request(config);

	exception_ipv6_off(config->interface);
	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request.ifr_hwaddr.sa_data, config->mac, sizeof(config->mac));
	if (ioctl(fd, SIOCSIFHWADDR, &request))
		return -1;
	request = exception_request(config);
	request.ifr_mtu = (int)config->mtu_bytes;
	if (ioctl(fd, SIOCSIFMTU, &request))
		return -1;
	request = exception_request(config);
	if (ioctl(fd, SIOCGIFFLAGS, &request))
		return -1;
	request.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

static int
exception_address_set(int fd, const struct tiara_exception_config *config)
{
	struct ifreq request = exception_request(config);

	request.ifr_addr = exception_address(config->address);
	if (ioctl(fd, SIOCSIFADDR, &request))
		return -1;
	request = exception_request(config);
	request.ifr_netmask = exception_address(config->netmask);
	return ioctl(fd, SIOCSIFNETMASK, &request);
}

/* A namespace that has a default route keeps it: the operator knows better. */
static int
exception_route_set(int fd, const struct tiara_exception_config *config)
{
	struct rtentry route = {
		.rt_dst = exception_address(0),
		.rt_genmask = exception_address(0),
		.rt_gateway = exception_address(config->gateway),
		.rt_flags = RTF_UP | RTF_GATEWAY,
	};

	return tiara_interface_default_route(NULL) ? 0 : ioctl(fd, SIOCADDRT, &route);
}

static enum tiara_status
exception_tap_set(const struct tiara_exception_config *config, struct tiara_error *error)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = fd < 0 ? -1 : exception_link_set(fd, config);

	if (rc == 0 && config->address)
		rc = exception_address_set(fd, config);
	if (rc == 0 && config->gateway)
		rc = exception_route_set(fd, config);
	if (rc)
		exception_fail(error, TIARA_IO, "--kernel-interface: cannot set up the TAP %s: %s",
			       config->interface, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc ? TIARA_IO : TIARA_OK;
}

enum tiara_status
tiara_exception_open_ctl(struct tiara_exception *self, const struct tiara_exception_config *config,
			 struct tiara_dpdk *port, struct tiara_error *error)
{
	enum tiara_status status;

	*self = (struct tiara_exception){.fd = -1, .port = port};
	status = exception_tap_make(self, config, error);
	if (status == TIARA_OK)
		status = exception_tap_set(config, error);
	if (status != TIARA_OK)
		tiara_exception_close_ctl(self);
	return status;
}

void
tiara_exception_close_ctl(struct tiara_exception *self)
{
	if (self->fd >= 0)
		close(self->fd);
	self->fd = -1;
}

/* ---- frames ---- */

/* What the TAP does not take is lost, as on a wire. */
static uint32_t
exception_to_kernel(struct tiara_exception *self)
{
	struct rte_mbuf *m[EXCEPTION_BURST];
	uint32_t cnt = tiara_dpdk_kernel_take_ctl(self->port, m, EXCEPTION_BURST);

	for (uint32_t i = 0; i < cnt; i++)
		(void)!write(self->fd, rte_pktmbuf_mtod(m[i], void *), rte_pktmbuf_data_len(m[i]));
	rte_pktmbuf_free_bulk(m, cnt);
	return cnt;
}

/* False: nothing waits, or there is no room for it. */
static bool
exception_from_kernel_one(struct tiara_exception *self)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(self->port->pool);
	ssize_t len;

	if (!m)
		return false;
	len = read(self->fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
	if (len > 0) {
		m->data_len = (uint16_t)len;
		m->pkt_len = (uint32_t)len;
		if (tiara_dpdk_inject_ctl(self->port, m))
			return true;
	}
	rte_pktmbuf_free(m);
	return false;
}

uint32_t
tiara_exception_turn_ctl(struct tiara_exception *self)
{
	uint32_t cnt = exception_to_kernel(self);

	for (uint32_t i = 0; i < EXCEPTION_BURST && exception_from_kernel_one(self); i++)
		cnt++;
	return cnt;
}
