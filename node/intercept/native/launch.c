/*
 * The first program of a build: the interposer is in it, and with that the
 * command that it executes is looked at as all others are. The loader that it has
 * is the one that the interposer is for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
	if (argc < 2) {
		fprintf(stderr, "%s: it is called by `buildnet build -- COMMAND`\n", argv[0]);
		return 2;
	}
	execvp(argv[1], argv + 1);
	int why = errno;
	fprintf(stderr, "buildnet: %s: %s\n", argv[1], strerror(why));
	return why == ENOENT ? 127 : 126;
}
