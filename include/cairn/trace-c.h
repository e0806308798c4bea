/* SPDX-License-Identifier: MIT
 *
 * What trace.h does in C: types by _Generic, and a function to stage each event.
 * Included by trace.h only; nothing here is an interface.
 *
 * With gcc each site has a staging function of its own: a nested one, which uses nothing of the
 * outer function, so that there is no trampoline. clang has none, and gcc makes a trampoline if
 * it does not optimise: there one function stages all, by a list of steps kept beside the slot.
 */
#ifndef CAIRN_TRACE_C_H
#define CAIRN_TRACE_C_H

#pragma GCC system_header

/* The type of e as a value: arrays are pointers, no qualifiers matter, long double is double. */
#define CAIRN_DECAY_(e) \
	__typeof__(_Generic(((void)0, (e)), long double : 0.0, default : ((void)0, (e))))
#define CAIRN_TO_DECAY_(e) \
	_Generic(((void)0, (e)), long double \
		 : (double)_Generic(((void)0, (e)), long double \
				    : (e), default : 0.0L), \
		 default \
		 : (e))
#define CAIRN_IS_ARRAY_(e) \
	(!__builtin_types_compatible_p(__typeof__(e), __typeof__(((void)0, (e)))))
/* An element of e, if that is an array; else of a type that does no harm. */
#define CAIRN_ELEM_(e) (__builtin_choose_expr(CAIRN_IS_ARRAY_(e), (e), (void **)0)[0])

#define CAIRN_SCALAR_(e) \
	_Generic(((void)0, (e)), \
		_Bool: CAIRN_KIND_BOOL, \
		char: CAIRN_KIND_CHAR, \
		signed char: CAIRN_KIND_INT, \
		short: CAIRN_KIND_INT, \
		int: CAIRN_KIND_INT, \
		long: CAIRN_KIND_INT, \
		long long: CAIRN_KIND_INT, \
		unsigned char: CAIRN_KIND_UINT, \
		unsigned short: CAIRN_KIND_UINT, \
		unsigned: CAIRN_KIND_UINT, \
		unsigned long: CAIRN_KIND_UINT, \
		unsigned long long: CAIRN_KIND_UINT, \
		float: CAIRN_KIND_FLOAT, \
		double: CAIRN_KIND_FLOAT, \
		long double: CAIRN_KIND_FLOAT, \
		char *: CAIRN_KIND_STR, \
		const char *: CAIRN_KIND_STR, \
		default: CAIRN_KIND_PTR)

/* Of an element, a string is only a pointer. */
#define CAIRN_ELEM_KIND_(e) (CAIRN_SCALAR_(e) == CAIRN_KIND_STR ? CAIRN_KIND_PTR : CAIRN_SCALAR_(e))
#define CAIRN_IS_TEXT_(e) (CAIRN_IS_ARRAY_(e) && CAIRN_SCALAR_(CAIRN_ELEM_(e)) == CAIRN_KIND_CHAR)
#define CAIRN_IS_STR_(e) \
	(CAIRN_IS_TEXT_(e) || (!CAIRN_IS_ARRAY_(e) && CAIRN_SCALAR_(e) == CAIRN_KIND_STR))
#define CAIRN_KIND_(e) \
	(CAIRN_IS_STR_(e)		     ? CAIRN_KIND_STR \
			: CAIRN_IS_ARRAY_(e) ? CAIRN_ELEM_KIND_(CAIRN_ELEM_(e)) \
					     : CAIRN_SCALAR_(e))
#define CAIRN_SIGNED_(e) \
	(CAIRN_SCALAR_(e) == CAIRN_KIND_INT || \
		(CAIRN_SCALAR_(e) == CAIRN_KIND_CHAR && (char)-1 < 0))

/* ---- struct cairn_field ---- */

#define CAIRN_VALUE_(e, flags) \
	{CAIRN_KIND_(e), CAIRN_IS_ARRAY_(e) && !CAIRN_IS_STR_(e), \
		CAIRN_IS_STR_(e)	     ? 1 \
			: CAIRN_IS_ARRAY_(e) ? sizeof(CAIRN_ELEM_(e)) \
					     : sizeof(CAIRN_DECAY_(e)), \
		flags, \
		CAIRN_IS_ARRAY_(e) && !CAIRN_IS_STR_(e) \
			? sizeof(__typeof__(e)) / sizeof(CAIRN_ELEM_(e)) \
			: 0, \
		0, 0},
