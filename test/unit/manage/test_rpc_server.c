/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket on an event loop: many clients, slow ones, silent ones, ones that go away. */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "manage/rpc_server.h"
#include "small_schema.h"
#include "vhost/listener.h"

static char dir[64], path[96];
static time_t skipped_s; /* the clocks of the code under test are ahead by this */
static struct event_base *base;
static struct rpc_server *server;
static unsigned fds, idle_fds;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int err = __real_clock_gettime(clock, ret);

	ret->tv_sec += skipped_s;
	return err;
}

static json_t *handle_list(const struct rpc_call *call)
{
	json_t *entries = json_array();

	(void)call;
	for (unsigned i = 0; i < 4000; i++)
		json_array_append_new(entries, json_pack("{s:s}", "name", "aaaaaaaa"));
	return json_pack("{s:o, s:n}", "entries", entries, "next");
}

static json_t *handle_show(const struct rpc_call *call)
{
	return json_deep_copy(call->params);
}

static json_t *handle_watch(const struct rpc_call *call)
{
	rpc_session_subscribe(call->session, (1u << MANAGE_EVENTS_N) - 1);
	return json_object();
}

static struct rpc_ticket *ticket;

static json_t *handle_slow(const struct rpc_call *call)
{
	ticket = rpc_later(call);
	rpc_begin(ticket);
	return NULL;
}

static const struct rpc_method handlers[] = {{"thing.list", handle_list},
    {"thing.show", handle_show}, {"watch", handle_watch}, {"slow", handle_slow}, {0}};

static unsigned count_fds(void)
{
	DIR *open_fds = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(open_fds))
		n++;
	closedir(open_fds);
	return n;
}

static int setup(void **state)
{
	const struct rpc_config config = {.schema = &small_schema, .methods = handlers};

	(void)state;
	log_set_level(LOG_ERROR);
	fds = count_fds();
	snprintf(dir, sizeof(dir), "/tmp/rpc-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/control.sock", dir);
	base = event_base_new();
	assert_int_equal(rpc_server_create(base, path, &config, &server), 0);
	idle_fds = count_fds();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rpc_server_destroy(server);
	event_base_free(base);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(count_fds(), fds);
	return 0;
}

/* Let the loop do all that is due. */
static void turn(unsigned times)
{
	while (times--)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Let the loop run for so long. */
static void run_ms(int64_t ms)
{
	for (int64_t end = clock_ms() + ms; clock_ms() < end; usleep(500))
		turn(1);
}

static int join(void)
{
	int fd = socket_connect(path);

	assert_true(fd >= 0);
	return fd;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

#define SHOW \
	"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"thing.show\", \"params\": {\"name\": " \
	"\"a\"}}\n"
#define SHOWN "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"name\":\"a\"}}\n"
#define LIST  "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"thing.list\"}\n"
#define SLOW  "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"slow\"}\n"
#define WATCH "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"watch\"}\n"

/* Bytes that came within the time; -1: the connection is closed. */
static ssize_t receive(int fd, char *bytes, size_t room, int64_t ms)
{
	size_t got = 0;

	for (int64_t end = clock_ms() + ms; clock_ms() < end && got < room; turn(1)) {
		ssize_t n = recv(fd, bytes + got, room - got, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return got ? (ssize_t)got : -1;
		if (n > 0)
			got += (size_t)n;
		if (got && bytes[got - 1] == '\n')
			break;
	}
	return (ssize_t)got;
}

static void assert_answer(int fd)
{
	char bytes[512];
	ssize_t n = receive(fd, bytes, sizeof(bytes), 2000);

	assert_true(n > 0);
	bytes[n - 1] = '\0';
	assert_non_null(strstr(bytes, "\"result\":{\"name\":\"a\"}"));
}

static void the_socket_has_its_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
}

static void clients_are_answered(void **state)
{
	int fd[RPC_CLIENTS_MAX];

	(void)state;
	for (unsigned i = 0; i < RPC_CLIENTS_MAX; i++) {
		fd[i] = join();
		send_text(fd[i], SHOW);
		turn(2);
	}
	for (unsigned i = 0; i < RPC_CLIENTS_MAX; i++)
		assert_answer(fd[i]);
	for (unsigned i = 0; i < RPC_CLIENTS_MAX; i++)
		close(fd[i]);
	run_ms(100);
	assert_int_equal(count_fds(), idle_fds);
}

static void a_client_may_end_before_it_reads(void **state)
{
	char bytes[1024];
	int fd = join();

	(void)state;
	send_text(fd, SHOW SHOW SHOW);
	shutdown(fd, SHUT_WR);
	run_ms(20);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(recv(fd, bytes, strlen(SHOWN), MSG_DONTWAIT), strlen(SHOWN));
		assert_memory_equal(bytes, SHOWN, strlen(SHOWN));
	}
	assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), 0);
	close(fd);
	/* And it may go away at once, with answers on their way. */
	fd = join();
	send_text(fd, LIST LIST LIST);
	close(fd);
	run_ms(20);
	assert_int_equal(count_fds(), idle_fds);
}

