#include "rules.h"

/* rule is what an argument of a driver says of the command. */
enum rule {
	NOTHING,
	COMPILES,
	FORBIDS,
	LISTS,	/* what its sources would read, on stdout */
	SOURCE,	/* in C or C++ */
	OBJECT, /* something to link */
	ALONE,	/* a link with it is for this machine: it compiles as well, or prints */
};

/* words are whole arguments. */
static const struct {
	const char *arg;
	enum rule rule;
} words[] = {
	{"-c", COMPILES},	{"-S", COMPILES},	   {"--compile", COMPILES},
	{"--assemble", COMPILES},
	{"-E", FORBIDS},	{"--preprocess", FORBIDS}, {"-M", LISTS},
	{"-MM", LISTS},	{"--dependencies", FORBIDS}, {"--user-dependencies", FORBIDS},
	{"-fsyntax-only", FORBIDS}, {"-###", FORBIDS},	   {"--version", FORBIDS},
	{"--help", FORBIDS},	{"--target-help", FORBIDS}, {"-dumpversion", FORBIDS},
	{"-dumpmachine", FORBIDS}, {"-dumpfullversion", FORBIDS}, {"-dumpspecs", FORBIDS},
};

/* forbidding are beginnings of arguments. */
static const char *const forbidding[] = {"-print-", "--print-", "--help="};

/* ends are those of names of files. */
static const struct {
	const char *end;
	enum rule rule;
} ends[] = {
	{".o", OBJECT},	  {".a", OBJECT},   {".lo", OBJECT},  {".c", SOURCE},	{".cc", SOURCE}, {".cp", SOURCE},
	{".cxx", SOURCE}, {".cpp", SOURCE}, {".CPP", SOURCE}, {".c++", SOURCE}, {".C", SOURCE},	  {".i", ALONE},
	{".ii", ALONE},  {".s", ALONE},   {".S", ALONE},   {".sx", ALONE},	{".m", ALONE},	  {".mm", ALONE},
	{".M", ALONE},	  {".f", ALONE},   {".f90", ALONE}, {".F", ALONE},	{".F90", ALONE}, {".go", ALONE},
	{".d", ALONE},	  {".adb", ALONE},
};

/* prints are arguments with which a linker writes to stdout, printing their beginnings. */
static const char *const prints[] = {"-t", "-M", "-v", "-V", "-", "-Map=-"};
static const char *const printing[] = {"-y", "--trace", "--print", "--verbose", "--version", "--stats", "--cref", "--help"};

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static int starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static int any(const char *s, const char *const *beginnings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (starts(s, beginnings[i]))
			return 1;
	return 0;
}

/* speaks reports whether an item of a list for the linker has it write to stdout. */
static int speaks(const char *list)
{
	for (;;) {
		size_t n = strcspn(list, ",");
		for (size_t i = 0; i < LENGTH(prints); i++)
			if (strlen(prints[i]) == n && memcmp(list, prints[i], n) == 0)
				return 1;
		if (any(list, printing, LENGTH(printing)))
			return 1;
		list += n;
		if (!*list++)
			return 0;
	}
}

static enum rule of(const char *arg, const char *before)
{
	for (size_t i = 0; i < LENGTH(words); i++)
		if (strcmp(arg, words[i].arg) == 0)
			return words[i].rule;
	if (any(arg, forbidding, LENGTH(forbidding)))
		return FORBIDS;
	if (starts(arg, "-Wl,") ? speaks(arg + 4) : strcmp(before, "-Xlinker") == 0 && speaks(arg))
		return ALONE;
	if (arg[0] == '-' || strcmp(before, "-o") == 0)
		return NOTHING;
	size_t n = strlen(arg);
	for (size_t i = 0; i < LENGTH(ends); i++) {
		size_t m = strlen(ends[i].end);
		if (n > m && strcmp(arg + n - m, ends[i].end) == 0)
			return ends[i].rule;
	}
	return NOTHING;
}

/* of so many sources at least a list is worth being made in parts */
enum { FEWEST_LISTED = 9 };

static int driver_asks(char *const argv[])
{
	int compiles = 0, lists = 0, sources = 0, objects = 0, alone = 0;
	for (int i = 1; argv[i]; i++) {
		switch (of(argv[i], argv[i - 1])) {
		case COMPILES:
			compiles = 1;
			break;
		case FORBIDS:
			return 0;
		case LISTS:
			lists = 1;
			break;
		case SOURCE:
			sources++;
			break;
		case OBJECT:
			objects = 1;
			break;
		case ALONE:
			alone = 1;
			break;
		case NOTHING:
			if (argv[i][0] == '@') /* a file of arguments: it may hold whatever asks */
				compiles = 1;
			break;
		}
	}
	if (lists)
		return sources >= FEWEST_LISTED;
	return compiles || (objects && !alone && !sources);
}

/* archiver_asks looks at the letters of ar: all others print, or take out. */
static int archiver_asks(char *const argv[])
{
	if (strstr(base(argv[0]), "ranlib"))
		return argv[1] && argv[1][0] != '-' && !argv[2];
	const char *letters = argv[1];
	if (!letters || (letters[0] == '-' && letters[1] == '-'))
		return 0;
	letters += *letters == '-';
	return strpbrk(letters, "rq") && !letters[strspn(letters, "rqscuDUST")] && argv[2];
}

int asks(enum kind kind, char *const argv[])
{
	if (!argv[0])
		return 0;
	return kind == ARCHIVER ? archiver_asks(argv) : driver_asks(argv);
}
