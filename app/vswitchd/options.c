/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One table describes every option: its name, its argument, its help line and the function that
 * takes its value. getopt's table and the --help text are made from it.
 *
 * A value that cannot be used is named on stderr in one line, together with what would be
 * right; nothing has been started by then.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "bridge/fdb.h"
#include "control/balance.h"

typedef enum options_outcome (*option_take)(struct options *o, const char *value);

static enum options_outcome bad(const char *option, const char *value, const char *right)
{
	log_error("--%s: '%s' is not %s", option, value, right);
	return OPTIONS_BAD;
}

static bool parse_number(const char *text, int base, unsigned long max, unsigned long *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoul(text, &end, base);
	return errno == 0 && *end == '\0' && *ret <= max;
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

static enum options_outcome take_socket_path(struct options *o, const char *value)
{
	if (*value == '\0')
		return bad("socket-path", value, "a path");
	for (unsigned i = 0; i < o->n_ports; i++) {
		if (o->port[i].path && strcmp(o->port[i].path, value) == 0) {
			log_error("--socket-path: %s is given twice", value);
			return OPTIONS_BAD;
		}
	}
	return add_port(o, value, -1);
}

static enum options_outcome take_fd(struct options *o, const char *value)
{
	int type;
	socklen_t len = sizeof(type);
	unsigned long fd;

	if (!parse_number(value, 10, 1 << 20, &fd) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
		return bad("fd", value, "the number of an open stream socket");
	return add_port(o, NULL, fd);
}

static enum options_outcome take_client(struct options *o, const char *value)
{
	(void)value;
	o->client = true;
	return OPTIONS_RUN;
}

static enum options_outcome take_workers(struct options *o, const char *value)
{
	unsigned long n;

	if (!parse_number(value, 10, 127, &n) || n == 0)
		return bad("workers", value, "a number from 1 to 127");
	o->n_workers = n;
	return OPTIONS_RUN;
}

static enum options_outcome take_mac_table(struct options *o, const char *value)
{
	unsigned long n;

	if (!parse_number(value, 10, FDB_ENTRIES_MAX, &n) || n == 0)
		return bad("mac-table", value, "a number from 1 to 16777216");
	o->mac_table = n;
	return OPTIONS_RUN;
}

/* "1,3-5": each part a number or a range. */
static bool parse_cpu_list(const char *text, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	for (;;) {
		char *end;
		unsigned long from, to;

		if (*text < '0' || *text > '9')
			return false;
		from = to = strtoul(text, &end, 10);
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return false;
			to = strtoul(end + 1, &end, 10);
		}
		if (from > to || to >= CPU_SETSIZE)
			return false;
		for (unsigned long cpu = from; cpu <= to; cpu++)
			CPU_SET(cpu, ret);
		if (*end == '\0')
			return true;
		if (*end != ',')
			return false;
		text = end + 1;
	}
}

static enum options_outcome take_lcores(struct options *o, const char *value)
{
	cpu_set_t allowed, both;

	if (!parse_cpu_list(value, &o->worker_cpus))
		return bad("lcores", value, "a list of CPUs such as 1,3-5");
	sched_getaffinity(0, sizeof(allowed), &allowed);
	CPU_AND(&both, &allowed, &o->worker_cpus);
	if (!CPU_EQUAL(&both, &o->worker_cpus))
		return bad("lcores", value, "a list of CPUs this process may run on");
	return OPTIONS_RUN;
}

static enum options_outcome take_no_huge(struct options *o, const char *value)
{
	(void)value;
	o->no_huge = true;
	return OPTIONS_RUN;
}

static enum options_outcome take_idle(struct options *o, const char *value)
{
	o->idle_sleep = strcmp(value, "sleep") == 0;
	if (!o->idle_sleep && strcmp(value, "poll") != 0)
		return bad("idle", value, "'sleep' or 'poll'");
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

static enum options_outcome take_balance_interval(struct options *o, const char *value)
{
	unsigned long ms;

	if (!parse_number(value, 10, 3600000, &ms) || ms == 0)
		return bad("balance-interval", value, "a number of milliseconds, 1 to 3600000");
	o->schedule.interval_ms = ms;
	return OPTIONS_RUN;
}

static enum options_outcome take_balance_threshold(struct options *o, const char *value)
{
	unsigned long percent;

	if (!parse_number(value, 10, 100, &percent) || percent == 0)
		return bad("balance-threshold", value, "a percentage, 1 to 100");
	o->schedule.busy_percent = percent;
	return OPTIONS_RUN;
}

static enum options_outcome take_no_sandbox(struct options *o, const char *value)
{
	(void)value;
	o->sandbox = false;
	return OPTIONS_RUN;
}

static enum options_outcome take_host_notifier(struct options *o, const char *value)
{
	(void)value;
	o->host_notifier = true;
	return OPTIONS_RUN;
}

static enum options_outcome take_inband(struct options *o, const char *value)
{
	(void)value;
	o->inband = true;
	return OPTIONS_RUN;
}

static enum options_outcome take_postcopy(struct options *o, const char *value)
{
	(void)value;
	o->postcopy = true;
	return OPTIONS_RUN;
}

static enum options_outcome take_forward_bpdu(struct options *o, const char *value)
{
	(void)value;
	o->forward_bpdu = true;
	return OPTIONS_RUN;
}

static enum options_outcome take_iommu(struct options *o, const char *value)
{
	(void)value;
	o->iommu = true;
	return OPTIONS_RUN;
}

static enum options_outcome take_socket_mode(struct options *o, const char *value)
{
	unsigned long mode;

	if (!parse_number(value, 8, 0777, &mode))
		return bad("socket-mode", value, "an octal file mode such as 0660");
	o->socket_mode = mode;
	return OPTIONS_RUN;
}

static enum options_outcome take_socket_owner(struct options *o, const char *value)
{
	const struct passwd *user = getpwnam(value);
	unsigned long id;

	if (user)
		o->socket_owner = user->pw_uid;
	else if (parse_number(value, 10, UINT32_MAX - 1, &id))
		o->socket_owner = id;
	else
		return bad("socket-owner", value, "a user of this machine");
	return OPTIONS_RUN;
}

static enum options_outcome take_socket_group(struct options *o, const char *value)
{
	const struct group *group = getgrnam(value);
	unsigned long id;

	if (group)
		o->socket_group = group->gr_gid;
	else if (parse_number(value, 10, UINT32_MAX - 1, &id))
		o->socket_group = id;
	else
		return bad("socket-group", value, "a group of this machine");
	return OPTIONS_RUN;
}

static enum options_outcome take_log_level(struct options *o, const char *value)
{
	if (!log_level_parse(value, &o->log_level))
		return bad("log-level", value, "one of error, warning, info, debug");
	return OPTIONS_RUN;
}

static enum options_outcome take_stats_json(struct options *o, const char *value)
{
	o->stats_json = value;
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

static const struct {
	const char *name, *argument;
	option_take take;
	const char *help;
} option_table[] = {
    {"socket-path", "PATH", take_socket_path,
	"a port: a vhost-user socket at PATH; repeat for more"},
    {"fd", "N", take_fd, "a port: the socket that is open as descriptor N"},
    {"client", NULL, take_client, "connect to the socket paths instead of listening there"},
    {"workers", "N", take_workers, "how many cores move frames (default 1)"},
    {"lcores", "LIST", take_lcores, "which CPUs move frames, such as 1,3-5"},
    {"idle", "MODE", take_idle, "'sleep' when there is nothing to do (default), or 'poll' on"},
    {"balance", "MODE", take_balance,
	"move queues from busy workers to others: 'on' (default), 'off', or only say so: "
	"'dry-run'"},
    {"balance-interval", "MS", take_balance_interval,
	"how often workers' loads are looked at (default 1000)"},
    {"balance-threshold", "P", take_balance_threshold,
	"how busy a worker must be to give queues away, in % (default 70)"},
    {"mac-table", "N", take_mac_table, "how many MAC addresses are remembered (default 65536)"},
    {"forward-bpdu", NULL, take_forward_bpdu,
	"pass on link-local frames (STP, LACP, EAPOL, LLDP, PTP), all but pause frames"},
    {"no-huge", NULL, take_no_huge, "do without huge pages"},
    {"no-sandbox", NULL, take_no_sandbox, "keep all capabilities and system calls"},
    {"host-notifier", NULL, take_host_notifier,
	"give guests pages to kick instead of eventfds; their rings are polled"},
    {"postcopy", NULL, take_postcopy, "let migrating guests arrive before their memory"},
    {"inband-notifications", NULL, take_inband,
	"offer kicks and calls as messages, for User Mode Linux; not for QEMU"},
    {"iommu", NULL, take_iommu, "serve guests whose devices are behind a virtual IOMMU"},
    {"socket-mode", "MODE", take_socket_mode, "permissions of the sockets, octal"},
    {"socket-owner", "USER", take_socket_owner, "owner of the sockets"},
    {"socket-group", "GROUP", take_socket_group, "group of the sockets"},
    {"stats-json", "FILE", take_stats_json, "write all counters to FILE on SIGUSR1 and at exit"},
    {"log-level", "LEVEL", take_log_level, "error, warning, info (default) or debug"},
    {"print-capabilities", NULL, take_print_capabilities, "print what this back-end is, as JSON"},
    {"version", NULL, take_version, "print the version"},
    {"help", NULL, take_help, "print this"},
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
	puts("\nSIGUSR1 prints the table of ports, SIGTERM and SIGINT end the switch.");
	return OPTIONS_DONE;
}

/* Without --lcores: the last CPUs this process may use, for the first ones serve everybody. */
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

enum options_outcome options_parse(int argc, char *argv[], struct options *ret)
{
	struct option longopts[ARRAY_SIZE(option_table) + 1] = {0};
	enum options_outcome outcome;
	int c;

	memset(ret, 0, sizeof(*ret));
	ret->idle_sleep = true;
	ret->sandbox = true;
	ret->mac_table = 65536;
	ret->schedule = (struct schedule_config){
	    .mode = SCHEDULE_ON, .interval_ms = 1000, .busy_percent = balance_usual.busy / 10};
	ret->socket_mode = -1;
	ret->socket_owner = -1;
	ret->socket_group = -1;
	ret->log_level = LOG_INFO;
	fill_getopt(longopts);
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:", longopts, NULL)) != -1) {
		if (c < 256)
			return getopt_fault(c, argv);
		outcome = option_table[c - 256].take(ret, optarg);
		if (outcome != OPTIONS_RUN)
			return outcome;
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0) {
		log_error("'%s' is not an option; EAL options follow a --", argv[optind]);
		return OPTIONS_BAD;
	}
	ret->eal_argc = argc - optind;
	ret->eal_argv = argv + optind;
	if (ret->n_ports == 0) {
		log_error("no port is given: name at least one with --socket-path PATH");
		return OPTIONS_BAD;
	}
	return choose_cpus(ret);
}
