/* The TSDL parser's own: tokens and the state of a parse. Private to tsdl-*.c. */
#ifndef CAIRN_CTF_TSDL_IMPL_H
#define CAIRN_CTF_TSDL_IMPL_H

#include "ctf/ctf-read.h"

enum tsdl_token_kind { /* other values: the punctuator's character */
	TSDL_END = 0,
	TSDL_WORD = 256, /* identifier or keyword */
	TSDL_NUMBER,
	TSDL_STRING,
	TSDL_ASSIGN_TYPE, /* := */
	TSDL_DOTS, /* ... */
	TSDL_ARROW, /* -> */
};

struct tsdl_token {
	int kind;
	const char *start; /* in the text */
	size_t len;
	uint32_t line, column;
	uint64_t number; /* NUMBER */
	bool is_keyword; /* WORD */
};

/* One lexical scope; the root scope's names are in meta->types. */
struct ctfr_scope {
	struct ctfr_scope *parent;
	struct tsdl_entry *entries;
};

struct tsdl_entry {
	const char *key;
	struct ctfr_type *type;
	struct tsdl_entry *next;
};

struct tsdl {
	struct ctfr_meta *meta;
	const char *at, *end; /* what is not yet read */
	uint32_t line, column; /* of `at` */
	struct tsdl_token tok; /* the current token */
	struct ctfr_scope *scope;
	int depth;
	int failed; /* 0 or -Exxx; the first failure stays */
	struct error *err;
};

/* Lexer (tsdl-lex.c). After a failure each token is TSDL_END. */
void tsdl_next(struct tsdl *p);
/* The length of the first declaration of p->at..p->end with its ';', 0 if it is incomplete, or
 * the whole length if only blanks and comments are left (*ret_blank). */
size_t tsdl_declaration(const struct tsdl *p, bool *ret_blank);
void tsdl_fail(struct tsdl *p, const struct tsdl_token *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void tsdl_expected(struct tsdl *p, const char *what); /* at the current token */
void tsdl_no_memory(struct tsdl *p);
bool tsdl_is_word(const struct tsdl *p, const char *word);
bool tsdl_accept(struct tsdl *p, int kind); /* takes the token if it is of this kind */
bool tsdl_accept_word(struct tsdl *p, const char *word);
void tsdl_expect(struct tsdl *p, int kind, const char *what);
char *tsdl_copy(struct tsdl *p, const struct tsdl_token *t); /* in the arena; unescapes strings */
bool tsdl_enter(struct tsdl *p); /* one level deeper, or fails */
void tsdl_leave(struct tsdl *p);

/* Values of attributes: a number, a string or a path. */
struct tsdl_value {
	enum { TSDL_V_NUMBER, TSDL_V_STRING, TSDL_V_PATH } kind;
	bool negative; /* NUMBER: then it is -number */
	uint64_t number;
	const char *text; /* STRING; PATH: joined by '.' */
	struct ctfr_path *path; /* PATH */
	struct tsdl_token tok;
};
struct tsdl_value tsdl_value(struct tsdl *p);
struct ctfr_path *tsdl_path(struct tsdl *p, const char **ret_text);
bool tsdl_as_bool(struct tsdl *p, const struct tsdl_value *v);
uint64_t tsdl_as_u64(struct tsdl *p, const struct tsdl_value *v, const char *what, uint64_t max);
uint64_t tsdl_as_align(struct tsdl *p, const struct tsdl_value *v);
const char *tsdl_as_text(struct tsdl *p, const struct tsdl_value *v, const char *what);

/* Types (tsdl-types.c). */
struct ctfr_type *tsdl_specifier(struct tsdl *p, struct buf *name);
bool tsdl_begins_type(const struct tsdl *p);
void tsdl_typedef(struct tsdl *p); /* after the word `typedef`, up to and with ';' */
void tsdl_typealias(struct tsdl *p); /* after the word `typealias`, likewise */
struct ctfr_type *tsdl_declarator(
	struct tsdl *p, struct ctfr_type *base, struct buf *name, const char **ret_field);
struct ctfr_type *tsdl_lookup(struct tsdl *p, const char *key);
void tsdl_define(struct tsdl *p, const char *key, struct ctfr_type *t, const struct tsdl_token *at);
struct ctfr_type *tsdl_struct(struct tsdl *p);
struct ctfr_type *tsdl_variant(struct tsdl *p);
struct ctfr_type *tsdl_enum(struct tsdl *p);
struct ctfr_type *tsdl_integer(struct tsdl *p);
struct ctfr_type *tsdl_float(struct tsdl *p);
struct ctfr_type *tsdl_string(struct tsdl *p);
struct ctfr_type *tsdl_new(struct tsdl *p, enum cairn_type_kind kind);

/* Blocks (tsdl-blocks.c): one declaration at the top, with its ';'. */
void tsdl_top(struct tsdl *p);

#endif
