/* SPDX-License-Identifier: MIT
 *
 * What trace.h does in C++: types by templates, one function to stage each signature of fields.
 * Included by trace.h only; nothing here is an interface.
 *
 * Each field has a class that knows its struct cairn_field, how it becomes a word, and how that is
 * staged. Functions are hidden: they use this module's runtime.
 *
 * The types of descriptions and slots are in an anonymous namespace, which makes static variables
 * of these types local symbols even in inline functions and templates: a site's table entry needs
 * their distance at link time. (For clang it does not; there they are hidden.)
 */
#ifndef CAIRN_TRACE_CXX_H
#define CAIRN_TRACE_CXX_H

#if __cplusplus < 201703L
#error "cairn/trace.h needs C++17 or later (-std=c++17)"
#endif

#include <cstddef>
#include <cstdint>
#include <type_traits>

#pragma GCC system_header

#define CAIRN_INLINE_MEMBER_ \
	CAIRN_PLAIN_CODE_ static inline __attribute__((__always_inline__, __unused__))

namespace
{
template <unsigned fields_n, unsigned labels_n, unsigned strings_n> struct cairn_local_desc {
	cairn_desc desc;
	cairn_field fields[fields_n];
	std::int64_t labels[labels_n];
	char strings[strings_n];
};
struct cairn_local_slot {
	cairn_slot slot;
};
} // namespace

#pragma GCC visibility push(hidden)
namespace cairn_detail
{

template <class T> constexpr std::uint8_t kind()
{
	if constexpr (std::is_same_v<T, bool>)
		return CAIRN_KIND_BOOL;
	else if constexpr (std::is_same_v<T, char>)
		return CAIRN_KIND_CHAR;
	else if constexpr (std::is_floating_point_v<T>)
		return CAIRN_KIND_FLOAT;
	else if constexpr (std::is_enum_v<T>)
		return kind<std::underlying_type_t<T>>();
	else if constexpr (std::is_integral_v<T>)
		return std::is_signed_v<T> ? CAIRN_KIND_INT : CAIRN_KIND_UINT;
	else
		return CAIRN_KIND_PTR;
}

template <class T>
constexpr bool is_number = (std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_pointer_v<T> ||
	std::is_null_pointer_v<T>)&&(sizeof(T) <= 8);

template <class T> constexpr bool is_integer = std::is_integral_v<T> || std::is_enum_v<T>;

template <class T> constexpr bool is_signed()
{
	if constexpr (std::is_enum_v<T>)
		return std::is_signed_v<std::underlying_type_t<T>>;
	else
		return std::is_signed_v<T>;
}

/* Of each kind of field: word() makes what is passed to the staging function, put() stages it. */

template <class T> struct scalar {
	static_assert(is_number<T>,
		"a CAIRN field is a number, pointer or string, an array of "
		"those, or has data() and size() of char");
	static constexpr std::size_t least = sizeof(T);
	static constexpr bool exact = true;
	static constexpr cairn_field field = {kind<T>(), CAIRN_FORM_ONE, sizeof(T), 0, 0, 0, 0};

	static std::uint64_t word(T v)
	{
		std::uint64_t bits = 0;

		__builtin_memcpy(&bits, &v, sizeof(v));
		return bits;
	}
	CAIRN_INLINE_MEMBER_ void put(cairn_cursor &c, const std::uint64_t *&w)
	{
		cairn_put_word(&c, *--w, sizeof(T));
	}
};

template <> struct scalar<long double> : scalar<double> {
	static std::uint64_t word(long double v)
	{
		return scalar<double>::word(static_cast<double>(v));
	}
};

struct text {
	static constexpr std::size_t least = 1;
	static constexpr bool exact = false;
	static constexpr cairn_field field = {CAIRN_KIND_STR, CAIRN_FORM_ONE, 1, 0, 0, 0, 0};

