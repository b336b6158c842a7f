/* SPDX-License-Identifier: Apache-2.0 */
#include "port/card_sim_library.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum tiara_status
library_fail(struct tiara_error *error, const char *what)
{
	*error = (struct tiara_error){.status = TIARA_INVALID, .field = "--card"};
	snprintf(error->message, sizeof(error->message), "--card: %.300s", what);
	return TIARA_INVALID;
}

/* PREFIX/lib/libtiara_sim.so for PREFIX/bin/tiara-dataplane. */
static void
library_usual(char path[PATH_MAX])
{
	ssize_t bytes = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	path[bytes > 0 ? bytes : 0] = '\0';
	for (int i = 0; i < 2 && (slash = strrchr(path, '/')); i++)
		*slash = '\0';
	strncat(path, "/lib/libtiara_sim.so", PATH_MAX - strlen(path) - 1);
}

enum tiara_status
tiara_card_sim_library_open_ctl(struct tiara_card_sim_library *library, const char *name,
				struct tiara_error *error)
{
	struct {
		const char *name;
		void *to;
	} symbols[] = {
		{"tiara_sim_create", &library->create},
		{"tiara_sim_destroy", &library->destroy},
		{"tiara_sim_reset", &library->reset},
		{"tiara_sim_rx", &library->rx},
		{"tiara_sim_tx", &library->tx},
		{"tiara_sim_command", &library->command},
		{"tiara_sim_commands", &library->commands},
		{"tiara_sim_answer", &library->answer},
		{"tiara_sim_write", &library->write},
		{"tiara_sim_read", &library->read},
		{"tiara_sim_run", &library->run},
	};
	char path[PATH_MAX];

	if (!name[0])
		library_usual(path);
	library->handle = dlopen(name[0] ? name : path, RTLD_NOW | RTLD_LOCAL);
	if (!library->handle)
		return library_fail(
			error, "its model is not there; script/setup --card builds it, or give "
			       "its library: --card sim:LIBRARY");
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *symbol = dlsym(library->handle, symbols[i].name);

		if (!symbol)
			return library_fail(error, dlerror());
		memcpy(symbols[i].to, &symbol, sizeof(symbol));
	}
	return TIARA_OK;
}

void
tiara_card_sim_library_close_ctl(struct tiara_card_sim_library *library)
{
	if (library->handle)
		dlclose(library->handle);
	library->handle = NULL;
}
