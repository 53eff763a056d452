GM_FN void gm_stream_run(GM_GLOBAL const gm_u32 *image, GM_GLOBAL const gm_u8 *chunk, gm_u32 capacity, GM_LOCAL const gm_u32 *args,
  GM_GLOBAL gm_u32 *area, gm_u32 area_words, GM_GLOBAL gm_u32 *work, GM_LOCAL gm_u32 *scratch, GM_LOCAL gm_outcome *out) { gm_barrier(); }
