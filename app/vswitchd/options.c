/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One table describes every option: its name, its argument, its help line, and how its value is
 * stored: in a bool or a number of struct options, or by a function. getopt's table and the --help
 * text are made from it. value.c reads values.
 *
 * If a value cannot be used, one line on stderr names it and says what is right. Nothing has been
 * started by then.
 */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"
#include "bridge/fdb.h"
#include "control/balance.h"
#include "net/net_features.h"
#include "value.h"

typedef enum options_outcome (*option_take)(struct options *o, const char *value);

static enum options_outcome bad(const char *option, const char *value, const char *right)
{
	log_error("--%s: '%s' is not %s", option, value, right);
	return OPTIONS_BAD;
}

static enum options_outcome add_port(struct options *o, const char *path, int fd)
{
	if (o->n_ports == PORTS_MAX) {
		log_error("more than %d ports", PORTS_MAX);
		return OPTIONS_BAD;
	}
	o->port[o->n_ports++] = (struct port_option){.path = path, .fd = fd};
	return OPTIONS_RUN;
}

/*
 * The path from the root, as a configuration has it, for as long as the process lives. A path that
 * would become longer than the room stays as it is.
 */
static const char *absolute_within(const char *path, size_t room)
{
	char *directory = *path == '/' ? NULL : getcwd(NULL, 0), *whole = NULL;

	if (!directory ||
	    asprintf(&whole, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path) < 0)
		whole = NULL;
	free(directory);
	if (whole && strlen(whole) < room)
		return whole;
	free(whole);
	return path;
}

/* Of a socket. */
static const char *absolute(const char *path)
{
	return absolute_within(path, sizeof(((struct sockaddr_un *)NULL)->sun_path));
}

static enum options_outcome take_socket_path(struct options *o, const char *value)
{
	const char *path = absolute(value);

	if (*value == '\0')
		return bad("socket-path", value, "a path");
	for (unsigned i = 0; i < o->n_ports; i++) {
		if (o->port[i].path && strcmp(o->port[i].path, path) == 0) {
			log_error("--socket-path: %s is given twice", value);
			return OPTIONS_BAD;
		}
	}
	return add_port(o, path, -1);
}

static enum options_outcome take_control(struct options *o, const char *value)
{
	if (*value == '\0')
		return bad("control", value, "a path");
	o->control = absolute(value);
	return OPTIONS_RUN;
}

static enum options_outcome take_config(struct options *o, const char *value)
{
	if (*value == '\0')
		return bad("config", value, "a path");
	o->config = absolute_within(value, PATH_MAX);
	return OPTIONS_RUN;
}

static enum options_outcome take_fd(struct options *o, const char *value)
{
	int type;
	socklen_t len = sizeof(type);
	unsigned long fd;

	if (!value_number(value, 10, 0, 1 << 20, &fd) ||
	    getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
		return bad("fd", value, "the number of an open stream socket");
	return add_port(o, NULL, (int)fd);
}

static enum options_outcome take_client(struct options *o, const char *value)
{
	(void)value;
	o->port_defaults.mode = VHOST_ENDPOINT_CLIENT;
	return OPTIONS_RUN;
}

static enum options_outcome take_lcores(struct options *o, const char *value)
{
	cpu_set_t allowed, both;

	if (!value_cpu_list(value, &o->worker_cpus))
		return bad("lcores", value, "a list of CPUs such as 1,3-5");
	sched_getaffinity(0, sizeof(allowed), &allowed);
	CPU_AND(&both, &allowed, &o->worker_cpus);
	if (!CPU_EQUAL(&both, &o->worker_cpus))
		return bad("lcores", value, "a list of CPUs this process may run on");
	return OPTIONS_RUN;
}

static enum options_outcome take_balance(struct options *o, const char *value)
{
	static const char *const modes[] = SCHEDULE_MODES;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(value, modes[i]) != 0)
			continue;
		o->schedule.mode = i;
		return OPTIONS_RUN;
	}
	return bad("balance", value, "one of off, dry-run, on, rotate");
}

static enum options_outcome take_features(struct options *o, const char *value)
{
	char word[64], names[640];

	if (net_features_parse(value, &o->port_defaults.offer.features, word, sizeof(word)))
		return OPTIONS_RUN;
	net_features_names(names, sizeof(names));
	log_error("--features: '%s' is none of: %s", word, names);
	return OPTIONS_BAD;
}

static enum options_outcome take_socket_mode(struct options *o, const char *value)
{
	unsigned long mode;

