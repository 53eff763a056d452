/* The stream opcodes: SCAN, which is in scan.h, BLAKE3 (blake3.h), HISTOGRAM, LINES and CRC32C. What they report is written in
 * crates/protocol/src/stream.rs. */

GM_FN void gm_lines(GM_GLOBAL const gm_u8 *bytes, gm_u32 len, GM_LOCAL gm_u32 *scratch, GM_LOCAL gm_outcome *out)
{
    gm_u32 count = gm_count_of(bytes, len, '\n');
    if (gm_leader())
        scratch[0] = 0;
    gm_barrier();
    gm_local_add(scratch, count);
    gm_barrier();
    if (gm_leader())
        out->results[GM_STREAM_RESULT_COUNT] = scratch[0];
}

/* Each count is spread over some words of local memory: those of one lane, so that runs of a byte do not wait for their own
 * increments; those of many, one for each bank, so that lanes do not wait for each other. */
#if GM_LANES == 1
#define GM_SPREAD 4u
#define gm_bin(byte, turn) ((turn) % GM_SPREAD * 256u + (byte))
#else
#define GM_SPREAD 32u
#define gm_bin(byte, turn) ((byte) * GM_SPREAD + gm_lane() % GM_SPREAD)
#endif

GM_FN void gm_histogram(GM_GLOBAL const gm_u8 *bytes, gm_u32 len, GM_GLOBAL gm_u32 *area, gm_u32 area_words,
                        GM_LOCAL gm_u32 *scratch, GM_LOCAL gm_outcome *out)
{
    gm_u32 at = gm_aligned(bytes, 0, len);
    gm_u32 words = (len - at) / 8;
    gm_u32 i;
    gm_u32 k;
    if (area_words < GM_STREAM_HISTOGRAM_WORDS) {
        if (gm_leader())
            out->fault = GM_FAULT_INDEX_OUT_OF_RANGE;
        return;
    }
    for (i = gm_lane(); i < 256 * GM_SPREAD; i += GM_LANES)
        scratch[i] = 0;
    gm_barrier();
    if (gm_leader()) {
        for (i = 0; i < at; i++)
            gm_local_add(scratch + gm_bin(bytes[i], 0u), 1);
        for (i = at + 8 * words; i < len; i++)
            gm_local_add(scratch + gm_bin(bytes[i], 0u), 1);
    }
    for (i = gm_lane(); i < words; i += GM_LANES) {
        gm_u64 word = gm_eight(bytes + at + 8 * i);
        for (k = 0; k < 8; k++)
            gm_local_add(scratch + gm_bin((gm_u32)(word >> (8 * k)) & 0xFF, k), 1);
    }
    gm_barrier();
    for (i = gm_lane(); i < 256; i += GM_LANES) {
        gm_u32 count = 0;
        for (k = 0; k < GM_SPREAD; k++)
            count += scratch[GM_LANES == 1 ? k * 256 + i : i * GM_SPREAD + (k + i) % GM_SPREAD];
        area[i] = count;
    }
    if (gm_leader())
        out->records = GM_STREAM_HISTOGRAM_RECORDS;
}

/* The product of two polynomials by the Castagnoli polynomial; bit 31 is the coefficient of 1. */
GM_FN gm_u32 gm_crc_multiply(gm_u32 a, gm_u32 b)
{
    gm_u32 product = 0;
    for (; a != 0; a <<= 1) {
        product ^= b & (0u - (a >> 31));
        b = (b >> 1) ^ (0x82F63B78u & (0u - (b & 1)));
    }
    return product;
}

/* Each lane has the remainder of its segment, eight bytes a step. Remainders add up once each is multiplied by x to the
 * power of the bits behind its segment. */