#define CAIRN_FIELD_cairnval(i, name, e) CAIRN_VALUE_(e, 0)
#define CAIRN_FIELD_cairnhex(i, name, e) CAIRN_VALUE_(e, CAIRN_FIELD_HEX)
#define CAIRN_FIELD_cairnseq(i, name, p, n) \
	{CAIRN_ELEM_KIND_((p)[0]), CAIRN_FORM_SEQUENCE, sizeof((p)[0]), 0, 0, 0, 0},
#define CAIRN_FIELD_cairnbytes(i, name, p, n) \
	{CAIRN_KIND_BYTES, CAIRN_FORM_SEQUENCE, 1, 0, 0, 0, 0},
#define CAIRN_FIELD_cairnenum(i, name, e, n, labels, values) \
	{CAIRN_KIND_ENUM, CAIRN_FORM_ONE, sizeof(CAIRN_DECAY_(e)), \
		CAIRN_SIGNED_(e) ? CAIRN_FIELD_SIGNED : 0, 0, n, 0},

#define CAIRN_VALUES_cairnval(i, name, e)
#define CAIRN_VALUES_cairnhex(i, name, e)
#define CAIRN_VALUES_cairnseq(i, name, p, n)
#define CAIRN_VALUES_cairnbytes(i, name, p, n)
#define CAIRN_VALUES_cairnenum(i, name, e, n, labels, values) CAIRN_UNWRAP values,

/* ---- what may be a field ---- */

#define CAIRN_WHY_ "a CAIRN field is a number, pointer or string, or an array of those"
#define CAIRN_IS_SCALAR_(e) \
	((CAIRN_SCALAR_(e) != CAIRN_KIND_PTR || __builtin_classify_type(e) == 5) && \
		sizeof(CAIRN_DECAY_(e)) <= 8)
#define CAIRN_IS_INTEGER_(e) (CAIRN_SCALAR_(e) <= CAIRN_KIND_CHAR)
#define CAIRN_ASSERT_cairnval(i, name, e) \
	_Static_assert(CAIRN_IS_ARRAY_(e) \
			? CAIRN_IS_SCALAR_(CAIRN_ELEM_(e)) && !CAIRN_IS_ARRAY_(CAIRN_ELEM_(e)) \
			: CAIRN_IS_SCALAR_(e), \
		CAIRN_WHY_);
#define CAIRN_ASSERT_cairnhex(i, name, e) CAIRN_ASSERT_cairnval(i, name, e)
#define CAIRN_ASSERT_cairnseq(i, name, p, n) \
	_Static_assert(CAIRN_IS_SCALAR_((p)[0]), "a CAIRN_SEQ is of numbers or pointers");
#define CAIRN_ASSERT_cairnbytes(i, name, p, n)
#define CAIRN_ASSERT_cairnenum(i, name, e, n, labels, values) \
	_Static_assert(!CAIRN_IS_ARRAY_(e) && CAIRN_IS_INTEGER_(e), "a CAIRN_ENUM is an integer");

/* ---- what is passed to the staging function: words ---- */

#define CAIRN_BITS_(e) \
	__extension__({ \
		CAIRN_DECAY_(e) cairn_value_ = CAIRN_TO_DECAY_(e); \
		uint64_t cairn_bits_ = 0; \
		__builtin_memcpy(&cairn_bits_, &cairn_value_, sizeof(cairn_value_)); \
		cairn_bits_; \
	})
#define CAIRN_LOCAL_cairnval(i, name, e) uint64_t cairn_w##i##_ = CAIRN_BITS_(e);
#define CAIRN_LOCAL_cairnhex(i, name, e) CAIRN_LOCAL_cairnval(i, name, e)
#define CAIRN_LOCAL_cairnseq(i, name, p, n) \
	uint64_t cairn_w##i##_ = (uint64_t)(p), cairn_n##i##_ = (uint64_t)(n);
#define CAIRN_LOCAL_cairnbytes(i, name, p, n) CAIRN_LOCAL_cairnseq(i, name, p, n)
#define CAIRN_LOCAL_cairnenum(i, name, e, n, labels, values) CAIRN_LOCAL_cairnval(i, name, e)

/* ---- staging, by steps ---- */

