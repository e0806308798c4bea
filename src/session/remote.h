/* One command, as the commander's side sees it (remote.c), for look.c. */
#ifndef CAIRN_SESSION_REMOTE_H
#define CAIRN_SESSION_REMOTE_H

#include "base/base.h"
#include "session/json.h"

/* session: NULL: none. The caller adds members and gives it to control_call(). */
struct json_object *control_request_new(const char *op, const char *session);
/* Does the command, frees req. *ret (may be NULL): the answer, also if it is an error; the
 * caller's. 0 or -errno with err filled. */
int control_call(struct cairn_control *ctl, struct json_object *req, struct json_object **ret,
	struct error *err);

#endif
