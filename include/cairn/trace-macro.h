/* SPDX-License-Identifier: MIT
 *
 * The preprocessor machinery of trace.h: counts arguments, tells `x` from `(name, x)` and from
 * the tagged groups that CAIRN_SEQ and its like expand to, and maps a macro over the fields.
 * Included by trace.h only; nothing here is an interface.
 *
 * Field names and labels must be the text as written, even if it is a macro (errno): an argument
 * stays unexpanded only next to # and ##, so each step to CAIRN_NORM<n> passes its arguments with
 * GNU's ", ##", and CAIRN_NORM<n> takes the text of each before anything expands it.
 *
 * Each field becomes one parenthesised group:
 *	(cairnval, "name", expr)		(cairnhex, "name", expr)
 *	(cairnseq, "name", pointer, count)	(cairnbytes, "name", pointer, size)
 *	(cairnenum, "name", expr, number of labels, "label\0label\0", (values))
 */
#ifndef CAIRN_TRACE_MACRO_H
#define CAIRN_TRACE_MACRO_H

#pragma GCC system_header

#define CAIRN_CAT_(a, b) a##b
#define CAIRN_CAT(a, b) CAIRN_CAT_(a, b)
#define CAIRN_STR_(a) #a
#define CAIRN_STR(a) CAIRN_STR_(a)
#define CAIRN_EAT(...)
#define CAIRN_UNWRAP(...) __VA_ARGS__
#define CAIRN_THIRD_(a, b, c, ...) c
#define CAIRN_THIRD(...) CAIRN_THIRD_(__VA_ARGS__)

/* 1 if there is no token, else 0 */
#define CAIRN_IS_EMPTY(...) CAIRN_THIRD(~__VA_OPT__(, ~), 0, 1, ~)

/* One field: its text, its name if it is a pair, whether it is one group in parentheses as
 * written, and itself; to a tagged group. CAIRN_SEQ and its like made groups that begin with an
 * empty element, which no pair does. */
#define CAIRN_NORM(text, pair, group, a) \
	CAIRN_CAT(CAIRN_NORM_, CAIRN_CAT(group, CAIRN_IS_MANY(a)))(text, pair, a)
#define CAIRN_NORM_00(text, pair, a) (cairnval, text, a)
#define CAIRN_NORM_10(text, pair, a) (cairnval, text, a)
#define CAIRN_NORM_11(text, pair, a) CAIRN_CAT(CAIRN_GROUP_, CAIRN_IS_EMPTY(CAIRN_HEAD a))(pair, a)
#define CAIRN_NORM_01(text, pair, a) CAIRN_UNTAG a
#define CAIRN_GROUP_0(pair, a) (cairnval, pair, CAIRN_PAIR_EXPR a)
#define CAIRN_GROUP_1(pair, a) CAIRN_UNTAG a
#define CAIRN_HEAD(a, ...) a
#define CAIRN_UNTAG(skip, ...) (__VA_ARGS__)
#define CAIRN_PAIR_NAME(...) CAIRN_PAIR_NAME_(~, ##__VA_ARGS__, ~)
#define CAIRN_PAIR_NAME_(skip, a, ...) #a
#define CAIRN_PAIR_EXPR(a, ...) (__VA_ARGS__)

/* 1 if the argument is one group in parentheses with a comma, else 0 */
#define CAIRN_IS_MANY(a) CAIRN_CAT(CAIRN_IS_MANY_, CAIRN_IS_EMPTY(CAIRN_EAT a))(a)
#define CAIRN_IS_MANY_0(a) 0
#define CAIRN_IS_MANY_1(a) CAIRN_IS_SEVERAL a
#define CAIRN_IS_SEVERAL(...) \
	CAIRN_NARGS_(~, ##__VA_ARGS__, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, \
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, \
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, ~)

/* op(index, group...) to op_<tag>(index, ...) */
#define CAIRN_OP(op, i, group) CAIRN_OP_(op, i, CAIRN_UNWRAP group)
#define CAIRN_OP_(op, i, ...) CAIRN_OP__(op, i, __VA_ARGS__)
#define CAIRN_OP__(op, i, tag, ...) op##_##tag(i, __VA_ARGS__)

