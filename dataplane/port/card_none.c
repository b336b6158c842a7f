/* SPDX-License-Identifier: Apache-2.0 */
/* The card of a machine without one: no table, so nothing of it is ever called. */
#include "port/card.h"

const struct tiara_card tiara_card_none = {.name = "none"};
