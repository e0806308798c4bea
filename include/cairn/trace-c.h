/* SPDX-License-Identifier: MIT
 *
 * What trace.h does in C: types by _Generic, and a function to stage each event.
 * Included by trace.h only; nothing here is an interface.
 *
 * The values of a site's fields are passed to a function of its own, so that neither the staging
 * buffer nor an address taken spoils the code around the site. With gcc that is a nested function
 * (which uses nothing of the outer one, so there is no trampoline). clang has none: it stages in
 * the cold block itself.
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
	_Static_assert( \
		CAIRN_IS_ARRAY_(e) ? CAIRN_IS_SCALAR_(CAIRN_ELEM_(e)) : CAIRN_IS_SCALAR_(e), \
		CAIRN_WHY_);
#define CAIRN_ASSERT_cairnhex(i, name, e) CAIRN_ASSERT_cairnval(i, name, e)
#define CAIRN_ASSERT_cairnseq(i, name, p, n) \
	_Static_assert(CAIRN_IS_SCALAR_((p)[0]), "a CAIRN_SEQ is of numbers or pointers");
#define CAIRN_ASSERT_cairnbytes(i, name, p, n)
#define CAIRN_ASSERT_cairnenum(i, name, e, n, labels, values) \
	_Static_assert(!CAIRN_IS_ARRAY_(e) && CAIRN_IS_INTEGER_(e), "a CAIRN_ENUM is an integer");

/* ---- staging ---- */

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

#define CAIRN_PUT_cairnval(i, name, e) \
	if (CAIRN_IS_STR_(e)) \
		cairn_put_str(&cairn_c_, \
			_Generic(cairn_v##i##_, char *: cairn_v##i##_, const char *: cairn_v##i##_, default: (const char *)0), \
			CAIRN_IS_ARRAY_(e) ? sizeof(__typeof__(e)) : (size_t)-1); \
	else if (CAIRN_IS_ARRAY_(e)) \
		cairn_put(&cairn_c_, \
			(const void *)__builtin_choose_expr( \
				CAIRN_IS_ARRAY_(e), cairn_v##i##_, (void *)0), \
			sizeof(__typeof__(e))); \
	else \
		cairn_put(&cairn_c_, &cairn_v##i##_, sizeof(cairn_v##i##_));
#define CAIRN_PUT_cairnhex(i, name, e) CAIRN_PUT_cairnval(i, name, e)
#define CAIRN_PUT_cairnseq(i, name, p, n) \
	cairn_put_seq(&cairn_c_, cairn_v##i##_, cairn_n##i##_, sizeof((p)[0]));
#define CAIRN_PUT_cairnbytes(i, name, p, n) \
	cairn_put_seq(&cairn_c_, cairn_v##i##_, cairn_n##i##_, 1);
#define CAIRN_PUT_cairnenum(i, name, e, n, labels, values) \
	cairn_put(&cairn_c_, &cairn_v##i##_, sizeof(cairn_v##i##_));

#define CAIRN_LOCAL_cairnval(i, name, e) CAIRN_DECAY_(e) cairn_v##i##_ = CAIRN_TO_DECAY_(e);
#define CAIRN_LOCAL_cairnhex(i, name, e) CAIRN_LOCAL_cairnval(i, name, e)
#define CAIRN_LOCAL_cairnseq(i, name, p, n) \
	const void *cairn_v##i##_ = (const void *)(p); \
	size_t cairn_n##i##_ = (size_t)(n);
#define CAIRN_LOCAL_cairnbytes(i, name, p, n) CAIRN_LOCAL_cairnseq(i, name, p, n)
#define CAIRN_LOCAL_cairnenum(i, name, e, n, labels, values) CAIRN_LOCAL_cairnval(i, name, e)

#define CAIRN_PARAM_cairnval(i, name, e) , CAIRN_DECAY_(e) cairn_v##i##_
#define CAIRN_PARAM_cairnhex(i, name, e) CAIRN_PARAM_cairnval(i, name, e)
#define CAIRN_PARAM_cairnseq(i, name, p, n) , const void *cairn_v##i##_, size_t cairn_n##i##_
#define CAIRN_PARAM_cairnbytes(i, name, p, n) CAIRN_PARAM_cairnseq(i, name, p, n)
#define CAIRN_PARAM_cairnenum(i, name, e, n, labels, values) CAIRN_PARAM_cairnval(i, name, e)

#define CAIRN_ARG_cairnval(i, name, e) , CAIRN_TO_DECAY_(e)
#define CAIRN_ARG_cairnhex(i, name, e) , CAIRN_TO_DECAY_(e)
#define CAIRN_ARG_cairnseq(i, name, p, n) , (const void *)(p), (size_t)(n)
#define CAIRN_ARG_cairnbytes(i, name, p, n) , (const void *)(p), (size_t)(n)
#define CAIRN_ARG_cairnenum(i, name, e, n, labels, values) , (e)

#define CAIRN_STAGE_(M, ...) \
	CAIRN_STAGE(cairn_slot_.slot, cairn_ip_, (size_t)(0 M(CAIRN_LEAST, __VA_ARGS__)), \
		(1 M(CAIRN_EXACT, __VA_ARGS__)), M(CAIRN_PUT, __VA_ARGS__))

#ifdef __clang__
#define CAIRN_FIRE_(M, ...) \
	M(CAIRN_LOCAL, __VA_ARGS__) \
	void *cairn_ip_; \
	CAIRN_HERE_(cairn_ip_); \
	CAIRN_STAGE_(M, __VA_ARGS__)
#else
#define CAIRN_FIRE_(M, ...) \
	__extension__ __attribute__((__noinline__, __cold__)) void cairn_stage_( \
		void *cairn_ip_ M(CAIRN_PARAM, __VA_ARGS__)) \
	{ \
		CAIRN_STAGE_(M, __VA_ARGS__) \
	} \
	void *cairn_here_; \
	CAIRN_HERE_(cairn_here_); \
	cairn_stage_(cairn_here_ M(CAIRN_ARG, __VA_ARGS__));
#endif

struct cairn_local_slot {
	struct cairn_slot slot;
};

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
		static struct cairn_local_slot cairn_slot_; \
		M(CAIRN_ASSERT, __VA_ARGS__) \
		_Static_assert((0 M(CAIRN_LEAST, __VA_ARGS__)) <= CAIRN_PAYLOAD_MAX, \
			"the fields of a CAIRN event have at most 64 KiB"); \
		CAIRN_CAT(shape, CHECK_) \
		(first M(CAIRN_EXPR, __VA_ARGS__)) \
			CAIRN_SITE_(cairn_desc_, cairn_slot_, statement, before; statement; \
				    CAIRN_FIRE_(M, __VA_ARGS__)) \
	} while (0)

#endif