struct cairn_step {
	uint32_t kind; /* enum cairn_step_kind */
	uint32_t n;
};
enum cairn_step_kind {
	CAIRN_STEP_WORD, /* n bytes of the word */
	CAIRN_STEP_ARRAY, /* n bytes from where it points */
	CAIRN_STEP_STRING,
	CAIRN_STEP_TEXT, /* a string of at most n bytes */
	CAIRN_STEP_SEQUENCE, /* of scalars of n bytes; their number is the next word */
};

/* As CAIRN_ON_STEP_(kind, n) has it. */
#define CAIRN_STEP_cairnval(i, name, e) \
	CAIRN_ON_STEP_(CAIRN_IS_TEXT_(e)     ? CAIRN_STEP_TEXT \
			: CAIRN_IS_STR_(e)   ? CAIRN_STEP_STRING \
			: CAIRN_IS_ARRAY_(e) ? CAIRN_STEP_ARRAY \
					     : CAIRN_STEP_WORD, \
		CAIRN_IS_ARRAY_(e) ? sizeof(__typeof__(e)) : sizeof(CAIRN_DECAY_(e)))
#define CAIRN_STEP_cairnhex(i, name, e) CAIRN_STEP_cairnval(i, name, e)
#define CAIRN_STEP_cairnseq(i, name, p, n) CAIRN_ON_STEP_(CAIRN_STEP_SEQUENCE, sizeof((p)[0]))
#define CAIRN_STEP_cairnbytes(i, name, p, n) CAIRN_ON_STEP_(CAIRN_STEP_SEQUENCE, 1)
#define CAIRN_STEP_cairnenum(i, name, e, n, labels, values) CAIRN_STEP_cairnval(i, name, e)

/* word: one above the field's first. Returns one above the next field's. */
CAIRN_INLINE_ const uint64_t *cairn_put_step(
	struct cairn_cursor *c, uint32_t kind, size_t n, const uint64_t *word)
{
	const void *p = (const void *)word[-1];

	switch (kind) {
	case CAIRN_STEP_WORD: cairn_put_word(c, word[-1], n); return word - 1;
	case CAIRN_STEP_ARRAY: cairn_put(c, p, n); return word - 1;
	case CAIRN_STEP_STRING: cairn_put_str(c, (const char *)p, (size_t)-1); return word - 1;
	case CAIRN_STEP_TEXT: cairn_put_str(c, (const char *)p, n); return word - 1;
	default: cairn_put_seq(c, p, (size_t)word[-2], n); return word - 2;
	}
}

#define CAIRN_LEAST_cairnval(i, name, e) \
	+(CAIRN_IS_STR_(e)		     ? 1 \
			: CAIRN_IS_ARRAY_(e) ? sizeof(__typeof__(e)) \
					     : sizeof(CAIRN_DECAY_(e)))
#define CAIRN_LEAST_cairnhex(i, name, e) CAIRN_LEAST_cairnval(i, name, e)
#define CAIRN_LEAST_cairnseq(i, name, p, n) +4
#define CAIRN_LEAST_cairnbytes(i, name, p, n) +4
#define CAIRN_LEAST_cairnenum(i, name, e, n, labels, values) +sizeof(CAIRN_DECAY_(e))

#define CAIRN_EXACT_cairnval(i, name, e) &&!CAIRN_IS_STR_(e)
#define CAIRN_EXACT_cairnhex(i, name, e)
#define CAIRN_EXACT_cairnseq(i, name, p, n) &&0
#define CAIRN_EXACT_cairnbytes(i, name, p, n) &&0
#define CAIRN_EXACT_cairnenum(i, name, e, n, labels, values)

#if defined(__clang__) || !defined(__OPTIMIZE__)

/* Follows the slot; the steps follow it. */
struct cairn_recipe {
	uint32_t least;
	uint16_t words;
	uint16_t n;
};

CAIRN_OUTLINE_ void cairn_stage_recipe(const uint64_t *words, const void *ip, struct cairn_big *big)
{
	const struct cairn_slot *slot = (const struct cairn_slot *)words[0];
	const struct cairn_recipe *recipe = (const struct cairn_recipe *)(slot + 1);
	const struct cairn_step *steps = (const struct cairn_step *)(recipe + 1);
	const uint64_t *word;
	unsigned i;

	CAIRN_STAGE(
		cairn_stage_recipe, words, ip, big, recipe->least, 0, word = words + recipe->words;
		for (i = 0; i < recipe->n; i++) word =
			cairn_put_step(&cairn_c_, steps[i].kind, steps[i].n, word););
}

