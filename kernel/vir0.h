/* VIR0 programs (docs/vir0.md), interpreted.
 *
 * Code at top level is run by the leader, which has one window; of an `each`, every lane runs a strip of GM_STRIP
 * windows at a time, instruction by instruction, then the strip GM_LANES further on. Lanes meet only between the two,
 * so no instruction waits for another lane.
 *
 * A window of a strip runs, or waits: `wait` holds 0, or the number of the instruction that it waits for, which is an
 * `else` or `end` further on, or GM_VIR0_OVER. A strip in which all windows wait goes on at the first of these numbers.
 * Windows that do not run are computed with like the others, where that is faster, and the result is dropped.
 *
 * The image is what device::program::image made of a program that the verifier has accepted, so register numbers, block
 * targets and constant indexes are right; everything else is checked here. */

#define GM_VIR0_OVER 0xFFFFFFFFu

/* Local memory: registers as they are at top level, what lanes tell each other, scratch words, accumulators (low word,
 * high word). */
#define GM_VIR0_REGISTERS 32u
#define GM_VIR0_NEXT 32u         /* GM_VIR0_OVER where code at top level has halted */
#define GM_VIR0_FAULT_WINDOW 33u /* the first window that has faulted, or GM_VIR0_OVER */
#define GM_VIR0_FAULT 34u        /* its FAULT word */
#define GM_VIR0_EMITTED 35u      /* records */
#define GM_VIR0_UNSORTED 36u     /* whether a record comes before the one that it is behind */
#define GM_VIR0_CANCELLED 37u    /* whether the host wants no more of it */
#define GM_VIR0_CELLS 40u
#if GM_VIR0_CELLS + GM_VIR0_MAX_SCRATCH_WORDS + 2 * GM_VIR0_MAX_ACCS > GM_LOCAL_WORDS
#error "local memory does not hold the largest program"
#endif

/* What a lane needs to know, and where it leaves its effects. */
typedef struct {
    GM_GLOBAL const gm_u32 *code;
    GM_GLOBAL const gm_u32 *table;
    gm_u32 table_bytes;
    GM_GLOBAL const gm_u8 *bytes; /* the halo before, the own bytes, the halo after */
    gm_u32 total;                 /* their number */
    gm_u32 before;
    gm_u32 len;
    gm_u32 after;
    GM_LOCAL const gm_u32 *args;
    GM_LOCAL gm_u32 *scratch;
    GM_LOCAL gm_u32 *accs;
    GM_LOCAL gm_u32 *emitted;
    GM_GLOBAL gm_u32 *records;
    gm_u32 most; /* records that the program declares */
    gm_u32 room; /* records that are kept: at most as many as there is room for */
    GM_GLOBAL gm_u32 *beat;
    GM_GLOBAL gm_u32 *cancel; /* not 0 once the host wants no more of it */
} gm_vir0_run_of;

/* What a lane has found. */
typedef struct {
    gm_u32 fault_window; /* the first of its windows that faulted, or GM_VIR0_OVER */
    gm_u32 fault;        /* its FAULT word */
    gm_u32 overflow;
    gm_u32 work; /* instructions since the last sign of life, those of a strip counted once */
    gm_u32 cancelled;
} gm_vir0_lane;

/* Instructions of a lane between two signs of life. The slowest, for a strip of 32 windows on one core, takes less than a
 * microsecond, so that signs are some hundredths of a second apart at most. What a program costs at most is another
 * matter: trips of loops may be short or long, so they are no measure. */
#define GM_VIR0_BEAT_WORK 16384u

/* Counts instructions that a strip is about to execute, at most. From time to time gives a sign of life, and looks whether
 * the host wants more of it. */
GM_FN void gm_vir0_work(const gm_vir0_run_of *run, gm_vir0_lane *lane, gm_u32 instructions)
{
    lane->work += 1 + instructions;
    if (lane->work < GM_VIR0_BEAT_WORK)
        return;
    lane->work = 0;
    gm_beat(run->beat);
    lane->cancelled = gm_sys_load(run->cancel) != 0;
}

