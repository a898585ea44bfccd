/*
 * The interposer: a library that the loader puts in front of the C library in
 * every program of a build (LD_PRELOAD). Where a program is about to execute a
 * compiler driver or an archiver, it executes the shim instead, which is told which program was
 * meant. Where the program to be executed is one that the loader would not put
 * this library into, its PATH gets the shims in front. All else is as it was.
 *
 * It runs between vfork and exec, in any thread: no allocation, no locks, no
 * buffered output, and stacks that are bounded as the arguments are.
 *
 * LOADER is the path of the loader of programs that this library was linked for.
 */
#define _GNU_SOURCE
#include "common.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

#define EXPORT __attribute__((visibility("default")))

enum {
	/* A command of more arguments, or variables, is let through as it is. */
	MAX_STRINGS = 4096,
	MAX_LIST = 8192, /* of a variable that is edited, in bytes */
	MAX_HEAD = 4096, /* of a program, in bytes */
	MAX_HEADERS = 64,
	MAX_DYNAMIC = 128,
	EXTRA = 2, /* what the shim gets in front of the arguments */
};

typedef int execve_fn(const char *, char *const[], char *const[]);
typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
		     char *const[], char *const[]);

/* What stands behind this library: the C library's, or another interposer's. */
static execve_fn *next_execve, *next_execvpe;
static spawn_fn *next_spawn, *next_spawnp;

__attribute__((constructor)) static void find_next(void)
{
	next_execvpe = (execve_fn *)dlsym(RTLD_NEXT, "execvpe");
	next_spawn = (spawn_fn *)dlsym(RTLD_NEXT, "posix_spawn");
	next_spawnp = (spawn_fn *)dlsym(RTLD_NEXT, "posix_spawnp");
	next_execve = (execve_fn *)dlsym(RTLD_NEXT, "execve");
}

/* call is one execution that a program asks for. */
struct call {
	int spawns; /* else it replaces this process */
	pid_t *pid;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attributes;
};

enum search { BY_PATH, BY_NAME };

/* go executes. It returns 0 only where it has spawned. */
static int go(const struct call *c, enum search how, const char *file, char *const argv[], char *const envp[])
{
	if (!next_execve)
		find_next();
	if (!c->spawns)
		return (how == BY_NAME ? next_execvpe : next_execve)(file, argv, envp);
	return (how == BY_NAME ? next_spawnp : next_spawn)(c->pid, file, c->actions, c->attributes, argv, envp);
}