#define CAIRN_ON_STEP_(kind, n) {kind, n},
#define CAIRN_SLOT_(n, M, ...) \
	static struct { \
		struct cairn_slot slot; \
		struct cairn_recipe recipe; \
		struct cairn_step steps[n + 1]; \
	} cairn_slot_ = {{0, 0, 0}, \
		{0 M(CAIRN_LEAST, __VA_ARGS__), 1 M(CAIRN_WORDS, __VA_ARGS__), n}, \
		{M(CAIRN_STEP, __VA_ARGS__){0, 0}}};
#define CAIRN_FIRE_(n, M, ...) \
	M(CAIRN_LOCAL, __VA_ARGS__) \
	CAIRN_CALL_(n, cairn_stage_recipe, &cairn_slot_, M, __VA_ARGS__)

#else

#define CAIRN_ON_STEP_(kind, n) cairn_w_ = cairn_put_step(&cairn_c_, kind, n, cairn_w_);
#define CAIRN_SLOT_(n, M, ...) \
	static struct { \
		struct cairn_slot slot; \
	} cairn_slot_;
#define CAIRN_FIRE_(n, M, ...) \
	__extension__ CAIRN_PLAIN_CODE_ __attribute__((__noinline__, __cold__)) void cairn_stage_( \
		const uint64_t *cairn_words_, const void *cairn_ip_, struct cairn_big *cairn_big_) \
	{ \
		const uint64_t *cairn_w_; \
		CAIRN_STAGE(cairn_stage_, cairn_words_, cairn_ip_, cairn_big_, \
			    (size_t)(0 M(CAIRN_LEAST, __VA_ARGS__)), \
			    (1 M(CAIRN_EXACT, __VA_ARGS__)), \
			    cairn_w_ = cairn_words_ + (1 M(CAIRN_WORDS, __VA_ARGS__)); \
			    M(CAIRN_STEP, __VA_ARGS__)(void) cairn_w_;); \
	} \
	M(CAIRN_LOCAL, __VA_ARGS__) \
	CAIRN_CALL_(n, cairn_stage_, &cairn_slot_, M, __VA_ARGS__)

#endif

#define CAIRN_EMIT_(n, M, text, first, shape, provider, level, before, statement, ...) \
	do { \
		CAIRN_QUIET_ \
		CAIRN_LABEL_ \
		static const struct { \
			struct cairn_desc desc; \
			struct cairn_field fields[n]; \
			int64_t labels[0 M(CAIRN_NLABELS, __VA_ARGS__)]; \
			char strings[sizeof( \
				CAIRN_STRINGS_(M, text, first, shape, provider, __VA_ARGS__))]; \
		} cairn_desc_ = { \
			{sizeof(struct cairn_desc) + n * sizeof(struct cairn_field) + \
					(0 M(CAIRN_NLABELS, __VA_ARGS__)) * sizeof(int64_t) + \
					sizeof(CAIRN_STRINGS_( \
						M, text, first, shape, provider, __VA_ARGS__)) - \
					1, \
				CAIRN_ABI, level, CAIRN_CAT(shape, FLAGS_), __LINE__, n, \
				0 M(CAIRN_NLABELS, __VA_ARGS__)}, \
			{M(CAIRN_FIELD, __VA_ARGS__)}, {M(CAIRN_VALUES, __VA_ARGS__)}, \
			CAIRN_STRINGS_(M, text, first, shape, provider, __VA_ARGS__)}; \
		CAIRN_SLOT_(n, M, __VA_ARGS__) \
		M(CAIRN_ASSERT, __VA_ARGS__) \
		_Static_assert((0 M(CAIRN_LEAST, __VA_ARGS__)) <= CAIRN_PAYLOAD_MAX, \
			"the fields of a CAIRN event have at most 64 KiB"); \
		CAIRN_CAT(shape, CHECK_) \
		(first M(CAIRN_EXPR, __VA_ARGS__)) \
			CAIRN_SITE_(cairn_desc_, cairn_slot_, statement, before; statement; \
				    CAIRN_FIRE_(n, M, __VA_ARGS__)) \
	} while (0)

#endif
