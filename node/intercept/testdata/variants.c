/*
 * variants HOW PROGRAM ARG...: executes a program in one of the ways that the C
 * library has, in a child, and prints what came of it: its status, or the error of
 * the call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *how;

static int is(const char *name) { return strcmp(how, name) == 0; }

static void by_exec(char **argv)
{
	const char *p = argv[0];
	if (is("execv"))
		execv(p, argv);
	if (is("execve") || is("vfork"))
		execve(p, argv, environ);
	if (is("execvp"))
		execvp(p, argv);
	if (is("execvpe"))
		execvpe(p, argv, environ);
	if (is("execl"))
		execl(p, p, argv[1], argv[2], (char *)NULL);
	if (is("execlp"))
		execlp(p, p, argv[1], argv[2], (char *)NULL);
	if (is("execle"))
		execle(p, p, argv[1], argv[2], (char *)NULL, environ);
}

static void tell(const char *text, int value) { printf("%s %s %d\n", how, text, value); }

static void tell_status(int status)
{
	if (WIFSIGNALED(status))
		tell("signal", WTERMSIG(status));
	else
		tell("status", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	how = argv[1];
	argv += 2;
	int status = 0, *error = mmap(NULL, sizeof *error, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char line[4096];
	snprintf(line, sizeof line, "%s %s %s", argv[0], argv[1], argv[2]);
	if (is("system")) {
		tell_status(system(line));
	} else if (is("popen")) {
		tell_status(pclose(popen(line, "w")));
	} else if (is("posix_spawn") || is("posix_spawnp")) {
		pid_t pid;
		int failed = (is("posix_spawn") ? posix_spawn : posix_spawnp)(&pid, argv[0], NULL, NULL, argv, environ);
		if (failed) {
			tell("error", failed);
		} else {
			waitpid(pid, &status, 0);
			tell_status(status);
		}
	} else {
		pid_t pid = is("vfork") ? vfork() : fork();
		if (pid == 0) {
			by_exec(argv);
			*error = errno;
			_exit(99);
		}
		waitpid(pid, &status, 0);
		if (*error)
			tell("error", *error);
		else
			tell_status(status);
	}
	return 0;
}
