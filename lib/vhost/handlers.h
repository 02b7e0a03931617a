/* SPDX-License-Identifier: BSD-3-Clause */
/* The handlers that the table in message.h names, with the files that they are in. */
#pragma once

#include "vhost/message.h"

/* handlers_device.c */
vhost_handler handle_get_features;
vhost_handler handle_set_features;
vhost_handler handle_set_owner;
vhost_handler handle_reset_owner;
vhost_handler handle_get_protocol_features;
vhost_handler handle_set_protocol_features;
vhost_handler handle_get_queue_num;
vhost_handler handle_net_set_mtu;
vhost_handler handle_reset_device;
vhost_handler handle_set_status;
vhost_handler handle_get_status;

/* handlers_channel.c */
vhost_handler handle_set_backend_req_fd;
vhost_handler handle_get_config;
vhost_handler handle_set_config;

/* handlers_inflight.c */
vhost_handler handle_get_inflight_fd;
vhost_handler handle_set_inflight_fd;

/* handlers_memory.c */
vhost_handler handle_set_mem_table;
vhost_handler handle_get_max_mem_slots;
vhost_handler handle_add_mem_reg;
vhost_handler handle_rem_mem_reg;

/* iommu.c */
vhost_handler handle_iotlb_msg;

/* handlers_postcopy.c */
vhost_handler handle_postcopy_advise;
vhost_handler handle_postcopy_listen;
vhost_handler handle_postcopy_end;

/* handlers_ring.c */
vhost_handler handle_set_vring_num;
vhost_handler handle_set_vring_addr;
vhost_handler handle_set_vring_base;
vhost_handler handle_get_vring_base;
vhost_handler handle_set_vring_kick;
vhost_handler handle_set_vring_call;
vhost_handler handle_set_vring_err;
vhost_handler handle_set_vring_enable;
vhost_handler handle_vring_kick;

/* handlers_migration.c */
vhost_handler handle_set_log_base;
vhost_handler handle_set_log_fd;
vhost_handler handle_send_rarp;
vhost_handler handle_set_device_state_fd;
vhost_handler handle_check_device_state;
