/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A configuration is applied for SLICE_NS, and goes on REST_MS later, so that front-ends are served
 * in between. Meanwhile requests that change the switch are put off (rpc.h) and wait in a queue.
 * After it one of them is begun every REST_MS. A client has at most one such request. It is
 * forgotten if its session is closed before it begins; but a client that waits is not read from, so
 * the switch does not see that it has gone by itself.
 *
 * A request that goes on (change_goes_on()) is called again every REST_MS, until it is answered. If
 * its session is closed meanwhile, what it had begun is given up.
 *
 * A file is written by an errand, because a disk may take any time; an eventfd tells that it is
 * done. The text is made before, so only another save and the reading of the file wait for it.
 */
#include "manage/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/errand.h"
#include "base/log.h"
#include "base/util.h"
#include "control/port_settings.h"
#include "manage/apply.h"
#include "manage/config_file.h"
#include "manage/methods.h"
#include "manage/yaml.h"

#define SLICE_NS INT64_C(2000000)
#define REST_MS  1
#define STAYS    "; the running configuration stays"

struct waiting {
	STAILQ_ENTRY(waiting) next;
	struct rpc_ticket *ticket;
	bool saves;
};

/* A file that is being written. The errand owns it until it writes the eventfd. */
struct saving {
	struct rpc_ticket *ticket;
	const char *path;
	char *text;
	size_t n;
	int error;
	int done_fd;
};

/* What is under way. */
struct change {
	struct apply *apply;       /* NULL: no configuration is being applied */
	struct saving *saving;     /* NULL: no file is being written */
	struct rpc_ticket *going;  /* of change_goes_on(); NULL: none */
	struct rpc_ticket *ticket; /* of the client that asked to apply; NULL: the file did */
	struct config_file file;   /* that is being applied */
	bool dry_run;              /* it only looks at what would change */
	bool reload;               /* the file is to be read after that */
	struct event *slice, *done;
	int done_fd; /* an eventfd: the file has been written */
	STAILQ_HEAD(waiting_list, waiting) waiting;
};

/* May it not begin now? `saves`: it uses the file, too. */
static bool is_busy(const struct change *c, bool saves)
{
	return c->apply || c->going || (saves && c->saving);
}

/* The request that is next; NULL: none may begin now. */
static struct waiting *first_waiting(const struct change *c)
{
	struct waiting *w = STAILQ_FIRST(&c->waiting);

	while (w && is_busy(c, w->saves))
		w = STAILQ_NEXT(w, next);
	return w;
}

/* Clients that have gone leave nothing behind: no more wait than there are clients. */
static void forget_gone(struct change *c)
{
	struct waiting_list kept = STAILQ_HEAD_INITIALIZER(kept);
	struct waiting *w;

	while ((w = STAILQ_FIRST(&c->waiting))) {
		STAILQ_REMOVE_HEAD(&c->waiting, next);
		if (!rpc_is_forgotten(w->ticket)) {
			STAILQ_INSERT_TAIL(&kept, w, next);
			continue; /* its client waits */
		}
		rpc_again(w->ticket);
		free(w);
	}
	STAILQ_CONCAT(&c->waiting, &kept);
}

/* One that comes now is behind all that may begin. */
static bool has_to_wait(const struct rpc_call *call, bool saves)
{
	struct manage *m = call->arg;
	struct waiting *w;

	forget_gone(m->change);
	if (!is_busy(m->change, saves) && (call->ticket || !first_waiting(m->change)))
		return false;
	w = calloc(1, sizeof(*w));
	if (w)
		w->saves = saves;
	if (w)
		w->ticket = rpc_later(call);
	if (!w || !w->ticket) {
		free(w);
		manage_fail(call->error, MANAGE_INTERNAL, "out of memory");
		return true;
	}
	STAILQ_INSERT_TAIL(&m->change->waiting, w, next);
	return true;
}

bool change_waits(const struct rpc_call *call)
{
	return has_to_wait(call, false);
}

static void work_on(struct change *c)
{
	const struct timeval rest = {.tv_usec = REST_MS * 1000L};

	event_add(c->slice, &rest);
}

void change_goes_on(const struct rpc_call *call)
{
	struct change *c = ((struct manage *)call->arg)->change;

	c->going = rpc_later(call);
	if (!c->going) {
		vswitch_bridge_give_up(((struct manage *)call->arg)->config.sw);
		return;
	}
	rpc_begin(c->going);
	work_on(c);
}