/* More answers than a socket takes at once. */
static void a_client_that_ends_gets_all_answers(void **state)
{
	static char bytes[65536];
	unsigned lines = 0;
	ssize_t n;
	int fd = join();

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		send_text(fd, LIST);
	shutdown(fd, SHUT_WR);
	for (int64_t end = clock_ms() + 10000; clock_ms() < end; turn(1)) {
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			lines += bytes[i] == '\n';
	}
	assert_int_equal(lines, 20);
	close(fd);
}

/* The client with most requests does not keep another one waiting. */
static void a_greedy_client_delays_nobody(void **state)
{
	static char whole[1 << 20];
	int greedy = join(), modest = join();
	int64_t worst = 0, one = clock_read(CLOCK_PROCESS_CPUTIME_ID);

	(void)state;
	send_text(greedy, LIST);
	assert_true(receive(greedy, whole, sizeof(whole), 2000) > 0);
	one = clock_read(CLOCK_PROCESS_CPUTIME_ID) - one;
	for (unsigned i = 0; i < 30; i++) {
		char bytes[65536];
		int64_t start; /* of our own time: others use the CPU, too */

		while (send(greedy, LIST, strlen(LIST), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			;
		while (recv(greedy, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		start = clock_read(CLOCK_PROCESS_CPUTIME_ID);
		send_text(modest, SHOW);
		assert_answer(modest);
		worst = MAX(worst, clock_read(CLOCK_PROCESS_CPUTIME_ID) - start);
	}
	if (worst > INT64_C(100000000) + 8 * one)
		fail_msg("a request took %lld us", (long long)worst / 1000);
	close(greedy);
	close(modest);
}

static void a_client_that_does_not_read_costs_bounded_memory(void **state)
{
	int fd = join(), other = join();
	unsigned sent = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		sent += send(fd, LIST, strlen(LIST), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
		turn(3);
	}
	run_ms(20);
	send_text(other, SHOW);
	assert_answer(other);
	/* All lines fit into the socket's buffer, and their answers do not. */
	assert_true(sent > 100);
	close(fd);
	close(other);
}

static unsigned hung_up(const int fd[], unsigned n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		struct pollfd p = {.fd = fd[i]};

		count += poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
	}
	return count;
}

/* Batches with large answers that nobody reads. */
static void the_client_that_holds_most_memory_has_to_go(void **state)
{
	char line[8192];
	int fd[12], small = join(), n_line = sprintf(line, "[");
	/* Each of them will hold 2 to 4 MiB. */
	const unsigned least = ARRAY_SIZE(fd) - (RPC_HELD_MAX >> 21);
	unsigned gone = 0;

	(void)state;
	for (unsigned i = 0; i < 30; i++)
		n_line +=
		    sprintf(line + n_line, "%s%.*s", i ? "," : "", (int)strlen(LIST) - 1, LIST);
	sprintf(line + n_line, "]\n");
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = join();
		send_text(fd[i], line);
		run_ms(50);
	}
	for (unsigned i = 0; i < 400 && hung_up(fd, ARRAY_SIZE(fd)) < least; i++)
		run_ms(50);
	run_ms(500);
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++) {
		static char bytes[1 << 20];
		ssize_t n;

		do
			n = recv(fd[i], bytes, sizeof(bytes), MSG_DONTWAIT);
		while (n > 0);
		gone += n == 0 || errno == ECONNRESET;
		close(fd[i]);
	}
	assert_in_range(gone, least, ARRAY_SIZE(fd) - 3);
	send_text(small, SHOW);
	assert_answer(small);
	close(small);
}

/* A second after its time has come. */
static void a_client_that_takes_nothing_for_long_has_to_go(void **state)
{
	int stuck = join(), slow = join(), idle = join();
	char bytes[256];

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		send_text(stuck, LIST);
		send_text(slow, LIST);
	}
	run_ms(1000);
	skipped_s += RPC_STUCK_MS / 1000 - 2;
	assert_int_equal(recv(slow, bytes, sizeof(bytes), MSG_DONTWAIT), sizeof(bytes));
	/* So much that the switch can send again. */
	for (unsigned i = 0; i < 4000; i++)
		assert_true(recv(slow, bytes, sizeof(bytes), MSG_DONTWAIT) != 0);
	run_ms(1200);
	assert_int_equal(send(stuck, "\n", 1, MSG_NOSIGNAL), 1);
	skipped_s += 2;
	run_ms(1200);
	assert_int_equal(send(stuck, "\n", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(send(slow, "\n", 1, MSG_NOSIGNAL), 1);
	send_text(idle, SHOW);
	assert_answer(idle);
	close(stuck);
	close(slow);
	close(idle);
}

static void pass_descriptors(int to, unsigned n)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(100 * sizeof(int))];
	} control = {.bytes = ""};
	char text[] = SHOW;
	struct iovec iov = {.iov_base = text, .iov_len = strlen(text)};
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = CMSG_SPACE(n * sizeof(int))};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(to), &to, sizeof(to));
	assert_int_equal(sendmsg(to, &mh, MSG_NOSIGNAL), strlen(SHOW));
}

