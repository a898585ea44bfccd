/*
 * The shim: it stands in for a compiler driver, or an archiver, asks the node to run the command,
 * and gives back what came of it. Where the node says so, where it cannot be
 * asked, and for commands that are none of its business, it becomes the compiler,
 * in an environment in which nothing of this is left.
 *
 * It is called in two ways:
 *
 *	buildnet-exec PROGRAM ARGV0 ARG...	by the interposer and by `buildnet cc`
 *	gcc ARG...				by a link of this name in PATH
 */
#define _GNU_SOURCE
#include "rules.h"
#include "talk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

enum {
	NOT_FOUND = 127,
	NOT_EXECUTED = 126,
	MISUSED = 2,
};

/* become executes the compiler, around the interposer if that is in this program. */
__attribute__((noreturn)) static void become(const char *path, char *const argv[])
{
	syscall(SYS_execve, path, argv, environ);
	int why = errno;
	if (why == ENOEXEC) { /* a script without a first line that says so */
		int n = 0;
		while (argv[n])
			n++;
		char **strings = calloc((size_t)n + 2, sizeof *strings);
		if (strings) {
			strings[0] = "sh";
			strings[1] = (char *)path;
			for (int i = 1; i < n; i++)
				strings[i + 1] = argv[i];
			syscall(SYS_execve, "/bin/sh", strings, environ);
			why = errno;
		}
	}
	fprintf(stderr, "%s: %s\n", path, strerror(why));
	_exit(why == ENOENT ? NOT_FOUND : NOT_EXECUTED);
}

/* note reads a variable, and reports whether it is one of the invocation. */
static int note(const char *variable)
{
	const struct {
		const char *name, **value;
	} ours[] = {
		{VAR_SOCKET, &session.socket}, {VAR_INVOCATION, &session.invocation}, {VAR_KIT, &session.kit},
		{VAR_SHIMS, &session.shims},   {VAR_FAULTS, &session.faults},
		{VAR_SLOTS, &session.slots},
	};
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		const char *value = value_of(variable, ours[i].name);
		if (value) {
			*ours[i].value = value;
			return 1;
		}
	}
	return 0;
}

static void read_session(void)
{
	for (char **v = environ; v && *v; v++)
		note(*v);
}

/* leave_session takes the variables of the invocation out of the environment. */
static void leave_session(void)
{
	char **to = environ;
	for (char **from = environ; from && *from; from++)
		if (!note(*from))
			*to++ = *from;
	if (to)
		*to = NULL;
}

static char *variable(const char *name)
{
	return (char *)lookup(environ, name);
}

/* leave_path takes the shims out of PATH, leave_preload the interposer out of LD_PRELOAD. */
static void leave_path(void)
{
	char *path = variable("PATH");
	if (path && session.shims)
		drop(path, ":", session.shims, NULL);
}

static void leave_preload(void)
{
	char *list = variable("LD_PRELOAD");
	if (!list || !session.kit)
		return;
	drop(list, ": ", session.kit, PRELOAD_NAME);
	if (!*list)
		unsetenv("LD_PRELOAD");
}

/* called is the path under which this program was executed. */
static const char *called;

/* own reports whether path is this program. */
static int own(const char *path)
{
	struct stat it, self;
	return stat(path, &it) == 0 && stat(called, &self) == 0 && it.st_dev == self.st_dev && it.st_ino == self.st_ino;
}

/* find looks for the program that would have been found without the shims. */
static const char *find(const char *name)
{
	static char path[MAX_PATH];
	const char *list = variable("PATH");
	for (; list; list++) {
		int dir = (int)strcspn(list, ":");
		int n = snprintf(path, sizeof path, "%.*s%s%s", dir, list, dir ? "/" : "", name);
		struct stat st;
		if (n > 0 && n < (int)sizeof path && access(path, X_OK) == 0 && stat(path, &st) == 0 &&
		    S_ISREG(st.st_mode) && !own(path))
			return path;
		list += dir;
		if (!*list)
			break;
	}
	return NULL;
}

/* plain reports whether a program is a tool itself: no script, and called so under all its names. */
static int plain(const char *path)
{
	char resolved[MAX_PATH], head[2] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return kind_of(path) != OTHER;
	ssize_t n = read(fd, head, sizeof head);
	close(fd);
	return kind_of(path) != OTHER && (n != 2 || memcmp(head, "#!", 2) != 0) &&
	       (!realpath(path, resolved) || kind_of(resolved) == kind_of(path));
}

int main(int argc, char *argv[])
{
	called = (const char *)getauxval(AT_EXECFN);
	if (!called || argc < 1)
		return MISUSED;
	const char *path = argv[1];
	int passes = 0;
	read_session();
	leave_path();
	if (strcmp(base(called), SHIM_NAME) != 0) {
		path = find(base(called));
		if (!path) {
			fprintf(stderr, "%s: %s\n", argv[0], strerror(ENOENT));
			return NOT_FOUND;
		}
		if (strchr(argv[0], '/') && own(argv[0]))
			argv[0] = (char *)path;
		passes = !plain(path); /* what it starts is looked at again */
	} else if (argc > 2) {
		argv += 2;
	} else {
		fprintf(stderr, "%s: it is called by `buildnet build -- COMMAND`, and by `buildnet cc`\n", SHIM_NAME);
		return MISUSED;
	}
	if (!passes) {
		leave_preload();
		leave_session();
		if (session.socket && session.invocation && asks(kind_of(path), argv))
			elsewhere(path, argv);
	}
	become(path, argv);
}