	static std::uint64_t word(const volatile char *s)
	{
		return reinterpret_cast<std::uint64_t>(s);
	}
	CAIRN_INLINE_MEMBER_ void put(cairn_cursor &c, const std::uint64_t *&w)
	{
		cairn_put_str(
			&c, reinterpret_cast<const char *>(*--w), static_cast<std::size_t>(-1));
	}
};

template <std::size_t n> struct text_array : text {
	CAIRN_INLINE_MEMBER_ void put(cairn_cursor &c, const std::uint64_t *&w)
	{
		cairn_put_str(&c, reinterpret_cast<const char *>(*--w), n);
	}
};

template <class T> struct text_object : text {
	static std::uint64_t word(const T &s)
	{
		return reinterpret_cast<std::uint64_t>(&s);
	}
	CAIRN_INLINE_MEMBER_ void put(cairn_cursor &c, const std::uint64_t *&w)
	{
		const T &s = *reinterpret_cast<const T *>(*--w);
		const char *at = s.data();

		cairn_put_str(&c, at ? at : "", at ? static_cast<std::size_t>(s.size()) : 0);
	}
};

template <class T, std::size_t n> struct array {
	static_assert(
		is_number<T>, "a CAIRN field is a number, pointer or string, or an array of those");
	static constexpr std::size_t least = sizeof(T) * n;
	static constexpr bool exact = true;
	static constexpr cairn_field field = {
		kind<T>(), CAIRN_FORM_ARRAY, sizeof(T), 0, static_cast<std::uint32_t>(n), 0, 0};

	static std::uint64_t word(const volatile T *p)
	{
		return reinterpret_cast<std::uint64_t>(p);
	}
	CAIRN_INLINE_MEMBER_ void put(cairn_cursor &c, const std::uint64_t *&w)
	{
		cairn_put(&c, reinterpret_cast<const void *>(*--w), least);
	}
};

template <std::uint8_t k, std::size_t width> struct sequence {
	static constexpr std::size_t least = 4;
	static constexpr bool exact = false;
	static constexpr cairn_field field = {k, CAIRN_FORM_SEQUENCE, width, 0, 0, 0, 0};

	CAIRN_INLINE_MEMBER_ void put(cairn_cursor &c, const std::uint64_t *&w)
	{
		const void *at = reinterpret_cast<const void *>(*--w);

		cairn_put_seq(&c, at, static_cast<std::size_t>(*--w), width);
	}
};

/* word() of a sequence */
inline std::uint64_t address(const volatile void *p)
{
	return reinterpret_cast<std::uint64_t>(p);
}

/* ---- from the type of an expression to what stages it ---- */

template <class T, class = void> struct is_text : std::false_type {
};
template <class T>
struct is_text<T,
	std::void_t<decltype(std::declval<const T &>().size()),
		std::enable_if_t<
			std::is_same_v<std::remove_cv_t<std::remove_pointer_t<
					       decltype(std::declval<const T &>().data())>>,
				char>>>> : std::true_type {
};

template <class T> struct choose {
	using type = std::conditional_t<is_text<T>::value, text_object<T>, scalar<T>>;
};
template <> struct choose<char *> {
	using type = text;
};
template <> struct choose<const char *> {
	using type = text;
};
template <class T, std::size_t n> struct choose<T[n]> {
	using type = std::conditional_t<std::is_same_v<std::remove_cv_t<T>, char>, text_array<n>,
		array<std::remove_cv_t<T>, n>>;
};

/* is for decltype((e)), so that it is a reference for lvalues */
template <class T>
using field_of = typename choose<std::remove_cv_t<std::remove_reference_t<T>>>::type;

template <class P> using pointee = std::remove_cv_t<std::remove_pointer_t<std::decay_t<P>>>;
template <class P> struct sequence_of_ {
	static_assert(is_number<pointee<P>>, "a CAIRN_SEQ is of numbers or pointers");
	using type = sequence<kind<pointee<P>>(), sizeof(pointee<P>)>;
};
template <class P> using sequence_of = typename sequence_of_<P>::type;

/* Not constexpr: to call it is the error. */
inline unsigned a_CAIRN_ENUM_is_an_integer()
{
	return 0;
}

constexpr cairn_field enumeration(cairn_field f, bool is_int, bool is_signed_int, unsigned labels)
{
	f.kind = CAIRN_KIND_ENUM;
	f.flags = is_signed_int ? CAIRN_FIELD_SIGNED : 0;
	f.nlabels = is_int ? labels : a_CAIRN_ENUM_is_an_integer();
	return f;
}

constexpr cairn_field hexadecimal(cairn_field f)
{
	f.flags |= CAIRN_FIELD_HEX;
	return f;
}

/* ---- descriptions ---- */

struct label {
	std::int64_t value;
	template <class T> constexpr label(T v) : value(static_cast<std::int64_t>(v))
	{
	}
};

/* The lists have one more element each, so that none is empty. */
template <class D, unsigned fields_n, unsigned labels_n, unsigned strings_n>
constexpr D describe(cairn_desc desc, const cairn_field (&fields)[fields_n],
	const label (&labels)[labels_n], const char (&strings)[strings_n])
{
	D d{};

	d.desc = desc;
	d.desc.size =
		static_cast<std::uint32_t>(sizeof(desc) + (fields_n - 1) * sizeof(cairn_field) +
			(labels_n - 1) * sizeof(std::int64_t) + strings_n - 1);
	for (unsigned i = 0; i + 1 < fields_n; i++)
		d.fields[i] = fields[i];
	for (unsigned i = 0; i + 1 < labels_n; i++)
		d.labels[i] = labels[i].value;
	for (unsigned i = 0; i < strings_n; i++)
		d.strings[i] = strings[i];
	return d;
}

/* ---- staging ---- */

/* words: see trace-stage.h. */
template <unsigned words_n, class... F>
CAIRN_PLAIN_CODE_ __attribute__((__cold__, __noinline__)) void stage(
	const std::uint64_t *words, const void *ip, cairn_big *big)
{
	const std::uint64_t *w;

	CAIRN_STAGE((&stage<words_n, F...>), words, ip, big, (std::size_t(0) + ... + F::least),
		    (true && ... && F::exact), w = words + words_n;
		    (F::put(cairn_c_, w), ...); (void)w;);
}

} // namespace cairn_detail
#pragma GCC visibility pop

