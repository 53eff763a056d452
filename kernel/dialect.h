/* What differs between OpenCL C 2.0, CUDA C++ and host C++. Everything else in this folder is in their common subset.
 *
 * Three scopes of memory order are used, and no others:
 *
 * - system: words that host and device share. One writer for each word at any moment, so there is no read-modify-write
 *   here: on PCIe those are not atomic against the CPU.
 * - device: words that only workers share.
 * - group: local memory of one group, between barriers.
 *
 * GM_LANES is the number of lanes of a group, GM_STRIP how many windows of a program one lane runs together: a GPU has
 * many lanes and a strip of one, a CPU one lane and a strip that its vector unit likes. */

/* Words of local memory that an opcode may use. */
#define GM_LOCAL_WORDS 8192

#ifndef GM_LANES
#define GM_LANES 1
#endif
#ifndef GM_STRIP
#define GM_STRIP 32
#endif

#if defined(__OPENCL_VERSION__)

#define GM_FN static inline
#define GM_GLOBAL __global
#define GM_LOCAL __local
typedef uchar gm_u8;
typedef uint gm_u32;
typedef int gm_s32;
typedef ulong gm_u64;

#define gm_lane() ((gm_u32)get_local_id(0))
#define gm_group_id() ((gm_u32)get_group_id(0))
#if GM_LANES == 1
#define gm_barrier()
#else
#define gm_barrier() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#endif

/* clang's own names: the overloads of the specification do not resolve in PoCL 3.1. */
#define GM_SYS(p) ((__global atomic_uint *)(p))
#define GM_DEV(p) ((__global atomic_uint *)(p))
#define GM_LOC(p) ((__local atomic_uint *)(p))
#define gm_sys_load(p) __opencl_atomic_load(GM_SYS(p), memory_order_relaxed, memory_scope_all_svm_devices)
#define gm_sys_load_acquire(p) __opencl_atomic_load(GM_SYS(p), memory_order_acquire, memory_scope_all_svm_devices)
#define gm_sys_store(p, v) __opencl_atomic_store(GM_SYS(p), (v), memory_order_relaxed, memory_scope_all_svm_devices)
#define gm_sys_store_release(p, v) \
    __opencl_atomic_store(GM_SYS(p), (v), memory_order_release, memory_scope_all_svm_devices)
#define gm_dev_load(p) __opencl_atomic_load(GM_DEV(p), memory_order_relaxed, memory_scope_device)
#define gm_dev_load_acquire(p) __opencl_atomic_load(GM_DEV(p), memory_order_acquire, memory_scope_device)
#define gm_dev_store(p, v) __opencl_atomic_store(GM_DEV(p), (v), memory_order_relaxed, memory_scope_device)
#define gm_dev_store_release(p, v) __opencl_atomic_store(GM_DEV(p), (v), memory_order_release, memory_scope_device)
#define gm_dev_add(p, v) __opencl_atomic_fetch_add(GM_DEV(p), (v), memory_order_acq_rel, memory_scope_device)
#define gm_dev_count(p) __opencl_atomic_fetch_add(GM_DEV(p), 1u, memory_order_relaxed, memory_scope_device)
GM_FN int gm_dev_cas(__global gm_u32 *p, gm_u32 expected, gm_u32 desired)
{
    return __opencl_atomic_compare_exchange_strong(GM_DEV(p), &expected, desired, memory_order_acq_rel,
                                                   memory_order_acquire, memory_scope_device);
}
#if GM_LANES > 1
#define gm_local_add(p, v) __opencl_atomic_fetch_add(GM_LOC(p), (v), memory_order_relaxed, memory_scope_work_group)
#define gm_local_min(p, v) __opencl_atomic_fetch_min(GM_LOC(p), (v), memory_order_relaxed, memory_scope_work_group)
#define gm_local_max(p, v) __opencl_atomic_fetch_max(GM_LOC(p), (v), memory_order_relaxed, memory_scope_work_group)
#define gm_local_or(p, v) __opencl_atomic_fetch_or(GM_LOC(p), (v), memory_order_relaxed, memory_scope_work_group)
#define gm_local_xor(p, v) __opencl_atomic_fetch_xor(GM_LOC(p), (v), memory_order_relaxed, memory_scope_work_group)
#endif

