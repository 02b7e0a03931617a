/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * libedit reads and edits a line, and calls complete() when the tab key is pressed. Words are split
 * as in words.h, so completion and execution agree. The connection stays open between commands, and
 * client.c opens it again if the switch has closed it.
 *
 * Signals of the terminal are blocked except while the shell waits for a key (take_key()) or a
 * command runs. So none is lost between two system calls. Ctrl-C in front of a key gives up the
 * line. While a command waits for the switch, it ends the connection, which ends the wait.
 *
 * The history is written after each line, into a new file that then replaces the old one.
 */
#include "shell.h"

#include <stdio.h>
#include <unistd.h>

#include "run.h"

#ifdef WITH_SHELL

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <wchar.h>

#include <histedit.h>

#include "base/util.h"
#include "command.h"
#include "complete.h"
#include "history.h"
#include "show.h"
#include "talk.h"
#include "text.h"
#include "words.h"

#define PROMPT "vswitchctl> "

struct shell {
	struct client *client;
	EditLine *el;
	History *history;
	char *path; /* of the history; NULL: there is no file */
};

static volatile sig_atomic_t running, pressed; /* a command; ctrl-C was pressed */

static void on_signal(int number)
{
	int error = errno;

	if (number == SIGINT)
		pressed = 1;
	if (number == SIGINT && running)
		talk_interrupt();
	errno = error;
}

/* Let the signals of the terminal come from now on, or let them wait. */
static void let_signals(bool come)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGCONT);
	sigprocmask(come ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static void begin_running(void)
{
	running = 1;
	let_signals(true);
}

static void end_running(void)
{
	let_signals(false);
	running = pressed = 0;
}

/*
 * Wait for input. -1: ctrl-C was pressed. If there is input, ppoll() lets signals wait, so they
 * come afterwards.
 */
static int wait_for_key(EditLine *el)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	sigset_t none;
	bool wakes;

	sigemptyset(&none);
	for (;;) {
		wakes = ppoll(&in, 1, NULL, &none) < 0 && errno == EINTR;
		let_signals(true);
		let_signals(false);
		if (pressed || !wakes)
			break;
		/* The size is another one, or the shell was stopped and others used the terminal.
		 */
		el_resize(el);
		el_set(el, EL_PREP_TERM, 0);
		el_set(el, EL_PREP_TERM, 1);
		el_set(el, EL_REFRESH);
	}
	if (!pressed)
		return 0;
	pressed = 0;
	errno = EINTR;
	return -1;
}

/* The next character, for libedit: 1, 0 at the end, or -1. */
static int take_key(EditLine *el, wchar_t *ret)
{
	mbstate_t state = {0};
	size_t used = (size_t)-2;
	char byte;

	while (used == (size_t)-2) {
		ssize_t n = wait_for_key(el) < 0 ? -1 : read(STDIN_FILENO, &byte, 1);

		if (n <= 0)
			return n < 0 && errno != EIO ? -1 : 0;
		used = mbrtowc(ret, &byte, 1, &state);
	}
	if (used == (size_t)-1)
		*ret = L'?'; /* it is no UTF-8 */
	return 1;
}

static char *prompt(EditLine *el)
{
	static char text[] = PROMPT;

	(void)el;
	return text;
}

/* The words that may follow. They are few, or their names are as many as ports. */
struct offers {
	size_t n, room;
	struct offer {
		char *word, *about;
	} * list;
};

static void add_offer(const char *word, const char *about, void *arg)
{
	struct offers *o = arg;
	struct offer *more;

	if (o->n == o->room) {
		o->room = MAX(2 * o->room, (size_t)16);
		more = realloc(o->list, o->room * sizeof(*more));
		if (!more) {
			o->room = o->n;
			return; /* no memory: it is not offered */
		}
		o->list = more;
	}
	o->list[o->n++] = (struct offer){strdup(word), about ? strdup(about) : NULL};
}

static void free_offers(struct offers *o)
{
	for (size_t i = 0; i < o->n; i++) {
		free(o->list[i].word);
		free(o->list[i].about);
	}
	free(o->list);
}