#if GM_STRIP == 1
/* A strip whose only window waits runs nothing. */
#define GM_VIR0_RUNS(i) 1
#else
#define GM_VIR0_RUNS(i) (wait[i] == 0)
#endif
#define GM_VIR0_STRIP(i) for (gm_u32 i = 0; i < GM_STRIP; i++)

/* The instruction that a strip goes on with. */
GM_FN gm_u32 gm_vir0_next(const gm_u32 *wait, gm_u32 next)
{
    gm_u32 first = wait[0];
    GM_VIR0_STRIP(i) first = wait[i] < first ? wait[i] : first;
    return first == 0 ? next : first;
}

/* From offsets into the bytes to the bytes. */
GM_FN void gm_vir0_ld8(GM_GLOBAL const gm_u8 *bytes, gm_u32 total, gm_u32 *v)
{
    gm_u32 first = v[0];
    gm_u32 apart = 0;
    GM_VIR0_STRIP(i) apart |= v[i] ^ (first + i);
    if (apart == 0 && total >= GM_STRIP && first <= total - GM_STRIP) {
        GM_VIR0_STRIP(i) v[i] = bytes[first + i];
    } else {
        GM_VIR0_STRIP(i) v[i] = v[i] < total ? bytes[v[i]] : 0;
    }
}

/* From offsets into the bytes to the four bytes there. */
GM_FN void gm_vir0_ld32(GM_GLOBAL const gm_u8 *bytes, gm_u32 total, gm_u32 *v)
{
    gm_u32 beyond = total < 4;
    GM_VIR0_STRIP(i) beyond |= v[i] > total - 4;
    GM_VIR0_STRIP(i)
    {
        gm_u32 word = 0;
        if (!beyond) {
            GM_GLOBAL const gm_u8 *at = bytes + v[i];
            word = (gm_u32)at[0] | (gm_u32)at[1] << 8 | (gm_u32)at[2] << 16 | (gm_u32)at[3] << 24;
        } else {
            for (gm_u32 k = 0; k < 4; k++)
                if (v[i] + k < total)
                    word |= (gm_u32)bytes[v[i] + k] << (8 * k);
        }
        v[i] = word;
    }
}

/* The four bytes of a table from `at` on. The table is closed by zero bytes, so its last bytes may be read as words. */
GM_FN gm_u32 gm_vir0_tb32(GM_GLOBAL const gm_u32 *table, gm_u32 table_bytes, gm_u32 at)
{
    gm_u32 shift = 8 * (at & 3);
    gm_u32 word;
    if (at >= table_bytes)
        return 0;
    word = table[at >> 2] >> shift;
    return shift == 0 ? word : word | table[(at >> 2) + 1] << (32 - shift);
}

/* A scratch word, or where `wide` an accumulator, takes a value. */
GM_FN void gm_vir0_update(GM_LOCAL gm_u32 *cell, gm_u32 op, gm_u32 wide, gm_u32 value)
{
    switch (op) {
    case GM_VIR0_S_ADD:
        /* The sum has wrapped if it is below what was added. */
        if (value != 0 && gm_local_add(cell, value) + value < value && wide)
            gm_local_add(cell + 1, 1u);
        break;
    case GM_VIR0_S_MIN:
        gm_local_min(cell, value);
        if (wide)
            gm_local_min(cell + 1, 0u);
        break;
    case GM_VIR0_S_MAX:
        gm_local_max(cell, value);
        break;
    case GM_VIR0_S_OR:
        gm_local_or(cell, value);
        break;
    case GM_VIR0_S_XOR:
        gm_local_xor(cell, value);
        break;
    default:
        *cell = value;
        break;
    }
}