	if (!value_number(value, 8, 0, 0777, &mode))
		return bad("socket-mode", value, "an octal file mode such as 0660");
	o->port_defaults.socket_mode = (int)mode;
	return OPTIONS_RUN;
}

static enum options_outcome take_socket_owner(struct options *o, const char *value)
{
	if (!value_user(value, &o->port_defaults.owner))
		return bad("socket-owner", value, "a user of this machine");
	return OPTIONS_RUN;
}

static enum options_outcome take_socket_group(struct options *o, const char *value)
{
	if (!value_group(value, &o->port_defaults.group))
		return bad("socket-group", value, "a group of this machine");
	return OPTIONS_RUN;
}

static enum options_outcome take_socket_directory(struct options *o, const char *value)
{
	struct stat st;

	if (o->n_directories == OPTION_DIRECTORIES_MAX) {
		log_error("--socket-directory: more than %d directories", OPTION_DIRECTORIES_MAX);
		return OPTIONS_BAD;
	}
	if (stat(value, &st) < 0 || !S_ISDIR(st.st_mode))
		return bad("socket-directory", value, "a directory");
	o->directory[o->n_directories++] = value;
	return OPTIONS_RUN;
}

static enum options_outcome take_log_level(struct options *o, const char *value)
{
	if (!log_level_parse(value, &o->log_level))
		return bad("log-level", value, "one of error, warning, info, debug");
	return OPTIONS_RUN;
}

static enum options_outcome take_print_capabilities(struct options *o, const char *value)
{
	(void)o;
	(void)value;
	puts("{\"type\":\"net\"}");
	return OPTIONS_DONE;
}

static enum options_outcome take_version(struct options *o, const char *value)
{
	(void)o;
	(void)value;
	puts("vswitchd " VSWITCHD_VERSION);
	return OPTIONS_DONE;
}

static enum options_outcome take_help(struct options *o, const char *value);

/* How an option's value is stored: by a function, or as the table says. */
enum option_kind {
	OPTION_TAKE,   /* a function stores it */
	OPTION_FLAG,   /* there is no value: a bool becomes true */
	OPTION_EITHER, /* one of two words: a bool becomes false or true */
	OPTION_NUMBER, /* in a uint32_t */
	OPTION_TEXT,   /* in a const char * */
};

struct option_spec {
	const char *name, *argument, *help;
	enum option_kind kind;
	option_take take;
	size_t at;              /* offset of the member of struct options */
	unsigned long min, max; /* of the number */
	const char *word[2];    /* for false, for true */
	const char *right;      /* a value that can be used, in words */
};

#define TAKE(function) .kind = OPTION_TAKE, .take = function
#define FLAG(member)   .kind = OPTION_FLAG, .at = offsetof(struct options, member)
#define TEXT(member)   .kind = OPTION_TEXT, .at = offsetof(struct options, member)
#define EITHER(member, no, yes, words) \
	.kind = OPTION_EITHER, .at = offsetof(struct options, member), .word = {no, yes}, \
	.right = words
#define NUMBER(member, least, most, words) \
	.kind = OPTION_NUMBER, .at = offsetof(struct options, member), .min = (least), \
	.max = (most), .right = words

