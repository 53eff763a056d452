/* SCAN, by all lanes of a group together, over a chunk's own bytes. What it reports is written in
 * crates/protocol/src/stream.rs, what its image holds in crates/megakernel/src/backend/device/job.rs. Offsets are
 * relative to the first own byte. */

/* ---- The automaton ---- */

/* A state is the place of its row. */
typedef struct {
    GM_GLOBAL const gm_u32 *rows;
    GM_TABLE const gm_u8 *classes;
    gm_u32 info;  /* the column that tells what ends in a state */
    gm_u32 match; /* the first state in which a pattern ends */
    gm_u32 longest;
    gm_u32 everything; /* whether the empty pattern is in the set: then there are no rows */
#if GM_LANES == 1
    GM_GLOBAL gm_u32 *beat;
    GM_GLOBAL gm_u32 *cancel;
    gm_u32 bytes;     /* searched since the last sign of life */
    gm_u32 cancelled; /* the host wants no more of it: nothing is found any more, and whatever was found is void */
#endif
} gm_automaton;

#if GM_LANES == 1
/* Bytes that are searched between two signs of life. Many lanes together are through with a chunk soon, and give none. */
#define GM_SCAN_BEAT_BYTES 65536u

/* Counts bytes that were searched. From time to time gives a sign of life, and looks whether the host wants more of it. */
GM_FN void gm_scan_work(gm_automaton *a, gm_u32 bytes)
{
    a->bytes += bytes;
    if (a->bytes < GM_SCAN_BEAT_BYTES)
        return;
    a->bytes = 0;
    gm_beat(a->beat);
    a->cancelled = gm_sys_load(a->cancel) != 0;
}
#endif

#define gm_step(a, state, byte) ((a)->rows[(state) + (a)->classes[byte]])

/* The state behind `at`, for patterns that begin at `from` or later. */
GM_FN gm_u32 gm_state_at(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 from, gm_u32 at)
{
    gm_u32 s = 0;
    gm_u32 i = a->longest < at - from ? at - a->longest : from;
    if (a->everything)
        return 0;
    for (; i < at; i++)
        s = gm_step(a, s, bytes[i]);
    return s;
}

/* Searches at..to from a state on, byte by byte: to behind the byte that ends a pattern, or to `to`. */
GM_FN gm_u32 gm_search_near(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 at, gm_u32 to, gm_u32 *state)
{
    gm_u32 s = *state;
    while (at < to) {
        s = gm_step(a, s, bytes[at]);
        at++;
        if (s >= a->match)
            break;
    }
    *state = s;
    return at;
}

/* Every step of a search waits for the one before it, so a lane takes four *runs* of bytes together, one behind the other.
 * The later three begin with the bytes before them, as many as a pattern may reach back. */
#define GM_RUN_BYTES 512u

/* Passes over bytes in which no pattern ends, from a multiple of eight on: to where one ends in the next run, or to where
 * less than four runs are left. */
GM_FN gm_u32 gm_search_far(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 at, gm_u32 to, gm_u32 *state)
{
    while (to - at >= 4 * GM_RUN_BYTES) {
        gm_u32 s0 = *state;
        gm_u32 s1 = gm_state_at(a, bytes, at, at + GM_RUN_BYTES);
        gm_u32 s2 = gm_state_at(a, bytes, at, at + 2 * GM_RUN_BYTES);
        gm_u32 s3 = gm_state_at(a, bytes, at, at + 3 * GM_RUN_BYTES);
        gm_u32 top0 = 0;
        gm_u32 top1 = 0;
        gm_u32 top2 = 0;
        gm_u32 top3 = 0;
        gm_u32 run;
        gm_u32 i;
        gm_u32 k;
        for (i = at; i < at + GM_RUN_BYTES; i += 8) {
            gm_u64 w0 = gm_eight(bytes + i);
            gm_u64 w1 = gm_eight(bytes + i + GM_RUN_BYTES);
            gm_u64 w2 = gm_eight(bytes + i + 2 * GM_RUN_BYTES);
            gm_u64 w3 = gm_eight(bytes + i + 3 * GM_RUN_BYTES);
            for (k = 0; k < 64; k += 8) {
                s0 = gm_step(a, s0, w0 >> k & 0xFF);
                s1 = gm_step(a, s1, w1 >> k & 0xFF);
                s2 = gm_step(a, s2, w2 >> k & 0xFF);
                s3 = gm_step(a, s3, w3 >> k & 0xFF);
                top0 = s0 > top0 ? s0 : top0;
                top1 = s1 > top1 ? s1 : top1;
                top2 = s2 > top2 ? s2 : top2;
                top3 = s3 > top3 ? s3 : top3;
            }
        }
        run = top0 >= a->match ? 0 : top1 >= a->match ? 1 : top2 >= a->match ? 2 : top3 >= a->match ? 3 : 4;
        if (run == 0)
            break;
        if (run < 4) {
            *state = gm_state_at(a, bytes, at, at + run * GM_RUN_BYTES);
            return at + run * GM_RUN_BYTES;
        }
        *state = s3;
        at += 4 * GM_RUN_BYTES;
    }
    return at;
}