/* executable reports whether path is a file that may be executed. */
static int executable(const char *path)
{
	struct stat st;
	return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/*
 * find looks a name up as execvp does, in this process' PATH, and returns NULL
 * where there is no such program: then whoever asked is to hear that as ever.
 */
static const char *find(const char *name, char buffer[MAX_PATH])
{
	size_t n = strlen(name);
	const char *path = lookup(environ, "PATH");
	if (!path || n == 0)
		return NULL;
	for (;; path++) {
		size_t dir = strcspn(path, ":");
		if (dir + 1 + n + 1 <= MAX_PATH) {
			char *to = buffer;
			memcpy(to, path, dir);
			to += dir;
			if (dir)
				*to++ = '/';
			memcpy(to, name, n + 1);
			if (executable(buffer))
				return buffer;
		}
		path += dir;
		if (!*path)
			return NULL;
	}
}

/* program is what is to be known of one before it is executed. */
struct program {
	int script;  /* it begins with #! */
	int tool;    /* it is a compiler driver, or an archiver, under all its names */
	int reached; /* the loader puts this library into it */
	int refuses; /* it must not be asked to */
};

static ssize_t read_at(int fd, void *to, size_t n, off_t at)
{
	ssize_t got;
	do
		got = pread(fd, to, n, at);
	while (got < 0 && errno == EINTR);
	return got;
}

/* file_offset returns where the byte of an address is, or 0. */
static off_t file_offset(const ElfW(Phdr) *headers, int n, ElfW(Addr) address)
{
	for (int i = 0; i < n; i++)
		if (headers[i].p_type == PT_LOAD && address >= headers[i].p_vaddr &&
		    address - headers[i].p_vaddr < headers[i].p_filesz)
			return (off_t)(address - headers[i].p_vaddr + headers[i].p_offset);
	return 0;
}

/*
 * sanitized reports whether a program has the runtime of AddressSanitizer as the
 * first of its libraries: it ends at once if another one is in front of it.
 */
static int sanitized(int fd, const ElfW(Phdr) *headers, int n, const ElfW(Phdr) *dynamic)
{
	ElfW(Dyn) entries[MAX_DYNAMIC];
	size_t size = dynamic->p_filesz < sizeof entries ? dynamic->p_filesz : sizeof entries;
	ssize_t got = read_at(fd, entries, size, (off_t)dynamic->p_offset);
	int has_needed = 0;
	ElfW(Addr) needed = 0, strings = 0;
	for (size_t i = 0; got > 0 && i < (size_t)got / sizeof *entries && entries[i].d_tag != DT_NULL; i++) {
		if (entries[i].d_tag == DT_NEEDED && !has_needed) {
			has_needed = 1;
			needed = entries[i].d_un.d_val;
		} else if (entries[i].d_tag == DT_STRTAB) {
			strings = entries[i].d_un.d_ptr;
		}
	}
	char name[32] = "";
	off_t at = file_offset(headers, n, strings);
	if (!has_needed || !at || read_at(fd, name, sizeof name - 1, at + (off_t)needed) < 0)
		return 0;
	return strncmp(name, "libasan.so", 10) == 0 || strncmp(name, "libclang_rt.asan", 16) == 0 ||
	       strncmp(name, "libhwasan.so", 12) == 0 || strncmp(name, "libclang_rt.hwasan", 18) == 0;
}

/* look_inside reads the headers of a program in the form of this machine. */
static void look_inside(int fd, const char *head, size_t size, struct program *p)
{
	const ElfW(Ehdr) *elf = (const ElfW(Ehdr) *)head;
	const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(head + elf->e_phoff), *dynamic = NULL, *loader = NULL;
	int n = elf->e_phnum;
	if (elf->e_phentsize != sizeof *headers || n > MAX_HEADERS || elf->e_phoff % sizeof(ElfW(Addr)) ||
	    elf->e_phoff > size || (size - elf->e_phoff) / sizeof *headers < (size_t)n)
		return;
	for (int i = 0; i < n; i++) {
		if (headers[i].p_type == PT_INTERP)
			loader = &headers[i];
		else if (headers[i].p_type == PT_DYNAMIC)
			dynamic = &headers[i];
	}
	if (!loader) /* it is static: nobody loads anything into it */
		return;
	char path[sizeof LOADER];
	if (loader->p_filesz != sizeof path || read_at(fd, path, sizeof path, (off_t)loader->p_offset) != sizeof path ||
	    memcmp(path, LOADER, sizeof path) != 0 || (dynamic && sanitized(fd, headers, n, dynamic))) {
		p->refuses = 1;
		return;
	}
	p->reached = 1;
}

/* own_name reports whether the file behind fd is called as such a tool, links followed. */
static int own_name(int fd, enum kind kind)
{
	char link[32] = "/proc/self/fd/", digits[12], target[MAX_PATH];
	int n = 0;
	do
		digits[n++] = (char)('0' + fd % 10);
	while ((fd /= 10) > 0);
	char *to = link + strlen(link);
	while (n > 0)
		*to++ = digits[--n];
	*to = 0;
	ssize_t size = readlink(link, target, sizeof target - 1);
	if (size < 0)
		return 1; /* without /proc its name has to do */
	target[size] = 0;
	return kind_of(target) == kind;
}

static int is_elf(const char *head, size_t size)
{
	return size >= sizeof(ElfW(Ehdr)) && memcmp(head, ELFMAG, SELFMAG) == 0;
}

/* interpreter takes the program of a script out of its first line. */
static const char *interpreter(char *head, size_t size)
{
	head[size] = 0;
	char *path = head + 2;
	path += strspn(path, " \t");
	path[strcspn(path, " \t\n")] = 0;
	return path;
}

static void look(const char *path, int depth, struct program *p)
{
	_Alignas(16) char head[MAX_HEAD + 1];
	memset(p, 0, sizeof *p);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t size = fd < 0 ? -1 : read_at(fd, head, MAX_HEAD, 0);
	if (size < 0) {
		p->reached = 1; /* it may be executed and not read: nothing is known against it */
		p->tool = kind_of(path) != OTHER;
	} else if (size > 2 && head[0] == '#' && head[1] == '!') {
		struct program of = {.reached = 1};
		if (depth == 0)
			look(interpreter(head, (size_t)size), depth + 1, &of);
		*p = (struct program){.script = 1, .reached = of.reached, .refuses = of.refuses};
	} else if (!is_elf(head, (size_t)size)) {
		p->reached = 1; /* /bin/sh is going to read it, or nobody */
	} else {
		const ElfW(Ehdr) *own = (const ElfW(Ehdr) *)head;
		p->tool = kind_of(path) != OTHER && own_name(fd, kind_of(path));
		if (head[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) && own->e_type != ET_NONE)
			look_inside(fd, head, (size_t)size, p);
		else
			p->refuses = 1; /* its loader would say that this library is of another kind */
	}
	if (fd >= 0)
		close(fd);
}

static int count(char *const strings[])
{
	int n = 0;
	while (strings && strings[n])
		n++;
	return n;
}

/* to_shim executes the shim for the tool at path. */
static int to_shim(const struct call *c, const char *path, char *const argv[], char *const envp[])
{
	const char *kit = lookup(envp, VAR_KIT);
	int n = count(argv);
	size_t size = strlen(kit);
	if (n == 0 || n > MAX_STRINGS || size + sizeof "/" SHIM_NAME > MAX_PATH)
		return -1;
	char shim[MAX_PATH];
	memcpy(shim, kit, size);
	memcpy(shim + size, "/" SHIM_NAME, sizeof "/" SHIM_NAME);
	char *strings[n + EXTRA + 1];
	strings[0] = SHIM_NAME;
	strings[1] = (char *)path;
	memcpy(strings + EXTRA, argv, ((size_t)n + 1) * sizeof *argv);
	return go(c, BY_PATH, shim, strings, envp);
}

/* begins reports whether a list begins with the item. */
static int begins(const char *list, const char *item)
{
	size_t n = strlen(item);
	return strncmp(list, item, n) == 0 && (list[n] == ':' || list[n] == 0);
}

/*
 * with_shims executes a program that this library does not get into. It has the
 * shims first in its PATH, and where the library would be refused it is not asked
 * for. -1 is for what has too much of anything.
 */
static int with_shims(const struct call *c, enum search how, const char *file, const struct program *p,
		      char *const argv[], char *const envp[])
{
	int n = count(envp);
	if (n > MAX_STRINGS)
		return -1;
	const char *kit = lookup(envp, VAR_KIT), *shims = lookup(envp, VAR_SHIMS);
	char path[MAX_LIST], preload[MAX_LIST], *env[n + 1];
	char **to = env;
	for (; *envp; envp++) {
		const char *value;
		*to++ = *envp;
		if ((value = value_of(*envp, "PATH")) && shims && !begins(value, shims)) {
			if (strlen(shims) + strlen(value) + sizeof "PATH=:" > sizeof path)
				return -1;
			to[-1] = path;
			strcpy(path, "PATH=");
			strcat(path, shims);
			strcat(path, ":");
			strcat(path, value);
		} else if ((value = value_of(*envp, "LD_PRELOAD")) && p->refuses) {
			if (strlen(*envp) >= sizeof preload)
				return -1;
			to[-1] = preload;
			strcpy(preload, *envp);
			char *list = preload + (value - *envp);
			drop(list, ": ", kit, PRELOAD_NAME);
			if (!*list)
				to--;
		}
	}
	*to = NULL;
	return go(c, how, file, argv, env);
}

/* divert does what a program asks for, by way of the shim where that is due. */
static int divert(const struct call *c, enum search how, const char *file, char *const argv[], char *const envp[])
{
	char buffer[MAX_PATH];
	struct program p;
	int before = errno;
	if (lookup(envp, VAR_KIT) && lookup(envp, VAR_INVOCATION) && argv && file) {
		const char *path = file;
		if (how == BY_NAME && !strchr(file, '/'))
			path = find(file, buffer);
		else if (!executable(file))
			path = NULL;
		if (path) {
			look(path, 0, &p);
			int answer = -1;
			if (p.tool)
				answer = to_shim(c, path, argv, envp);
			if (answer != 0 && !p.reached)
				answer = with_shims(c, how, file, &p, argv, envp);
			if (c->spawns && answer == 0)
				return 0;
		}
	}
	errno = before;
	return go(c, how, file, argv, envp); /* as it was asked for, and with its own error */
}

static const struct call replaces;

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return divert(&replaces, BY_PATH, path, argv, envp);
}

