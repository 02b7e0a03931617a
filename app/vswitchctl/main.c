/* SPDX-License-Identifier: BSD-3-Clause */
/* vswitchctl: ask a running vswitchd. Words become a request, the result becomes a table. */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "run.h"
#include "shell.h"
#include "talk.h"

/* UTF-8 is what the switch speaks. A locale without it cannot tell how wide its characters are. */
static void choose_locale(void)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread */
	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX < 4)
		setlocale(LC_CTYPE, "C.UTF-8");
	/* NOLINTEND(concurrency-mt-unsafe) */
}

int main(int argc, char *argv[])
{
	static const struct option longopts[] = {{"json", no_argument, NULL, 'j'},
	    {"socket", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'}, {0}};
	struct client client = {.path = talk_default_path()};
	int c, status;

	choose_locale();
	while ((c = getopt_long(argc, argv, "+js:hV", longopts, NULL)) != -1) {
		switch (c) {
		case 'j':
			client.json = true;
			break;
		case 's':
			client.path = optarg;
			break;
		case 'h':
			return (int)run_word(&client, "help");
		case 'V':
			puts("vswitchctl " VSWITCHD_VERSION);
			return CLIENT_DONE;
		default:
			fputs("vswitchctl: see vswitchctl --help\n", stderr);
			return CLIENT_USAGE;
		}
	}
	if (optind < argc)
		status = (int)run_words(&client, argc - optind, argv + optind);
	else if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		status = shell_run(&client);
	else
		status = (int)run_word(&client, "help");
	client_close(&client);
	return status;
}
