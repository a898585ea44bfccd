/*
 * What the interposer and the shim share: how a tool is recognised, and how
 * lists in variables are edited. Nothing here allocates or locks, since the
 * interposer runs between vfork and exec.
 */
#ifndef BUILDNET_COMMON_H
#define BUILDNET_COMMON_H

#include <string.h>

/* The files of a kit, in the directory that VAR_KIT names. */
#define SHIM_NAME "buildnet-exec"
#define PRELOAD_NAME "libbuildnet-exec.so"

/* The variables of an invocation. The shim takes them out again. */
#define VAR_SOCKET "BUILDNET_EXEC_SOCKET"         /* of the node */
#define VAR_INVOCATION "BUILDNET_EXEC_INVOCATION" /* its ID */
#define VAR_KIT "BUILDNET_EXEC_KIT"
#define VAR_SHIMS "BUILDNET_EXEC_SHIMS"   /* a directory of links to the shim, by the names of compilers */
#define VAR_FAULTS "BUILDNET_EXEC_FAULTS" /* a file to which the shim adds why it did not ask */
#define VAR_SLOTS "BUILDNET_EXEC_SLOTS"   /* how many commands run here at once where no node counts them */

enum { MAX_PATH = 4096 };

static inline const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static inline int digit(char c) { return c >= '0' && c <= '9'; }

static inline int word(char c)
{
	return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
}

/* kind is what a program is, by its name. */
enum kind { OTHER, DRIVER, ARCHIVER };

/*
 * kind_of tells compiler drivers and archivers by their names: a target may stand
 * in front, a version behind, as in arm-linux-gnueabihf-gcc-12. They are what
 * node/compile and node/compile/remote/archive take for such.
 */
static inline enum kind kind_of(const char *path)
{
	static const struct {
		const char *name;
		enum kind kind;
	} tools[] = {
		{"cc", DRIVER},	     {"gcc", DRIVER},	  {"g++", DRIVER},     {"c++", DRIVER},
		{"clang", DRIVER},   {"clang++", DRIVER}, {"ar", ARCHIVER},    {"ranlib", ARCHIVER},
	};
	const char *name = base(path), *end = name + strlen(name), *at = end;
	while (at > name && (digit(at[-1]) || at[-1] == '.'))
		at--;
	if (at < end && at > name && at[-1] == '-') {
		if (*at == '.' || end[-1] == '.' || strstr(at, ".."))
			return OTHER;
		end = at - 1;
	}
	const char *last = end;
	while (last > name && last[-1] != '-')
		last--;
	for (at = name; at < last; at++)
		if (!word(*at) && (*at != '-' || at == name || at[-1] == '-'))
			return OTHER;
	for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
		size_t n = strlen(tools[i].name);
		if (n == (size_t)(end - last) && memcmp(tools[i].name, last, n) == 0)
			return tools[i].kind;
	}
	return OTHER;
}

/* value_of returns the value of NAME=VALUE if it is of this name, else NULL. */
static inline const char *value_of(const char *variable, const char *name)
{
	size_t n = strlen(name);
	return strncmp(variable, name, n) == 0 && variable[n] == '=' ? variable + n + 1 : NULL;
}

static inline const char *lookup(char *const env[], const char *name)
{
	for (; env && *env; env++) {
		const char *value = value_of(*env, name);
		if (value)
			return value;
	}
	return NULL;
}

/*
 * drop takes an item out of a list, in place. It is of dir, with a file in it
 * unless that is NULL. Items end at any of separators.
 */
static inline void drop(char *list, const char *separators, const char *dir, const char *file)
{
	size_t dirs = strlen(dir), files = file ? strlen(file) + 1 : 0;
	char *to = list;
	int kept = 0;
	for (const char *from = list;;) {
		size_t n = strcspn(from, separators);
		int same = n == dirs + files && memcmp(from, dir, dirs) == 0 &&
			   (!file || (from[dirs] == '/' && memcmp(from + dirs + 1, file, files - 1) == 0));
		char separator = from[n];
		const char *next = from + n + 1;
		if (!same) {
			if (kept)
				*to++ = from[-1];
			memmove(to, from, n);
			to += n;
			kept = 1;
		}
		if (!separator)
			break;
		from = next;
	}
	*to = 0;
}

#endif
