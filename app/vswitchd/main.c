/* SPDX-License-Identifier: BSD-3-Clause */
/* vswitchd: parse arguments, start all parts, run the control loop until a signal ends it. */
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_eal.h>

#include "base/closer.h"
#include "base/errand.h"
#include "base/log.h"
#include "base/mover.h"
#include "base/util.h"
#include "control/report.h"
#include "control/ports.h"
#include "control/vswitch.h"
#include "manage/config_file.h"
#include "manage/manage.h"
#include "vhost/endpoint.h"
#include "vhost/helper.h"
#include "control_socket.h"
#include "directories.h"
#include "eal.h"
#include "ending.h"
#include "options.h"
#include "sandbox.h"
#include "service.h"

#define FDB_AGE_S 300

struct daemon {
	struct options options;
	struct event_base *base;
	struct event *report_signal, *reload_signal, *end;
	struct vswitch *sw;
	struct manage *manage;
	struct config_file file; /* as it was at the start */
	struct control_socket control;
};

/* The longest time to print the table, while front-ends wait, and at the end. */
#define PRINT_MS     20
#define PRINT_END_MS 200
/* The longest time to write the log at the end. */
#define LOG_END_MS 200

static void report(struct daemon *d, unsigned print_ms)
{
	json_t *all = report_json(d->sw);

	if (!all)
		return;
	report_print(all, STDOUT_FILENO, print_ms);
	if (d->options.stats_json)
		report_write(all, d->options.stats_json);
	json_decref(all);
}

static void on_report_signal(evutil_socket_t signum, short what, void *arg)
{
	(void)signum;
	(void)what;
	report(arg, PRINT_MS);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread names signals */
	log_info("ending on %s", strsignal(ending_signal()));
	service_stopping();
	event_base_loopbreak(d->base);
}

