/* Compresses a file with every level from 1 to 19, decompresses it again and
 * prints the sizes. Exits with 1 if any byte comes back otherwise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zstd.h"

static void *must_alloc(size_t n) {
	void *p = malloc(n);
	if (p == NULL) {
		perror("malloc");
		exit(1);
	}
	return p;
}

int main(int argc, char **argv) {
	if (argc != 2) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 1;
	}
	FILE *f = fopen(argv[1], "rb");
	if (f == NULL) {
		perror(argv[1]);
		return 1;
	}
	char *in = must_alloc(1 << 20);
	size_t size = fread(in, 1, 1 << 20, f);
	fclose(f);

	size_t bound = ZSTD_compressBound(size);
	char *packed = must_alloc(bound), *out = must_alloc(size + 1);
	printf("zstd %s, %zu bytes\n", ZSTD_versionString(), size);
	for (int level = 1; level <= 19; level++) {
		size_t n = ZSTD_compress(packed, bound, in, size, level);
		if (ZSTD_isError(n)) {
			fprintf(stderr, "level %d: %s\n", level, ZSTD_getErrorName(n));
			return 1;
		}
		size_t m = ZSTD_decompress(out, size, packed, n);
		if (m != size || memcmp(in, out, size) != 0) {
			fprintf(stderr, "level %d: other bytes came back\n", level);
			return 1;
		}
		printf("level %2d: %zu bytes\n", level, n);
	}
	return 0;
}
