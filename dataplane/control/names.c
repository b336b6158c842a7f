/* SPDX-License-Identifier: Apache-2.0 */
/* From names to indices: private chains, made from the segment at attach. */
#include "control/internal.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a: the names come from the operator. */
static uint64_t
names_hash(uint64_t hash, const void *data, size_t bytes)
{
	const uint8_t *d = data;

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ d[i]) * 0x100000001b3;
	return hash;
}

#define NAMES_SEED UINT64_C(0xcbf29ce484222325)

/* The low bits of FNV-1a depend on low bits only. */
static uint64_t
names_finish(uint64_t hash)
{
	return hash ^ hash >> 32;
}

uint64_t
control_hash_backend(const struct tiara_backend_name *name)
{
	uint64_t hash = names_hash(NAMES_SEED, name->pool, strnlen(name->pool, sizeof(name->pool)));

	hash = names_hash(hash, name->backend, strnlen(name->backend, sizeof(name->backend)));
	return names_finish(names_hash(hash, name->uid, sizeof(name->uid)));
}

static uint64_t
names_hash_frontend(uint64_t hash, const struct tiara_service *record)
{
	hash = names_hash(hash, &record->vip, sizeof(record->vip));
	hash = names_hash(hash, &record->port, sizeof(record->port));
	return names_finish(names_hash(hash, &record->protocol, sizeof(record->protocol)));
}

uint64_t
control_hash_frontend(const struct tiara_service *record)
{
	return names_hash_frontend(NAMES_SEED, record);
}

uint64_t
control_hash_service(const struct tiara_service_name *name, const struct tiara_service *record)
{
	uint64_t hash = names_hash(NAMES_SEED, name->service,
				   strnlen(name->service, sizeof(name->service)));

	return names_hash_frontend(names_hash(hash, name->uid, sizeof(name->uid)), record);
}

enum tiara_status
control_names_make(struct control_names *names, uint32_t max, struct tiara_error *error)
{
	uint32_t heads = 16;

	while (heads < max)
		heads <<= 1;
	names->mask = heads - 1;
	names->head = malloc(heads * sizeof(uint32_t));
	names->next = malloc(max * sizeof(uint32_t));
	if (!names->head || !names->next)
		return control_out_of_memory(error);
	return TIARA_OK;
}

void
control_names_free(struct control_names *names)
{
	free(names->head);
	free(names->next);
}

void
control_names_add(struct control_names *names, uint64_t hash, uint32_t idx)
{
	uint32_t *head = &names->head[hash & names->mask];

	names->next[idx] = *head;
	*head = idx;
}

void
control_names_drop(struct control_names *names, uint64_t hash, uint32_t idx)
{
	uint32_t *at = &names->head[hash & names->mask];

	while (*at != idx && *at != CONTROL_NONE)
		at = &names->next[*at];
	if (*at == idx)
		*at = names->next[idx];
}

static void
names_clear(struct control_names *names)
{
	for (uint32_t i = 0; i <= names->mask; i++)
		names->head[i] = CONTROL_NONE;
}

void
control_names_load(struct tiara_handle *handle)
{
	struct control_state *state = handle->state;
	struct tiara_view view = tiara_view_of(&handle->map, control_generation(handle));
	const struct tiara_backend_name *backend;
	const struct tiara_service_name *service;

	names_clear(&state->backend_by_name);
	names_clear(&state->service_by_name);
	names_clear(&state->service_by_frontend);
	if (view.generation == 0)
		return;
	backend = (const void *)(view.base + view.root->backend_name_off);
	service = (const void *)(view.base + view.root->service_name_off);
	for (uint32_t i = 0; i < view.backend_cnt; i++)
		if (backend[i].use == TIARA_USE_ACTIVE)
			control_names_add(&state->backend_by_name,
					  control_hash_backend(&backend[i]), i);
	for (uint32_t i = 0; i < view.service_cnt; i++) {
		if (service[i].use != TIARA_USE_ACTIVE)
			continue;
		control_names_add(&state->service_by_name,
				  control_hash_service(&service[i], &view.service[i]), i);
		control_names_add(&state->service_by_frontend,
				  control_hash_frontend(&view.service[i]), i);
	}
}