/* How many bytes all of them begin with. */
static size_t common_bytes(const struct offers *o)
{
	size_t n = o->n ? strlen(o->list[0].word) : 0;

	for (size_t i = 1; i < o->n; i++) {
		size_t k = 0;

		while (k < n && o->list[i].word[k] == o->list[0].word[k])
			k++;
		n = k;
	}
	while (n && ((unsigned char)o->list[0].word[n] & 0xc0) == 0x80)
		n--; /* not a part of a character */
	return n;
}

/* Words with an explanation have a line each; others share lines. */
static void list_offers(const struct offers *o)
{
	unsigned width = 0, column = 0, limit = show_width(stdout);

	for (size_t i = 0; i < o->n; i++)
		width = MAX(width, text_width(o->list[i].word));
	fputc('\n', stdout);
	for (size_t i = 0; i < o->n; i++) {
		const struct offer *one = &o->list[i];
		int pad = (int)(width - text_width(one->word)) + 2;

		if (column && (o->list[0].about || column + width > limit)) {
			fputc('\n', stdout);
			column = 0;
		}
		text_print(one->word, stdout);
		fprintf(stdout, "%*s%s", pad, "", one->about ? one->about : "");
		column += width + 2;
	}
	fputc('\n', stdout);
	fflush(stdout);
}

/* Put the first n bytes of a word in place of what is typed. whole: nothing can follow in it. */
static void insert(
    EditLine *el, const char *typed, size_t typed_n, const char *word, size_t n, bool whole)
{
	char *begin = strndup(word, n), *text = NULL;
	size_t room = 0;
	FILE *out = open_memstream(&text, &room);
	int characters = 0;

	for (size_t i = 0; i < typed_n; i++)
		characters += ((unsigned char)typed[i] & 0xc0) != 0x80;
	if (begin && out) {
		words_quote(begin, out);
		if (whole && n && word[n - 1] != '/')
			fputc(' ', out);
		fflush(out);
		el_deletestr(el, characters);
		el_insertstr(el, text);
	}
	if (out)
		fclose(out);
	free(text);
	free(begin);
}

static unsigned char offer(EditLine *el, const struct words *words, const struct offers *o,
    const struct schema_field *field)
{
	const LineInfo *line = el_line(el);
	const char *typed = line->buffer + words->last;
	size_t n = common_bytes(o), typed_n = (size_t)(line->cursor - typed);
	char expected[400];

	if (o->n == 1 || (o->n > 1 && n > strlen(words->list[words->n - 1]))) {
		insert(el, typed, typed_n, o->list[0].word, n, o->n == 1);
		return CC_REFRESH;
	}
	if (o->n > 1) {
		list_offers(o);
		return CC_REDISPLAY;
	}
	if (field && !*words->list[words->n - 1]) {
		printf("\n%s: ", field->about);
		puts(command_expected(field, expected, sizeof(expected)));
		return CC_REDISPLAY;
	}
	return CC_REFRESH_BEEP;
}

static unsigned char complete(EditLine *el, int key)
{
	struct shell *shell;
	const LineInfo *line = el_line(el);
	struct words words;
	struct offers offers = {0};
	const struct schema_field *field = NULL;
	unsigned char told = CC_ERROR;

	(void)key;
	el_get(el, EL_CLIENTDATA, &shell);
	if (words_split(line->buffer, (size_t)(line->cursor - line->buffer), true, &words) >= 0 &&
	    words.n) {
		begin_running();
		field = complete_words(shell->client, words.n, words.list, add_offer, &offers);
		end_running();
		if (words.n == 1 && candidates_begins("exit", words.list[0]))
			add_offer("exit", "Leave this shell, as ctrl-D does", &offers);
		told = offer(el, &words, &offers, field);
	}
	free_offers(&offers);
	words_free(&words);
	return told;
}