static const struct option_spec option_table[] = {
    {"socket-path", "PATH", "a port: a vhost-user socket at PATH; repeat for more",
	TAKE(take_socket_path)},
    {"fd", "N", "a port: the socket that is open as descriptor N", TAKE(take_fd)},
    {"config", "FILE", "ports that FILE describes, in YAML; SIGHUP reads it again",
	TAKE(take_config)},
    {"control", "PATH",
	"socket for vswitchctl and other programs (default: control.sock in /run/vswitch)",
	TAKE(take_control)},
    {"client", NULL, "connect to the socket paths instead of listening on them", TAKE(take_client)},
    {"workers", "N", "how many CPUs move frames (default 1)",
	NUMBER(n_workers, 1, 127, "a number from 1 to 127")},
    {"lcores", "LIST", "which CPUs move frames, such as 1,3-5", TAKE(take_lcores)},
    {"idle", "MODE", "'sleep' if there is nothing to do (default), or always 'poll'",
	EITHER(idle_sleep, "poll", "sleep", "'sleep' or 'poll'")},
    {"balance", "MODE",
	"move queues from busy workers to others: 'on' (default), 'off', or 'dry-run' to log moves "
	"only",
	TAKE(take_balance)},
    {"balance-interval", "MS", "time between measurements of the workers' loads (default 1000)",
	NUMBER(schedule.interval_ms, 1, 3600000, "a number of milliseconds, 1 to 3600000")},
    {"balance-threshold", "P", "load from which a worker gives queues away, in % (default 70)",
	NUMBER(schedule.busy_percent, 1, 100, "a percentage, 1 to 100")},
    {"mac-table", "N", "number of MAC addresses to remember (default 65536)",
	NUMBER(mac_table, 1, FDB_ENTRIES_MAX, "a number from 1 to 16777216")},
    {"forget-after", "SECONDS",
	"how long to keep a port's addresses after its front-end disconnects (default 10)",
	NUMBER(forget_after_s, 0, FDB_AGE_MAX_S, "a number of seconds, 0 to 1000000")},
    {"queue-pairs", "N",
	"queue pairs per guest, for front-ends that leave this to the switch (default 8)",
	NUMBER(port_defaults.offer.queue_pairs, 1, PORT_QUEUES_MAX, "a number from 1 to 128")},
    {"forward-bpdu", NULL,
	"forward link-local frames (STP, LACP, EAPOL, LLDP, PTP) except pause frames",
	FLAG(forward_bpdu)},
    {"features", "SET",
	"virtio features to offer: 'all' (default), 'dpdk-22.11', or a list such as "
	"all,-ring_packed",
	TAKE(take_features)},
    {"no-huge", NULL, "use ordinary pages for the switch's own memory", FLAG(no_huge)},
    {"no-sandbox", NULL, "keep all capabilities and system calls", FLAG(no_sandbox)},
    {"memory", "KIND",
	"which guest memory to map: 'shared' memory (default) or files of 'any' kind",
	EITHER(port_defaults.offer.memory_any, "shared", "any", "'shared' or 'any'")},
    {"host-notifier", NULL,
	"offer guests pages to kick instead of eventfds; their rings are polled",
	FLAG(port_defaults.offer.host_notifier)},
    {"postcopy", NULL, "let migrating guests run before their memory has arrived",
	FLAG(port_defaults.offer.postcopy)},
    {"inband-notifications", NULL,
	"offer kicks and calls as messages, for User Mode Linux; not for QEMU",
	FLAG(port_defaults.offer.inband)},
    {"iommu", NULL, "support guests with a virtual IOMMU", FLAG(port_defaults.offer.iommu)},
    {"socket-mode", "MODE", "permissions of the sockets, octal", TAKE(take_socket_mode)},
    {"socket-owner", "USER", "owner of the sockets", TAKE(take_socket_owner)},
    {"socket-group", "GROUP", "group of the sockets", TAKE(take_socket_group)},
    {"socket-directory", "DIR",
	"let clients of the control socket add sockets in DIR while the switch runs",
	TAKE(take_socket_directory)},
    {"stats-json", "FILE", "write all counters to FILE on SIGUSR1 and at exit", TEXT(stats_json)},
    {"record-events", NULL, "record the last events of every ring; the JSON shows them",
	FLAG(port_defaults.offer.record_events)},
    {"log-level", "LEVEL", "error, warning, info (default) or debug", TAKE(take_log_level)},
    {"print-capabilities", NULL, "print the type of this back-end as JSON",
	TAKE(take_print_capabilities)},
    {"version", NULL, "print the version", TAKE(take_version)},
    {"help", NULL, "print this text", TAKE(take_help)},
};

static enum options_outcome take_help(struct options *o, const char *value)
{
	(void)o;
	(void)value;
	puts("usage: vswitchd --socket-path PATH [--socket-path PATH]... [OPTION]... "
	     "[-- EAL-OPTION...]\n\n"
	     "Switch Ethernet frames between virtual machines, one vhost-user socket each.\n");
	for (unsigned i = 0; i < ARRAY_SIZE(option_table); i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s %s", option_table[i].name,
		    option_table[i].argument ? option_table[i].argument : "");
		printf("  %-24s  %s\n", left, option_table[i].help);
	}
	puts("\nSIGUSR1 prints the table of ports; SIGHUP reads the file of --config again; "
	     "SIGTERM and SIGINT end the switch.");
	return OPTIONS_DONE;
}

/*
 * Without --lcores: the last CPUs that this process may use, because other programs mostly use the
 * first ones.
 */
static enum options_outcome choose_cpus(struct options *o)
{
	cpu_set_t allowed;
	unsigned wanted = o->n_workers ? o->n_workers : 1;