#define gm_popcount(x) popcount((uint)(x))
#define gm_clz(x) clz((uint)(x))
#define gm_mulhi(x, y) mul_hi((uint)(x), (uint)(y))

#elif defined(__CUDACC__) || defined(__CUDACC_RTC__)

#define GM_FN static __device__ __forceinline__
#define GM_GLOBAL
#define GM_LOCAL
typedef unsigned char gm_u8;
typedef unsigned int gm_u32;
typedef int gm_s32;
typedef unsigned long long gm_u64;

#define gm_lane() ((gm_u32)threadIdx.x)
#define gm_group_id() ((gm_u32)blockIdx.x)
#if GM_LANES == 1
#define gm_barrier()
#else
#define gm_barrier() __syncthreads()
#endif

/* Inline PTX: the ordered accesses exist there by name, and no header is needed. A pointer in CUDA is generic: it is
 * made the address in global memory that these instructions take. That costs nothing, and an atomic on a generic
 * address would first have to ask which memory it means. */
#define GM_ADDRESS(p) __cvta_generic_to_global(p)
GM_FN gm_u32 gm_sys_load(const gm_u32 *p)
{
    gm_u32 v;
    asm volatile("ld.relaxed.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(GM_ADDRESS(p)) : "memory");
    return v;
}
GM_FN gm_u32 gm_sys_load_acquire(const gm_u32 *p)
{
    gm_u32 v;
    asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(GM_ADDRESS(p)) : "memory");
    return v;
}
GM_FN void gm_sys_store(gm_u32 *p, gm_u32 v)
{
    asm volatile("st.relaxed.sys.global.u32 [%0], %1;" : : "l"(GM_ADDRESS(p)), "r"(v) : "memory");
}
GM_FN void gm_sys_store_release(gm_u32 *p, gm_u32 v)
{
    asm volatile("st.release.sys.global.u32 [%0], %1;" : : "l"(GM_ADDRESS(p)), "r"(v) : "memory");
}
GM_FN gm_u32 gm_dev_load(const gm_u32 *p)
{
    gm_u32 v;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(GM_ADDRESS(p)) : "memory");
    return v;
}
GM_FN gm_u32 gm_dev_load_acquire(const gm_u32 *p)
{
    gm_u32 v;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(GM_ADDRESS(p)) : "memory");
    return v;
}
GM_FN void gm_dev_store(gm_u32 *p, gm_u32 v)
{
    asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" : : "l"(GM_ADDRESS(p)), "r"(v) : "memory");
}
GM_FN void gm_dev_store_release(gm_u32 *p, gm_u32 v)
{
    asm volatile("st.release.gpu.global.u32 [%0], %1;" : : "l"(GM_ADDRESS(p)), "r"(v) : "memory");
}
GM_FN gm_u32 gm_dev_add(gm_u32 *p, gm_u32 v)
{
    gm_u32 old;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(old) : "l"(GM_ADDRESS(p)), "r"(v) : "memory");
    return old;
}
GM_FN void gm_dev_count(gm_u32 *p)
{
    asm volatile("red.relaxed.gpu.global.add.u32 [%0], 1;" : : "l"(GM_ADDRESS(p)) : "memory");
}
GM_FN int gm_dev_cas(gm_u32 *p, gm_u32 expected, gm_u32 desired)
{
    gm_u32 old;
    asm volatile("atom.acq_rel.gpu.global.cas.b32 %0, [%1], %2, %3;"
                 : "=r"(old)
                 : "l"(GM_ADDRESS(p)), "r"(expected), "r"(desired)
                 : "memory");
    return old == expected;
}
#if GM_LANES > 1
#define gm_local_add(p, v) atomicAdd((p), (v))
#define gm_local_min(p, v) atomicMin((p), (v))
#define gm_local_max(p, v) atomicMax((p), (v))
#define gm_local_or(p, v) atomicOr((p), (v))
#define gm_local_xor(p, v) atomicXor((p), (v))
#endif