/* Searches at..to from a state on: to behind the byte that ends a pattern, or to `to`. */
GM_FN gm_u32 gm_search_part(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 at, gm_u32 to, gm_u32 *state)
{
    /* Matches that are frequent are near. */
    if (to - at >= 5 * GM_RUN_BYTES && a->longest <= GM_RUN_BYTES / 4) {
        at = gm_search_near(a, bytes, at, gm_aligned(bytes, at + 256, to), state);
        if (*state >= a->match)
            return at;
        at = gm_search_far(a, bytes, at, to, state);
    }
    return gm_search_near(a, bytes, at, to, state);
}

#if GM_LANES > 1
#define gm_search gm_search_part
#else
/* The same, part by part; where the host wants no more of it, to `to` without having found anything. */
GM_FN gm_u32 gm_search(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 at, gm_u32 to, gm_u32 *state)
{
    while (at < to) {
        gm_u32 end = to - at > GM_SCAN_BEAT_BYTES ? at + GM_SCAN_BEAT_BYTES : to;
        gm_u32 from = at;
        if (a->cancelled)
            break;
        at = gm_search_part(a, bytes, at, end, state);
        gm_scan_work(a, at - from);
        if (*state >= a->match)
            return at;
    }
    if (a->cancelled) {
        *state = 0;
        return to;
    }
    return at;
}
#endif

/* The least start of a match that ends in at..to, or NONE; `state` is that behind `at`. The automaton finds the earliest
 * end: a match that begins earlier ends before the longest pattern would that begins where the found one does. */
GM_FN gm_u32 gm_leftmost(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 at, gm_u32 to, gm_u32 state)
{
    gm_u32 least = GM_STREAM_NONE;
    if (a->everything)
        return at;
    while (at < to) {
        gm_u32 start;
        at = gm_search(a, bytes, at, to, &state);
        if (state < a->match)
            break;
        start = at - a->rows[state + a->info];
        if (start < least) {
            least = start;
            if (a->longest - 1 < to - least)
                to = least + a->longest - 1;
        }
    }
    return least;
}

/* ---- Matching lines ---- */

/* Finds the matching lines of at..to, which are complete, until `limit` are found: `past` is where the next one begins, or
 * NONE. Stores the first `room` of them in `into`, and the start of the first match in `first`. */
GM_FN gm_u32 gm_matching_lines(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 at, gm_u32 to,
                               GM_GLOBAL gm_u32 *into, gm_u32 room, gm_u32 limit, gm_u32 *past, gm_u32 *first)
{
    gm_u32 count = 0;
    *past = GM_STREAM_NONE;
    *first = GM_STREAM_NONE;
    while (at < to) {
        gm_u32 state = 0;
        gm_u32 end = at;
        if (!a->everything) {
            gm_u32 newline;
            end = gm_search(a, bytes, at, to, &state);
            if (state < a->match)
                break;
            newline = gm_last_of(bytes, at, end, '\n', 0, 1);
            if (newline != GM_STREAM_NONE)
                at = newline + 1;
        }
        end = gm_first_of(bytes, end, to, '\n', 0, 1);
        if (*first == GM_STREAM_NONE)
            *first = gm_leftmost(a, bytes, at, end, 0);
        if (count == limit) {
            *past = at;
            break;
        }
        if (count < room) {
            into[2 * (gm_u64)count] = at;
            into[2 * (gm_u64)count + 1] = end + 1;
        }
        count++;
        at = end + 1;
    }
    return count;
}

/* What a lane found in its segment of the interior lines, for the others. A segment cuts lines as a chunk does. */
#define GM_PART_LAST_NEWLINE 0
#define GM_PART_HEAD 1  /* the first match before the first newline; in the whole segment, if there is none */
#define GM_PART_LINES 2 /* matching lines between newlines, */
#define GM_PART_FIRST 3 /* and the first match in them */
#define GM_PART_TAIL 4  /* the first match behind the last newline */
#define GM_PART_WORDS 5