/* Begin one that waits: front-ends are served before the next one. */
static void begin_next(struct change *c)
{
	struct waiting *w = first_waiting(c);
	struct rpc_ticket *ticket;

	if (!w)
		return;
	ticket = w->ticket;
	STAILQ_REMOVE(&c->waiting, w, waiting, next);
	free(w);
	rpc_again(ticket);
}

/* The request that goes on has the next turn, or nobody waits for it any more. */
static void call_again(struct manage *m)
{
	struct rpc_ticket *ticket = m->change->going;

	m->change->going = NULL;
	if (rpc_is_forgotten(ticket))
		vswitch_bridge_give_up(m->config.sw);
	rpc_again(ticket);
}

/* A change has ended. */
static void go_on(struct manage *m)
{
	struct change *c = m->change;

	if (c->reload && !is_busy(c, true))
		change_reload(m);
	begin_next(c);
	if (!c->apply && first_waiting(c))
		work_on(c);
}

static size_t count_changes(const struct apply_outcome *outcome, const char *object)
{
	const json_t *entries = json_object_get(outcome->changes, "entries"), *entry;
	size_t i, n = 0;

	json_array_foreach(entries, i, entry) n +=
	    strcmp(json_string_value(json_object_get(entry, "object")), object) == 0;
	return n;
}

static void tell_reloaded(const struct config_file *file, const struct apply_outcome *outcome)
{
	size_t ports = count_changes(outcome, "port"), bridges = count_changes(outcome, "bridge");

	if (bridges)
		log_info("%s: read again: %zu ports and %zu bridges have changed", file->path,
		    ports, bridges);
	else if (ports)
		log_info("%s: read again: %zu %s", file->path, ports,
		    ports == 1 ? "port has changed" : "ports have changed");
	else
		log_info("%s: read again: nothing differs", file->path);
}

static const char about_file[] = "file";

static void end_reload(struct manage *m, struct apply_outcome *outcome)
{
	struct change *c = m->change;

	if (outcome->changes)
		tell_reloaded(&c->file, outcome);
	else
		config_file_complain(&c->file, outcome, about_file, STAYS);
	json_decref(outcome->changes ? outcome->changes : outcome->error.data);
	config_file_free(&c->file);
	if (!c->reload) /* otherwise the next one follows at once */
		m->config.reloaded(m->config.arg);
}

static void tell_applied(const struct manage *m, const struct apply_outcome *outcome)
{
	if (manage_wanted(m, MANAGE_EVENT_CONFIG_APPLIED))
		manage_publish(m, MANAGE_EVENT_CONFIG_APPLIED,
		    json_pack("{s:I, s:I}", "ports", (json_int_t)count_changes(outcome, "port"),
			"bridges", (json_int_t)count_changes(outcome, "bridge")));
}

static void on_slice(evutil_socket_t fd, short what, void *arg)
{
	struct manage *m = arg;
	struct change *c = m->change;
	struct apply_outcome outcome;
	struct rpc_ticket *ticket = c->ticket;

	(void)fd;
	(void)what;
	if (c->going)
		call_again(m);
	if (!c->apply) {
		go_on(m);
		return;
	}
	if (apply_work(c->apply, SLICE_NS)) {
		work_on(c);
		return;
	}
	outcome = apply_outcome(c->apply);
	if (outcome.changes && !c->dry_run)
		tell_applied(m, &outcome);
	apply_destroy(c->apply);
	c->apply = NULL;
	c->ticket = NULL;
	if (ticket)
		rpc_answer(ticket, outcome.changes, &outcome.error);
	else
		end_reload(m, &outcome);
	go_on(m);
}

json_t *change_apply(const struct rpc_call *call, const json_t *config, bool dry_run)
{
	struct manage *m = call->arg;
	const struct apply_request request = {
	    .about = call->method->name, .config = config, .dry_run = dry_run};

	if (change_waits(call))
		return NULL;
	m->change->dry_run = dry_run;
	m->change->apply = apply_create(m, &request);
	if (!m->change->apply)
		return manage_fail(call->error, MANAGE_INTERNAL, "out of memory");
	m->change->ticket = rpc_later(call);
	if (m->change->ticket) {
		rpc_begin(m->change->ticket);
		event_active(m->change->slice, EV_TIMEOUT, 0);
		return NULL;
	}
	apply_destroy(m->change->apply);
	m->change->apply = NULL;
	return NULL;
}