	if (CPU_COUNT(&o->worker_cpus)) {
		if (o->n_workers && o->n_workers != (unsigned)CPU_COUNT(&o->worker_cpus)) {
			log_error("--workers %u and --lcores with %d CPUs: give one of them",
			    o->n_workers, CPU_COUNT(&o->worker_cpus));
			return OPTIONS_BAD;
		}
		o->n_workers = CPU_COUNT(&o->worker_cpus);
		return OPTIONS_RUN;
	}
	sched_getaffinity(0, sizeof(allowed), &allowed);
	if (wanted > (unsigned)CPU_COUNT(&allowed)) {
		log_error(
		    "--workers %u: this process may use only %d CPUs", wanted, CPU_COUNT(&allowed));
		return OPTIONS_BAD;
	}
	o->n_workers = wanted;
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && wanted; cpu--) {
		if (CPU_ISSET(cpu, &allowed)) {
			CPU_SET(cpu, &o->worker_cpus);
			wanted--;
		}
	}
	return OPTIONS_RUN;
}

static enum options_outcome take(
    const struct option_spec *spec, struct options *o, const char *value)
{
	void *member = (char *)o + spec->at;
	unsigned long number;

	switch (spec->kind) {
	case OPTION_TAKE:
		return spec->take(o, value);
	case OPTION_FLAG:
		*(bool *)member = true;
		break;
	case OPTION_EITHER:
		*(bool *)member = strcmp(value, spec->word[1]) == 0;
		if (!*(bool *)member && strcmp(value, spec->word[0]) != 0)
			return bad(spec->name, value, spec->right);
		break;
	case OPTION_NUMBER:
		if (!value_number(value, 10, spec->min, spec->max, &number))
			return bad(spec->name, value, spec->right);
		*(uint32_t *)member = number;
		break;
	case OPTION_TEXT:
		*(const char **)member = value;
		break;
	}
	return OPTIONS_RUN;
}

static void fill_getopt(struct option longopts[])
{
	for (unsigned i = 0; i < ARRAY_SIZE(option_table); i++)
		longopts[i] = (struct option){
		    .name = option_table[i].name,
		    .has_arg = option_table[i].argument ? required_argument : no_argument,
		    .val = 256 + i,
		};
}

static enum options_outcome getopt_fault(int fault, char *argv[])
{
	const char *word = argv[optind - 1];

	if (fault == ':')
		log_error("%s: an argument is missing; see vswitchd --help", word);
	else if (optopt >= 256)
		log_error("--%s takes no argument", option_table[optopt - 256].name);
	else
		log_error("%s: no such option; see vswitchd --help", word);
	return OPTIONS_BAD;
}

/*
 * The vhost-user conventions for back-ends demand that --print-capabilities makes the program
 * ignore all other arguments.
 */
static bool asks_for_capabilities(int argc, char *argv[])
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--print-capabilities") == 0)
			return true;
	return false;
}

static void set_defaults(struct options *o)
{
	*o = (struct options){
	    .idle_sleep = true,
	    .mac_table = 65536,
	    .forget_after_s = 10,
	    .schedule = {.mode = SCHEDULE_ON,
		.interval_ms = 1000,
		.busy_percent = balance_usual.busy / 10},
	    .port_defaults =
		{
		    .mode = VHOST_ENDPOINT_SERVER,
		    .fd = -1,
		    .socket_mode = -1,
		    .owner = -1,
		    .group = -1,
		    .offer = {.features = NET_FEATURES_USUAL, .queue_pairs = 8},
		},
	    .log_level = LOG_INFO,
	};
}

enum options_outcome options_parse(int argc, char *argv[], struct options *ret)
{
	struct option longopts[ARRAY_SIZE(option_table) + 1] = {0};
	enum options_outcome outcome;
	int c;

	set_defaults(ret);
	if (asks_for_capabilities(argc, argv))
		return take_print_capabilities(ret, NULL);
	fill_getopt(longopts);
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:", longopts, NULL)) != -1) {
		if (c < 256)
			return getopt_fault(c, argv);
		outcome = take(&option_table[c - 256], ret, optarg);
		if (outcome != OPTIONS_RUN)
			return outcome;
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0) {
		log_error("'%s' is not an option; EAL options follow a --", argv[optind]);
		return OPTIONS_BAD;
	}
	ret->argc = argc;
	ret->argv = argv;
	ret->eal_argc = argc - optind;
	ret->eal_argv = argv + optind;
	if (ret->n_ports == 0 && !ret->control && !ret->config) {
		log_error("no port is given: name at least one with --socket-path PATH");
		return OPTIONS_BAD;
	}
	return choose_cpus(ret);
}
