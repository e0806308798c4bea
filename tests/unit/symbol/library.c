/* The library of program.c. */
#include "places.h"

void library_one(void);

__attribute__((noinline)) static void library_hidden(void)
{
	uintptr_t p;
	int line;

	HERE(p, line);
	say_place(p, line, "library_hidden");
}

void library_one(void)
{
	uintptr_t p;
	int line;

	HERE(p, line);
	say_place(p, line, "library_one");
	library_hidden();
	say_place(p, line, "library_one");
}