static void descriptors_are_not_taken(void **state)
{
	char bytes[512];

	(void)state;
	for (unsigned n = 1; n <= 100; n += 33) {
		int fd = join();

		pass_descriptors(fd, n);
		assert_int_equal(receive(fd, bytes, sizeof(bytes), 2000), -1);
		close(fd);
		assert_int_equal(count_fds(), idle_fds);
	}
}

static void clients_may_not_connect_too_often(void **state)
{
	const unsigned more = 100;
	int64_t start = clock_ms();

	(void)state;
	for (unsigned i = 0; i < RPC_ACCEPT_BURST + more; i++) {
		int fd = join();

		send_text(fd, SHOW);
		assert_answer(fd);
		close(fd);
	}
	assert_true(clock_ms() - start >= more * RPC_ACCEPT_MS * 9 / 10);
}

static void a_crowd_of_silent_clients_makes_room(void **state)
{
	int fd[RPC_CLIENTS_MAX + 1], late;
	char bytes[512];

	(void)state;
	for (unsigned i = 0; i < RPC_CLIENTS_MAX; i++) {
		fd[i] = join();
		send_text(fd[i], i ? "{\"half" : WATCH);
		turn(2);
	}
	/* The subscriber has read everything. */
	assert_true(receive(fd[0], bytes, sizeof(bytes), 1000) > 0);
	late = join();
	send_text(late, SHOW);
	run_ms(300);
	assert_int_equal(recv(late, (char[1]){0}, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	run_ms(RPC_SILENT_MS);
	assert_answer(late);
	/* The one that has waited for longest has gone; a subscriber stays. */
	turn(10);
	assert_int_equal(recv(fd[1], (char[1]){0}, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(fd[0], bytes, 1, MSG_DONTWAIT), -1);
	for (unsigned i = 0; i < RPC_CLIENTS_MAX; i++)
		close(fd[i]);
	close(late);
}

static void a_client_whose_request_is_worked_for_stays(void **state)
{
	int fd[RPC_CLIENTS_MAX], late;
	char bytes[512];

	(void)state;
	for (unsigned i = 0; i < RPC_CLIENTS_MAX; i++) {
		fd[i] = join();
		send_text(fd[i], i ? WATCH : SLOW);
		turn(2);
	}
	late = join();
	send_text(late, SHOW);
	run_ms(RPC_SILENT_MS + 300);
	assert_answer(late);
	turn(10);
	rpc_answer(ticket, json_object(), NULL);
	assert_true(receive(fd[0], bytes, sizeof(bytes), 1000) > 0);
	for (unsigned i = 0; i < RPC_CLIENTS_MAX; i++)
		close(fd[i]);
	close(late);
}

static void events_reach_subscribers(void **state)
{
	char bytes[512];
	int fd = join();

	(void)state;
	send_text(fd, WATCH);
	assert_true(receive(fd, bytes, sizeof(bytes), 1000) > 0);
	rpc_publish(rpc_server_rpc(server), MANAGE_EVENT_PORT_UP, NULL);
	assert_true(receive(fd, bytes, sizeof(bytes) - 1, 1000) > 0);
	assert_non_null(strstr(bytes, "port.up"));
	close(fd);
	run_ms(5);
	rpc_publish(rpc_server_rpc(server), MANAGE_EVENT_PORT_UP, NULL);
	run_ms(5);
}

static void another_switch_keeps_its_socket(void **state)
{
	const struct rpc_config config = {.schema = &small_schema, .methods = handlers};
	struct rpc_server *second = NULL;
	int stderr_fd = dup(2), nowhere = open("/dev/null", O_WRONLY);

	(void)state;
	dup2(nowhere, 2);
	assert_int_equal(rpc_server_create(base, path, &config, &second), -EADDRINUSE);
	dup2(stderr_fd, 2);
	close(stderr_fd);
	close(nowhere);
	assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(the_socket_has_its_mode),
	    TEST(clients_are_answered),
	    TEST(a_client_may_end_before_it_reads),
	    TEST(a_client_that_ends_gets_all_answers),
	    TEST(a_greedy_client_delays_nobody),
	    TEST(a_client_that_does_not_read_costs_bounded_memory),
	    TEST(the_client_that_holds_most_memory_has_to_go),
	    TEST(a_client_that_takes_nothing_for_long_has_to_go),
	    TEST(descriptors_are_not_taken),
	    TEST(clients_may_not_connect_too_often),
	    TEST(a_crowd_of_silent_clients_makes_room),
	    TEST(a_client_whose_request_is_worked_for_stays),
	    TEST(events_reach_subscribers),
	    TEST(another_switch_keeps_its_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
