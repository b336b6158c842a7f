/* SPDX-License-Identifier: Apache-2.0 */
/* A C test ends at the first thing that is not so. */
#ifndef TIARA_TESTS_PATH_CHECK_H
#define TIARA_TESTS_PATH_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#endif
