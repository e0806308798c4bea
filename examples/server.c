/* A make-believe web server, marked. Build and record it:
 *
 *	cc -O2 -Iinclude examples/server.c -o server
 *	cairn record -- ./server
 */
#include <cairn/trace.h>
#include <stdio.h>
#include <stdlib.h>

enum method { GET, PUT = 4 };

struct request {
	enum method method;
	const char *path;
	unsigned char from[4];
};

static int answer(const struct request *r, char *body, size_t room)
{
	int size = snprintf(body, room, "you asked for %s", r->path);
	int status = r->method == GET ? 200 : 405;

	CAIRN(http, request_done, r->path, status, (bytes, size), r->from);
	if (status != 200)
		CAIRN_LEVEL(CAIRN_WARNING, http, refused, CAIRN_ENUM(method, r->method, GET, PUT));
	return status;
}

int main(void)
{
	static const char *const paths[] = {"/", "/index.html", "/favicon.ico"};
	char body[100];
	int failed = 0;

	for (unsigned i = 0; i < 9; i++) {
		struct request r = {i % 4 == 3 ? PUT : GET, paths[i % 3], {127, 0, 0, 1}};

		failed += answer(&r, body, sizeof(body)) != 200;
	}
	CAIRN_LOG(http, CAIRN_NOTICE, "%d requests failed", failed);
	return EXIT_SUCCESS;
}
