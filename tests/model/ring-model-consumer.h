/* The consumer of ring-model.c: taking packets (src/ring/consumer.c), snapshots (snapshot.c), and
 * what must hold when it reads. Part of ring-model.c, which includes it in its middle. */

static void check_cell(const uint8_t *cell, const struct entry *e, int i)
{
	if (i == 0)
		REQUIRE(cell[0] == e->start && cell[1] == e->ts && cell[2] >> 4 == e->form,
			"a header is not whole");
	else
		REQUIRE(cell[0] == e->start && cell[1] == i && cell[2] == e->ts && cell[3] == 0x80,
			"a body is not whole");
}

/* A packet from cut_pos to P that ends at U: times, and what dense headers decode to. */
static void check_cut(const struct state *s)
{
	int ts = s->cut_ts;

	for (int i = 0; i < s->log_len; i++) {
		const struct entry *e = &s->log[i];

		if (e->end <= s->P)
			REQUIRE(e->ts <= s->U, "a record is later than its packet's end");
		if (e->start >= s->P)
			REQUIRE(e->ts >= s->U,
				"a record is earlier than the end of the packet before");
		if (e->start < s->cut_pos || e->end > s->P)
			continue;
		if (e->form == 0)
			ts += ((e->ts - ts) % DENSE + DENSE) % DENSE;
		else
			ts = e->ts;
		REQUIRE(ts == e->ts, "a dense header decodes to a wrong time");
	}
}

static void cut(struct state *s)
{
	check_cut(s);
	s->cut_ts = s->U;
	s->has_cut = 1;
	s->c_pc = 3;
}

static void read_packet(struct state *s)
{
	for (int i = 0; i < s->log_len; i++) {
		const struct entry *e = &s->log[i];

		for (int at = e->start; e->start >= s->cut_pos && e->end <= s->P && at < e->end;
			at++)
			check_cell(s->data[cell_of(at)], e, at - e->start);
	}
	s->cut_pos = s->P;
}

static bool take_step(struct state *s)
{
	switch (s->c_pc) {
	case 0:
		if (s->c_pos == s->cut_pos || s->cuts >= v->cuts)
			return false;
		s->P = s->c_pos;
		if (v->look == LOOK_UP)
			s->U = s->c_upper;
		s->c_pc = 1;
		return true;
	case 1:
		if (v->look == LOOK_UP)
			s->P = s->c_pos;
		else
			s->U = s->c_upper;
		s->c_pc = 2;
		if (v->look != LOOK_PUP)
			cut(s);
		return true;
	case 2:
		if (s->c_pos == s->P)
			cut(s);
		else
			s->c_pc = 0;
		return true;
	case 3:
		read_packet(s);
		s->c_pc = 4;
		return true;
	default:
		s->c_read_pos = s->P;
		s->cuts++;
		s->c_pc = s->P = s->U = 0;
		return true;
	}
}

static int oldest_whole(int pos)
{
	int blocks = v->drop == DROP_TWO ? 2 : v->drop == DROP_ONE ? 1 : 0;
	int from = blocks ? (pos / BLOCK + blocks) * BLOCK - CELLS : pos - CELLS;

	return from > 0 ? from : 0;
}

/* The copy, of which all from `whole` on (a block's start) is kept. */
static void check_snapshot(const struct state *s, int whole)
{
	int below = 0, end = 0;
	uint8_t total = (uint8_t)(s->C - (s->c_cell != s->P % LOW && !v->count_uncorrected));

	for (int i = 0; i < s->log_len && s->log[i].end <= s->P; i++, below++) {
		const struct entry *e = &s->log[i];

		for (int at = e->start; e->start >= whole && at < e->end; at++)
			check_cell(s->copy[at % CELLS], e, at - e->start);
		if (e->start >= whole && e->start % BLOCK == 0) {
			const uint8_t *header = s->copy[e->start % CELLS];

			REQUIRE(header[3] == below, "a block's count is wrong");
			REQUIRE((header[2] & 15) == e->start - end, "a block's pad is wrong");
			REQUIRE(e->form == 3, "a block begins without its header");
		}
		end = e->end;
		REQUIRE(e->ts <= s->U, "a record is later than the snapshot");
	}
	REQUIRE(total == below, "the count of a snapshot is wrong");
}

static bool snapshot_step(struct state *s)
{
	switch (s->c_pc) {
	case 0:
		if (s->cuts >= v->cuts || s->c_pos == 0)
			return false;
		s->P = s->c_pos;
		break;
	case 1: s->U = s->c_upper; break;
	case 2: /* one word */
		s->C = s->c_count;
		s->c_cell = s->c_count_low;
		break;
	case 3:
		if (s->c_pos != s->P) {
			s->c_pc = 0;
			return true;
		}
		s->cut_pos = (uint8_t)oldest_whole(s->P);
		break;
	case 4:
		if (s->cut_pos < s->P) {
			memcpy(s->copy[s->cut_pos % CELLS], s->data[s->cut_pos % CELLS], 4);
			s->cut_pos++;
			return true;
		}
		break;
	default: {
		int whole = oldest_whole(s->c_pos), first = oldest_whole(s->P);

		whole = whole > first ? whole : first;
		check_snapshot(s, (whole + BLOCK - 1) / BLOCK * BLOCK);
		s->cuts++;
		memset(s->copy, 0, sizeof(s->copy));
		s->c_pc = s->P = s->U = s->C = s->c_cell = s->cut_pos = 0;
		return true;
	}
	}
	s->c_pc++;
	return true;
}