#define gm_popcount(x) ((gm_u32)__popc(x))
#define gm_clz(x) ((gm_u32)__clz((int)(x)))
#define gm_mulhi(x, y) __umulhi((x), (y))

#else /* Host C++: for the race detector, and for tests without a driver. A lane is a thread; host.h comes first. */

#define GM_FN static inline
#define GM_GLOBAL
#define GM_LOCAL
typedef unsigned char gm_u8;
typedef unsigned int gm_u32;
typedef int gm_s32;
typedef unsigned long long gm_u64;

#define gm_lane() gm_host_lane()
#define gm_group_id() gm_host_group()
#define gm_barrier() gm_host_barrier()

#define gm_sys_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define gm_sys_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define gm_sys_store(p, v) __atomic_store_n((p), (gm_u32)(v), __ATOMIC_RELAXED)
#define gm_sys_store_release(p, v) __atomic_store_n((p), (gm_u32)(v), __ATOMIC_RELEASE)
#define gm_dev_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define gm_dev_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define gm_dev_store(p, v) __atomic_store_n((p), (gm_u32)(v), __ATOMIC_RELAXED)
#define gm_dev_store_release(p, v) __atomic_store_n((p), (gm_u32)(v), __ATOMIC_RELEASE)
#define gm_dev_add(p, v) __atomic_fetch_add((p), (gm_u32)(v), __ATOMIC_ACQ_REL)
#define gm_dev_count(p) __atomic_fetch_add((p), (gm_u32)1, __ATOMIC_RELAXED)
GM_FN int gm_dev_cas(gm_u32 *p, gm_u32 expected, gm_u32 desired)
{
    return __atomic_compare_exchange_n(p, &expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
#if GM_LANES > 1
#define gm_local_add(p, v) __atomic_fetch_add((p), (gm_u32)(v), __ATOMIC_RELAXED)
#define gm_local_or(p, v) __atomic_fetch_or((p), (gm_u32)(v), __ATOMIC_RELAXED)
#define gm_local_xor(p, v) __atomic_fetch_xor((p), (gm_u32)(v), __ATOMIC_RELAXED)
GM_FN void gm_local_min(gm_u32 *p, gm_u32 v)
{
    gm_u32 old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (v < old && !__atomic_compare_exchange_n(p, &old, v, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}
GM_FN void gm_local_max(gm_u32 *p, gm_u32 v)
{
    gm_u32 old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (v > old && !__atomic_compare_exchange_n(p, &old, v, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}
#endif

#define gm_popcount(x) ((gm_u32)__builtin_popcount(x))
#define gm_clz(x) ((x) ? (gm_u32)__builtin_clz(x) : 32u)
#define gm_mulhi(x, y) ((gm_u32)(((gm_u64)(x) * (gm_u64)(y)) >> 32))

#endif

/* A group of one lane has nobody to share local memory with. */
#if GM_LANES == 1
GM_FN gm_u32 gm_local_add(GM_LOCAL gm_u32 *p, gm_u32 v)
{
    gm_u32 old = *p;
    *p = old + v;
    return old;
}
#define gm_local_min(p, v) (*(p) = *(p) < (v) ? *(p) : (v))
#define gm_local_max(p, v) (*(p) = *(p) > (v) ? *(p) : (v))
#define gm_local_or(p, v) (*(p) |= (v))
#define gm_local_xor(p, v) (*(p) ^= (v))
#endif

#define gm_ctz(x) ((x) ? 31u - gm_clz((x) & (0u - (x))) : 32u)
#define gm_leader() (gm_lane() == 0)

/* A sign of life: the host takes a worker that gives none for lost. Any lane may give it: what counts is that the word
 * moves. */
GM_FN void gm_beat(GM_GLOBAL gm_u32 *beat) { gm_sys_store(beat, gm_sys_load(beat) + 1); }

/* What an opcode leaves, in local memory: written by the leader, all zero before the opcode runs. */
typedef struct {
    gm_u32 fault; /* 0 or a FAULT word */
    gm_u32 results[GM_COMPLETION_RESULTS];
    gm_u32 records;
    gm_u32 flags;
} gm_outcome;
