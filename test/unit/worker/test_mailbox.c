/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * To which queue a frame in a mailbox goes, that none goes to another port, and that one is sent at
 * a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "worker/mailbox.h"

#define QUEUES 1000

static struct lab {
	struct port port[QUEUES];
	struct queue queue[QUEUES];
	struct queue *all[QUEUES];
	uint64_t key[QUEUES];
	struct poll_list list;
	struct mailbox box;
	unsigned sent[QUEUES]; /* by each queue */
} lab;

void burst_inject(struct burst *b, const struct forwarding *fwd, struct queue *source,
    uint32_t now_s, const uint8_t *frame, uint32_t len)
{
	(void)b;
	(void)fwd;
	(void)now_s;
	assert_int_equal(len, 6);
	assert_memory_equal(frame, "frame", 6);
	lab.sent[source - lab.queue]++;
}

/* Each queue has a port of its own, except queues 10 to 12, which have the port of queue 10. */
static void list_queues(void)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		lab.all[i] = &lab.queue[i];
		lab.key[i] = poll_key(&lab.queue[i]);
	}
	lab.list = (struct poll_list){.n = QUEUES, .queue = lab.all, .key = lab.key};
}

static int open_lab(void **state)
{
	(void)state;
	memset(&lab, 0, sizeof(lab));
	for (unsigned i = 0; i < QUEUES; i++) {
		lab.port[i] = (struct port){.index = i, .generation = 1};
		lab.queue[i] = (struct queue){.port = &lab.port[i], .index = 1, .enabled = true};
	}
	for (unsigned i = 11; i < 13; i++) {
		lab.queue[i].port = &lab.port[10];
		lab.queue[i].index = 2 * (i - 10) + 1;
	}
	list_queues();
	return 0;
}

static int put(uint16_t index, uint32_t generation)
{
	const struct port_id id = {.index = index, .generation = generation};

	return mailbox_put(&lab.box, id, (const uint8_t *)"frame", 6);
}

static struct queue *send(void)
{
	return mailbox_send(&lab.box, NULL, NULL, &lab.list, 0);
}

static void empty(void)
{
	while (mailbox_waits(&lab.box))
		send();
	assert_null(send());
}

static void a_frame_goes_by_a_queue_of_its_port(void **state)
{
	(void)state;
	assert_int_equal(put(1, 1), 0);
	assert_true(mailbox_waits(&lab.box));
	empty();
	assert_int_equal(lab.sent[1], 1);
	assert_int_equal(lab.sent[0] + lab.sent[2], 0);
}

static void a_frame_goes_by_an_enabled_queue_of_its_port(void **state)
{
	(void)state;
	lab.queue[10].enabled = lab.queue[11].enabled = false;
	assert_int_equal(put(10, 1), 0);
	empty();
	assert_int_equal(lab.sent[12], 1);
	lab.queue[12].enabled = false;
	assert_int_equal(put(10, 1), 0);
	empty();
	assert_int_equal(lab.sent[12] + lab.sent[13], 1);
}

/* To look at a queue is a cache miss, and there may be hundreds. A look at NULL would crash. */
static void to_find_a_queue_takes_no_look_at_queues_of_other_ports(void **state)
{
	(void)state;
	for (unsigned i = 0; i < QUEUES; i++)
		lab.all[i] = i == 700 ? &lab.queue[700] : NULL;
	assert_int_equal(put(700, 1), 0);
	empty();
	assert_int_equal(lab.sent[700], 1);
	assert_int_equal(put(701, 2), 0); /* no port has this generation */
	assert_int_equal(put(QUEUES, 1), 0);
	empty();
}

static void a_frame_of_an_older_port_with_the_same_index_is_lost(void **state)
{
	(void)state;
	assert_int_equal(put(1, 1), 0);
	lab.port[1].generation = 2;
	list_queues();
	empty();
	assert_int_equal(lab.sent[1], 0);
	assert_int_equal(put(1, 2), 0);
	empty();
	assert_int_equal(lab.sent[1], 1);
}

static void without_an_enabled_queue_a_frame_is_lost(void **state)
{
	(void)state;
	lab.queue[1].enabled = false;
	assert_int_equal(put(1, 1), 0);
	empty();
	assert_int_equal(lab.sent[1], 0);
}

static void so_many_frames_fit_and_no_more(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MAILBOX_FRAMES; i++)
		assert_int_equal(put(20 + i, 1), 0);
	assert_int_equal(put(2, 1), -EAGAIN);
	assert_ptr_equal(send(), &lab.queue[20]);
	assert_int_equal(put(2, 1), 0);
	assert_int_equal(put(2, 1), -EAGAIN);
	empty();
	assert_int_equal(lab.sent[2], 1);
}

static void a_port_leaves_room_for_others(void **state)
{
	(void)state;
	assert_int_equal(put(3, 2), 0); /* an older port with the same index does not count */
	for (unsigned i = 0; i < MAILBOX_PORT_FRAMES; i++) {
		assert_int_equal(mailbox_count(&lab.box, (struct port_id){1, 3}), i);
		assert_int_equal(put(3, 1), 0);
	}
	assert_int_equal(put(3, 1), -EAGAIN);
	assert_int_equal(put(4, 1), 0);
	assert_null(send());
	assert_int_equal(put(3, 1), -EAGAIN);
	assert_ptr_equal(send(), &lab.queue[3]);
	assert_int_equal(put(3, 1), 0);
}

static void one_frame_is_sent_at_a_time_and_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(put(i, 1), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(mailbox_waits(&lab.box));
		assert_int_equal(lab.sent[i], 0);
		assert_ptr_equal(send(), &lab.queue[i]);
		assert_int_equal(lab.sent[i], 1);
	}
	assert_false(mailbox_waits(&lab.box));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, open_lab)
	const struct CMUnitTest tests[] = {
	    TEST(a_frame_goes_by_a_queue_of_its_port),
	    TEST(a_frame_goes_by_an_enabled_queue_of_its_port),
	    TEST(to_find_a_queue_takes_no_look_at_queues_of_other_ports),
	    TEST(a_frame_of_an_older_port_with_the_same_index_is_lost),
	    TEST(without_an_enabled_queue_a_frame_is_lost),
	    TEST(so_many_frames_fit_and_no_more),
	    TEST(a_port_leaves_room_for_others),
	    TEST(one_frame_is_sent_at_a_time_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
