/* A small kernel's types, made for tests: functions and structures of which the offsets are known. */
#ifndef CAIRN_TESTS_MADE_BTF_H
#define CAIRN_TESTS_MADE_BTF_H

#include <bpf/btf.h>

struct made {
	struct btf *b;
	int u8, u16, u32, u64, s8, s32, s64, s128, chr, uchr, boolean, real;
	int const_char, char_ptr, const_char_ptr, void_ptr;
};

static void made_numbers(struct made *m)
{
	struct btf *b = m->b;

	m->u8 = btf__add_int(b, "unsigned char", 1, 0);
	m->uchr = m->u8;
	m->u16 = btf__add_int(b, "short unsigned int", 2, 0);
	m->u32 = btf__add_int(b, "unsigned int", 4, 0);
	m->u64 = btf__add_int(b, "long unsigned int", 8, 0);
	m->s8 = btf__add_int(b, "signed char", 1, BTF_INT_SIGNED);
	m->s32 = btf__add_int(b, "int", 4, BTF_INT_SIGNED);
	m->s64 = btf__add_int(b, "long int", 8, BTF_INT_SIGNED);
	m->s128 = btf__add_int(b, "__int128", 16, BTF_INT_SIGNED);
	m->chr = btf__add_int(b, "char", 1, 0);
	m->boolean = btf__add_int(b, "_Bool", 1, BTF_INT_BOOL);
	m->real = btf__add_float(b, "double", 8);
	m->const_char = btf__add_const(b, m->chr);
	m->char_ptr = btf__add_ptr(b, m->chr);
	m->const_char_ptr = btf__add_ptr(b, m->const_char);
	m->void_ptr = btf__add_ptr(b, 0);
}

static int made_array(struct made *m, int of, unsigned n)
{
	return btf__add_array(m->b, m->u64, of, n);
}

/* struct net_device { u32 mtu; char name[16] at 8; u8 addr[6] at 24; u32 big[100] at 32; void *priv[4]
 * at 432; int matrix[3][2] at 464; } */
static int made_net_device(struct made *m)
{
	int name = made_array(m, m->chr, 16), addr = made_array(m, m->u8, 6);
	int big = made_array(m, m->u32, 100), priv = made_array(m, m->void_ptr, 4);
	int row = made_array(m, m->s32, 2), matrix = made_array(m, row, 3);
	int id = btf__add_struct(m->b, "net_device", 488);

	(void)btf__add_field(m->b, "mtu", m->u32, 0, 0);
	(void)btf__add_field(m->b, "name", name, 8 * 8, 0);
	(void)btf__add_field(m->b, "addr", addr, 24 * 8, 0);
	(void)btf__add_field(m->b, "big", big, 32 * 8, 0);
	(void)btf__add_field(m->b, "priv", priv, 432 * 8, 0);
	(void)btf__add_field(m->b, "matrix", matrix, 464 * 8, 0);
	return id;
}

/* struct sk_buff { struct sk_buff *next; union { struct net_device *dev at 16; u64 scratch; }; u32 len at
 * 112; u8 pkt_type:3, flag:1 at 128; u32 wide:20 at 132; void (*destructor)() at 136; char cb[48] at
 * 144; enum verdict verdict at 192; bool on at 196; struct { s64 inner; } nested at 200; s128 huge at
 * 208; struct unknown *opaque at 224; } */
static int made_sk_buff(struct made *m, int net_device)
{
	int dev = btf__add_ptr(m->b, net_device);
	int any = btf__add_union(m->b, NULL, 8), proto, code, cb, verdict, nested, opaque, id;

	(void)btf__add_field(m->b, "dev", dev, 0, 0);
	(void)btf__add_field(m->b, "scratch", m->u64, 0, 0);
	proto = btf__add_func_proto(m->b, 0);
	code = btf__add_ptr(m->b, proto);
	cb = made_array(m, m->chr, 48);
	verdict = btf__add_enum(m->b, "verdict", 4);
	(void)btf__add_enum_value(m->b, "VERDICT_DROP", 0);
	nested = btf__add_struct(m->b, "nested", 8);
	(void)btf__add_field(m->b, "inner", m->s64, 0, 0);
	opaque = btf__add_ptr(m->b, btf__add_fwd(m->b, "unknown", BTF_FWD_STRUCT));
	id = btf__add_struct(m->b, "sk_buff", 232);
	(void)btf__add_field(
		m->b, "next", btf__type_cnt(m->b), 0, 0); /* the pointer that follows */
	(void)btf__add_field(m->b, NULL, any, 16 * 8, 0);
	(void)btf__add_field(m->b, "len", m->u32, 112 * 8, 0);
	(void)btf__add_field(m->b, "pkt_type", m->u8, 128 * 8, 3);
	(void)btf__add_field(m->b, "flag", m->u8, 128 * 8 + 3, 1);
	(void)btf__add_field(m->b, "wide", m->u32, 132 * 8 + 4, 20);
	(void)btf__add_field(m->b, "destructor", code, 136 * 8, 0);
	(void)btf__add_field(m->b, "cb", cb, 144 * 8, 0);
	(void)btf__add_field(m->b, "verdict", verdict, 192 * 8, 0);
	(void)btf__add_field(m->b, "on", m->boolean, 196 * 8, 0);
	(void)btf__add_field(m->b, "nested", nested, 200 * 8, 0);
	(void)btf__add_field(m->b, "huge", m->s128, 208 * 8, 0);
	(void)btf__add_field(m->b, "opaque", opaque, 224 * 8, 0);
	return btf__add_ptr(m->b, id); /* the pointer to it */
}