/* The matching lines of from..to, which are complete: their number, or `limit` + 1 if there are more. With MODE_LINES the
 * area gets the records of the first `limit`, and `resume`, in local memory, the start of the next. The first match goes
 * into `first`. */
GM_FN gm_u32 gm_interior(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 from, gm_u32 to, gm_u32 mode,
                         gm_u32 limit, GM_GLOBAL gm_u32 *area, GM_GLOBAL gm_u32 *work, GM_LOCAL gm_u32 *parts,
                         GM_LOCAL gm_u32 *resume, gm_u32 *first)
{
    gm_u32 end;
    gm_u32 begin = gm_segment(from, to, &end);
    gm_u32 newline = gm_first_of(bytes, begin, end, '\n', 0, 1);
    gm_u32 last = gm_last_of(bytes, newline, end, '\n', 0, 1);
    gm_u32 head = gm_leftmost(a, bytes, begin, newline, gm_state_at(a, bytes, from, begin));
    gm_u32 lines = 0;
    gm_u32 inner = GM_STREAM_NONE;
    gm_u32 past = GM_STREAM_NONE;
    gm_u32 tail = GM_STREAM_NONE;
    gm_u64 total = 0;
    gm_u64 base = 0;                 /* matching lines that end before the segment */
    gm_u32 open = from;              /* where the line begins that reaches into the segment */
    gm_u32 matched = GM_STREAM_NONE; /* the first match in it */
    gm_u32 line = from;
    gm_u32 match = GM_STREAM_NONE;
    gm_u32 i;
#if GM_LANES == 1
    /* Nothing lies before the segment, so records are stored where they belong. */
    gm_u32 before = mode == GM_STREAM_MODE_LINES && head != GM_STREAM_NONE && limit > 0;
    GM_GLOBAL gm_u32 *into = area + 2 * before;
    gm_u32 most = limit - before;
    gm_u32 room = mode == GM_STREAM_MODE_LINES ? most : 0;
#else
    gm_u32 most = limit;
    gm_u32 room = mode == GM_STREAM_MODE_LINES ? limit / GM_LANES : 0;
    GM_GLOBAL gm_u32 *into = work + 2 * (gm_u64)room * gm_lane();
#endif
    if (last != GM_STREAM_NONE) {
        lines = gm_matching_lines(a, bytes, newline + 1, last + 1, into, room, most, &past, &inner);
        tail = gm_leftmost(a, bytes, last + 1, end, 0);
    }
    parts[GM_PART_WORDS * gm_lane() + GM_PART_LAST_NEWLINE] = last;
    parts[GM_PART_WORDS * gm_lane() + GM_PART_HEAD] = head;
    parts[GM_PART_WORDS * gm_lane() + GM_PART_LINES] = lines + (past != GM_STREAM_NONE);
    parts[GM_PART_WORDS * gm_lane() + GM_PART_FIRST] = inner;
    parts[GM_PART_WORDS * gm_lane() + GM_PART_TAIL] = tail;
    gm_barrier();
    *first = GM_STREAM_NONE;
    for (i = 0; i < GM_LANES; i++, parts += GM_PART_WORDS) {
        match = parts[GM_PART_HEAD] < match ? parts[GM_PART_HEAD] : match;
        if (i == gm_lane()) {
            base = total;
            open = line;
            matched = match;
        }
        if (parts[GM_PART_LAST_NEWLINE] != GM_STREAM_NONE) {
            if (*first == GM_STREAM_NONE)
                *first = match != GM_STREAM_NONE ? match : parts[GM_PART_FIRST];
            total += parts[GM_PART_LINES] + (match != GM_STREAM_NONE);
            line = parts[GM_PART_LAST_NEWLINE] + 1;
            match = parts[GM_PART_TAIL];
        }
    }
    if (mode == GM_STREAM_MODE_LINES && last != GM_STREAM_NONE) {
        if (matched != GM_STREAM_NONE) {
            if (base < limit) {
                area[2 * base] = open;
                area[2 * base + 1] = newline + 1;
            } else if (base == limit) {
                *resume = open;
            }
            base++;
        }
        if (base <= limit) {
#if GM_LANES > 1
            gm_u32 left = (gm_u32)(limit - base);
            area += 2 * base;
            if (past == GM_STREAM_NONE && lines <= room && lines <= left) {
                for (i = 0; i < 2 * lines; i++)
                    area[i] = into[i];
            } else {
                gm_matching_lines(a, bytes, newline + 1, last + 1, area, left, left, &past, &inner);
            }
#endif
            if (past != GM_STREAM_NONE)
                *resume = past;
        }
    }
    return total > limit ? limit + 1 : (gm_u32)total;
}

