/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the report that only vhost ports have. Control thread. */
#pragma once

#include <jansson.h>
#include <stdint.h>

struct vhost_port;

/* Add to the object of a port: its front-end, memory and control queue. */
void report_vhost_port(const struct vhost_port *vp, json_t *port);

/* Add to the object of a queue: its ring, and the ring's last events if events are recorded. */
void report_vhost_queue(const struct vhost_port *vp, unsigned index, json_t *queue);

/* The names of these features, as in log lines. */
json_t *report_features(uint64_t features);