/* A line is bounded, so that the file is. */
static void remember(struct shell *s, const char *line)
{
	HistEvent event;
	char *fresh = NULL;
	mode_t mask;

	if (strlen(line) > HISTORY_BYTES_MAX || line[strspn(line, " \t\n")] == '\0')
		return;
	history(s->history, &event, H_ENTER, line);
	if (!s->path || asprintf(&fresh, "%s.%d", s->path, (int)getpid()) < 0)
		return;
	mask = umask(0177);
	if (history(s->history, &event, H_SAVE, fresh) < 0 || rename(fresh, s->path) < 0)
		unlink(fresh);
	umask(mask);
	free(fresh);
}

/* "vswitchctl" and "-j" are allowed in front of a command. */
static void carry_out(struct client *client, int n, char **words)
{
	struct client one = *client;

	if (n && strcmp(words[0], "vswitchctl") == 0)
		n--, words++;
	if (n && (strcmp(words[0], "-j") == 0 || strcmp(words[0], "--json") == 0))
		n--, words++, one.json = true;
	if (n == 0)
		return;
	begin_running();
	run_words(&one, n, words);
	end_running();
	client->talk = one.talk;
	fflush(stdout);
}

/* False: the shell ends. */
static bool take_line(struct shell *s, const char *line)
{
	struct words words;
	int fault = words_split(line, strlen(line), false, &words);
	bool one = !fault && words.n == 1;
	bool ends = one && (!strcmp(words.list[0], "exit") || !strcmp(words.list[0], "quit"));

	remember(s, line);
	if (fault > 0)
		fprintf(stderr, "vswitchctl: a %c is missing at the end\n", fault);
	else if (fault < 0)
		fputs("vswitchctl: these are too many words\n", stderr);
	else if (!ends)
		carry_out(s->client, words.n, words.list);
	words_free(&words);
	return !ends;
}

static void read_lines(struct shell *s)
{
	const char *line;
	int n;

	for (;;) {
		el_resize(s->el);
		errno = 0;
		line = el_gets(s->el, &n);
		if (line && n > 0) {
			if (!take_line(s, line))
				return;
			continue; /* with the next line */
		}
		putchar('\n');
		if (n == 0 || errno != EINTR)
			return; /* ctrl-D, or the terminal has gone */
		el_reset(s->el);
	}
}

static bool open_shell(struct shell *s)
{
	const struct sigaction action = {.sa_handler = on_signal};
	HistEvent event;

	s->history = history_init();
	s->el = s->history ? el_init("vswitchctl", stdin, stdout, stderr) : NULL;
	if (!s->el)
		return false;
	history(s->history, &event, H_SETSIZE, HISTORY_LINES);
	history(s->history, &event, H_SETUNIQUE, 1);
	s->path = history_path();
	if (s->path)
		history(s->history, &event, H_LOAD, s->path);
	el_set(s->el, EL_PROMPT, prompt);
	el_set(s->el, EL_EDITOR, "emacs");
	el_set(s->el, EL_HIST, history, s->history);
	el_set(s->el, EL_CLIENTDATA, s);
	el_set(s->el, EL_ADDFN, "complete", "complete the word", complete);
	el_set(s->el, EL_BIND, "^I", "complete", NULL);
	el_set(s->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
	el_set(s->el, EL_GETCFN, take_key);
	let_signals(false);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGWINCH, &action, NULL);
	sigaction(SIGCONT, &action, NULL);
	return true;
}

static void greet(struct client *client)
{
	begin_running();
	run_word(client, "version");
	end_running();
	puts("\"help\" lists the commands, the tab key completes words, \"exit\" or ctrl-D ends "
	     "this "
	     "shell.");
}

int shell_run(struct client *client)
{
	struct shell shell = {.client = client};

	client->shell = true;
	if (open_shell(&shell)) {
		greet(client);
		read_lines(&shell);
	}
	if (shell.el)
		el_end(shell.el);
	if (shell.history)
		history_end(shell.history);
	free(shell.path);
	return CLIENT_DONE;
}

#else

int shell_run(struct client *client)
{
	run_word(client, "help");
	puts("\nThis vswitchctl was built without libedit, so it has no shell.");
	return CLIENT_DONE;
}

#endif