#if GM_STRIP > 1
/* The values of the windows that run, of which there is at least one, take their way to one cell together. */
GM_FN void gm_vir0_update_one(GM_LOCAL gm_u32 *cell, gm_u32 op, gm_u32 wide, const gm_u32 *wait, const gm_u32 *x)
{
    gm_u32 all = op == GM_VIR0_S_MIN ? 0xFFFFFFFFu : 0;
    if (op == GM_VIR0_S_ADD) {
        gm_u64 sum = 0;
        GM_VIR0_STRIP(i) sum += GM_VIR0_RUNS(i) ? x[i] : 0;
        all = (gm_u32)sum;
        if (wide)
            gm_local_add(cell + 1, (gm_u32)(sum >> 32));
    } else if (op == GM_VIR0_S_MIN) {
        GM_VIR0_STRIP(i) all = GM_VIR0_RUNS(i) && x[i] < all ? x[i] : all;
    } else if (op == GM_VIR0_S_MAX) {
        GM_VIR0_STRIP(i) all = GM_VIR0_RUNS(i) && x[i] > all ? x[i] : all;
    } else if (op == GM_VIR0_S_OR) {
        GM_VIR0_STRIP(i) all |= GM_VIR0_RUNS(i) ? x[i] : 0;
    } else if (op == GM_VIR0_S_XOR) {
        GM_VIR0_STRIP(i) all ^= GM_VIR0_RUNS(i) ? x[i] : 0;
    } else {
        /* A store: at top level, where window 0 is the only one. */
        all = x[0];
    }
    gm_vir0_update(cell, op, wide, all);
}
#endif

GM_FN gm_u32 gm_vir0_sar(gm_u32 x, gm_u32 by) { return (gm_u32)((gm_s32)x >> by); }

GM_FN gm_u32 gm_vir0_bswap(gm_u32 x)
{
    return x >> 24 | (x >> 8 & 0xFF00u) | (x << 8 & 0xFF0000u) | x << 24;
}