/* ---- All occurrences ---- */

/* The occurrences that end in at..to, in the order of their ends and patterns; `state` is that behind `at`. Those that end
 * together stay together: where they would exceed `limit`, `past` is their end and `group` their number. Stores the first
 * `room` in `into`. */
GM_FN gm_u32 gm_occurrences(gm_automaton *a, GM_GLOBAL const gm_u32 *image, GM_GLOBAL const gm_u8 *bytes, gm_u32 at,
                            gm_u32 to, gm_u32 state, GM_GLOBAL gm_u32 *into, gm_u32 room, gm_u32 limit, gm_u32 *past,
                            gm_u32 *group)
{
    gm_u32 count = 0;
    *past = GM_STREAM_NONE;
    *group = 0;
    while (at < to) {
        GM_GLOBAL const gm_u32 *ends;
        gm_u32 i;
        at = gm_search(a, bytes, at, to, &state);
        if (state < a->match)
            break;
        ends = image + a->rows[state + a->info];
        if (ends[0] > limit - count) {
            *past = at;
            *group = ends[0];
            break;
        }
        for (i = 0; i < ends[0]; i++, count++)
            if (count < room) {
                into[2 * (gm_u64)count] = at - ends[2 + 2 * i];
                into[2 * (gm_u64)count + 1] = ends[1 + 2 * i];
            }
    }
    return count;
}

/* What the lanes of a search tell each other, in words of local memory. */
#define GM_SCAN_FIRST_NEWLINE 0
#define GM_SCAN_LAST_NEWLINE 1 /* and 1; 0 is none */
#define GM_SCAN_NEWLINES 2
#define GM_SCAN_FIRST_NUL 3
#define GM_SCAN_HEAD 4    /* the first match in the head, */
#define GM_SCAN_TAIL 5    /* and in the tail */
#define GM_SCAN_RESUME 6  /* where to go on, if the area is full */
#define GM_SCAN_RECORDS 7 /* records that are in it then */
#define GM_SCAN_GROUP 8   /* how many the next ones are that must stay together */
#define GM_SCAN_WHOLE 9   /* the first match in all lines, for a slot that goes on behind some of them */
#define GM_SCAN_PARTS 16

GM_FN void gm_scan_all(gm_automaton *a, GM_GLOBAL const gm_u32 *image, GM_GLOBAL const gm_u8 *bytes, gm_u32 len,
                       gm_u32 resume, GM_GLOBAL gm_u32 *area, gm_u32 capacity, GM_GLOBAL gm_u32 *work,
                       GM_LOCAL gm_u32 *shared, GM_LOCAL gm_outcome *out)
{
    GM_LOCAL gm_u32 *parts = shared + GM_SCAN_PARTS;
    /* An occurrence belongs to the byte that ends it. */
    gm_u32 from = resume == 0 ? 0 : resume - 1 < len ? resume - 1 : len;
    gm_u32 end;
    gm_u32 begin = gm_segment(from, len, &end);
    gm_u32 state = gm_state_at(a, bytes, 0, begin);
    gm_u64 base = 0;
    gm_u64 total = 0;
    gm_u32 past;
    gm_u32 group;
    gm_u32 count;
    gm_u32 i;
#if GM_LANES == 1
    GM_GLOBAL gm_u32 *into = area;
    gm_u32 room = capacity;
#else
    gm_u32 room = capacity / GM_LANES;
    GM_GLOBAL gm_u32 *into = work + 2 * (gm_u64)room * gm_lane();
#endif
    count = gm_occurrences(a, image, bytes, begin, end, state, into, room, capacity, &past, &group);
    parts[gm_lane()] = past == GM_STREAM_NONE ? count : capacity + 1;
    gm_barrier();
    for (i = 0; i < GM_LANES; i++) {
        if (i == gm_lane())
            base = total;
        total += parts[i];
    }
    if (base <= capacity) {
#if GM_LANES > 1
        gm_u32 left = capacity - (gm_u32)base;
        area += 2 * base;
        if (past == GM_STREAM_NONE && count <= room && count <= left) {
            for (i = 0; i < 2 * count; i++)
                area[i] = into[i];
        } else {
            count = gm_occurrences(a, image, bytes, begin, end, state, area, left, left, &past, &group);
        }
#endif
        if (past != GM_STREAM_NONE) {
            shared[GM_SCAN_RESUME] = past;
            shared[GM_SCAN_RECORDS] = (gm_u32)base + count;
            shared[GM_SCAN_GROUP] = group;
        }
    }
    gm_barrier();
    if (gm_leader()) {
        gm_u32 full = shared[GM_SCAN_RESUME] != GM_STREAM_NONE;
        if (full && shared[GM_SCAN_GROUP] > capacity) {
            for (i = 0; i < GM_COMPLETION_RESULTS; i++)
                out->results[i] = 0;
            out->fault = GM_FAULT_AREA_TOO_SMALL;
            return;
        }
        out->records = full ? shared[GM_SCAN_RECORDS] : (gm_u32)total;
        out->flags = full ? GM_COMPLETION_FLAG_OVERFLOW : 0;
        out->results[GM_STREAM_RESULT_MATCHES] = out->records;
        out->results[GM_STREAM_RESULT_RESUME] = full ? shared[GM_SCAN_RESUME] : 0;
        out->results[GM_STREAM_RESULT_FIRST_MATCH] = GM_STREAM_NONE;
    }
}