/* struct file { struct { struct dentry *dentry at 8; } f_path at 64; loff_t f_pos at 80; void *priv at
 * 88; struct file *chain at 96 }, struct dentry { struct qstr { u64 hash; const unsigned char *name; }
 * d_name at 32; } */
static int made_file(struct made *m)
{
	int name = btf__add_ptr(m->b, btf__add_const(m->b, m->uchr));
	int loff = btf__add_typedef(m->b, "loff_t", m->s64);
	int qstr = btf__add_struct(m->b, "qstr", 16), dentry, path, id;

	(void)btf__add_field(m->b, "hash", m->u64, 0, 0);
	(void)btf__add_field(m->b, "name", name, 64, 0);
	dentry = btf__add_struct(m->b, "dentry", 64);
	(void)btf__add_field(m->b, "d_name", qstr, 32 * 8, 0);
	dentry = btf__add_ptr(m->b, dentry);
	path = btf__add_struct(m->b, "path", 16);
	(void)btf__add_field(m->b, "mnt", m->void_ptr, 0, 0);
	(void)btf__add_field(m->b, "dentry", dentry, 64, 0);
	id = btf__add_struct(m->b, "file", 104);
	(void)btf__add_field(m->b, "f_path", path, 64 * 8, 0);
	(void)btf__add_field(m->b, "f_pos", loff, 80 * 8, 0);
	(void)btf__add_field(m->b, "priv", m->void_ptr, 88 * 8, 0);
	(void)btf__add_field(m->b, "chain", btf__type_cnt(m->b), 96 * 8, 0);
	return btf__add_ptr(m->b, id);
}

struct made_param {
	const char *name;
	int type;
};

static void made_func(
	struct made *m, const char *name, int ret, const struct made_param *params, size_t n)
{
	int proto = btf__add_func_proto(m->b, ret);

	for (size_t i = 0; i < n; i++)
		(void)btf__add_func_param(m->b, params[i].name, params[i].type);
	(void)btf__add_func(m->b, name, BTF_FUNC_STATIC, proto);
}
#define MADE_FUNC(m, name, ret, ...) \
	made_func(m, name, ret, (const struct made_param[]){__VA_ARGS__}, \
		sizeof((const struct made_param[]){__VA_ARGS__}) / sizeof(struct made_param))

static void made_functions(struct made *m, int skb, int file)
{
	int pos = btf__add_ptr(m->b, m->s64), pair, large;

	pair = btf__add_struct(m->b, "pair", 16);
	(void)btf__add_field(m->b, "a", m->s32, 0, 0);
	(void)btf__add_field(m->b, "b", m->u32, 32, 0);
	(void)btf__add_field(m->b, "c", m->u64, 64, 0);
	large = btf__add_struct(m->b, "large", 32);
	(void)btf__add_field(m->b, "x", m->u64, 0, 0);
	(void)btf__add_field(m->b, "skb", skb, 64, 0);
	MADE_FUNC(m, "vfs_read", m->s64, {"file", file}, {"buf", m->char_ptr}, {"count", m->u64},
		{"pos", pos});
	MADE_FUNC(m, "kfree", 0, {"object", m->void_ptr});
	MADE_FUNC(m, "ip_rcv_core", skb, {"skb", skb}, {"net", m->void_ptr});
	MADE_FUNC(m, "twice", 0, {"x", m->s32});
	MADE_FUNC(m, "never_probe", 0, {"x", m->s32});
	MADE_FUNC(m, "notrace_me", 0, {"x", m->s32});
	MADE_FUNC(m, "sized", m->const_char_ptr, {"a", m->u8}, {"b", m->s8}, {"c", m->u16},
		{"d", m->s32}, {"e", m->boolean}, {"text", m->const_char_ptr});
	MADE_FUNC(m, "large_by_value", m->s32, {"first", m->s32}, {"l", large}, {"after", m->u64});
	MADE_FUNC(m, "pair_by_value", m->s32, {"first", m->s32}, {"p", pair}, {"after", m->u64});
	MADE_FUNC(m, "eight", m->u64, {"a1", m->u64}, {"a2", m->u64}, {"a3", m->u64},
		{"a4", m->u64}, {"a5", m->u64}, {"a6", m->u64}, {"a7", m->u64}, {"a8", m->s32});
	MADE_FUNC(m, "log_text", m->s32, {"fmt", m->const_char_ptr}, {NULL, 0});
	MADE_FUNC(m, "floats", m->real, {"f", m->real}, {"x", m->s32});
	MADE_FUNC(m, "__probestub_sched_switch", 0, {"__data", m->void_ptr},
		{"preempt", m->boolean}, {"prev", file}, {"next", skb});
}

/* Owned by the caller. */
static struct btf *made_btf(void)
{
	struct made m = {.b = btf__new_empty()};

	made_numbers(&m);
	made_functions(&m, made_sk_buff(&m, made_net_device(&m)), made_file(&m));
	return m.b;
}

#endif