/* The value of an instruction, window by window, from operand a as x, operand b as y, both or none. */
#define GM_VIR0_X gm_u32 x = ra[i];
#define GM_VIR0_Y gm_u32 y = (rb[i] & keep) | imm;
#define GM_VIR0_XY GM_VIR0_X GM_VIR0_Y
#define GM_VIR0_NONE
#define GM_VIR0_VALUE(operands, value)                                                                                 \
    GM_VIR0_STRIP(i) { GM_VIR0_##operands v[i] = (value); }                                                            \
    break

/* Instructions pc to stop, for the windows from `window` on that do not wait. They hold no `each`. */
GM_FN void gm_vir0_strip(const gm_vir0_run_of *run, gm_u32 pc, gm_u32 stop, gm_u32 window, gm_u32 (*r)[GM_STRIP],
                         gm_u32 *wait, gm_vir0_lane *lane)
{
    gm_u32 trips[GM_VIR0_MAX_DEPTH];
    gm_u32 v[GM_STRIP];
    while (pc < stop) {
        GM_GLOBAL const gm_u32 *words = run->code + GM_IMAGE_INSTRUCTION * pc;
        gm_u32 fields = words[0];
        gm_u32 imm = words[1];
        gm_u32 to = words[2];
        gm_u32 more = words[3];
        gm_u32 op = fields & 127;
        /* Operand b is the register's value and no bit, or no bit of a register and the immediate. */
        gm_u32 immediate = fields >> 7 & 1;
        gm_u32 keep = immediate - 1;
        gm_u32 *rd = r[fields >> 8 & 31];
        const gm_u32 *ra = r[fields >> 16 & 31];
        const gm_u32 *rb = r[fields >> 24 & 31];
        switch (op) {
        case GM_VIR0_MOV: GM_VIR0_VALUE(Y, y);
        case GM_VIR0_SEL: GM_VIR0_VALUE(XY, x ? y : rd[i]);
        case GM_VIR0_LEN: GM_VIR0_VALUE(NONE, run->len);
        case GM_VIR0_AVAIL_BEFORE: GM_VIR0_VALUE(NONE, run->before);
        case GM_VIR0_AVAIL_AFTER: GM_VIR0_VALUE(NONE, run->after);
        case GM_VIR0_BASE_LO: GM_VIR0_VALUE(NONE, run->args[GM_PROGRAM_ARG_OFFSET_LO]);
        case GM_VIR0_BASE_HI: GM_VIR0_VALUE(NONE, run->args[GM_PROGRAM_ARG_OFFSET_HI]);
        case GM_VIR0_ARG: GM_VIR0_VALUE(NONE, run->args[GM_PROGRAM_ARG_FIRST + imm]);
        case GM_VIR0_ADD: GM_VIR0_VALUE(XY, x + y);
        case GM_VIR0_SUB: GM_VIR0_VALUE(XY, x - y);
        case GM_VIR0_MUL: GM_VIR0_VALUE(XY, x * y);
        case GM_VIR0_MULHI: GM_VIR0_VALUE(XY, gm_mulhi(x, y));
        case GM_VIR0_DIVU: GM_VIR0_VALUE(XY, y ? x / y : 0xFFFFFFFFu);
        case GM_VIR0_REMU: GM_VIR0_VALUE(XY, y ? x % y : x);
        case GM_VIR0_MIN: GM_VIR0_VALUE(XY, x < y ? x : y);
        case GM_VIR0_MAX: GM_VIR0_VALUE(XY, x > y ? x : y);
        case GM_VIR0_AND: GM_VIR0_VALUE(XY, x & y);
        case GM_VIR0_OR: GM_VIR0_VALUE(XY, x | y);
        case GM_VIR0_XOR: GM_VIR0_VALUE(XY, x ^ y);
        case GM_VIR0_SHL: GM_VIR0_VALUE(XY, x << (y & 31));
        case GM_VIR0_SHR: GM_VIR0_VALUE(XY, x >> (y & 31));
        case GM_VIR0_SAR: GM_VIR0_VALUE(XY, gm_vir0_sar(x, y & 31));
        case GM_VIR0_ROTL: GM_VIR0_VALUE(XY, x << (y & 31) | x >> ((32 - (y & 31)) & 31));
        case GM_VIR0_NOT: GM_VIR0_VALUE(X, ~x);
        case GM_VIR0_POPCNT: GM_VIR0_VALUE(X, gm_popcount(x));
        case GM_VIR0_CLZ: GM_VIR0_VALUE(X, gm_clz(x));
        case GM_VIR0_CTZ: GM_VIR0_VALUE(X, gm_ctz(x));
        case GM_VIR0_BSWAP: GM_VIR0_VALUE(X, gm_vir0_bswap(x));
        case GM_VIR0_EQ: GM_VIR0_VALUE(XY, x == y);
        case GM_VIR0_NE: GM_VIR0_VALUE(XY, x != y);
        case GM_VIR0_LTU: GM_VIR0_VALUE(XY, x < y);
        case GM_VIR0_LEU: GM_VIR0_VALUE(XY, x <= y);
        case GM_VIR0_LTS: GM_VIR0_VALUE(XY, (gm_s32)x < (gm_s32)y);
        case GM_VIR0_LES: GM_VIR0_VALUE(XY, (gm_s32)x <= (gm_s32)y);
        case GM_VIR0_LD8:
            GM_VIR0_STRIP(i) v[i] = ra[i] + ((rb[i] & keep) | imm) + run->before;
            gm_vir0_ld8(run->bytes, run->total, v);
            break;
        case GM_VIR0_LD32:
            GM_VIR0_STRIP(i) v[i] = ra[i] + ((rb[i] & keep) | imm) + run->before;
            gm_vir0_ld32(run->bytes, run->total, v);
            break;
        case GM_VIR0_TB8: GM_VIR0_VALUE(XY, gm_vir0_tb32(run->table, run->table_bytes, x + y) & 255);
        case GM_VIR0_TB32: GM_VIR0_VALUE(XY, gm_vir0_tb32(run->table, run->table_bytes, x + y));
        case GM_VIR0_S_LD:
        case GM_VIR0_S_ST:
        case GM_VIR0_S_ADD:
        case GM_VIR0_S_MIN:
        case GM_VIR0_S_MAX:
        case GM_VIR0_S_OR:
        case GM_VIR0_S_XOR:
        case GM_VIR0_ACC: {
            gm_u32 wide = op == GM_VIR0_ACC;
            gm_u32 len = more & 0xFFFF;
            gm_u32 beyond = 0;
            GM_LOCAL gm_u32 *cells = wide ? run->accs + 2 * to : run->scratch + to;
            GM_VIR0_STRIP(i)
            {
                v[i] = (rb[i] & keep) | imm;
                beyond |= GM_VIR0_RUNS(i) && v[i] >= len;
            }
            if (beyond) {
                GM_VIR0_STRIP(i)
                {
                    if (!GM_VIR0_RUNS(i) || v[i] < len)
                        continue;
                    wait[i] = GM_VIR0_OVER;
                    if (window + i < lane->fault_window) {
                        lane->fault_window = window + i;
                        lane->fault = (wide ? GM_FAULT_ACC_INDEX : GM_FAULT_SCRATCH_INDEX) | pc << 16;
                    }
                }
                /* The others take this instruction again. */
                pc = gm_vir0_next(wait, pc);
                continue;
            }
            if (op == GM_VIR0_S_LD) {
                GM_VIR0_STRIP(i) v[i] = cells[v[i] < len ? v[i] : 0];
                break;
            }
#if GM_STRIP > 1
            if (immediate)
                gm_vir0_update_one(cells + (imm << wide), more >> 16, wide, wait, ra);
            else if (more >> 16 == GM_VIR0_S_ADD)
                GM_VIR0_STRIP(i)
                {
                    if (GM_VIR0_RUNS(i))
                        gm_vir0_update(cells + (v[i] << wide), GM_VIR0_S_ADD, wide, ra[i]);
                }
            else
#endif
                GM_VIR0_STRIP(i)
                {
                    if (GM_VIR0_RUNS(i))
                        gm_vir0_update(cells + (v[i] << wide), more >> 16, wide, ra[i]);
                }
            pc++;
            continue;
        }
        case GM_VIR0_EMIT:
            GM_VIR0_STRIP(i)
            {
                /* A lane that knows of an overflow counts no further, so the counter does not wrap. */
                if (GM_VIR0_RUNS(i) && !lane->overflow) {
                    gm_u32 number = gm_local_add(run->emitted, 1u);
                    if (number < run->room) {
                        /* Biased, so that records are ordered by unsigned numbers. */
                        run->records[2 * number] = ra[i] ^ 0x80000000u;
                        run->records[2 * number + 1] = (rb[i] & keep) | imm;
                    }
                    lane->overflow = number >= run->most;
                }
            }
            pc++;
            continue;
        case GM_VIR0_LOOP:
            trips[more] = imm;
            pc++;
            continue;
        case GM_VIR0_IF:
            GM_VIR0_STRIP(i) wait[i] = GM_VIR0_RUNS(i) && ra[i] == 0 ? to : wait[i];
            pc = gm_vir0_next(wait, pc + 1);
            continue;
        case GM_VIR0_ELSE:
            GM_VIR0_STRIP(i) wait[i] = wait[i] == 0 ? to : wait[i] == pc ? 0 : wait[i];
            pc = gm_vir0_next(wait, pc + 1);
            continue;
        case GM_VIR0_END:
            /* A loop has another trip if a window came to its end, rather than that all wait for it. */
            if (to != 0 && --trips[more] != 0 && gm_vir0_next(wait, 0) == 0) {
                gm_vir0_work(run, lane, pc - to);
                if (lane->cancelled)
                    return;
                pc = to;
                continue;
            }
            GM_VIR0_STRIP(i) wait[i] = wait[i] == pc ? 0 : wait[i];
            pc++;
            continue;
        case GM_VIR0_BREAK:
            GM_VIR0_STRIP(i) wait[i] = GM_VIR0_RUNS(i) && ra[i] != 0 ? to : wait[i];
            pc = gm_vir0_next(wait, pc + 1);
            continue;
        default: /* halt: images hold nothing else */
            GM_VIR0_STRIP(i) wait[i] = GM_VIR0_RUNS(i) ? GM_VIR0_OVER : wait[i];
            pc = gm_vir0_next(wait, pc + 1);
            continue;
        }
        /* By masks: of a choice clang makes one between addresses, which is no vector code. */
        GM_VIR0_STRIP(i) rd[i] ^= (rd[i] ^ v[i]) & (0u - (gm_u32)GM_VIR0_RUNS(i));
        pc++;
    }
}

/* Registers of a set become in every window what they are at top level. */
GM_FN void gm_vir0_fill(gm_u32 set, GM_LOCAL const gm_u32 *registers, gm_u32 (*r)[GM_STRIP])
{
    while (set != 0) {
        gm_u32 number = gm_ctz(set);
        gm_u32 value = registers[number];
        GM_VIR0_STRIP(i) r[number][i] = value;
        set &= set - 1;
    }
}

/* Scratch words and accumulators as they are before a program runs. */
GM_FN void gm_vir0_begin(GM_GLOBAL const gm_u32 *image, GM_LOCAL gm_u32 *memory)
{
    gm_u32 scratch = image[GM_IMAGE_SCRATCH];
    gm_u32 words = GM_VIR0_CELLS + scratch + 2 * image[GM_IMAGE_ACCS];
    GM_GLOBAL const gm_u32 *minima = image + image[GM_IMAGE_MINIMA_PLACE];
    for (gm_u32 i = gm_lane(); i < words; i += GM_LANES)
        memory[i] = i == GM_VIR0_FAULT_WINDOW ? GM_VIR0_OVER : 0;
    gm_barrier();
    for (gm_u32 k = 0; k < image[GM_IMAGE_MINIMA]; k++) {
        GM_LOCAL gm_u32 *first = memory + GM_VIR0_CELLS + scratch + 2 * (minima[k] & 0xFFFF);
        for (gm_u32 i = gm_lane(); i < 2 * (minima[k] >> 16); i += GM_LANES)
            first[i] = 0xFFFFFFFFu;
    }
    gm_barrier();
}

/* Runs a program to its end or first fault, in turn the code up to the next `each` and that `each`. */
GM_FN void gm_vir0_execute(const gm_vir0_run_of *run, GM_GLOBAL const gm_u32 *image, GM_LOCAL gm_u32 *memory)
{
    gm_u32 r[GM_VIR0_REGISTERS][GM_STRIP];
    gm_u32 wait[GM_STRIP];
    gm_vir0_lane lane;
    gm_u32 count = image[GM_IMAGE_INSTRUCTIONS];
    gm_u32 each = image[GM_IMAGE_FIRST_EACH];
    gm_u32 from = 0;
    gm_u32 top = 1;
    lane.fault_window = GM_VIR0_OVER;
    lane.fault = 0;
    lane.overflow = 0;
    lane.work = 0;
    lane.cancelled = 0;
    for (gm_u32 k = 0; k < GM_VIR0_REGISTERS; k++)
        GM_VIR0_STRIP(i) r[k][i] = 0;
    while (from < count) {
        gm_u32 stop = each;
        gm_u32 stride = 0;
        gm_u32 windows = 1;
        gm_u32 first = gm_leader() ? 0 : windows;
        gm_u32 fresh = 0xFFFFFFFFu;
        gm_u32 start = 0;
        if (!top) {
            GM_GLOBAL const gm_u32 *words = run->code + GM_IMAGE_INSTRUCTION * each;
            stop = words[2];
            stride = words[1];
            windows = run->len == 0 ? 0 : (run->len - 1) / stride + 1;
            first = GM_STRIP * gm_lane();
            start = words[0] >> 8 & 31;
            each = words[3];
            words = run->code + GM_IMAGE_INSTRUCTION * stop;
            gm_vir0_fill(words[1], memory, r);
            fresh = words[2];
        }
        /* Windows behind one that has faulted cannot matter. */
        for (; first < windows && first < lane.fault_window && !lane.cancelled; first += GM_STRIP * GM_LANES) {
            gm_vir0_fill(fresh, memory, r);
            GM_VIR0_STRIP(i)
            {
                wait[i] = first + i < windows ? 0 : GM_VIR0_OVER;
                r[start][i] = top ? r[start][i] : (first + i) * stride;
            }
            gm_vir0_work(run, &lane, stop - from);
            gm_vir0_strip(run, from, stop, first, r, wait, &lane);
        }
        if (top && gm_leader()) {
            for (gm_u32 k = 0; k < GM_VIR0_REGISTERS; k++)
                memory[k] = r[k][0];
            memory[GM_VIR0_NEXT] = wait[0];
        }
        gm_local_min(memory + GM_VIR0_FAULT_WINDOW, lane.fault_window);
        gm_local_or(memory + GM_VIR0_CANCELLED, lane.cancelled);
        gm_barrier();
        if (lane.fault_window != GM_VIR0_OVER && lane.fault_window == memory[GM_VIR0_FAULT_WINDOW])
            memory[GM_VIR0_FAULT] = lane.fault;
        from = stop + 1;
        if (memory[GM_VIR0_FAULT_WINDOW] != GM_VIR0_OVER || memory[GM_VIR0_NEXT] != 0 ||
            memory[GM_VIR0_CANCELLED] != 0)
            from = count;
        top = !top;
        /* Nobody changes these words before everybody has read them. */
        gm_barrier();
    }
}

/* Orders records by position, then value: a bitonic sorter whose comparisons all go one way, so that records that are
 * missing up to a power of two may be taken as the largest. */
GM_FN void gm_vir0_sort(GM_GLOBAL gm_u32 *records, gm_u32 count, GM_LOCAL gm_u32 *unsorted)
{
    gm_u32 late = 0;
    for (gm_u32 i = gm_lane() + 1; i < count; i += GM_LANES) {
        GM_GLOBAL gm_u32 *two = records + 2 * (i - 1);
        late |= two[0] > two[2] || (two[0] == two[2] && two[1] > two[3]);
    }
    gm_local_or(unsorted, late);
    gm_barrier();
    if (*unsorted == 0)
        count = 0;
    for (gm_u32 size = 2; size < 2 * count; size *= 2) {
        for (gm_u32 apart = size / 2; apart > 0; apart /= 2) {
            /* The first step of each size compares from both ends of a run of records, the others in halves of it. */
            gm_u32 flip = apart == size / 2 ? size - 1 : apart;
            for (gm_u32 k = gm_lane(); ; k += GM_LANES) {
                gm_u32 low = k / apart * 2 * apart + k % apart;
                gm_u32 high = low ^ flip;
                gm_u32 a, b, c, d;
                if (low >= count)
                    break;
                if (high >= count)
                    continue;
                a = records[2 * low];
                b = records[2 * low + 1];
                c = records[2 * high];
                d = records[2 * high + 1];
                if (a > c || (a == c && b > d)) {
                    records[2 * low] = c;
                    records[2 * low + 1] = d;
                    records[2 * high] = a;
                    records[2 * high + 1] = b;
                }
            }
            gm_barrier();
        }
    }
}

/* Accumulators and records into the record area. All lanes make as many rounds: with more than one lane, PoCL 3.1 lets
 * each make as many as the first otherwise. */
GM_FN void gm_vir0_leave(GM_LOCAL const gm_u32 *accs, gm_u32 acc_words, GM_GLOBAL const gm_u32 *records, gm_u32 count,
                         GM_GLOBAL gm_u32 *area)
{
    gm_u32 words = acc_words + 2 * count;
    for (gm_u32 round = 0; round < words; round += GM_LANES) {
        gm_u32 i = round + gm_lane();
        gm_u32 word = i - acc_words;
        if (i < acc_words)
            area[i] = accs[i];
        else if (i < words)
            area[i] = word & 1 ? records[word] : records[word] ^ 0x80000000u;
    }
}

/* The fault of a slot whose arguments are not those of a chunk for this program, or 0. */
GM_FN gm_u32 gm_vir0_check(GM_GLOBAL const gm_u32 *image, GM_LOCAL const gm_u32 *args, gm_u32 capacity)
{
    gm_u32 after = args[GM_PROGRAM_ARG_CHUNK_AFTER] >> GM_PROGRAM_CHUNK_BITS;
    gm_u32 len = args[GM_PROGRAM_ARG_LEN];
    /* `align` is a power of two. */
    if (len > image[GM_IMAGE_CHUNK] || (args[GM_PROGRAM_ARG_OFFSET_LO] & (image[GM_IMAGE_ALIGN] - 1)) != 0)
        return GM_FAULT_BAD_ARGUMENT;
    if ((gm_u64)args[GM_PROGRAM_ARG_START] + len + after > capacity)
        return GM_FAULT_INDEX_OUT_OF_RANGE;
    return 0;
}

/* Runs the program of an image over a chunk, and leaves its results.
 *
 * Every lane of a group calls it with the same arguments: the chunk buffer of `capacity` bytes, the slot's argument
 * words, its record area of `area_words` words (only written, each word once), as many words of device memory of the
 * group's own, GM_LOCAL_WORDS words of local memory, an outcome that is all zero, the word that tells that the worker
 * lives, and the one that tells that the host wants no more of it. Nothing else is read or written, whatever the arguments are. When it returns, every lane sees the outcome. */
GM_FN void gm_vir0_run(GM_GLOBAL const gm_u32 *image, GM_GLOBAL const gm_u8 *chunk, gm_u32 capacity,
                       GM_LOCAL const gm_u32 *args, GM_GLOBAL gm_u32 *area, gm_u32 area_words, GM_GLOBAL gm_u32 *work,
                       GM_LOCAL gm_u32 *memory, GM_LOCAL gm_outcome *out, GM_GLOBAL gm_u32 *beat,
                       GM_GLOBAL gm_u32 *cancel)
{
    gm_u32 fault = gm_vir0_check(image, args, capacity);
    gm_u32 flags = 0;
    gm_u32 records = 0;
    if (fault == 0) {
        gm_u32 start = args[GM_PROGRAM_ARG_START];
        gm_u32 after = args[GM_PROGRAM_ARG_CHUNK_AFTER] >> GM_PROGRAM_CHUNK_BITS;
        gm_u32 acc_words = GM_PROGRAM_ACC_WORDS * image[GM_IMAGE_ACCS];
        gm_u32 emitted;
        gm_vir0_run_of run;
        run.code = image + GM_IMAGE_HEADER;
        run.table = image + image[GM_IMAGE_TABLE_PLACE];
        run.table_bytes = image[GM_IMAGE_TABLE_BYTES];
        run.before = start < image[GM_IMAGE_BEFORE] ? start : image[GM_IMAGE_BEFORE];
        run.len = args[GM_PROGRAM_ARG_LEN];
        run.after = after < image[GM_IMAGE_AFTER] ? after : image[GM_IMAGE_AFTER];
        run.bytes = chunk + (start - run.before);
        run.total = run.before + run.len + run.after;
        run.args = args;
        run.scratch = memory + GM_VIR0_CELLS;
        run.accs = run.scratch + image[GM_IMAGE_SCRATCH];
        run.emitted = memory + GM_VIR0_EMITTED;
        run.records = work;
        run.most = image[GM_IMAGE_RECORDS];
        run.beat = beat;
        run.cancel = cancel;
        run.room = run.most < area_words / 2 ? run.most : area_words / 2;
        gm_vir0_begin(image, memory);
        gm_vir0_execute(&run, image, memory);
        fault = memory[GM_VIR0_CANCELLED] != 0 ? GM_FAULT_CANCELLED : memory[GM_VIR0_FAULT];
        emitted = memory[GM_VIR0_EMITTED];
        if (fault == 0 && emitted > run.most)
            flags = GM_COMPLETION_FLAG_OVERFLOW;
        else if (fault == 0 && (gm_u64)acc_words + 2 * (gm_u64)emitted > area_words)
            fault = GM_FAULT_AREA_TOO_SMALL;
        /* Without results, of which none is left, all lanes take the same way nevertheless. */
        if (fault == 0 && flags == 0)
            records = emitted;
        else
            acc_words = 0;
        gm_vir0_sort(work, records, memory + GM_VIR0_UNSORTED);
        gm_vir0_leave(run.accs, acc_words, work, records, area);
    }
    if (gm_leader()) {
        out->fault = fault;
        out->flags = flags;
        out->records = records;
    }
    gm_barrier();
}

/* Word `index` of a program's table, little-endian; `found` is whether the table holds it wholly. */
GM_FN gm_u32 gm_vir0_table_word(GM_GLOBAL const gm_u32 *image, gm_u64 index, int *found)
{
    *found = index < image[GM_IMAGE_TABLE_BYTES] / 4;
    return *found ? image[image[GM_IMAGE_TABLE_PLACE] + index] : 0;
}