/* ---- The opcode ---- */

/* The first match in from..to, which all lanes search together, into `least` in local memory. */
GM_FN void gm_first_match(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 from, gm_u32 to,
                          GM_LOCAL gm_u32 *least)
{
    gm_u32 end;
    gm_u32 begin = gm_segment(from, to, &end);
    gm_u32 start = gm_leftmost(a, bytes, begin, end, gm_state_at(a, bytes, from, begin));
    gm_local_min(least, start);
}

GM_FN void gm_scan_lines(gm_automaton *a, GM_GLOBAL const gm_u8 *bytes, gm_u32 len, gm_u32 mode, gm_u32 resume,
                         GM_GLOBAL gm_u32 *area, gm_u32 capacity, GM_GLOBAL gm_u32 *work, GM_LOCAL gm_u32 *shared,
                         GM_LOCAL gm_outcome *out)
{
    gm_u32 newline = shared[GM_SCAN_FIRST_NEWLINE];
    gm_u32 behind = shared[GM_SCAN_LAST_NEWLINE];
    /* MODE_ANY needs no line beyond the first. */
    gm_u32 limit = mode == GM_STREAM_MODE_LINES ? capacity : mode == GM_STREAM_MODE_ANY ? 0 : GM_STREAM_NONE - 1;
    gm_u32 lines = 0;
    gm_u32 first = GM_STREAM_NONE;
    gm_u32 head;
    gm_u32 whole;
    gm_first_match(a, bytes, 0, behind != 0 ? newline : len, shared + GM_SCAN_HEAD);
    if (behind != 0 && behind < len)
        gm_first_match(a, bytes, behind, len, shared + GM_SCAN_TAIL);
    /* Of the whole chunk, so that every part says the same. */
    if (behind != 0 && resume > newline + 1)
        gm_first_match(a, bytes, newline + 1, behind, shared + GM_SCAN_WHOLE);
    gm_barrier();
    head = shared[GM_SCAN_HEAD];
    whole = shared[GM_SCAN_WHOLE];
    if (behind != 0 && (mode != GM_STREAM_MODE_ANY || (head == GM_STREAM_NONE && whole == GM_STREAM_NONE))) {
        gm_u32 from = resume > newline ? resume : newline + 1;
        if (from < behind)
            lines = gm_interior(a, bytes, from, behind, mode, limit, area, work, shared + GM_SCAN_PARTS,
                                shared + GM_SCAN_RESUME, &first);
    }
    gm_barrier();
    if (gm_leader()) {
        gm_u32 tail = behind != 0 ? shared[GM_SCAN_TAIL] : head;
        gm_u32 full = shared[GM_SCAN_RESUME] != GM_STREAM_NONE;
        first = whole != GM_STREAM_NONE ? whole : first;
        first = head != GM_STREAM_NONE ? head : first != GM_STREAM_NONE ? first : tail;
        out->results[GM_STREAM_RESULT_EDGES] = (head != GM_STREAM_NONE ? GM_STREAM_HEAD_MATCH : 0) |
                                               (tail != GM_STREAM_NONE ? GM_STREAM_TAIL_MATCH : 0);
        out->results[GM_STREAM_RESULT_FIRST_MATCH] = first;
        out->results[GM_STREAM_RESULT_MATCHES] = mode == GM_STREAM_MODE_ANY ? first != GM_STREAM_NONE : lines - full;
        if (full) {
            out->results[GM_STREAM_RESULT_RESUME] = shared[GM_SCAN_RESUME];
            out->flags = GM_COMPLETION_FLAG_OVERFLOW;
        }
        if (mode == GM_STREAM_MODE_LINES)
            out->records = lines - full;
    }
}

