/* many FIFO: a process of 1,000 sites (many:e000 to many:e999) and 50 threads, 48 of them asleep and
 * two that fire without pause; ends when FIFO can be opened for reading. For the cost of switching.
 */
#include <cairn/trace.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 50
#define FIRING 2

#define SITE(name) CAIRN(many, name, i);
#define TEN(p) \
	SITE(p##0) \
	SITE(p##1) \
	SITE(p##2) SITE(p##3) SITE(p##4) SITE(p##5) SITE(p##6) SITE(p##7) SITE(p##8) SITE(p##9)
#define HUNDRED(p) \
	TEN(p##0) \
	TEN(p##1) TEN(p##2) TEN(p##3) TEN(p##4) TEN(p##5) TEN(p##6) TEN(p##7) TEN(p##8) TEN(p##9)

static volatile int done;

static void *fire(void *arg)
{
	for (long i = 0; !done; i++) {
		HUNDRED(e0)
		HUNDRED(e1)
		HUNDRED(e2)
		HUNDRED(e3)
		HUNDRED(e4)
		HUNDRED(e5)
		HUNDRED(e6)
		HUNDRED(e7)
		HUNDRED(e8)
		HUNDRED(e9)
	}
	return arg;
}

static void *wait_for_end(void *arg)
{
	while (!done)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	if (argc != 2) {
		fprintf(stderr, "usage: many FIFO\n");
		return 2;
	}
	for (int k = 0; k < THREADS; k++)
		if (pthread_create(&threads[k], NULL, k < FIRING ? fire : wait_for_end, NULL) !=
			0) {
			perror("pthread_create");
			return 1;
		}
	if (open(argv[1], O_RDONLY) < 0) {
		perror(argv[1]);
		return 1;
	}
	done = 1;
	exit(0);
}
