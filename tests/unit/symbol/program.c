/* A program that knows its places: see places.h. Its argument is a library to do likewise. */
#include "places.h"
#include <dlfcn.h>

void shown_one(void);

static inline __attribute__((always_inline)) uintptr_t innermost(int *line)
{
	uintptr_t p;

	HERE(p, *line);
	return p;
}

static inline __attribute__((always_inline)) uintptr_t middle(int *line)
{
	return innermost(line) + (uintptr_t)*line * 0;
}

__attribute__((noinline)) static void hidden_one(void)
{
	uintptr_t p;
	int line;

	HERE(p, line);
	say_place(p, line, "hidden_one");
}

__attribute__((noinline)) void shown_one(void)
{
	int line;
	uintptr_t p = middle(&line);

	say_place(p, line, "innermost,middle,shown_one");
}

int main(int argc, char **argv)
{
	hidden_one();
	shown_one();
	for (int i = 1; i < argc; i++) {
		void *lib = dlopen(argv[i], RTLD_NOW);
		void (*speak)(void);

		*(void **)&speak = lib ? dlsym(lib, "library_one") : NULL;
		if (!speak)
			return 1;
		speak();
	}
	return 0;
}
