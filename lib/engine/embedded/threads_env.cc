#include "engine/embedded/threads_env.h"

#include <rocksdb/threadpool.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/mutex.h"

namespace once::engine {
namespace {

using rocksdb::Env;
using rocksdb::EnvWrapper;

class ThreadsEnv final : public EnvWrapper {
 public:
  explicit ThreadsEnv(std::unique_ptr<Env>&& wrapped) : EnvWrapper(std::move(wrapped)) {
    // Or else there would be a wrapper for old ones in between, which drops the options of files.
    file_system_ = target()->GetFileSystem();
  }
  ~ThreadsEnv() override {
    for (const auto& pool : pools_) {
      if (pool) pool->JoinAllThreads();
    }
  }

  void Schedule(void (*function)(void*), void* argument, Priority priority, void*,
                void (*)(void*)) override {
    pool(priority).SubmitJob([function, argument] { function(argument); });
  }
  // A job that is scheduled runs, and finds out by itself that the store is being closed.
  int UnSchedule(void*, Priority) override { return 0; }

  unsigned int GetThreadPoolQueueLen(Priority priority) const override {
    MutexLock lock(mutex_);
    const auto& pool = pools_[index_of(priority)];
    return pool ? pool->GetQueueLen() : 0;
  }
  int ReserveThreads(int, Priority) override { return 0; }
  int ReleaseThreads(int, Priority) override { return 0; }

  void SetBackgroundThreads(int number, Priority priority) override {
    MutexLock lock(mutex_);
    limits_[index_of(priority)] = number;
    if (auto& pool = pools_[index_of(priority)]) pool->SetBackgroundThreads(number);
  }
  void IncBackgroundThreadsIfNeeded(int number, Priority priority) override {
    if (GetBackgroundThreads(priority) < number) SetBackgroundThreads(number, priority);
  }
  int GetBackgroundThreads(Priority priority) override {
    MutexLock lock(mutex_);
    return limits_[index_of(priority)];
  }
  void LowerThreadPoolIOPriority(Priority) override {}
  void LowerThreadPoolCPUPriority(Priority) override {}
  rocksdb::Status LowerThreadPoolCPUPriority(Priority, rocksdb::CpuPriority) override {
    return rocksdb::Status::OK();
  }

 private:
  static std::size_t index_of(Priority priority) {
    return std::min<std::size_t>(priority, Priority::TOTAL - 1);
  }
  rocksdb::ThreadPool& pool(Priority priority) {
    MutexLock lock(mutex_);
    auto& pool = pools_[index_of(priority)];
    if (!pool) pool.reset(rocksdb::NewThreadPool(std::max(1, limits_[index_of(priority)])));
    return *pool;
  }

  mutable Mutex mutex_;
  std::array<int, Priority::TOTAL> limits_ ONCE_GUARDED_BY(mutex_){};
  std::array<std::unique_ptr<rocksdb::ThreadPool>, Priority::TOTAL> pools_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Env> make_threads_env(std::unique_ptr<Env> target) {
  return std::make_unique<ThreadsEnv>(std::move(target));
}

}  // namespace once::engine