EXPORT int execv(const char *path, char *const argv[])
{
	return divert(&replaces, BY_PATH, path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	return divert(&replaces, BY_NAME, file, argv, envp);
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return divert(&replaces, BY_NAME, file, argv, environ);
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	const struct call c = {1, pid, actions, attributes};
	return divert(&c, BY_PATH, path, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	const struct call c = {1, pid, actions, attributes};
	return divert(&c, BY_NAME, file, argv, envp);
}

/* number returns how many arguments there are, with the first and the last. */
static int number(const char *first, va_list more)
{
	int n = 1;
	va_list copy;
	va_copy(copy, more);
	for (const char *s = first; s; s = va_arg(copy, const char *))
		n++;
	va_end(copy);
	return n;
}

/* gather writes them to where there is room for as many. It leaves more behind the last. */
#define gather(argv, first, more)                        \
	do {                                             \
		(argv)[0] = (char *)(first);             \
		for (int i_ = 0; (argv)[i_]; i_++)       \
			(argv)[i_ + 1] = va_arg(more, char *); \
	} while (0)

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list more;
	va_start(more, arg);
	char *argv[number(arg, more)];
	gather(argv, arg, more);
	va_end(more);
	return divert(&replaces, BY_PATH, path, argv, environ);
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list more;
	va_start(more, arg);
	char *argv[number(arg, more)];
	gather(argv, arg, more);
	va_end(more);
	return divert(&replaces, BY_NAME, file, argv, environ);
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list more;
	va_start(more, arg);
	char *argv[number(arg, more)];
	gather(argv, arg, more);
	char **envp = va_arg(more, char **);
	va_end(more);
	return divert(&replaces, BY_PATH, path, argv, envp);
}