#define CAIRN_FIELD_cairnval(i, name, e) ::cairn_detail::field_of<decltype((e))>::field,
#define CAIRN_FIELD_cairnhex(i, name, e) \
	::cairn_detail::hexadecimal(::cairn_detail::field_of<decltype((e))>::field),
#define CAIRN_FIELD_cairnseq(i, name, p, n) ::cairn_detail::sequence_of<decltype((p))>::field,
#define CAIRN_FIELD_cairnbytes(i, name, p, n) ::cairn_detail::sequence<CAIRN_KIND_BYTES, 1>::field,
#define CAIRN_FIELD_cairnenum(i, name, e, n, labels, values) \
	::cairn_detail::enumeration(::cairn_detail::field_of<decltype((e))>::field, \
		::cairn_detail::is_integer<std::decay_t<decltype((e))>>, \
		::cairn_detail::is_signed<std::decay_t<decltype((e))>>(), n),

#define CAIRN_TYPE_cairnval(i, name, e) , ::cairn_detail::field_of<decltype((e))>
#define CAIRN_TYPE_cairnhex(i, name, e) , ::cairn_detail::field_of<decltype((e))>
#define CAIRN_TYPE_cairnseq(i, name, p, n) , ::cairn_detail::sequence_of<decltype((p))>
#define CAIRN_TYPE_cairnbytes(i, name, p, n) , ::cairn_detail::sequence<CAIRN_KIND_BYTES, 1>
#define CAIRN_TYPE_cairnenum(i, name, e, n, labels, values) \
	, ::cairn_detail::field_of<decltype((e))>

/* The reference keeps a temporary object alive. */
#define CAIRN_LOCAL_cairnval(i, name, e) \
	const auto &cairn_e##i##_ = (e); \
	std::uint64_t cairn_w##i##_ = ::cairn_detail::field_of<decltype((e))>::word(cairn_e##i##_);
#define CAIRN_LOCAL_cairnhex(i, name, e) CAIRN_LOCAL_cairnval(i, name, e)
#define CAIRN_LOCAL_cairnseq(i, name, p, n) \
	std::uint64_t cairn_w##i##_ = ::cairn_detail::address(p); \
	std::uint64_t cairn_n##i##_ = static_cast<std::uint64_t>(n);
#define CAIRN_LOCAL_cairnbytes(i, name, p, n) CAIRN_LOCAL_cairnseq(i, name, p, n)
#define CAIRN_LOCAL_cairnenum(i, name, e, n, labels, values) CAIRN_LOCAL_cairnval(i, name, e)

#define CAIRN_VALUES_cairnval(i, name, e)
#define CAIRN_VALUES_cairnhex(i, name, e)
#define CAIRN_VALUES_cairnseq(i, name, p, n)
#define CAIRN_VALUES_cairnbytes(i, name, p, n)
#define CAIRN_VALUES_cairnenum(i, name, e, n, labels, values) CAIRN_UNWRAP values,

#define CAIRN_EMIT_(n, M, text, first, shape, provider, level, before, statement, ...) \
	do { \
		CAIRN_QUIET_ \
		CAIRN_LABEL_ \
		using cairn_desc_type_ = ::cairn_local_desc<n, 0 M(CAIRN_NLABELS, __VA_ARGS__), \
			sizeof(CAIRN_STRINGS_(M, text, first, shape, provider, __VA_ARGS__))>; \
		static constexpr auto cairn_desc_ = ::cairn_detail::describe<cairn_desc_type_>( \
			{0, CAIRN_ABI, level, CAIRN_CAT(shape, FLAGS_), __LINE__, n, \
				0 M(CAIRN_NLABELS, __VA_ARGS__)}, \
			{M(CAIRN_FIELD, __VA_ARGS__){}}, {M(CAIRN_VALUES, __VA_ARGS__) 0}, \
			CAIRN_STRINGS_(M, text, first, shape, provider, __VA_ARGS__)); \
		static ::cairn_local_slot cairn_slot_; \
		CAIRN_CAT(shape, CHECK_) \
		(first M(CAIRN_EXPR, __VA_ARGS__)) \
			CAIRN_SITE_(cairn_desc_, cairn_slot_, statement, before; statement; \
				    M(CAIRN_LOCAL, __VA_ARGS__) CAIRN_CALL_(n, \
					    (&::cairn_detail::stage<1 M(CAIRN_WORDS, __VA_ARGS__) \
							    M(CAIRN_TYPE, __VA_ARGS__)>), \
					    &cairn_slot_.slot, M, __VA_ARGS__)) CAIRN_LOUD_ \
	} while (0)

#endif
