/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end messages: one table with their names, sizes, descriptors and handlers. The checks
 * and the calls of the handlers use it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vhost/device.h"
#include "virtio/vhost_user.h"

/*
 * The most payload of a message, also of an unknown message. If a payload is longer, the session
 * ends, because the begin of the next message cannot be found.
 */
#define VHOST_PAYLOAD_MAX 4096

/* A message while it is received, handled and answered. */
struct vhost_message {
	struct vhost_header header;
	unsigned n_fds;
	int fd[VHOST_FDS_RECEIVE];
	/* Set by handlers. */
	bool replies;        /* answer with msg this time, also if the table says otherwise */
	bool has_reply_fd;   /* send reply_fd with the reply */
	bool close_reply_fd; /* after the reply was sent */
	int reply_fd;
	union {
		union vhost_payload payload; /* zero beyond header.size */
		uint8_t raw[VHOST_PAYLOAD_MAX];
	};
};

/*
 * A handler carries out a message. The size of the message and the number of its descriptors have
 * been checked. To keep a descriptor, the handler takes it with vhost_message_take_fd. All other
 * descriptors are closed after the call. If the message has a reply of its own, the handler writes
 * it to payload and header.size. Returns 0 or a negative errno. The handler logs the cause of an
 * error with vhost_complain.
 */
typedef int vhost_handler(struct vhost_device *dev, struct vhost_message *msg);

enum vhost_reply_rule {
	VHOST_REPLY_ACK, /* u64 0 or 1 if asked for (NEED_REPLY) and negotiated (REPLY_ACK) */
	VHOST_REPLY_OWN, /* always its own reply, with or without NEED_REPLY */
};

struct vhost_message_spec {
	const char *name;
	uint16_t payload_min, payload_max;
	uint8_t fds_min, fds_max;
	uint8_t reply; /* enum vhost_reply_rule */
	uint64_t gate; /* protocol features (masks) that must have been negotiated */
	vhost_handler *handler;
};

/*
 * X(name, payload min, payload max, fds min, fds max, gate, reply rule, handler)
 *
 * gate: the protocol feature that the message needs, or ANY. handler NULL: the message is refused
 * like an unknown message. SET_VRING_ENABLE has no gate, because QEMU before 7.2 sends it without
 * acknowledging bit 30.
 */