/* CAIRN_NARGS(~, ##__VA_ARGS__): how many there are, at most 65, expanding none */
#define CAIRN_NARGS(skip, ...) \
	CAIRN_NARGS_(~, ##__VA_ARGS__, 65, 64, 63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, \
		50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, \
		30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, \
		10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, ~)
#define CAIRN_NARGS_(skip, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, \
	_17, _18, _19, _20, _21, _22, _23, _24, _25, _26, _27, _28, _29, _30, _31, _32, _33, _34, \
	_35, _36, _37, _38, _39, _40, _41, _42, _43, _44, _45, _46, _47, _48, _49, _50, _51, _52, \
	_53, _54, _55, _56, _57, _58, _59, _60, _61, _62, _63, _64, _65, n, ...) \
	n

/* CAIRN_MAP<n>(op, ~, group...): op_<tag>(index, ...) for each; indexes count down to 1. No list
 * is ever empty (hence ~): clang complains of that even here. */
#define CAIRN_MAP0(...)
#define CAIRN_MAP1(op, skip, a) CAIRN_OP(op, 1, a)
#define CAIRN_MAP2(op, skip, a, ...) CAIRN_OP(op, 2, a) CAIRN_MAP1(op, ~, __VA_ARGS__)
#define CAIRN_MAP3(op, skip, a, ...) CAIRN_OP(op, 3, a) CAIRN_MAP2(op, ~, __VA_ARGS__)
#define CAIRN_MAP4(op, skip, a, ...) CAIRN_OP(op, 4, a) CAIRN_MAP3(op, ~, __VA_ARGS__)
#define CAIRN_MAP5(op, skip, a, ...) CAIRN_OP(op, 5, a) CAIRN_MAP4(op, ~, __VA_ARGS__)
#define CAIRN_MAP6(op, skip, a, ...) CAIRN_OP(op, 6, a) CAIRN_MAP5(op, ~, __VA_ARGS__)
#define CAIRN_MAP7(op, skip, a, ...) CAIRN_OP(op, 7, a) CAIRN_MAP6(op, ~, __VA_ARGS__)
#define CAIRN_MAP8(op, skip, a, ...) CAIRN_OP(op, 8, a) CAIRN_MAP7(op, ~, __VA_ARGS__)
#define CAIRN_MAP9(op, skip, a, ...) CAIRN_OP(op, 9, a) CAIRN_MAP8(op, ~, __VA_ARGS__)
#define CAIRN_MAP10(op, skip, a, ...) CAIRN_OP(op, 10, a) CAIRN_MAP9(op, ~, __VA_ARGS__)
#define CAIRN_MAP11(op, skip, a, ...) CAIRN_OP(op, 11, a) CAIRN_MAP10(op, ~, __VA_ARGS__)
#define CAIRN_MAP12(op, skip, a, ...) CAIRN_OP(op, 12, a) CAIRN_MAP11(op, ~, __VA_ARGS__)
#define CAIRN_MAP13(op, skip, a, ...) CAIRN_OP(op, 13, a) CAIRN_MAP12(op, ~, __VA_ARGS__)
#define CAIRN_MAP14(op, skip, a, ...) CAIRN_OP(op, 14, a) CAIRN_MAP13(op, ~, __VA_ARGS__)
#define CAIRN_MAP15(op, skip, a, ...) CAIRN_OP(op, 15, a) CAIRN_MAP14(op, ~, __VA_ARGS__)
#define CAIRN_MAP16(op, skip, a, ...) CAIRN_OP(op, 16, a) CAIRN_MAP15(op, ~, __VA_ARGS__)
#define CAIRN_MAP17(op, skip, a, ...) CAIRN_OP(op, 17, a) CAIRN_MAP16(op, ~, __VA_ARGS__)
#define CAIRN_MAP18(op, skip, a, ...) CAIRN_OP(op, 18, a) CAIRN_MAP17(op, ~, __VA_ARGS__)
#define CAIRN_MAP19(op, skip, a, ...) CAIRN_OP(op, 19, a) CAIRN_MAP18(op, ~, __VA_ARGS__)
#define CAIRN_MAP20(op, skip, a, ...) CAIRN_OP(op, 20, a) CAIRN_MAP19(op, ~, __VA_ARGS__)
#define CAIRN_MAP21(op, skip, a, ...) CAIRN_OP(op, 21, a) CAIRN_MAP20(op, ~, __VA_ARGS__)
#define CAIRN_MAP22(op, skip, a, ...) CAIRN_OP(op, 22, a) CAIRN_MAP21(op, ~, __VA_ARGS__)
#define CAIRN_MAP23(op, skip, a, ...) CAIRN_OP(op, 23, a) CAIRN_MAP22(op, ~, __VA_ARGS__)
#define CAIRN_MAP24(op, skip, a, ...) CAIRN_OP(op, 24, a) CAIRN_MAP23(op, ~, __VA_ARGS__)
#define CAIRN_MAP25(op, skip, a, ...) CAIRN_OP(op, 25, a) CAIRN_MAP24(op, ~, __VA_ARGS__)
#define CAIRN_MAP26(op, skip, a, ...) CAIRN_OP(op, 26, a) CAIRN_MAP25(op, ~, __VA_ARGS__)
#define CAIRN_MAP27(op, skip, a, ...) CAIRN_OP(op, 27, a) CAIRN_MAP26(op, ~, __VA_ARGS__)
#define CAIRN_MAP28(op, skip, a, ...) CAIRN_OP(op, 28, a) CAIRN_MAP27(op, ~, __VA_ARGS__)
#define CAIRN_MAP29(op, skip, a, ...) CAIRN_OP(op, 29, a) CAIRN_MAP28(op, ~, __VA_ARGS__)
#define CAIRN_MAP30(op, skip, a, ...) CAIRN_OP(op, 30, a) CAIRN_MAP29(op, ~, __VA_ARGS__)
#define CAIRN_MAP31(op, skip, a, ...) CAIRN_OP(op, 31, a) CAIRN_MAP30(op, ~, __VA_ARGS__)
#define CAIRN_MAP32(op, skip, a, ...) CAIRN_OP(op, 32, a) CAIRN_MAP31(op, ~, __VA_ARGS__)

