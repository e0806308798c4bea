/* Uses what the wrappers wrap, and says what it got: one line each, the same traced or not. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char *early;

__attribute__((constructor(101))) static void before_main(void)
{
	early = malloc(100);
	strcpy(early, "early");
}

static void say(const char *what, long result)
{
	printf("%s %ld\n", what, result);
	fflush(stdout);
}

static void heap(void)
{
	char *p = malloc(1001), *q = calloc(7, 11);
	void *aligned = NULL;
	volatile size_t huge = SIZE_MAX / 2;
	bool zero = true;
	int i;

	for (i = 0; i < 77; i++)
		zero &= q[i] == 0;
	strcpy(p, "kept");
	p = realloc(p, 100001);
	say("realloc keeps", strcmp(p, "kept"));
	say("calloc zeroes", zero);
	say("posix_memalign", posix_memalign(&aligned, 4096, 50));
	say("aligned", (long)((uintptr_t)aligned % 4096));
	free(aligned);
	aligned = memalign(64, 65);
	say("memalign", (long)((uintptr_t)aligned % 64));
	free(aligned);
	aligned = aligned_alloc(128, 128);
	say("aligned_alloc", (long)((uintptr_t)aligned % 128));
	free(aligned);
	errno = 0;
	say("too much", malloc(huge) == NULL && errno == ENOMEM);
	say("overflow", reallocarray(NULL, huge, 4) == NULL && errno == ENOMEM);
	errno = 4711;
	free(q);
	free(p);
	say("errno", errno);
	say("early", strcmp(early, "early"));
}

static void files(const char *path)
{
	char room[16] = "";
	struct iovec iov = {room, 4};
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0640);

	say("write", write(fd, "0123456789", 10));
	say("pread", pread(fd, room, 4, 3));
	say("what", strcmp(room, "3456"));
	say("pwrite", pwrite(fd, "xy", 2, 8));
	say("writev", writev(fd, &iov, 1));
	say("seek", lseek(fd, 0, SEEK_SET));
	say("read", read(fd, room, 12));
	say("what", strncmp(room, "01234567xy34", 12));
	say("close", close(fd));
	say("close again", close(fd));
	say("errno", errno);
	say("open", open("/nonexistent/file", O_RDONLY));
	say("errno", errno);
	unlink(path);
}

static void sockets(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0), got;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	say("connect", connect(client, (struct sockaddr *)&a, sizeof(a)));
	say("errno", errno);
	say("bind", bind(server, (struct sockaddr *)&a, sizeof(a)));
	say("listen", listen(server, 1));
	say("connect", connect(client, (struct sockaddr *)&a, sizeof(a)));
	got = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	say("accept", got >= 0);
	close(got);
	close(client);
	close(server);
	unlink(path);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static int turn, cleaned;

static void *player(void *arg)
{
	int i, me = (int)(intptr_t)arg;

	for (i = 0; i < 50; i++) {
		pthread_mutex_lock(&lock);
		while (turn != me)
			pthread_cond_wait(&changed, &lock);
		turn = !me;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
		free(malloc((size_t)i));
	}
	return NULL;
}

static void clean(void *arg)
{
	cleaned++;
}

static void *reader(void *arg)
{
	char c;

	pthread_cleanup_push(clean, NULL);
	(void)!read(*(int *)arg, &c, 1);
	pthread_cleanup_pop(0);
	return NULL;
}

static void threads(void)
{
	pthread_t t[2];
	struct timespec past = {1, 0};
	void *result;
	int fds[2];

	pthread_create(&t[0], NULL, player, (void *)0);
	pthread_create(&t[1], NULL, player, (void *)1);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	say("turn", turn);
	pthread_mutex_lock(&lock);
	say("trylock", pthread_mutex_trylock(&lock));
	say("timedlock", pthread_mutex_timedlock(&lock, &past));
	say("timedwait", pthread_cond_timedwait(&changed, &lock, &past));
	pthread_mutex_unlock(&lock);
	say("rdlock", pthread_rwlock_rdlock(&rwlock));
	say("trywrlock", pthread_rwlock_trywrlock(&rwlock));
	say("unlock", pthread_rwlock_unlock(&rwlock));
	say("wrlock", pthread_rwlock_wrlock(&rwlock));
	say("unlock", pthread_rwlock_unlock(&rwlock));
	say("pipe", pipe(fds));
	pthread_create(&t[0], NULL, reader, &fds[0]);
	pthread_cancel(t[0]);
	pthread_join(t[0], &result);
	say("cancelled", result == PTHREAD_CANCELED);
	say("cleaned or not begun", cleaned <= 1);
}

int main(int argc, char **argv)
{
	char path[100];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/file", argc > 1 ? argv[1] : "/tmp");
	heap();
	files(path);
	sockets(path);
	threads();
	pid = fork();
	if (pid == 0) {
		heap();
		files(path);
		_exit(7);
	}
	waitpid(pid, &status, 0);
	say("child", WEXITSTATUS(status));
	return 0;
}
