/*
 * The shim's talk with the node: one command is asked for, and what the node
 * answers is done. Whatever goes wrong, the compiler runs here.
 */
#define _GNU_SOURCE
#include "talk.h"
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

enum {
	MAX_REQUEST = 8 << 20,  /* bytes: what the node takes of one command */
	MAX_ANSWER = 128 << 20, /* bytes */
	FIRST_ANSWER = 64 << 10,
	HIGH = 100, /* the socket is no descriptor that a script may count on */
};

struct session session;

/* fault notes why the node was not asked to the end, for the summary. */
__attribute__((format(printf, 1, 2))) static int fault(const char *format, ...)
{
	char line[256];
	va_list more;
	va_start(more, format);
	int n = vsnprintf(line, sizeof line - 1, format, more);
	va_end(more);
	int fd = session.faults ? open(session.faults, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
	if (fd >= 0 && n > 0) {
		size_t size = (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
		line[size] = '\n';
		if (write(fd, line, size + 1) < 0)
			n = 0; /* the build goes on without the note */
		close(fd);
	}
	return -1;
}

/* buffer is bytes that grow. */
struct buffer {
	char *bytes;
	size_t size, room;
};

static int reserve(struct buffer *b, size_t more, size_t limit)
{
	if (more > limit || b->size > limit - more)
		return -1;
	size_t room = b->room ? b->room : FIRST_ANSWER;
	while (room < b->size + more)
		room *= 2;
	char *bytes = room > b->room ? realloc(b->bytes, room) : b->bytes;
	if (!bytes)
		return -1;
	b->bytes = bytes;
	if (room > b->room)
		b->room = room;
	return 0;
}

/* field adds NAME=VALUE to a request. */
static int field(struct buffer *b, const char *name, const char *value)
{
	size_t n = strlen(name), m = strlen(value);
	if (reserve(b, n + 1 + m + 1, MAX_REQUEST))
		return -1;
	memcpy(b->bytes + b->size, name, n);
	b->bytes[b->size + n] = '=';
	memcpy(b->bytes + b->size + n + 1, value, m + 1);
	b->size += n + 1 + m + 1;
	return 0;
}

/* own_umask can be asked only by setting it. */
static const char *own_umask(void)
{
	static char text[sizeof "777"];
	mode_t mask = umask(077);
	umask(mask);
	snprintf(text, sizeof text, "%o", (unsigned)mask & 0777);
	return text;
}

/* colourful reports whether compilers colour what they print, as gcc decides it. */
static int colourful(void)
{
	const char *kind = lookup(environ, "TERM"), *none = lookup(environ, "NO_COLOR");
	return kind && strcmp(kind, "dumb") != 0 && !(none && *none) && isatty(STDERR_FILENO);
}

/*
 * describe writes the command for the node. Its program is named by the path under
 * which it is executed; what it calls itself has to be the same word.
 */
static int describe(struct buffer *b, const char *path, char *const argv[])
{
	char dir[MAX_PATH], program[2 * MAX_PATH];
	if (!getcwd(dir, sizeof dir) || dir[0] != '/')
		return fault("the working directory has no path");
	if (strcmp(base(path), base(argv[0])) != 0)
		return fault("a compiler is called by another name than its own");
	int n = snprintf(program, sizeof program, "%s%s%s", path[0] == '/' ? "" : dir, path[0] == '/' ? "" : "/", path);
	int failed = n < 0 || n >= (int)sizeof program || field(b, "dir", dir) || field(b, "arg", program);
	for (int i = 1; !failed && argv[i]; i++)
		failed = field(b, "arg", argv[i]);
	for (char **v = environ; !failed && *v; v++)
		if (strchr(*v, '=') && **v != '=') /* what else there is means nothing to a compiler */
			failed = field(b, "env", *v);
	if (!failed && colourful())
		failed = field(b, "terminal", "1");
	if (!failed)
		failed = field(b, "umask", own_umask()) || field(b, "stdout", "1");
	if (failed || reserve(b, 1, MAX_REQUEST))
		return fault("the command is too long for the node");
	b->bytes[b->size++] = 0;
	return 0;
}

/* dial connects to the node. The descriptor is a high one. */
static int dial(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (strlen(session.socket) >= sizeof to.sun_path)
		return fault("the path of the node's socket is too long");
	strcpy(to.sun_path, session.socket);
	int low = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (low < 0)
		return fault("no socket: %s", strerror(errno));
	int fd = fcntl(low, F_DUPFD_CLOEXEC, HIGH);
	if (fd < 0)
		fd = low;
	else
		close(low);
	int done;
	do
		done = connect(fd, (struct sockaddr *)&to, sizeof to);
	while (done < 0 && errno == EINTR);
	if (done < 0) {
		fault("the node cannot be reached: %s", strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static int send_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return fault("the node hung up: %s", strerror(errno));
		bytes += sent;
		n -= (size_t)sent;
	}
	return 0;
}

static int ask(int fd, const struct buffer *command)
{
	char head[1024];
	int n = snprintf(head, sizeof head,
			 "POST /v1/invocations/%s/run HTTP/1.1\r\nHost: node\r\nConnection: close\r\n"
			 "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
			 session.invocation, command->size);
	if (n < 0 || n >= (int)sizeof head)
		return fault("the invocation has no ID");
	return send_all(fd, head, (size_t)n) || send_all(fd, command->bytes, command->size) ? -1 : 0;
}

/* answer is what the node says, while it is read. */
struct answer {
	struct buffer all;
	size_t body;	/* where it begins; 0 as long as that is not known */
	long long size; /* of the body, -1 if it ends with the connection */
	int ended;
};

/* more reads on. It is 0 at the end as well. */
static int more(int fd, struct answer *a)
{
	if (reserve(&a->all, FIRST_ANSWER, MAX_ANSWER))
		return fault("the node's answer is too long");
	ssize_t n;
	do
		n = recv(fd, a->all.bytes + a->all.size, a->all.room - a->all.size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fault("the node hung up: %s", strerror(errno));
	a->ended = n == 0;
	a->all.size += (size_t)n;
	return 0;
}

/* decimal reads the n bytes of a number from 0 to limit, or returns -1. */
static long long decimal(const char *text, size_t n, long long limit)
{
	long long v = 0;
	if (n == 0 || n > 18)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!digit(text[i]))
			return -1;
		v = v * 10 + (text[i] - '0');
	}
	return v <= limit ? v : -1;
}

/* header returns the value of a header line if it is of this name. */
static const char *header(const char *line, const char *name)
{
	size_t n = strlen(name);
	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	return line + n + 1 + strspn(line + n + 1, " \t");
}

/* read_head reads up to the body. */
static int read_head(int fd, struct answer *a)
{
	char *end = NULL;
	while (!end) {
		if (a->ended || more(fd, a))
			return a->ended ? fault("the node hung up before it answered") : -1;
		end = memmem(a->all.bytes, a->all.size, "\r\n\r\n", 4);
		if (!end && a->all.size > FIRST_ANSWER)
			return fault("the node's answer makes no sense");
	}
	a->body = (size_t)(end - a->all.bytes) + 4;
	end[2] = 0; /* the lines are strings now */
	const char *line = a->all.bytes;
	if (strlen(line) != a->body - 2 || strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
		return fault("the node's answer makes no sense");
	if (strncmp(line + 9, "200", 3) != 0)
		return fault("the node refused a command: status %.3s", line + 9);
	a->size = -1;
	while ((line = strstr(line, "\r\n")) && *(line += 2)) {
		const char *value = header(line, "Content-Length");
		if (value && (a->size = decimal(value, strcspn(value, "\r \t"), MAX_ANSWER)) < 0)
			return fault("the node's answer makes no sense");
		if (header(line, "Transfer-Encoding"))
			return fault("the node's answer comes in pieces");
	}
	return 0;
}

/* read_rest reads to the end of the body. */
static int read_rest(int fd, struct answer *a)
{
	while (!a->ended && (a->size < 0 || (long long)(a->all.size - a->body) < a->size))
		if (more(fd, a))
			return -1;
	if (a->size >= 0 && (long long)(a->all.size - a->body) != a->size)
		return fault("the node hung up in the middle of its answer");
	return 0;
}

/* give writes what the command printed, and reports whether that could not be. */
static int give(int to, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t written = write(to, bytes, n);
		if (written < 0 && errno == EAGAIN) {
			struct pollfd wait = {to, POLLOUT, 0};
			poll(&wait, 1, -1);
			continue;
		}
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return -1; /* nobody reads it, as it would be with the compiler */
		bytes += written;
		n -= (size_t)written;
	}
	return 0;
}

/* die ends as the compiler did. */
static void die(int number)
{
	const struct rlimit none = {0, 0};
	sigset_t all;
	setrlimit(RLIMIT_CORE, &none);
	signal(number, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	kill(getpid(), number);
	_exit(128 + number);
}

/*
 * heed does what the answer says. It returns where the compiler is to run here:
 * 0 if the node says so, and fd is the slot; -1 if something was wrong.
 */
static int heed(int fd, struct answer *a)
{
	const char *line, *end;
	for (;;) {
		line = a->all.bytes + a->body;
		size_t n = a->all.size - a->body;
		if ((end = memchr(line, '\n', n)))
			break;
		if (n > FIRST_ANSWER)
			return fault("the node's answer makes no sense");
		if (a->ended || more(fd, a))
			return a->ended ? fault("the node hung up before it answered") : -1;
	}
	size_t n = (size_t)(end - line), at = a->body + n + 1;
	if (n > 6 && memcmp(line, "local ", 6) == 0)
		return 0;
	int prints = n == 6 && memcmp(line, "stdout", 6) == 0;
	long long code = prints ? 0 : n > 5 && memcmp(line, "exit ", 5) == 0 ? decimal(line + 5, n - 5, 255) : -1;
	long long number = n > 7 && memcmp(line, "signal ", 7) == 0 ? decimal(line + 7, n - 7, SIGRTMAX) : -1;
	if (code < 0 && number <= 0)
		return fault("the node's answer makes no sense");
	if (read_rest(fd, a))
		return -1;
	if (give(prints ? STDOUT_FILENO : STDERR_FILENO, a->all.bytes + at, a->all.size - at) && prints) {
		perror("stdout");
		_exit(EXIT_FAILURE);
	}
	if (number > 0)
		die((int)number);
	_exit((int)code);
}

/* ask_node returns the socket, which is the slot, where the node wants the command run here, else -1. */
static int ask_node(const char *path, char *const argv[])
{
	struct buffer command = {0};
	struct answer a = {.size = -1};
	if (describe(&command, path, argv))
		return -1;
	int fd = dial();
	if (fd < 0)
		return -1;
	if (ask(fd, &command) == 0 && read_head(fd, &a) == 0 && heed(fd, &a) == 0)
		return fd;
	close(fd);
	return -1;
}

void elsewhere(const char *path, char *const argv[])
{
	int slot = ask_node(path, argv);
	if (slot >= 0)
		fcntl(slot, F_SETFD, 0); /* the compiler holds it, and whatever it starts */
	if (!session.faults || !session.slots)
		return;
	int why = hold(session.faults, atoi(session.slots), slot >= 0 ? IF_FREE : WHEN_FREE);
	if (why)
		fault("what runs here could not be counted: %s", strerror(why));
}