/* CAIRN_NORM<n>(, arg...): ", group" for each; the first argument is empty. */
#define CAIRN_NORM0(...)
#define CAIRN_NORM1(_, a) , CAIRN_NORM(#a, CAIRN_PAIR_NAME _##a, CAIRN_IS_EMPTY(CAIRN_EAT _##a), a)
#define CAIRN_NORM2(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM1(_, ##__VA_ARGS__)
#define CAIRN_NORM3(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM2(_, ##__VA_ARGS__)
#define CAIRN_NORM4(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM3(_, ##__VA_ARGS__)
#define CAIRN_NORM5(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM4(_, ##__VA_ARGS__)
#define CAIRN_NORM6(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM5(_, ##__VA_ARGS__)
#define CAIRN_NORM7(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM6(_, ##__VA_ARGS__)
#define CAIRN_NORM8(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM7(_, ##__VA_ARGS__)
#define CAIRN_NORM9(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM8(_, ##__VA_ARGS__)
#define CAIRN_NORM10(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM9(_, ##__VA_ARGS__)
#define CAIRN_NORM11(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM10(_, ##__VA_ARGS__)
#define CAIRN_NORM12(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM11(_, ##__VA_ARGS__)
#define CAIRN_NORM13(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM12(_, ##__VA_ARGS__)
#define CAIRN_NORM14(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM13(_, ##__VA_ARGS__)
#define CAIRN_NORM15(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM14(_, ##__VA_ARGS__)
#define CAIRN_NORM16(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM15(_, ##__VA_ARGS__)
#define CAIRN_NORM17(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM16(_, ##__VA_ARGS__)
#define CAIRN_NORM18(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM17(_, ##__VA_ARGS__)
#define CAIRN_NORM19(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM18(_, ##__VA_ARGS__)
#define CAIRN_NORM20(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM19(_, ##__VA_ARGS__)
#define CAIRN_NORM21(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM20(_, ##__VA_ARGS__)
#define CAIRN_NORM22(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM21(_, ##__VA_ARGS__)
#define CAIRN_NORM23(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM22(_, ##__VA_ARGS__)
#define CAIRN_NORM24(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM23(_, ##__VA_ARGS__)
#define CAIRN_NORM25(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM24(_, ##__VA_ARGS__)
#define CAIRN_NORM26(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM25(_, ##__VA_ARGS__)
#define CAIRN_NORM27(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM26(_, ##__VA_ARGS__)
#define CAIRN_NORM28(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM27(_, ##__VA_ARGS__)
#define CAIRN_NORM29(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM28(_, ##__VA_ARGS__)
#define CAIRN_NORM30(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM29(_, ##__VA_ARGS__)
#define CAIRN_NORM31(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM30(_, ##__VA_ARGS__)
#define CAIRN_NORM32(_, a, ...) CAIRN_NORM1(, _##a) CAIRN_NORM31(_, ##__VA_ARGS__)