int change_load(struct manage *m, const struct config_file *file)
{
	const struct apply_request request = {
	    .about = about_file, .config = file->config, .any_socket = true, .at_once = true};
	struct apply *apply = apply_create(m, &request);
	struct apply_outcome outcome;

	if (!apply)
		return -ENOMEM;
	while (apply_work(apply, SLICE_NS))
		; /* nobody waits yet */
	outcome = apply_outcome(apply);
	if (!outcome.changes)
		config_file_complain(file, &outcome, about_file, "");
	apply_destroy(apply);
	json_decref(outcome.changes ? outcome.changes : outcome.error.data);
	return outcome.changes ? 0 : -EINVAL;
}

static bool begin_reload(struct manage *m)
{
	struct change *c = m->change;
	struct apply_request request = {.about = about_file, .any_socket = true};

	if (config_file_read(m->config.file, STAYS, &c->file) < 0)
		return false;
	request.config = c->file.config;
	c->dry_run = false;
	c->apply = apply_create(m, &request);
	if (!c->apply) {
		log_error("%s: out of memory" STAYS, m->config.file);
		config_file_free(&c->file);
	}
	return c->apply != NULL;
}

void change_reload(struct manage *m)
{
	struct change *c = m->change;

	c->reload = is_busy(c, true);
	if (c->reload)
		return;
	if (begin_reload(m))
		event_active(c->slice, EV_TIMEOUT, 0);
	else
		m->config.reloaded(m->config.arg);
}

/* In a thread of its own. */
static void save(void *arg)
{
	struct saving *s = arg;

	s->error = config_file_write(s->path, s->text, s->n);
	eventfd_write(s->done_fd, 1);
}

static void saving_free(struct saving *s)
{
	free(s->text);
	free(s);
}

static const char *save_error_text(int err)
{
	switch (err) {
	case -ELOOP:
		return "it is a link, which is not replaced";
	case -EINVAL:
		return "it is not a regular file";
	default:
		return error_text(-err);
	}
}

static void on_saved(evutil_socket_t fd, short what, void *arg)
{
	struct manage *m = arg;
	struct saving *s = m->change->saving;
	struct manage_error error;
	eventfd_t count;

	(void)what;
	if (eventfd_read(fd, &count) < 0 || !s)
		return;
	m->change->saving = NULL;
	if (s->error)
		manage_fail(&error, MANAGE_REFUSED, "config.save: %.200s: %s", s->path,
		    save_error_text(s->error));
	rpc_answer(s->ticket, s->error ? NULL : json_object(), &error);
	saving_free(s);
	go_on(m);
}

json_t *change_save(const struct rpc_call *call)
{
	struct manage *m = call->arg;
	struct change *c = m->change;
	struct saving *s;
	json_t *config;

	if (has_to_wait(call, true))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return manage_fail(call->error, MANAGE_INTERNAL, "out of memory");
	config = manage_config(m);
	*s = (struct saving){.path = m->config.file, .done_fd = c->done_fd};
	s->text = yaml_write(config, &s->n);
	json_decref(config);
	s->ticket = s->text ? rpc_later(call) : NULL;
	if (!s->ticket) {
		saving_free(s);
		return manage_fail(call->error, MANAGE_INTERNAL, "out of memory");
	}
	rpc_begin(s->ticket);
	c->saving = s;
	if (errand_run(save, s) < 0) {
		s->error = -ENOMEM;
		eventfd_write(c->done_fd, 1);
	}
	return NULL;
}

int change_create(struct manage *m)
{
	struct change *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	m->change = c;
	STAILQ_INIT(&c->waiting);
	c->slice = evtimer_new(m->config.base, on_slice, m);
	/* syscalls: eventfd2 */
	c->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->done = event_new(m->config.base, c->done_fd, EV_READ | EV_PERSIST, on_saved, m);
	return c->slice && c->done && event_add(c->done, NULL) == 0 ? 0 : -ENOMEM;
}

/* The errand may hang in a disk: what it works with stays. */
void change_destroy(struct manage *m)
{
	struct change *c = m->change;
	struct manage_error error = {.data = NULL};
	struct waiting *w;

	if (!c)
		return;
	while ((w = STAILQ_FIRST(&c->waiting))) {
		STAILQ_REMOVE_HEAD(&c->waiting, next);
		rpc_again(w->ticket);
		free(w);
	}
	if (c->going)
		rpc_again(c->going);
	if (c->ticket)
		rpc_answer(c->ticket, NULL, &error);
	if (c->saving)
		rpc_answer(c->saving->ticket, NULL, &error);
	apply_destroy(c->apply);
	config_file_free(&c->file);
	if (c->slice)
		event_free(c->slice);
	if (c->done)
		event_free(c->done);
	if (c->done_fd >= 0 && !c->saving)
		close(c->done_fd);
	free(c);
}
