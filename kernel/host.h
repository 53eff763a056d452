/* Lanes and groups as threads, for the device source compiled as host C++. Include before dialect.h; C++17, -pthread.
 *
 *   gm_host_run(groups, body): GM_LANES threads for each group, each calls body(). */

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace gm_host {

/* A barrier of one group. */
class Barrier {
  public:
    explicit Barrier(unsigned lanes) : lanes_(lanes) {}

    void wait()
    {
        std::unique_lock<std::mutex> lock(mutex_);
        unsigned round = round_;
        if (++waiting_ == lanes_) {
            waiting_ = 0;
            round_++;
            all_.notify_all();
        } else {
            all_.wait(lock, [&] { return round != round_; });
        }
    }

  private:
    std::mutex mutex_;
    std::condition_variable all_;
    unsigned lanes_;
    unsigned waiting_ = 0;
    unsigned round_ = 0;
};

inline thread_local unsigned lane = 0;
inline thread_local unsigned group = 0;
inline thread_local Barrier *barrier = nullptr;

} // namespace gm_host

static inline unsigned gm_host_lane(void) { return gm_host::lane; }
static inline unsigned gm_host_group(void) { return gm_host::group; }
static inline void gm_host_barrier(void)
{
    if (gm_host::barrier)
        gm_host::barrier->wait();
}

static inline void gm_host_run(unsigned groups, unsigned lanes, const std::function<void(unsigned)> &body)
{
    std::vector<gm_host::Barrier *> barriers;
    std::vector<std::thread> threads;
    for (unsigned group = 0; group < groups; group++) {
        gm_host::Barrier *barrier = new gm_host::Barrier(lanes);
        barriers.push_back(barrier);
        for (unsigned lane = 0; lane < lanes; lane++)
            threads.emplace_back([=, &body] {
                gm_host::lane = lane;
                gm_host::group = group;
                gm_host::barrier = lanes > 1 ? barrier : nullptr;
                body(group);
            });
    }
    for (std::thread &thread : threads)
        thread.join();
    for (gm_host::Barrier *barrier : barriers)
        delete barrier;
}