/* CAIRN_F<n>(, head, first, arg...): CAIRN_EMIT_ with n - 1 fields. first: the event's name, or a
 * log's format. head: (shape, provider, level, before, statement). */
#define CAIRN_FN_(...) CAIRN_EMIT_(__VA_ARGS__)
#define CAIRN_F1(_, head, first) CAIRN_FN_(0, CAIRN_MAP0, #first, first, CAIRN_UNWRAP head, ~)
#define CAIRN_F2(_, head, first, ...) \
	CAIRN_FN_(1, CAIRN_MAP1, #first, first, CAIRN_UNWRAP head, ~CAIRN_NORM1(_, ##__VA_ARGS__))
#define CAIRN_F3(_, head, first, ...) \
	CAIRN_FN_(2, CAIRN_MAP2, #first, first, CAIRN_UNWRAP head, ~CAIRN_NORM2(_, ##__VA_ARGS__))
#define CAIRN_F4(_, head, first, ...) \
	CAIRN_FN_(3, CAIRN_MAP3, #first, first, CAIRN_UNWRAP head, ~CAIRN_NORM3(_, ##__VA_ARGS__))
#define CAIRN_F5(_, head, first, ...) \
	CAIRN_FN_(4, CAIRN_MAP4, #first, first, CAIRN_UNWRAP head, ~CAIRN_NORM4(_, ##__VA_ARGS__))
#define CAIRN_F6(_, head, first, ...) \
	CAIRN_FN_(5, CAIRN_MAP5, #first, first, CAIRN_UNWRAP head, ~CAIRN_NORM5(_, ##__VA_ARGS__))
#define CAIRN_F7(_, head, first, ...) \
	CAIRN_FN_(6, CAIRN_MAP6, #first, first, CAIRN_UNWRAP head, ~CAIRN_NORM6(_, ##__VA_ARGS__))
#define CAIRN_F8(_, head, first, ...) \
	CAIRN_FN_(7, CAIRN_MAP7, #first, first, CAIRN_UNWRAP head, ~CAIRN_NORM7(_, ##__VA_ARGS__))
#define CAIRN_F9(_, head, first, ...) \
	CAIRN_FN_(8, CAIRN_MAP8, #first, first, CAIRN_UNWRAP head, ~CAIRN_NORM8(_, ##__VA_ARGS__))
#define CAIRN_F10(_, head, first, ...) \
	CAIRN_FN_(9, CAIRN_MAP9, #first, first, CAIRN_UNWRAP head, ~CAIRN_NORM9(_, ##__VA_ARGS__))
#define CAIRN_F11(_, head, first, ...) \
	CAIRN_FN_(10, CAIRN_MAP10, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM10(_, ##__VA_ARGS__))
#define CAIRN_F12(_, head, first, ...) \
	CAIRN_FN_(11, CAIRN_MAP11, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM11(_, ##__VA_ARGS__))
#define CAIRN_F13(_, head, first, ...) \
	CAIRN_FN_(12, CAIRN_MAP12, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM12(_, ##__VA_ARGS__))
#define CAIRN_F14(_, head, first, ...) \
	CAIRN_FN_(13, CAIRN_MAP13, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM13(_, ##__VA_ARGS__))
#define CAIRN_F15(_, head, first, ...) \
	CAIRN_FN_(14, CAIRN_MAP14, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM14(_, ##__VA_ARGS__))
#define CAIRN_F16(_, head, first, ...) \
	CAIRN_FN_(15, CAIRN_MAP15, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM15(_, ##__VA_ARGS__))
#define CAIRN_F17(_, head, first, ...) \
	CAIRN_FN_(16, CAIRN_MAP16, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM16(_, ##__VA_ARGS__))
#define CAIRN_F18(_, head, first, ...) \
	CAIRN_FN_(17, CAIRN_MAP17, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM17(_, ##__VA_ARGS__))
#define CAIRN_F19(_, head, first, ...) \
	CAIRN_FN_(18, CAIRN_MAP18, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM18(_, ##__VA_ARGS__))
#define CAIRN_F20(_, head, first, ...) \
	CAIRN_FN_(19, CAIRN_MAP19, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM19(_, ##__VA_ARGS__))
#define CAIRN_F21(_, head, first, ...) \
	CAIRN_FN_(20, CAIRN_MAP20, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM20(_, ##__VA_ARGS__))
#define CAIRN_F22(_, head, first, ...) \
	CAIRN_FN_(21, CAIRN_MAP21, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM21(_, ##__VA_ARGS__))
#define CAIRN_F23(_, head, first, ...) \
	CAIRN_FN_(22, CAIRN_MAP22, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM22(_, ##__VA_ARGS__))
#define CAIRN_F24(_, head, first, ...) \
	CAIRN_FN_(23, CAIRN_MAP23, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM23(_, ##__VA_ARGS__))
#define CAIRN_F25(_, head, first, ...) \
	CAIRN_FN_(24, CAIRN_MAP24, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM24(_, ##__VA_ARGS__))
#define CAIRN_F26(_, head, first, ...) \
	CAIRN_FN_(25, CAIRN_MAP25, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM25(_, ##__VA_ARGS__))
#define CAIRN_F27(_, head, first, ...) \
	CAIRN_FN_(26, CAIRN_MAP26, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM26(_, ##__VA_ARGS__))
#define CAIRN_F28(_, head, first, ...) \
	CAIRN_FN_(27, CAIRN_MAP27, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM27(_, ##__VA_ARGS__))
#define CAIRN_F29(_, head, first, ...) \
	CAIRN_FN_(28, CAIRN_MAP28, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM28(_, ##__VA_ARGS__))
#define CAIRN_F30(_, head, first, ...) \
	CAIRN_FN_(29, CAIRN_MAP29, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM29(_, ##__VA_ARGS__))
#define CAIRN_F31(_, head, first, ...) \
	CAIRN_FN_(30, CAIRN_MAP30, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM30(_, ##__VA_ARGS__))
#define CAIRN_F32(_, head, first, ...) \
	CAIRN_FN_(31, CAIRN_MAP31, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM31(_, ##__VA_ARGS__))
#define CAIRN_F33(_, head, first, ...) \
	CAIRN_FN_(32, CAIRN_MAP32, #first, first, CAIRN_UNWRAP head, \
		~CAIRN_NORM32(_, ##__VA_ARGS__))

/* CAIRN_LABELS<n>(~, label...): "label\0label\0" */
#define CAIRN_LABELS1(skip, a) #a "\0"
#define CAIRN_LABELS2(skip, a, ...) #a "\0" CAIRN_LABELS1(skip, ##__VA_ARGS__)
#define CAIRN_LABELS3(skip, a, ...) #a "\0" CAIRN_LABELS2(skip, ##__VA_ARGS__)
#define CAIRN_LABELS4(skip, a, ...) #a "\0" CAIRN_LABELS3(skip, ##__VA_ARGS__)
#define CAIRN_LABELS5(skip, a, ...) #a "\0" CAIRN_LABELS4(skip, ##__VA_ARGS__)
#define CAIRN_LABELS6(skip, a, ...) #a "\0" CAIRN_LABELS5(skip, ##__VA_ARGS__)
#define CAIRN_LABELS7(skip, a, ...) #a "\0" CAIRN_LABELS6(skip, ##__VA_ARGS__)
#define CAIRN_LABELS8(skip, a, ...) #a "\0" CAIRN_LABELS7(skip, ##__VA_ARGS__)
#define CAIRN_LABELS9(skip, a, ...) #a "\0" CAIRN_LABELS8(skip, ##__VA_ARGS__)
#define CAIRN_LABELS10(skip, a, ...) #a "\0" CAIRN_LABELS9(skip, ##__VA_ARGS__)
#define CAIRN_LABELS11(skip, a, ...) #a "\0" CAIRN_LABELS10(skip, ##__VA_ARGS__)
#define CAIRN_LABELS12(skip, a, ...) #a "\0" CAIRN_LABELS11(skip, ##__VA_ARGS__)
#define CAIRN_LABELS13(skip, a, ...) #a "\0" CAIRN_LABELS12(skip, ##__VA_ARGS__)
#define CAIRN_LABELS14(skip, a, ...) #a "\0" CAIRN_LABELS13(skip, ##__VA_ARGS__)
#define CAIRN_LABELS15(skip, a, ...) #a "\0" CAIRN_LABELS14(skip, ##__VA_ARGS__)
#define CAIRN_LABELS16(skip, a, ...) #a "\0" CAIRN_LABELS15(skip, ##__VA_ARGS__)
#define CAIRN_LABELS17(skip, a, ...) #a "\0" CAIRN_LABELS16(skip, ##__VA_ARGS__)
#define CAIRN_LABELS18(skip, a, ...) #a "\0" CAIRN_LABELS17(skip, ##__VA_ARGS__)
#define CAIRN_LABELS19(skip, a, ...) #a "\0" CAIRN_LABELS18(skip, ##__VA_ARGS__)
#define CAIRN_LABELS20(skip, a, ...) #a "\0" CAIRN_LABELS19(skip, ##__VA_ARGS__)
#define CAIRN_LABELS21(skip, a, ...) #a "\0" CAIRN_LABELS20(skip, ##__VA_ARGS__)
#define CAIRN_LABELS22(skip, a, ...) #a "\0" CAIRN_LABELS21(skip, ##__VA_ARGS__)
#define CAIRN_LABELS23(skip, a, ...) #a "\0" CAIRN_LABELS22(skip, ##__VA_ARGS__)
#define CAIRN_LABELS24(skip, a, ...) #a "\0" CAIRN_LABELS23(skip, ##__VA_ARGS__)
#define CAIRN_LABELS25(skip, a, ...) #a "\0" CAIRN_LABELS24(skip, ##__VA_ARGS__)
#define CAIRN_LABELS26(skip, a, ...) #a "\0" CAIRN_LABELS25(skip, ##__VA_ARGS__)
#define CAIRN_LABELS27(skip, a, ...) #a "\0" CAIRN_LABELS26(skip, ##__VA_ARGS__)
#define CAIRN_LABELS28(skip, a, ...) #a "\0" CAIRN_LABELS27(skip, ##__VA_ARGS__)
#define CAIRN_LABELS29(skip, a, ...) #a "\0" CAIRN_LABELS28(skip, ##__VA_ARGS__)
#define CAIRN_LABELS30(skip, a, ...) #a "\0" CAIRN_LABELS29(skip, ##__VA_ARGS__)
#define CAIRN_LABELS31(skip, a, ...) #a "\0" CAIRN_LABELS30(skip, ##__VA_ARGS__)
#define CAIRN_LABELS32(skip, a, ...) #a "\0" CAIRN_LABELS31(skip, ##__VA_ARGS__)
#define CAIRN_LABELS33(skip, a, ...) #a "\0" CAIRN_LABELS32(skip, ##__VA_ARGS__)
#define CAIRN_LABELS34(skip, a, ...) #a "\0" CAIRN_LABELS33(skip, ##__VA_ARGS__)
#define CAIRN_LABELS35(skip, a, ...) #a "\0" CAIRN_LABELS34(skip, ##__VA_ARGS__)
#define CAIRN_LABELS36(skip, a, ...) #a "\0" CAIRN_LABELS35(skip, ##__VA_ARGS__)
#define CAIRN_LABELS37(skip, a, ...) #a "\0" CAIRN_LABELS36(skip, ##__VA_ARGS__)
#define CAIRN_LABELS38(skip, a, ...) #a "\0" CAIRN_LABELS37(skip, ##__VA_ARGS__)
#define CAIRN_LABELS39(skip, a, ...) #a "\0" CAIRN_LABELS38(skip, ##__VA_ARGS__)
#define CAIRN_LABELS40(skip, a, ...) #a "\0" CAIRN_LABELS39(skip, ##__VA_ARGS__)
#define CAIRN_LABELS41(skip, a, ...) #a "\0" CAIRN_LABELS40(skip, ##__VA_ARGS__)
#define CAIRN_LABELS42(skip, a, ...) #a "\0" CAIRN_LABELS41(skip, ##__VA_ARGS__)
#define CAIRN_LABELS43(skip, a, ...) #a "\0" CAIRN_LABELS42(skip, ##__VA_ARGS__)
#define CAIRN_LABELS44(skip, a, ...) #a "\0" CAIRN_LABELS43(skip, ##__VA_ARGS__)
#define CAIRN_LABELS45(skip, a, ...) #a "\0" CAIRN_LABELS44(skip, ##__VA_ARGS__)
#define CAIRN_LABELS46(skip, a, ...) #a "\0" CAIRN_LABELS45(skip, ##__VA_ARGS__)
#define CAIRN_LABELS47(skip, a, ...) #a "\0" CAIRN_LABELS46(skip, ##__VA_ARGS__)
#define CAIRN_LABELS48(skip, a, ...) #a "\0" CAIRN_LABELS47(skip, ##__VA_ARGS__)
#define CAIRN_LABELS49(skip, a, ...) #a "\0" CAIRN_LABELS48(skip, ##__VA_ARGS__)
#define CAIRN_LABELS50(skip, a, ...) #a "\0" CAIRN_LABELS49(skip, ##__VA_ARGS__)
#define CAIRN_LABELS51(skip, a, ...) #a "\0" CAIRN_LABELS50(skip, ##__VA_ARGS__)
#define CAIRN_LABELS52(skip, a, ...) #a "\0" CAIRN_LABELS51(skip, ##__VA_ARGS__)
#define CAIRN_LABELS53(skip, a, ...) #a "\0" CAIRN_LABELS52(skip, ##__VA_ARGS__)
#define CAIRN_LABELS54(skip, a, ...) #a "\0" CAIRN_LABELS53(skip, ##__VA_ARGS__)
#define CAIRN_LABELS55(skip, a, ...) #a "\0" CAIRN_LABELS54(skip, ##__VA_ARGS__)
#define CAIRN_LABELS56(skip, a, ...) #a "\0" CAIRN_LABELS55(skip, ##__VA_ARGS__)
#define CAIRN_LABELS57(skip, a, ...) #a "\0" CAIRN_LABELS56(skip, ##__VA_ARGS__)
#define CAIRN_LABELS58(skip, a, ...) #a "\0" CAIRN_LABELS57(skip, ##__VA_ARGS__)
#define CAIRN_LABELS59(skip, a, ...) #a "\0" CAIRN_LABELS58(skip, ##__VA_ARGS__)
#define CAIRN_LABELS60(skip, a, ...) #a "\0" CAIRN_LABELS59(skip, ##__VA_ARGS__)
#define CAIRN_LABELS61(skip, a, ...) #a "\0" CAIRN_LABELS60(skip, ##__VA_ARGS__)
#define CAIRN_LABELS62(skip, a, ...) #a "\0" CAIRN_LABELS61(skip, ##__VA_ARGS__)
#define CAIRN_LABELS63(skip, a, ...) #a "\0" CAIRN_LABELS62(skip, ##__VA_ARGS__)
#define CAIRN_LABELS64(skip, a, ...) #a "\0" CAIRN_LABELS63(skip, ##__VA_ARGS__)

#endif
