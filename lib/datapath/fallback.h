/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames whose offload the receiving driver did not negotiate: finished in software. */
#pragma once

#include <stdint.h>

struct burst;
struct queue;
struct fallback;

/* One worker's scratch memory; NULL when there is none. */
struct fallback *fallback_create(void);
void fallback_destroy(struct fallback *fb);

/*
 * Deliver frame i to q with its checksum filled in, in as many segments as it takes. Every
 * frame that results is delivered or dropped and counted here: none is left to retry.
 * The caller holds q's lock.
 */
void deliver_fallback(struct burst *b, struct queue *q, unsigned i);