GM_FN void gm_scan(GM_GLOBAL const gm_u32 *image, GM_GLOBAL const gm_u8 *bytes, GM_LOCAL const gm_u32 *args,
                   GM_GLOBAL gm_u32 *area, gm_u32 area_words, GM_GLOBAL gm_u32 *work, GM_LOCAL gm_u32 *scratch,
                   GM_LOCAL gm_outcome *out, GM_GLOBAL gm_u32 *beat, GM_GLOBAL gm_u32 *cancel)
{
    GM_LOCAL gm_u32 *shared = scratch + (GM_SCAN_NEXT - GM_SCAN_CLASSES);
    gm_automaton a;
    gm_u32 len = args[GM_STREAM_ARG_LEN];
    gm_u32 wants = args[GM_STREAM_ARG_MODE];
    gm_u32 mode = wants & GM_STREAM_MODE_MASK;
    gm_u32 resume = args[GM_STREAM_ARG_RESUME];
    gm_u32 all = image[GM_SCAN_FLAGS] & GM_SCAN_FLAG_ALL;
    gm_u32 i;
#if GM_LANES == 1
    a.beat = beat;
    a.cancel = cancel;
    a.bytes = 0;
    a.cancelled = 0;
#endif
    a.longest = image[GM_SCAN_LONGEST];
    if (mode > GM_STREAM_MODE_ALL || (mode == GM_STREAM_MODE_ALL) != (all != 0) ||
        (all && resume > a.longest && resume - a.longest > len)) {
        if (gm_leader())
            out->fault = GM_FAULT_BAD_ARGUMENT;
        return;
    }
    a.classes = (GM_TABLE const gm_u8 *)gm_table(image + GM_SCAN_CLASSES, scratch, GM_SCAN_NEXT - GM_SCAN_CLASSES);
    a.rows = image + GM_SCAN_NEXT;
    a.info = image[GM_SCAN_INFO];
    a.match = image[GM_SCAN_MATCH];
    a.everything = image[GM_SCAN_FLAGS] & GM_SCAN_FLAG_EVERYTHING;
    if (gm_leader()) {
        for (i = 0; i < GM_SCAN_PARTS; i++)
            shared[i] = GM_STREAM_NONE;
        shared[GM_SCAN_LAST_NEWLINE] = 0;
        shared[GM_SCAN_NEWLINES] = 0;
    }
    gm_barrier();
    if (!all) {
        gm_u32 first = gm_first_of(bytes, 0, len, '\n', gm_lane(), GM_LANES);
        gm_u32 last = gm_last_of(bytes, 0, len, '\n', gm_lane(), GM_LANES);
        if (first < len)
            gm_local_min(shared + GM_SCAN_FIRST_NEWLINE, first);
        gm_local_max(shared + GM_SCAN_LAST_NEWLINE, last + 1);
    }
    if (wants & GM_STREAM_WANT_NEWLINES)
        gm_local_add(shared + GM_SCAN_NEWLINES, gm_count_of(bytes, len, '\n'));
    if (wants & GM_STREAM_WANT_NUL) {
        gm_u32 nul = gm_first_of(bytes, 0, len, 0, gm_lane(), GM_LANES);
        if (nul < len)
            gm_local_min(shared + GM_SCAN_FIRST_NUL, nul);
    }
    gm_barrier();
    if (gm_leader()) {
        gm_u32 behind = shared[GM_SCAN_LAST_NEWLINE];
        out->results[GM_STREAM_RESULT_NEWLINES] = shared[GM_SCAN_NEWLINES];
        out->results[GM_STREAM_RESULT_FIRST_NEWLINE] = shared[GM_SCAN_FIRST_NEWLINE];
        out->results[GM_STREAM_RESULT_LAST_NEWLINE] = behind - 1;
        out->results[GM_STREAM_RESULT_FIRST_NUL] = shared[GM_SCAN_FIRST_NUL];
    }
    if (all)
        gm_scan_all(&a, image, bytes, len, resume, area, area_words / 2, work, shared, out);
    else
        gm_scan_lines(&a, bytes, len, mode, resume, area, area_words / 2, work, shared, out);
}