GM_FN void gm_crc32c(GM_GLOBAL const gm_u32 *image, GM_GLOBAL const gm_u8 *bytes, gm_u32 len, GM_LOCAL gm_u32 *scratch,
                     GM_LOCAL gm_outcome *out)
{
    GM_TABLE const gm_u32 *tables = gm_table(image + GM_CRC_TABLES, scratch + 32, 8 * 256);
    gm_u32 end;
    gm_u32 at = gm_segment(0, len, &end);
    gm_u32 first = gm_aligned(bytes, at, end);
    gm_u32 rest = len - end;
    gm_u32 crc = gm_leader() ? 0xFFFFFFFFu : 0;
    gm_u32 power;
    for (; at < first; at++)
        crc = crc >> 8 ^ tables[(crc ^ bytes[at]) & 0xFF];
    for (; end - at >= 8; at += 8) {
        gm_u64 word = gm_eight(bytes + at);
        gm_u32 low = (gm_u32)word ^ crc;
        gm_u32 high = (gm_u32)(word >> 32);
        crc = tables[7 * 256 + (low & 0xFF)] ^ tables[6 * 256 + (low >> 8 & 0xFF)] ^
              tables[5 * 256 + (low >> 16 & 0xFF)] ^ tables[4 * 256 + (low >> 24)] ^ tables[3 * 256 + (high & 0xFF)] ^
              tables[2 * 256 + (high >> 8 & 0xFF)] ^ tables[256 + (high >> 16 & 0xFF)] ^ tables[high >> 24];
    }
    for (; at < end; at++)
        crc = crc >> 8 ^ tables[(crc ^ bytes[at]) & 0xFF];
    for (power = 0; rest != 0; power++, rest >>= 1)
        if (rest & 1)
            crc = gm_crc_multiply(crc, image[GM_CRC_POWERS + power]);
    if (gm_leader())
        scratch[0] = 0xFFFFFFFFu;
    gm_barrier();
    gm_local_xor(scratch, crc);
    gm_barrier();
    if (gm_leader())
        out->results[GM_STREAM_RESULT_CRC] = scratch[0];
}

/* Runs a slot's stream opcode over its chunk, by all lanes of the group; ends with a barrier.
 *
 * `image` is the job's, `chunk` the chunk's buffer of `capacity` bytes at a multiple of eight, `args` the slot's. The host
 * reads `area`, so it is only written; `work` has as many words and is the group's own. `scratch` has GM_LOCAL_WORDS. `out`
 * is all zero, and only the leader's to write. `beat` is the word that tells that the worker lives, `cancel` the one that
 * tells that the host wants no more of it: then whatever `out` says is void. */
GM_FN void gm_stream_run(GM_GLOBAL const gm_u32 *image, GM_GLOBAL const gm_u8 *chunk, gm_u32 capacity,
                         GM_LOCAL const gm_u32 *args, GM_GLOBAL gm_u32 *area, gm_u32 area_words, GM_GLOBAL gm_u32 *work,
                         GM_LOCAL gm_u32 *scratch, GM_LOCAL gm_outcome *out, GM_GLOBAL gm_u32 *beat,
                         GM_GLOBAL gm_u32 *cancel)
{
    gm_u32 start = args[GM_STREAM_ARG_START];
    gm_u32 len = args[GM_STREAM_ARG_LEN];
    GM_GLOBAL const gm_u8 *bytes = chunk + start;
    if ((gm_u64)start + len + args[GM_STREAM_ARG_AFTER] > capacity || args[GM_STREAM_ARG_BEFORE] > start) {
        if (gm_leader())
            out->fault = GM_FAULT_INDEX_OUT_OF_RANGE;
    } else {
        switch (image[0]) {
        case GM_OP_SCAN:
            gm_scan(image, bytes, args, area, area_words, work, scratch, out, beat, cancel);
            break;
        case GM_OP_HISTOGRAM:
            gm_histogram(bytes, len, area, area_words, scratch, out);
            break;
        case GM_OP_LINES:
            gm_lines(bytes, len, scratch, out);
            break;
        case GM_OP_CRC32C:
            gm_crc32c(image, bytes, len, scratch, out);
            break;
        case GM_OP_BLAKE3:
            gm_blake3(bytes, args, area, area_words, scratch, out, beat, cancel);
            break;
        default:
            if (gm_leader())
                out->fault = GM_FAULT_UNKNOWN_OPCODE;
        }
    }
    gm_barrier();
}