/* Their default action would end the switch without a log line and leave its sockets behind. */
static void ignore_signals(void)
{
	static const int strangers[] = {
	    SIGHUP, SIGPIPE, SIGALRM, SIGUSR2, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT};
	struct sigaction now;

	for (unsigned i = 0; i < ARRAY_SIZE(strangers); i++)
		if (sigaction(strangers[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			signal(strangers[i], SIG_IGN);
}

static void on_reload_signal(evutil_socket_t signum, short what, void *arg)
{
	struct daemon *d = arg;

	(void)signum;
	(void)what;
	service_reloading();
	manage_reload(d->manage);
}

static void on_reloaded(void *arg)
{
	(void)arg;
	service_reloaded();
}

/* Without a file SIGHUP stays ignored. */
static int watch_signals(struct daemon *d)
{
	d->report_signal = evsignal_new(d->base, SIGUSR1, on_report_signal, d);
	if (!d->report_signal || event_add(d->report_signal, NULL) < 0)
		return -ENOMEM;
	if (!d->options.config)
		return 0;
	d->reload_signal = evsignal_new(d->base, SIGHUP, on_reload_signal, d);
	return d->reload_signal && event_add(d->reload_signal, NULL) == 0 ? 0 : -ENOMEM;
}

static int watch_end(struct daemon *d)
{
	int fd = ending_watch();

	if (fd < 0)
		return fd;
	d->end = event_new(d->base, fd, EV_READ, on_end, d);
	return d->end && event_add(d->end, NULL) == 0 ? 0 : -ENOMEM;
}

static int add_ports(struct daemon *d)
{
	const struct options *o = &d->options;

	for (unsigned i = 0; i < o->n_ports; i++) {
		struct port_config config = o->port_defaults;
		struct port_fault fault;
		int err;

		config.patient = true;
		config.path = o->port[i].path;
		config.fd = o->port[i].fd;
		if (!config.path)
			config.mode = VHOST_ENDPOINT_FD;
		err = vswitch_port_add(d->sw, &config, NULL, &fault);
		if (err) {
			log_error("%s", fault.text);
			return err;
		}
	}
	return 0;
}

static void ask_to_end(void *arg)
{
	(void)arg;
	ending_ask();
}

/*
 * The control socket is the last socket that is opened, so a switch that answers on it serves its
 * ports.
 */
static int start_management(struct daemon *d)
{
	struct manage_config config = {.base = d->base,
	    .sw = d->sw,
	    .path = d->options.control,
	    .file = d->options.config,
	    .loaded = d->options.config ? &d->file : NULL,
	    .shutdown = ask_to_end,
	    .reloaded = on_reloaded,
	    .may_have_socket = directories_have};
	int err;

	if (!config.path && control_socket_path(&d->control))
		config.path = d->control.path;
	err = config.path ? directories_add_beside(config.path) : 0;
	if (!err)
		err = manage_create(&config, &d->manage);
	config_file_free(&d->file);
	if (!err && config.path)
		ending_note_control(config.path);
	return err;
}

static void do_nothing(void *arg)
{
	(void)arg;
}

static int enter_closer(void *arg)
{
	cpu_set_t cpus;

	eal_control_cpus(arg, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	return sandbox_enter_closer();
}

static int start_closers(struct daemon *d)
{
	int err = movers_prepare();

	if (!err)
		err = closer_start(enter_closer, &d->options);
	if (err)
		log_error(
		    "cannot start the processes that close descriptors: %s", error_text(-err));
	return err;
}

/* Without a privilege to keep it could do no more than this process. */
static int start_helper(const struct daemon *d)
{
	const struct port_config *defaults = &d->options.port_defaults;
	const struct helper_rights rights = {
	    .owner = defaults->owner,
	    .group = defaults->group,
	    .connect = defaults->mode == VHOST_ENDPOINT_CLIENT,
	};
	bool helps = sandbox_takes_privileges();
	int err = directories_collect(&d->options, d->file.config, helps);

	if (!err && helps)
		err = helper_start(&rights, sandbox_enter_helper);
	if (err)
		log_error("cannot start the helper process: %s", error_text(-err));
	return err;
}

static struct vswitch_config switch_config(const struct options *o)
{
	return (struct vswitch_config){
	    .fdb_entries = o->mac_table,
	    .fdb_age_s = FDB_AGE_S,
	    .forget_after_s = o->forget_after_s,
	    .idle_sleep = o->idle_sleep,
	    .port_defaults = o->port_defaults,
	    .forward_bpdu = o->forward_bpdu,
	    .enter_worker = sandbox_enter_worker,
	    .schedule = o->schedule,
	};
}

static int daemon_start(struct daemon *d)
{
	const struct vswitch_config config = switch_config(&d->options);
	int err = sandbox_init(!d->options.no_sandbox);

	if (!err)
		err = start_helper(d);
	if (!err)
		err = start_closers(d);
	if (!err)
		err = eal_start(&d->options);
	if (err)
		return err;
	d->base = event_base_new();
	if (!d->base)
		return -ENOMEM;
	err = watch_signals(d);
	if (err)
		return err;
	err = vswitch_create(d->base, &config, &d->sw);
	if (!err)
		err = vswitch_port_listen(d->sw, ending_note_port, NULL);
	if (err)
		return err;
	err = add_ports(d);
	if (!err)
		err = start_management(d);
	if (!err)
		err = log_start(sandbox_enter_log);
	if (!err)
		err = sandbox_enter_interrupts();
	if (!err)
		err = watch_end(d);
	if (!err)
		err = sandbox_enter_control(d->options.port_defaults.mode == VHOST_ENDPOINT_CLIENT);
	if (!err && d->options.config)
		config_file_check(d->options.config);
	if (!err && d->options.stats_json)
		err = report_check(d->options.stats_json);
	/* Start the first errand thread now, so that its memory is allocated. */
	return err ? err : errand_run(do_nothing, NULL);
}

static void tell_ready(const struct daemon *d)
{
	if (*d->control.why_not)
		log_info("no control socket: %s; --control PATH chooses another place",
		    d->control.why_not);
	log_info("ready: %u ports, %u workers", vswitch_port_count(d->sw), d->options.n_workers);
}

static void daemon_end(struct daemon *d)
{
	vswitch_destroy(d->sw);
	/* It is told of ports that go. */
	manage_destroy(d->manage);
	if (d->report_signal)
		event_free(d->report_signal);
	if (d->reload_signal)
		event_free(d->reload_signal);
	if (d->end)
		event_free(d->end);
	if (d->base)
		event_base_free(d->base);
}

/* A port takes about eight descriptors. Shells often grant 1,024 in all and allow more. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("cannot raise the limit of open files: %s", error_text(errno));
}

int main(int argc, char *argv[])
{
	static struct daemon d;
	int err;

	switch (options_parse(argc, argv, &d.options)) {
	case OPTIONS_DONE:
		return EXIT_SUCCESS;
	case OPTIONS_BAD:
		return 2;
	case OPTIONS_RUN:
		break;
	}
	mallopt(M_ARENA_MAX, 1); /* only the control thread allocates often */
	log_set_level(d.options.log_level);
	ignore_signals();
	ending_hold_signals();
	raise_file_limit();
	if (d.options.config && config_file_read(d.options.config, "", &d.file) < 0)
		return EXIT_FAILURE;
	service_connect();
	err = daemon_start(&d);
	if (!err)
		err = service_ready(d.base, d.sw);
	if (!err) {
		tell_ready(&d);
		event_base_dispatch(d.base);
		report(&d, PRINT_END_MS);
	}
	daemon_end(&d);
	rte_eal_cleanup();
	log_flush(LOG_END_MS);
	ending_done();
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
