//! Hand-written programs for cases that random programs rarely cover.

/// Each entry describes a rare case and gives a program that covers it, which runs over 5,000 bytes.
pub const CHOSEN: [(&str, &str); 14] = [
    (
        "records in the opposite order, and equal ones",
        "
        .records 11000
          each r1, 1
            mov  r2, 2000
            sub  r2, r2, r1
            and  r3, r1, 3
            emit r2, r3
            emit r2, 0
            ltu  r4, r1, 700
            if   r4
              emit r1, r1
            end
          end",
    ),
    (
        "exactly as many records as there may be",
        "
        .records 5000
          each r1, 1
            emit r1, -1
          end",
    ),
    (
        "one record too many",
        "
        .records 4999
          each r1, 1
            emit r1, -1
          end",
    ),
    (
        "sums that carry",
        "
        .acc one sum
        .acc some[3] sum
          mov r2, -1
          each r1, 1
            acc one, r2
            remu r3, r1, 3
            acc some, r3, r2
          end
          acc one, r2",
    ),
    (
        "a minimum of all ones is no untouched one",
        "
        .acc low[3] min
          mov r2, -1
          each r1, 1
            acc low, 1, r2
          end
          acc low, 2, r2",
    ),
    (
        "the first window that faults, though a later one does so at an earlier instruction",
        "
        .acc n[4] sum
        .scratch s 4
        .records 1
          each r1, 1
            emit r1, 0
            sub  r2, r1, 1290
            sar  r2, r2, 31
            add  r2, r2, 1
            mul  r2, r2, 9
            s.add s, r2, r1
            sub  r2, r1, 1280
            sar  r2, r2, 31
            add  r2, r2, 1
            mul  r2, r2, 9
            acc  n, r2, r1
          end
          each r1, 1
            s.add s, r1, r1
          end",
    ),
    (
        "the first window that faults, though a later one does so at a later instruction",
        "
        .acc n[4] sum
        .scratch s 4
          each r1, 1
            sub  r2, r1, 1280
            sub  r3, r1, 1290
            ltu  r3, r2, r3
            mul  r3, r3, 9
            shr  r2, r2, 31
            eq   r2, r2, 0
            mul  r2, r2, 9
            if   r3
              s.add s, r2, r1
            end
            acc  n, r2, r1
          end",
    ),
    (
        "the last byte that is there, and the one behind it",
        "
        .acc n sum
          each r1, 1
            ld8  r2, r1, 5000 - 31
            acc  n, r2
            ld8  r2, r1, 5000 - 32
            acc  n, r2
          end",
    ),
    (
        "a fault at top level stops everything",
        "
        .acc n[4] sum
          mov r1, 4
          each r2, 1
            acc n, 0, r2
          end
          acc n, r1, r1
          each r2, 1
            acc n, r2, r2
          end",
    ),
    (
        "a halt at top level, in blocks",
        "
        .acc n[4] sum
        .scratch s 8
          mov r1, 1
          loop 5
            add r2, r2, 1
            s.add s, 3, r2
            eq  r3, r2, 3
            if  r3
              acc n, 1, r2
              halt
            end
            acc n, 2, r1
          end
          each r2, 1
            acc n, 3, r1
          end",
    ),
    (
        "what one each leaves in scratch words, code behind it reads",
        "
        .acc n[256] sum
        .scratch s 256
          each r1, 1
            ld8   r2, r1
            s.add s, r2, r1
          end
          s.ld r4, s, 10
          each r1, 1
            ld8  r2, r1
            s.ld r3, s, r2
            add  r3, r3, r4
            acc  n, r2, r3
          end",
    ),
    (
        "the most scratch words and accumulators",
        "
        .acc a[1023] max
        .acc b xor
        .scratch s 4095
        .scratch t 1
          each r1, 1
            remu  r2, r1, 4095
            s.max s, r2, r1
            s.add t, 0, r1
          end
          each r1, 1
            remu r2, r1, 1023
            remu r3, r1, 4095
            s.ld r3, s, r3
            acc  a, r2, r3
            acc  b, r3
          end",
    ),
    (
        "loops that windows leave at different trips",
        "
        .acc n[8] sum
          each r1, 1
            ld8  r2, r1
            and  r2, r2, 7
            mov  r3, 0
            loop 6
              if   r2
                sub r2, r2, 1
                loop 3
                  add   r3, r3, 1
                  and   r4, r3, r1
                  break r4
                end
              else
                break r1
                add r3, r3, 100
              end
            end
            and r5, r1, 7
            acc n, r5, r3
          end",
    ),
    (
        "a window longer than the chunk, and loads around it",
        "
        .before 3
        .after  5
        .acc n[4] xor
          each r1, 0xFFFFFFFF
            loop 40
              sub  r2, r3, 20
              ld32 r4, r2
              acc  n, 0, r4
              ld32 r4, r2, 5000
              acc  n, 1, r4
              add  r3, r3, 1
            end
            avail.before r5
            acc  n, 2, r5
            avail.after r5
            acc  n, 3, r5
          end",
    ),
];