#define VHOST_MESSAGE_TABLE(X) \
	X(GET_FEATURES, 0, 0, 0, 0, ANY, OWN, handle_get_features) \
	X(SET_FEATURES, 8, 8, 0, 0, ANY, ACK, handle_set_features) \
	X(SET_OWNER, 0, 0, 0, 0, ANY, ACK, handle_set_owner) \
	X(RESET_OWNER, 0, 0, 0, 0, ANY, ACK, handle_reset_owner) \
	X(SET_MEM_TABLE, 8, 264, 0, 8, ANY, ACK, handle_set_mem_table) \
	X(SET_LOG_BASE, 8, 16, 1, 1, LOG_SHMFD, OWN, handle_set_log_base) \
	X(SET_LOG_FD, 0, 8, 1, 1, ANY, ACK, handle_set_log_fd) \
	X(SET_VRING_NUM, 8, 8, 0, 0, ANY, ACK, handle_set_vring_num) \
	X(SET_VRING_ADDR, 40, 40, 0, 0, ANY, ACK, handle_set_vring_addr) \
	X(SET_VRING_BASE, 8, 8, 0, 0, ANY, ACK, handle_set_vring_base) \
	X(GET_VRING_BASE, 8, 8, 0, 0, ANY, OWN, handle_get_vring_base) \
	X(SET_VRING_KICK, 8, 8, 0, 1, ANY, ACK, handle_set_vring_kick) \
	X(SET_VRING_CALL, 8, 8, 0, 1, ANY, ACK, handle_set_vring_call) \
	X(SET_VRING_ERR, 8, 8, 0, 1, ANY, ACK, handle_set_vring_err) \
	X(GET_PROTOCOL_FEATURES, 0, 0, 0, 0, ANY, OWN, handle_get_protocol_features) \
	X(SET_PROTOCOL_FEATURES, 8, 8, 0, 0, ANY, ACK, handle_set_protocol_features) \
	X(GET_QUEUE_NUM, 0, 0, 0, 0, MQ, OWN, handle_get_queue_num) \
	X(SET_VRING_ENABLE, 8, 8, 0, 0, ANY, ACK, handle_set_vring_enable) \
	X(SEND_RARP, 8, 8, 0, 0, RARP, ACK, handle_send_rarp) \
	X(NET_SET_MTU, 8, 8, 0, 0, NET_MTU, ACK, handle_net_set_mtu) \
	X(SET_BACKEND_REQ_FD, 0, 0, 1, 1, BACKEND_REQ, ACK, handle_set_backend_req_fd) \
	X(IOTLB_MSG, 32, 32, 0, 0, ANY, ACK, handle_iotlb_msg) \
	X(SET_VRING_ENDIAN, 8, 8, 0, 0, CROSS_ENDIAN, ACK, NULL) \
	X(GET_CONFIG, 12, 268, 0, 0, CONFIG, OWN, handle_get_config) \
	X(SET_CONFIG, 12, 268, 0, 0, CONFIG, ACK, handle_set_config) \
	X(CREATE_CRYPTO_SESSION, 0, 4096, 0, 0, CRYPTO_SESSION, OWN, NULL) \
	X(CLOSE_CRYPTO_SESSION, 8, 8, 0, 0, CRYPTO_SESSION, ACK, NULL) \
	X(POSTCOPY_ADVISE, 0, 0, 0, 0, PAGEFAULT, OWN, handle_postcopy_advise) \
	X(POSTCOPY_LISTEN, 0, 0, 0, 0, PAGEFAULT, ACK, handle_postcopy_listen) \
	X(POSTCOPY_END, 0, 0, 0, 0, PAGEFAULT, OWN, handle_postcopy_end) \
	X(GET_INFLIGHT_FD, 20, 24, 0, 0, INFLIGHT_SHMFD, OWN, handle_get_inflight_fd) \
	X(SET_INFLIGHT_FD, 20, 24, 1, 1, INFLIGHT_SHMFD, ACK, handle_set_inflight_fd) \
	X(GPU_SET_SOCKET, 0, 0, 1, 1, ANY, ACK, NULL) \
	X(RESET_DEVICE, 0, 0, 0, 0, RESET_DEVICE, ACK, handle_reset_device) \
	X(VRING_KICK, 8, 8, 0, 0, INBAND_NOTIFICATIONS, ACK, handle_vring_kick) \
	X(GET_MAX_MEM_SLOTS, 0, 0, 0, 0, CONFIGURE_MEM_SLOTS, OWN, handle_get_max_mem_slots) \
	X(ADD_MEM_REG, 8, 40, 0, 1, CONFIGURE_MEM_SLOTS, ACK, handle_add_mem_reg) \
	X(REM_MEM_REG, 36, 40, 0, 1, CONFIGURE_MEM_SLOTS, ACK, handle_rem_mem_reg) \
	X(SET_STATUS, 8, 8, 0, 0, STATUS, ACK, handle_set_status) \
	X(GET_STATUS, 0, 0, 0, 0, STATUS, OWN, handle_get_status) \
	X(GET_SHARED_OBJECT, 16, 16, 0, 0, SHARED_OBJECT, OWN, NULL) \
	X(SET_DEVICE_STATE_FD, 8, 8, 1, 1, DEVICE_STATE, OWN, handle_set_device_state_fd) \
	X(CHECK_DEVICE_STATE, 0, 0, 0, 0, DEVICE_STATE, OWN, handle_check_device_state) \
	X(GET_SHMEM_CONFIG, 0, 0, 0, 0, ANY, OWN, NULL)

/*
 * The protocol features that this library supports. It offers no other features, even if a device
 * type has them.
 */
#define VHOST_PROTOCOL_FEATURES_SERVED \
	(VHOST_PROTOCOL_BIT(MQ) | VHOST_PROTOCOL_BIT(LOG_SHMFD) | VHOST_PROTOCOL_BIT(RARP) | \
	    VHOST_PROTOCOL_BIT(REPLY_ACK) | VHOST_PROTOCOL_BIT(NET_MTU) | \
	    VHOST_PROTOCOL_BIT(RESET_DEVICE) | VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS) | \
	    VHOST_PROTOCOL_BIT(STATUS) | VHOST_PROTOCOL_BIT(DEVICE_STATE) | \
	    VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(BACKEND_SEND_FD) | \
	    VHOST_PROTOCOL_BIT(CONFIG) | VHOST_PROTOCOL_BIT(PAGEFAULT) | \
	    VHOST_PROTOCOL_BIT(INFLIGHT_SHMFD) | VHOST_PROTOCOL_BIT(HOST_NOTIFIER) | \
	    VHOST_PROTOCOL_BIT(INBAND_NOTIFICATIONS))

/* The entry of a request id; NULL if there is no such message. */
const struct vhost_message_spec *vhost_message_find(uint32_t request);

/* Its name, for log lines; NULL if there is no such message. */
const char *vhost_message_name(uint32_t request);

/* Take descriptor i out of msg. The caller owns it from now on. -1: msg has no such descriptor. */
int vhost_message_take_fd(struct vhost_message *msg, unsigned i);

/* Close all descriptors that are still in msg. */
void vhost_message_close_fds(const struct vhost_device *dev, struct vhost_message *msg);
